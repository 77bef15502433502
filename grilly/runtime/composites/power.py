"""`x ** y` in float32, within 2 ulp: 2 to the power of y times the binary logarithm of x, kept in two floats.

The series is that of fdlibm's e_pow (Sun Microsystems, 1993). Results that are denormal are unspecified.
"""

from collections.abc import Callable

import jax
from jax import numpy as jnp

from .numeric import bits_of, from_bits, in_float32, polynomial, scaled, top

# In two parts, of which the first has few enough bits to be multiplied exactly.
LN2 = 0.69314718055994531
SQRT_2 = 1.41421356237309505
THIRD_HIGH, THIRD_LOW = 0.9619140625, -1.1736857402e-4  # 2 / (3 ln 2)
SERIES = (2.0697501302e-1, 2.3066075146e-1, 2.7272811532e-1, 3.3333334327e-1, 4.2857143283e-1, 6.0000002384e-1)


def power(x: jax.Array, y: jax.Array) -> jax.Array:
    """`x ** y`, with C's values for zeros, infinities and NaN."""
    size, nothing = jnp.abs(x), jnp.zeros_like(x)
    result = _power_of_positive(size, y)
    growing = (size > 1) == (y > 0)
    extreme = (size == 0) | (size == jnp.inf) | (jnp.abs(y) == jnp.inf)
    result = jnp.where(extreme, jnp.where(growing, nothing + jnp.inf, nothing), result)
    whole, half = jnp.floor(y) == y, y * 0.5
    odd = whole & (jnp.floor(half) != half)
    negative = bits_of(x) < 0
    result = jnp.where(negative & odd, -result, result)
    result = jnp.where((x < 0) & (size != jnp.inf) & ~whole, jnp.nan, result)
    result = jnp.where((x != x) | (y != y), jnp.nan, result)
    return jnp.where((y == 0) | (x == 1) | ((x == -1) & (jnp.abs(y) == jnp.inf)), nothing + 1.0, result)


def _power_of_positive(x: jax.Array, y: jax.Array) -> jax.Array:
    high, low = _log2(x)
    y = jnp.clip(y, -1e10, 1e10)  # of any x but 1, such a power is 0 or infinite already
    y_high = top(y)
    small = (y - y_high) * high + y * low
    large = y_high * high
    exponent = jnp.clip(jnp.floor(large + small + 0.5), -252.0, 252.0)
    rest = jnp.clip((large - exponent) + small, -1.0, 1.0)
    return scaled(exp2_near_zero(rest), exponent.astype(jnp.int32))


def _log2(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The binary logarithm of a positive number as a sum of two, the first with 12 bits."""
    bits = bits_of(x)
    fraction = from_bits((bits & 0x007FFFFF) | 0x3F800000)  # in [1, 2)
    large = fraction > SQRT_2
    fraction = jnp.where(large, fraction * 0.5, fraction)
    exponent = (((bits >> 23) - 127) + large.astype(jnp.int32)).astype(jnp.float32)
    above, below = fraction - 1.0, fraction + 1.0
    s = above / below
    s_high, below_high = top(s), top(below)
    below_low = fraction - (below_high - 1.0)
    s_low = ((above - s_high * below_high) - s_high * below_low) / below
    square = s * s
    tail = square * square * polynomial(square, *SERIES) + s_low * (s_high + s)
    square = s_high * s_high
    sum_high = top(3.0 + square + tail)
    sum_low = tail - ((sum_high - 3.0) - square)
    large_part, small_part = s_high * sum_high, s_low * sum_high + sum_low * s
    high = top(large_part + small_part)
    low = small_part - (high - large_part)
    log_high = THIRD_HIGH * high
    log_low = THIRD_LOW * high + low * (THIRD_HIGH + THIRD_LOW)
    total = top(log_high + log_low + exponent)
    return total, log_low - ((total - exponent) - log_high)


def exp2_near_zero(x: jax.Array) -> jax.Array:
    """`2 ** x` for x between -1/2 and 1/2."""
    x = x * LN2
    tail = polynomial(x, 1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 0.5)
    return tail * (x * x) + x + 1.0


composites: dict[str, Callable] = {"pow": in_float32(power)}
