"""Exponentials in float32 within 2 ulp, where XLA's are up to 66 ulp off: expm1, exp2, and the parts of exp."""

from collections.abc import Callable

import jax
from jax import numpy as jnp

from .numeric import in_float32, polynomial, scaled, two_to
from .power import exp2_near_zero

LN2_HIGH, LN2_LOW = 0.693359375, -2.12194440e-4  # ln 2 in two parts: the product of the first with n is exact


def exp_parts(x: jax.Array, low: jax.Array | float = 0.0) -> tuple[jax.Array, jax.Array]:
    """`exp(x + low)` as a number near 1 and the power of 2 that it is to be scaled by."""
    n, rest = _reduced(x, low)
    return 1.0 + (rest + rest * rest * _expm1_series(rest)), n.astype(jnp.int32)


def expm1(x: jax.Array) -> jax.Array:
    """`exp(x) - 1`, as accurate near 0 as elsewhere."""
    bounded = jnp.clip(x, -30.0, 89.0)
    n, rest = _reduced(bounded, 0.0)
    grown = rest + rest * rest * _expm1_series(rest)
    n = n.astype(jnp.int32)
    result = scaled(grown + (1.0 - two_to(-jnp.minimum(n, 126))), n)
    return jnp.where(jnp.abs(x) < 1e-8, x, result)


def exp2(x: jax.Array) -> jax.Array:
    """`2 ** x`."""
    bounded = jnp.clip(x, -160.0, 160.0)
    n = jnp.floor(bounded + 0.5)
    return scaled(exp2_near_zero(bounded - n), n.astype(jnp.int32))


def _reduced(x: jax.Array, low: jax.Array | float) -> tuple[jax.Array, jax.Array]:
    """How often ln 2 goes into x, and the rest, at most half of it."""
    n = jnp.floor(x * 1.44269504088896341 + 0.5)
    return n, x - n * LN2_HIGH - (n * LN2_LOW - low)


def _expm1_series(rest: jax.Array) -> jax.Array:
    """`(exp(x) - 1 - x) / x ** 2`."""
    return polynomial(rest, 0.000198459558, 0.00139416417, 0.00833339151, 0.0416663475, 0.166666657, 0.5)


composites: dict[str, Callable] = {"expm1": in_float32(expm1), "exp2": in_float32(exp2)}
