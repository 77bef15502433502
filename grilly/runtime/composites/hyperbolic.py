"""Hyperbolic functions and their inverses in float32, within 2 ulp, where XLA's are up to 25 ulp off."""

from collections.abc import Callable

import jax
from jax import numpy as jnp

from .exponential import log
from .growth import exp_parts
from .numeric import exact_product, exact_root, exact_sum, in_float32, polynomial, scaled, with_sign_of

LN2 = 0.69314718055994531
LARGE = 4096.0  # from here on, x * x + 1 is x * x


def sinh(x: jax.Array) -> jax.Array:
    """`(exp(x) - exp(-x)) / 2`, near 0 a polynomial."""
    square, half = x * x, _half_exp(x)
    series = polynomial(square, 2.81695134e-06, 0.000198361595, 0.0083333496, 0.166666672)
    small = x + x * square * series
    return jnp.where(jnp.abs(x) < 1, small, with_sign_of(half - 0.25 / half, x))


def cosh(x: jax.Array) -> jax.Array:
    """`(exp(x) + exp(-x)) / 2`."""
    half = _half_exp(x)
    return half + 0.25 / half


def _half_exp(x: jax.Array) -> jax.Array:
    """`exp(|x|) / 2`, which is finite wherever sinh and cosh are."""
    near_one, n = exp_parts(jnp.minimum(jnp.abs(x), 100.0))
    return jnp.where(x == x, scaled(near_one, n - 1), x)


def asinh(x: jax.Array) -> jax.Array:
    """`log(x + sqrt(x * x + 1))`, near 0 a polynomial."""
    size, square = jnp.abs(x), x * x
    series = polynomial(
        square, -0.00658515701, 0.0148457913, -0.0218936056, 0.030330047, -0.0446397997, 0.0749999136, -0.166666672
    )
    small = x + x * square * series
    bounded = jnp.minimum(size, LARGE)
    square, low = exact_product(bounded, bounded)
    square, more = exact_sum(square, jnp.ones_like(x))
    root, root_low = exact_root(square, low + more)
    total, more = exact_sum(bounded, root)
    middle = _log_of_sum(total, root_low + more)
    large = jnp.where(size < LARGE, middle, log(size) + LN2)
    return with_sign_of(jnp.where(size < 0.5, small, large), x)


def acosh(x: jax.Array) -> jax.Array:
    """`log(x + sqrt(x * x - 1))`; NaN below 1."""
    above = jnp.minimum(x, LARGE) - 1.0
    square, low = exact_product(above, above)
    square, more = exact_sum(square, 2.0 * above)
    root, root_low = exact_root(square, low + more)
    total, more = exact_sum(above, root)
    one_more, last = exact_sum(jnp.ones_like(x), total)
    result = _log_of_sum(one_more, last + (more + root_low))
    return jnp.where(x < 1, jnp.nan, jnp.where(x < LARGE, result, log(x) + LN2))


def atanh(x: jax.Array) -> jax.Array:
    """`log((1 + x) / (1 - x)) / 2`, near 0 a polynomial; NaN beyond -1 and 1."""
    size, square = jnp.abs(x), x * x
    series = polynomial(
        square, 0.175942361, 0.0245220698, 0.102826849, 0.109671824, 0.142948523, 0.199997276, 0.333333373
    )
    large = 0.5 * log((1.0 + size) / (1.0 - size))
    return jnp.where(size < 0.5, x + x * square * series, with_sign_of(large, x))


def _log_of_sum(high: jax.Array, low: jax.Array) -> jax.Array:
    """The logarithm of a number in two floats."""
    return log(high) + low / high


composites: dict[str, Callable] = {
    name: in_float32(function)
    for name, function in {"sinh": sinh, "cosh": cosh, "asinh": asinh, "acosh": acosh, "atanh": atanh}.items()
}
