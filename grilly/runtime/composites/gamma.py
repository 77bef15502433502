"""The logarithm of the gamma function, and its derivative, in float32. Polynomials fitted by us.

Positive arguments are within 3 ulp, for the roots have factors of their own. Near the roots of negative arguments two
terms cancel: there the error is within 6 ulp of the largest of 1, the result, and the function's value at -x or 1 - x.
"""

from collections.abc import Callable

import jax
from jax import numpy as jnp

from .exponential import log
from .inverse_trigonometric import PI, PI_LOW
from .numeric import exact_product, in_float32, polynomial
from .trigonometric import eighth

HALF_LOG_TWO_PI = 0.91893853320467274
# lgamma(1 + t) / t from -1/2 to 1/2, and lgamma(2 + t) / t from -1/2 to 1.
NEAR_ONE = (0.15696691, -0.177896425, 0.0529156215, -0.0503974296, 0.104677521, -0.118787408, 0.125238076)
NEAR_ONE += (-0.143369108, 0.169557333, -0.207414657, 0.270581245, -0.400685161, 0.822467029, -0.577215672)
NEAR_TWO = (-2.05161523e-05, 9.582247e-05, -0.000238649518, 0.000517700857, -0.00118982105, 0.00288832746)
NEAR_TWO += (-0.00738576474, 0.0205810107, -0.0673522949, 0.322467029, 0.422784328)
# digamma(1 + t) / (t - ROOT) from 0 to 1.
ROOT, ROOT_LOW = 0.4616321325302124, 1.2438149843418955e-08
NEAR_ROOT = (0.0111186393, -0.071977295, 0.215793535, -0.407939106, 0.56794095, -0.655492365, 0.691498935)
NEAR_ROOT += (-0.713743508, 0.752419829, -0.854692221, 1.25038016)


def lgamma(x: jax.Array) -> jax.Array:
    """`log(abs(gamma(x)))`; infinite at 0 and at negative whole numbers."""
    size = jnp.abs(x)
    rest = jnp.where(size < 0.5, x, size - 1.0)
    near_one = rest * polynomial(rest, *NEAR_ONE)
    above = jnp.where(size < 1.5, near_one, _lgamma_from_two(size))
    result = jnp.where(size < 0.5, near_one - log(size), above)
    sine, _, whole = _half_turns(size)
    reflected = log(PI / (size * sine)) - result
    reflected = jnp.where(whole | (size == jnp.inf), jnp.inf, reflected)
    return jnp.where(x <= -0.5, reflected, result)


def lgamma_of_next(x: jax.Array) -> jax.Array:
    """`lgamma(1 + x)`, for x from -1/2 to 2: near 0, `1 + x` would lose it."""
    return jnp.where(x < 0.5, x * polynomial(x, *NEAR_ONE), (x - 1.0) * polynomial(x - 1.0, *NEAR_TWO))


def _lgamma_from_two(x: jax.Array) -> jax.Array:
    """From 3/2 on. Below 8, a polynomial near 2 and the logarithm of the factors in between; then Stirling's series."""
    whole = jnp.clip(jnp.floor(x), 2.0, 8.0)
    factors = jnp.ones_like(x)
    for k in range(1, 6):
        factors = factors * jnp.where(whole > k + 1, x - k, 1.0)
    rest = x - whole
    small = rest * polynomial(rest, *NEAR_TWO) + log(factors)
    inverse = 1.0 / x
    series = inverse * polynomial(inverse * inverse, 7.9365079e-4, -2.7777778e-3, 8.3333333e-2)
    large = (x - 0.5) * (log(x) - 1.0) + (HALF_LOG_TWO_PI - 0.5 + series)
    return jnp.where(x == jnp.inf, x, jnp.where(x < 8, small, large))


def _half_turns(size: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """The size of `sin(pi x)`, `cos(pi x) / sin(pi x)`, and whether x is a whole number."""
    distance = size - jnp.floor(size + 0.5)
    near = jnp.abs(distance) <= 0.25
    part = jnp.where(near, jnp.abs(distance), 0.5 - jnp.abs(distance))
    angle, low = exact_product(part, jnp.full_like(part, PI))
    sine, cosine = (high + rest for high, rest in eighth(angle, low + part * PI_LOW))
    above, below = jnp.where(near, cosine, sine), jnp.where(near, sine, cosine)
    return below, jnp.where(distance < 0, -above, above) / below, distance == 0


def digamma(x: jax.Array) -> jax.Array:
    """The derivative of `lgamma`; NaN at 0 and at negative whole numbers."""
    size = jnp.abs(x)
    positive = _digamma_of_next(jnp.where(x >= 1, x - 1.0, size))
    _, cotangent, whole = _half_turns(size)
    reflected = jnp.where(whole, jnp.nan, positive + PI * cotangent)
    positive = jnp.where(x < 1, positive - 1.0 / x, positive)
    return jnp.where(x <= 0, reflected, positive)


def _digamma_of_next(x: jax.Array) -> jax.Array:
    """`digamma(1 + x)`, for x from 0 on: an asymptotic series from 5 on, below a polynomial and a sum of inverses."""
    inverse = 1.0 / x
    square = inverse * inverse
    series = square * polynomial(square, 4.1666667e-3, -3.9682540e-3, 8.3333333e-3, -8.3333333e-2)
    large = log(x) + (0.5 * inverse + series)
    whole = jnp.clip(jnp.floor(x), 0.0, 5.0)
    total = jnp.zeros_like(x)
    for k in range(5):
        total = total + jnp.where(whole > k, 1.0 / (x - k), 0.0)
    rest = x - whole
    small = ((rest - ROOT) - ROOT_LOW) * polynomial(rest, *NEAR_ROOT) + total
    return jnp.where(x == jnp.inf, x, jnp.where(x < 5, small, large))


composites: dict[str, Callable] = {"lgamma": in_float32(lgamma), "digamma": in_float32(digamma)}
