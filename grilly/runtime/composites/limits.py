"""The least and the greatest number of a dtype."""

import numpy as np
from jax import numpy as jnp


def lowest(dtype: np.dtype) -> np.ndarray:
    """Minus infinity, the least integer, or False."""
    return _limit(dtype, -1)


def highest(dtype: np.dtype) -> np.ndarray:
    """Infinity, the greatest integer, or True."""
    return _limit(dtype, 1)


def _limit(dtype: np.dtype, sign: int) -> np.ndarray:
    if dtype == np.bool_:
        return np.asarray(sign > 0)
    if jnp.issubdtype(dtype, jnp.floating):
        return np.asarray(sign * np.inf, dtype)
    limits = jnp.iinfo(dtype)
    return np.asarray(limits.max if sign > 0 else limits.min, dtype)
