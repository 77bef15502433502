"""The zeta function of two arguments and the derivatives of digamma, in float32.

Terms are summed until q has grown by ten; the rest is the formula of Euler and Maclaurin. For positive q, the first
two derivatives are within 15 ulp, higher ones within 5 more an order; negative q are good down to -5.
"""

from collections.abc import Callable

import jax
from jax import lax
from jax import numpy as jnp

from .gamma import digamma
from .numeric import in_float32

TERMS = 10
# B(2j) / (2j)!, with B the numbers of Bernoulli.
BERNOULLI = (1 / 12, -1 / 720, 1 / 30240, -1 / 1209600, 1 / 47900160, -691 / 1307674368000, 1 / 74724249600)


def zeta(s: jax.Array, q: jax.Array) -> jax.Array:
    """The sum of `(q + k) ** -s` over k from 0 on; infinite at s = 1, NaN below."""
    last = q + float(TERMS)
    power = lax.pow(last, -s)
    total = power * (last / (s - 1.0) + 0.5)
    rising = s / last
    for k, number in enumerate(BERNOULLI):
        total = total + power * (number * rising)
        rising = rising * ((s + (2.0 * k + 1.0)) / last) * ((s + (2.0 * k + 2.0)) / last)
    for k in reversed(range(TERMS)):
        total = total + lax.pow(q + float(k), -s)
    total = jnp.where((q < 0) & (jnp.floor(s) != s), jnp.nan, total)
    total = jnp.where(s == 1, jnp.inf, jnp.where(s < 1, jnp.nan, total))
    even = jnp.floor(s * 0.5) * 2.0 == s
    pole = (q <= 0) & (jnp.floor(q) == q)  # approached from both sides alike where s is even
    return jnp.where(pole & (s != 1), jnp.where(even & (jnp.abs(s) < jnp.inf), jnp.inf, jnp.nan), total)


def polygamma(order: jax.Array, x: jax.Array) -> jax.Array:
    """The derivative of digamma of a whole order; NaN at others."""
    factorial = lax.exp(lax.lgamma(order + 1.0))
    size = factorial * zeta(order + 1.0, x)
    odd = jnp.floor(order * 0.5) * 2.0 != order
    result = jnp.where(order == 0, digamma(x), jnp.where(odd, size, -size))
    return jnp.where((order < 0) | (jnp.floor(order) != order), jnp.nan, result)


composites: dict[str, Callable] = {"zeta": in_float32(zeta), "polygamma": in_float32(polygamma)}
