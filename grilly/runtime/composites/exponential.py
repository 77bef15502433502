"""Exponentials and logarithms in float32, bit-equal to jitted JAX on the CPU (without fused multiply-adds).

The polynomials are those of Cephes (S. Moshier, 1992), in the order in which XLA's CPU backend evaluates them, and
the rational function of tanh is Eigen's, as in XLA. Results that are denormal are unspecified.
"""

from collections.abc import Callable

import jax
from jax import lax
from jax import numpy as jnp

from .numeric import TINY, bits_of, from_bits, in_float32, polynomial

LN2_HIGH, LN2_LOW = 0.693359375, -2.12194440e-4  # ln 2 in two parts: the product of the first with n is exact
SQRT_HALF = 0.707106781186547524


def exp(x: jax.Array) -> jax.Array:
    """`e ** x`, within 1 ulp (from 88 on: 6): 2 ** n times a polynomial of the rest."""
    x = jnp.clip(x, -87.8, 88.8)
    n = jnp.clip(jnp.floor(x * 1.44269504088896341 + 0.5), -127.0, 127.0)
    rest = x - n * LN2_HIGH - n * LN2_LOW
    power = polynomial(rest, 1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 0.5)
    scale = from_bits((n.astype(jnp.int32) + 127) << 23)
    return (power * (rest * rest) + rest + 1.0) * scale


def log(x: jax.Array) -> jax.Array:
    """The natural logarithm, within 1.5 ulp."""
    bits = bits_of(jnp.maximum(x, TINY))
    fraction = from_bits((bits & 0x007FFFFF) | 0x3F000000)  # in [0.5, 1)
    exponent = ((bits >> 23) - 127).astype(jnp.float32) + 1.0
    low = fraction < SQRT_HALF
    exponent = exponent - jnp.where(low, 1.0, 0.0)
    rest = fraction - 1.0 + jnp.where(low, fraction, 0.0)
    near_zero = _log_near_one(rest, exponent)
    result = jnp.where(x > 0, near_zero, jnp.where(x == 0, -jnp.inf, jnp.nan))
    return jnp.where(x == jnp.inf, x, result)


def _log_near_one(m: jax.Array, exponent: jax.Array) -> jax.Array:
    """`log(1 + m) + exponent * log(2)`, for m between sqrt(1/2) - 1 and sqrt(2) - 1."""
    square = m * m
    cube = square * m
    high = polynomial(m, 7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1)
    middle = polynomial(m, -1.2420140846e-1, 1.4249322787e-1, -1.6668057665e-1)
    low = polynomial(m, 2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1)
    tail = polynomial(cube, high, middle, low) * cube + exponent * LN2_LOW
    return m - 0.5 * square + tail + exponent * LN2_HIGH


def log2(x: jax.Array) -> jax.Array:
    """The binary logarithm, within 2 ulp. A primitive from jax 0.12 on."""
    return log(x) * 1.4426950408889634


def log1p(x: jax.Array) -> jax.Array:
    """`log(1 + x)`, within 2.5 ulp: a rational function near 0."""
    square = x * x
    above = polynomial(
        x, 4.527e-5, 4.9854102823e-1, 6.5787325942, 2.9911919328e1, 6.0949667980e1, 5.7112963590e1, 2.0039553499e1
    )
    below = polynomial(
        x, 1.0, 1.5062909083e1, 8.3047565967e1, 2.2176239823e2, 3.0909872225e2, 2.1642788614e2, 6.0118660497e1
    )
    small = x + (-0.5 * square + x * square * (above / below))
    return jnp.where(jnp.abs(x) < 0.41421356237309504, small, log(x + 1.0))


def tanh(x: jax.Array) -> jax.Array:
    """The hyperbolic tangent, a rational function; XLA's own is up to 7 ulp off, and so is this."""
    bounded = jnp.clip(x, -7.99881172180175781, 7.99881172180175781)
    square = bounded * bounded
    above = polynomial(
        square,
        -2.76076847742355e-16,
        2.00018790482477e-13,
        -8.60467152213735e-11,
        5.12229709037114e-08,
        1.48572235717979e-05,
        6.37261928875436e-04,
        4.89352455891786e-03,
    )
    below = polynomial(square, 1.19825839466702e-06, 1.18534705686654e-04, 2.26843463243900e-03, 4.89352518554385e-03)
    ratio = jnp.where(jnp.abs(x) < 0.0004, x, bounded * above / below)
    return jnp.where(jnp.abs(x) >= 20, jnp.where(x < 0, -1.0, 1.0), ratio)


def logistic(x: jax.Array) -> jax.Array:
    """`1 / (1 + exp(-x))`, within 3 ulp; each step of it in the dtype of x."""
    return 1 / (1 + lax.exp(-x))


composites: dict[str, Callable] = {
    name: in_float32(function)
    for name, function in {
        "exp": exp,
        "log": log,
        "log2": log2,
        "log1p": log1p,
        "tanh": tanh,
    }.items()
} | {"logistic": logistic}
