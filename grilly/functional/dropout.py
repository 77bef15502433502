"""Dropout: a random mask in training, nothing otherwise."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from .arguments import as_float, as_key, refuse_unless


def dropout(x: ArrayLike, key: jax.Array, p: float, training: bool) -> jax.Array:
    """Sets each element to zero with probability `p`, and divides the others by `1 - p`: the mean stays.

    Args:
        x: Any shape. In a sequence each step has a mask of its own, unless the caller drops step by step
            with the same key.
        key: A random key, `jax.random.key(seed)`. The same key gives the same mask.
        p: Probability of a zero, `0 <= p < 1`. Static.
        training: Whether anything is dropped at all. Static.

    Raises:
        ParameterError: `p` lies outside `[0, 1)`; or `key` is used, and is none.

    Example:
        >>> import jax, numpy as np
        >>> sorted(set(dropout(np.ones(100), jax.random.key(0), 0.5, True).tolist()))
        [0.0, 2.0]

    References:
        N. Srivastava et al., "Dropout", JMLR 2014.
    """
    check_probability(p)
    x = as_float(x, "x")
    if not training or p == 0:
        return x
    kept = jax.random.uniform(as_key(key), x.shape) >= p
    return jnp.where(kept, x / (1 - p), jnp.zeros_like(x))


def check_probability(p: float) -> None:
    """Refuses what is no probability of dropping an element.

    Raises:
        ParameterError: `p` lies outside `[0, 1)`.
    """
    refuse_unless("p", p, lambda p: (p >= 0) & (p < 1), "the probability of dropping an element lies in [0, 1).")
