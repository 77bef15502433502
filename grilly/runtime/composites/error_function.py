"""The error function, its complement and its inverse, in float32.

References:
    M. M. Shepherd, J. G. Laframboise, "Chebyshev approximation of (1 + 2x) exp(x^2) erfc x", Math. Comp. 36 (1981).
    M. Giles, "Approximating the erfinv function", GPU Computing Gems (2011).
"""

from collections.abc import Callable

import jax
from jax import lax
from jax import numpy as jnp

from .exponential import log1p
from .growth import exp_parts
from .numeric import exact_product, exact_sum, in_float32, polynomial, scaled, with_sign_of

CENTRAL = (2.81022636e-08, 3.43273939e-07, -3.5233877e-06, -4.39150654e-06, 2.1858087e-04)
CENTRAL += (-1.25372503e-03, -4.17768164e-03, 2.46640727e-01, 1.50140941)
OUTER = (-2.00214257e-04, 1.00950558e-04, 1.34934322e-03, -3.67342844e-03, 5.73950773e-03)
OUTER += (-7.6224613e-03, 9.43887047e-03, 1.00167406, 2.83297682)


def erf(x: jax.Array) -> jax.Array:
    """The error function, within 2 ulp."""
    size = jnp.abs(x)
    return jnp.where(size < 1, x + _beyond(x), with_sign_of(1.0 - _complement(size), x))


def erfc(x: jax.Array) -> jax.Array:
    """`1 - erf(x)`, within 3 ulp also where it is tiny."""
    size = jnp.abs(x)
    complement = _complement(size)
    outer = jnp.where(x < 0, 2.0 - complement, complement)
    return jnp.where(size < 1, (1.0 - x) - _beyond(x), jnp.where(x == x, outer, x))


def _beyond(x: jax.Array) -> jax.Array:
    """`erf(x) - x`, between -1 and 1."""
    series = (7.85385782e-05, -0.000801019254, 0.00518832775, -0.026853811, 0.112835854, -0.37612626, 0.128379166)
    return x * polynomial(x * x, *series)


def _complement(size: jax.Array) -> jax.Array:
    """erfc from 1 on: a polynomial in `(x - 4) / (x + 4)`, over `1 + 2x`, times `exp(-x * x)`."""
    size = jnp.minimum(size, 11.0)
    series = (2.57732099e-05, 0.00532513391, -0.0165518783, 0.0369775444, -0.0662738979)
    series += (0.0937684029, -0.101042695, 0.0680946559, 0.0153797343, -0.139621079)
    moved = (size - 4.0) / (size + 4.0)
    above = 1.23299515 + (moved * polynomial(moved, *series) - 3.38478969e-08)
    below, below_low = exact_sum(jnp.ones_like(size), size + size)
    ratio = above / below
    square, square_low = exact_product(size, size)
    near_one, n = exp_parts(-square, -square_low)
    return scaled(near_one * (ratio - ratio * (below_low / below)), n)


def erf_inv(x: jax.Array) -> jax.Array:
    """The inverse of erf, bit-equal to jitted JAX on the CPU; near -1 and 1 both are up to 65 ulp off."""
    w = -log1p(-x * x)
    central = w < 5.0
    near, far = w - 2.5, lax.sqrt(w) - 3.0
    moved = jnp.where(central, near, far)
    total = jnp.where(central, CENTRAL[0], OUTER[0])
    for inner, outer in zip(CENTRAL[1:], OUTER[1:], strict=True):
        total = jnp.where(central, inner, outer) + total * moved
    return jnp.where(jnp.abs(x) == 1, x * jnp.inf, total * x)


composites: dict[str, Callable] = {"erf": in_float32(erf), "erfc": in_float32(erfc), "erf_inv": in_float32(erf_inv)}
