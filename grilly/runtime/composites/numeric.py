"""What the composites of real functions share: polynomials, and the bits of a float32."""

from collections.abc import Callable
from functools import wraps

import jax
from jax import lax
from jax import numpy as jnp

TINY = 1.1754943508222875e-38  # the least normal float32, 2 ** -126


def polynomial(x: jax.Array, *coefficients: float | jax.Array) -> jax.Array:
    """Horner's rule, the highest power first."""
    total = coefficients[0] * x + coefficients[1]
    for coefficient in coefficients[2:]:
        total = total * x + coefficient
    return total


def bits_of(x: jax.Array) -> jax.Array:
    """The bits of float32 as int32."""
    return lax.bitcast_convert_type(x, jnp.int32)


def from_bits(bits: jax.Array) -> jax.Array:
    """The float32 of these bits."""
    return lax.bitcast_convert_type(bits, jnp.float32)


def with_sign_of(x: jax.Array, sign: jax.Array) -> jax.Array:
    """The magnitude of `x` with the sign of `sign`."""
    return from_bits((bits_of(x) & 0x7FFFFFFF) | (bits_of(sign) & -0x80000000))


def in_float32(function: Callable[..., jax.Array]) -> Callable[..., jax.Array]:
    """Shorter floats are computed in float32 and rounded once."""

    @wraps(function)
    def computed(*args: jax.Array, **params: object) -> jax.Array:
        dtype = args[0].dtype
        return function(*(arg.astype(jnp.float32) for arg in args), **params).astype(dtype)

    return computed
