"""Where the largest or the least element lies."""

from collections.abc import Callable, Sequence

import jax
import numpy as np
from jax import lax
from jax import numpy as jnp


def _first_of(best: Callable[..., jax.Array]) -> Callable:
    def first(x: jax.Array, *, axes: Sequence[int], index_dtype: np.dtype) -> jax.Array:
        """Of equals the first; NaN, if there is one."""
        (axis,) = axes
        chosen = lax.expand_dims(best(x, (axis,)), (axis,))
        here = (x == chosen) | (x != x)
        number = lax.broadcasted_iota(jnp.int32, x.shape, axis)
        return lax.reduce_min(jnp.where(here, number, x.shape[axis]), (axis,)).astype(index_dtype)

    return first


composites: dict[str, Callable] = {"argmax": _first_of(lax.reduce_max), "argmin": _first_of(lax.reduce_min)}
