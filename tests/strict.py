"""Strictness around our own code: no silent promotion of dtypes or ranks. (optax and jax.random break under it.)"""

import contextlib
from collections.abc import Iterator

import jax


@contextlib.contextmanager
def strict() -> Iterator[None]:
    """Makes every implicit promotion an error, and every implicit rank promotion too."""
    with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
        yield
