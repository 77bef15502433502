"""The bits of numbers as those of shorter or longer ones, which `bitcast_convert_type` spreads over a further axis."""

from collections.abc import Callable

import jax
import numpy as np
from jax import lax
from jax import numpy as jnp


def resized_bits(x: jax.Array, *, new_dtype: np.dtype) -> jax.Array:
    """The lowest bits come first, along the last axis of the shorter numbers."""
    own, other = (np.dtype(f"uint{8 * dtype.itemsize}") for dtype in (x.dtype, np.dtype(new_dtype)))
    bits = lax.bitcast_convert_type(x, own)
    width = 8 * min(own.itemsize, other.itemsize)
    shifts = range(0, 8 * max(own.itemsize, other.itemsize), width)
    if own.itemsize > other.itemsize:
        bits = jnp.stack([(bits >> own.type(shift)).astype(other) for shift in shifts], -1)
    else:
        parts = [bits[..., k].astype(other) << other.type(shift) for k, shift in enumerate(shifts)]
        bits = sum(parts[1:], parts[0])
    return lax.bitcast_convert_type(bits, new_dtype)


composites: dict[str, Callable] = {"resized_bits": resized_bits}
