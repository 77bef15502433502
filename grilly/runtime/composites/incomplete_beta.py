"""The regularized incomplete beta function, in float32: a continued fraction, on the side where it converges fast.

What stands before the fraction is written with `phi` and `stirling`, as in `incomplete_gamma`: large parameters cost
little accuracy. Errors are within 2e-4 of the result, nearly all within 3e-5, down to where it is below 1e-30.

References:
    NIST Digital Library of Mathematical Functions, 8.17.22 and 8.17.23: the fraction.
    I. J. Thompson, A. R. Barnett, "Coulomb and Bessel functions of complex arguments and order" (1986): its evaluation.
"""

from collections.abc import Callable

import jax
from jax import lax
from jax import numpy as jnp

from .incomplete_gamma import EPSILON, STEPS, phi, stirling
from .numeric import each, in_float32


def _fraction(a: jax.Array, b: jax.Array, x: jax.Array) -> jax.Array:
    """The continued fraction 1 / (1 + d1 / (1 + d2 / ...))."""

    def going(carry: tuple[jax.Array, ...]) -> jax.Array:
        m, change = carry[0], carry[-1]
        return (jnp.abs(change - 1.0) > EPSILON) & (m < STEPS)

    def step(carry: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
        m, c, d, value, _ = carry
        even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0))
        c, d = 1.0 + even / c, 1.0 / (1.0 + even * d)
        first = c * d
        c, d = 1.0 + odd / c, 1.0 / (1.0 + odd * d)
        return m + 1.0, c, d, value * (first * c * d), c * d

    one = jnp.float32(1)
    start = 1.0 / (1.0 - (a + b) * x / (a + 1.0))
    return lax.while_loop(going, step, (one, one, start, start, one * 0.0))[3]


def regularized_incomplete_beta(a: jax.Array, b: jax.Array, x: jax.Array) -> jax.Array:
    """The share of a beta distribution that lies below x."""
    zero, one = (a == 0) | (b == jnp.inf), (b == 0) | (a == jnp.inf)
    low, high = (one & (x != 1)) | (x == 0), (zero & (x != 0)) | (x == 1)
    inside = (a >= 0) & (b >= 0) & (x >= 0) & (x <= 1) & ~(zero & one)
    plain = inside & ~(low | high)
    a, b, x = (jnp.where(plain, y, 0.5) for y in (a, b, x))
    direct = x < (a + 1.0) / (a + b + 2.0)
    p, q = jnp.where(direct, a, b), jnp.where(direct, b, a)
    left, right = jnp.where(direct, x, 1.0 - x), jnp.where(direct, 1.0 - x, x)
    total = p + q
    exponent = stirling(total) - stirling(p) - stirling(q) - p * phi(total * left, p) - q * phi(total * right, q)
    value = q / total * jnp.exp(exponent) * _fraction(p, q, left)
    value = jnp.where(direct, value, 1.0 - value)
    return jnp.where(inside, jnp.where(low, 0.0, jnp.where(high, 1.0, value)), jnp.nan)


composites: dict[str, Callable] = {"regularized_incomplete_beta": in_float32(each(regularized_incomplete_beta))}
