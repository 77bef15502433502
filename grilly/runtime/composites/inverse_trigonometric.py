"""The inverses of sine, cosine and tangent in float32, within 2 ulp. Polynomials fitted by us."""

import math
from collections.abc import Callable

import jax
from jax import numpy as jnp

from .numeric import bits_of, exact_root, exact_sum, in_float32, polynomial, with_sign_of

# In two floats each.
HALF_PI, HALF_PI_LOW = 1.57079637, -4.37113883e-08
QUARTER_PI, QUARTER_PI_LOW = 0.785398185, -2.18556941e-08
PI, PI_LOW = 3.14159274, -8.74227766e-08


def asin(x: jax.Array) -> jax.Array:
    """The arc sine; NaN beyond -1 and 1. Above 1/2 it is `pi / 2 - 2 asin(sqrt((1 - x) / 2))`."""
    size = jnp.abs(x)
    small = size <= 0.5
    rest, low, tail = _asin_parts(size, small)
    twice = 2.0 * (tail + low) - HALF_PI_LOW
    large = QUARTER_PI - (twice - (QUARTER_PI - 2.0 * rest))
    return with_sign_of(jnp.where(small, rest + tail, large), x)


def acos(x: jax.Array) -> jax.Array:
    """The arc cosine; NaN beyond -1 and 1."""
    size = jnp.abs(x)
    small = size <= 0.5
    rest, low, tail = _asin_parts(size, small)
    signed = [jnp.where(x < 0, -part, part) for part in (rest, tail)]
    between = HALF_PI - (signed[0] - (HALF_PI_LOW - signed[1]))
    twice = 2.0 * (rest + (low + tail))
    return jnp.where(small, between, jnp.where(x < 0, PI - (twice - PI_LOW), twice))


def _asin_parts(size: jax.Array, small: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """The arc sine of a size up to 1/2, or of `sqrt((1 - size) / 2)`: that number in two floats, and what to add."""
    square = jnp.where(small, size * size, (1.0 - size) * 0.5)
    root, low = exact_root(square, jnp.zeros_like(size))
    rest = jnp.where(small, size, root)
    series = polynomial(square, 0.0375164486, 0.0144386049, 0.0318077169, 0.0445169546, 0.0750050396, 0.166666597)
    return rest, low, rest * square * series


def atan(x: jax.Array) -> jax.Array:
    """The arc tangent."""
    return with_sign_of(_atan_of_size(jnp.abs(x)), x)


def atan2(y: jax.Array, x: jax.Array) -> jax.Array:
    """The angle of the point (x, y), with C's values for zeros and infinities."""
    width, height = jnp.abs(x), jnp.abs(y)
    ratio = jnp.where(height == 0, jnp.zeros_like(x), height / width)
    ratio = jnp.where((height == jnp.inf) & (width == jnp.inf), 1.0, ratio)
    angle = _atan_of_size(ratio)
    angle = jnp.where((bits_of(x) < 0) & (ratio < jnp.inf), PI - (angle - PI_LOW), angle)
    return jnp.where((x != x) | (y != y), jnp.nan, with_sign_of(angle, y))


def _atan_of_size(size: jax.Array) -> jax.Array:
    """Of a positive number, which is turned back by a quarter or an eighth of a turn first."""
    large, middle = size > 2.41421356, size > math.sqrt(2) - 1
    above = jnp.where(large, -1.0, jnp.where(middle, size - 1.0, size))
    below, below_low = exact_sum(size, jnp.ones_like(size))
    rest = above / jnp.where(large, size, jnp.where(middle, below, 1.0))
    square = rest * rest
    series = polynomial(square, -0.0607821345, 0.105938107, -0.142435327, 0.199984714, -0.333333164)
    tail = rest * square * series
    left_out = 0.5 * rest * (1.0 - rest) * below_low  # (1 - rest) / 2 is 1 / below
    low = jnp.where(large, HALF_PI_LOW, jnp.where(middle, QUARTER_PI_LOW - left_out, 0.0))
    whole, more = exact_sum(jnp.where(large, HALF_PI, jnp.where(middle, QUARTER_PI, 0.0)), rest)
    return whole + (more + (tail + low))


composites: dict[str, Callable] = {
    name: in_float32(function) for name, function in {"asin": asin, "acos": acos, "atan": atan, "atan2": atan2}.items()
}
