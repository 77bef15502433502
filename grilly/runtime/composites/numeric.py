"""What the composites of real functions share: polynomials, the bits of a float32, exact sums and products."""

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


def top(x: jax.Array) -> jax.Array:
    """The upper 12 bits of a significand: the product of two such numbers is exact."""
    return from_bits(bits_of(x) & -0x1000)


def exact_sum(x: jax.Array, y: jax.Array) -> tuple[jax.Array, jax.Array]:
    """`x + y` as a float32 and what its rounding left out (D. Knuth)."""
    total = x + y
    part = total - x
    return total, (x - (total - part)) + (y - part)


def exact_product(x: jax.Array, y: jax.Array) -> tuple[jax.Array, jax.Array]:
    """`x * y` as a float32 and what its rounding left out (T. J. Dekker)."""
    product, x_high, y_high = x * y, top(x), top(y)
    x_low, y_low = x - x_high, y - y_high
    return product, ((x_high * y_high - product) + x_high * y_low + x_low * y_high) + x_low * y_low


def exact_root(x: jax.Array, low: jax.Array) -> tuple[jax.Array, jax.Array]:
    """`sqrt(x + low)` in two floats."""
    root = lax.sqrt(x)
    square, rest = exact_product(root, root)
    return root, ((x - square) - rest + low) / jnp.where(root > 0, root + root, 1.0)


def two_to(n: jax.Array) -> jax.Array:
    """`2 ** n`, for n from -126 to 127."""
    return from_bits((n + 127) << 23)


def scaled(x: jax.Array, n: jax.Array) -> jax.Array:
    """`x * 2 ** n`, in two steps, for n from -252 to 254."""
    half = n >> 1
    return x * two_to(half) * two_to(n - half)


def high_product(x: jax.Array, y: jax.Array) -> jax.Array:
    """The upper 32 bits of the product of two uint32."""
    x_high, x_low, y_high, y_low = x >> 16, x & 0xFFFF, y >> 16, y & 0xFFFF
    middle = x_high * y_low + (x_low * y_low >> 16)  # at most (2 ** 16 - 1) * 2 ** 16: no carry
    other = x_low * y_high + (middle & 0xFFFF)
    return x_high * y_high + (middle >> 16) + (other >> 16)


def in_float32(function: Callable[..., jax.Array]) -> Callable[..., jax.Array]:
    """Shorter floats are computed in float32 and rounded once."""

    @wraps(function)
    def computed(*args: jax.Array, **params: object) -> jax.Array:
        dtype = args[0].dtype
        return function(*(arg.astype(jnp.float32) for arg in args), **params).astype(dtype)

    return computed


def each(function: Callable[..., jax.Array]) -> Callable[..., jax.Array]:
    """A function of numbers as one of arrays, element by element: each has loops of its own length."""

    @wraps(function)
    def computed(*args: jax.Array) -> jax.Array:
        shape = jnp.broadcast_shapes(*(arg.shape for arg in args))
        return jax.vmap(function)(*(jnp.broadcast_to(arg, shape).reshape(-1) for arg in args)).reshape(shape)

    return computed
