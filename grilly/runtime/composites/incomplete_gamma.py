"""The regularized incomplete gamma functions P and Q = 1 - P, and their derivatives in `a`, in float32.

Whichever of the two is the small one is computed, from a power series where x is below a or 1, else from a continued
fraction; for large a near x, both from Temme's expansion. What all share, x^a exp(-x) / Gamma(a + 1), is written as
exp(-a phi(x / a)) and a slowly varying factor, so that large a cost no accuracy. Errors are within 3e-5 of the result,
nearly all within 6e-6, down to where it is below 1e-30: at a = 10000, the plain formula is off by 1e-2.

References:
    W. Gautschi, "A computational procedure for incomplete gamma functions" (1979): the series.
    N. M. Temme, "The asymptotic expansion of the incomplete gamma functions" (1979).
    I. J. Thompson, A. R. Barnett, "Coulomb and Bessel functions of complex arguments and order" (1986): the fraction.
"""

from collections.abc import Callable

import jax
import numpy as np
from jax import lax
from jax import numpy as jnp

from .gamma import lgamma_of_next
from .numeric import each, in_float32, polynomial

EPSILON = np.float32(2.0**-24)
STEPS = 2000  # of a series or a fraction, at most
TWO_PI = 2 * np.pi
# Temme's C0, C1 and C2, polynomials in eta, the highest power first.
FIRST = (8.296711e-7, -1.8540622e-6, -2.1854485e-6, 3.91926318e-5, -1.78755144e-4, 3.52733686e-4, 1.15740741e-3)
FIRST += (-1.48148148e-2, 8.33333333e-2, -3.33333333e-1)
SECOND = (1.098265e-5, -1.8098550e-5, 4.0987654e-6, 2.05761317e-4, -9.90226337e-4, 2.64550265e-3, -3.47222222e-3)
SECOND += (-1.85185185e-3,)
THIRD = (-8.6199e-4, 7.7160494e-4, 0.0, -2.68132716e-3, 4.13359788e-3)


def phi(d: jax.Array, ratio: jax.Array) -> jax.Array:
    """`d - log(ratio)`, where d is the ratio less 1: accurate where that is small, too."""
    near = jnp.abs(d) < 0.5
    s = jnp.where(near, d, 0.0) / (2.0 + jnp.where(near, d, 0.0))
    square = s * s
    odd = polynomial(square, 1 / 15, 1 / 13, 1 / 11, 1 / 9, 1 / 7, 1 / 5, 1 / 3)
    close = s * jnp.where(near, d, 0.0) - 2.0 * s * square * odd
    return jnp.where(near, close, d - jnp.log(jnp.minimum(jnp.where(near, 1.0, ratio), 1e38)))


def _phi(x: jax.Array, a: jax.Array) -> jax.Array:
    return phi((x - a) / a, x / a)


def _correction(a: jax.Array) -> jax.Array:
    """Stirling's series, for a from 8 on."""
    inverse = 1.0 / a
    return inverse * polynomial(inverse * inverse, 7.9365079e-4, -2.7777778e-3, 8.3333333e-2)


def stirling(a: jax.Array) -> jax.Array:
    """`log(Gamma(a + 1))` less Stirling's `a log(a) - a`."""
    high = jnp.maximum(a, 8.0)
    large = 0.5 * jnp.log(TWO_PI * high) + _correction(high)
    low = jnp.minimum(a, 8.0)
    return jnp.where(a >= 8, large, lax.lgamma(low + 1.0) - low * (jnp.log(low) - 1.0))


def _density(a: jax.Array, x: jax.Array) -> jax.Array:
    """x^a exp(-x) / Gamma(a + 1)."""
    return jnp.exp(-a * _phi(x, a) - stirling(a))


def _series(a: jax.Array, x: jax.Array, wanted: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The sum of x^n / ((a + 1) ... (a + n)), and its derivative in `a`. P is the density times it."""

    def going(carry: tuple[jax.Array, ...]) -> jax.Array:
        n, term, slope, total, rise = carry
        open_ = (term > EPSILON * total) | (jnp.abs(slope) > EPSILON * jnp.abs(rise))
        return wanted & open_ & (n < STEPS)

    def step(carry: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
        n, term, slope, total, rise = carry
        factor = x / (a + n)
        term, slope = term * factor, slope * factor - term * factor / (a + n)
        return n + 1.0, term, slope, total + term, rise + slope

    zero, one = jnp.float32(0), jnp.float32(1)
    _, _, _, total, rise = lax.while_loop(going, step, (one, one, zero, one, zero))
    return total, rise


def _complement(a: jax.Array, x: jax.Array, wanted: jax.Array) -> jax.Array:
    """Q for small a and x, where P is near 1: the terms after the first of the alternating series."""

    def going(carry: tuple[jax.Array, ...]) -> jax.Array:
        n, term, total = carry
        return wanted & (jnp.abs(term) > EPSILON * jnp.abs(total)) & (n < STEPS)

    def step(carry: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
        n, term, total = carry
        term = -term * x / n
        return n + 1.0, term, total + term / (a + n)

    one = jnp.float32(1)
    rest = a * lax.while_loop(going, step, (one, one, jnp.float32(0)))[2]
    exponent = a * jnp.log(x) - lgamma_of_next(a)
    return -jnp.expm1(exponent) - jnp.exp(exponent) * rest


def _fraction(a: jax.Array, x: jax.Array, wanted: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The continued fraction whose product with a times the density is Q, and its derivative in `a`."""
    start = x + 1.0 - a

    def going(carry: tuple[jax.Array, ...]) -> jax.Array:
        n, change, turn = carry[0], carry[-2], carry[-1]
        return wanted & ((jnp.abs(change - 1.0) > EPSILON) | (jnp.abs(turn) > EPSILON)) & (n < STEPS)

    def step(carry: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
        n, c, dc, d, dd, value, slope, _, _ = carry
        over, under = n * (a - n), start + 2.0 * n
        low, dlow = under + over * d, -1.0 + n * d + over * dd
        high, dhigh = under + over / c, -1.0 + n / c - over * dc / (c * c)
        d, dd = 1.0 / low, -dlow / (low * low)
        change, turn = high * d, dhigh * d + high * dd
        return n + 1.0, high, dhigh, d, dd, value * change, slope * change + value * turn, change, turn

    inverse, far = 1.0 / start, jnp.float32(1e30)
    first = (jnp.float32(1), far, jnp.float32(0), inverse, inverse * inverse, inverse, inverse * inverse)
    _, _, _, _, _, value, slope, _, _ = lax.while_loop(going, step, (*first, jnp.float32(0), jnp.float32(1)))
    return value, slope


def _near(a: jax.Array, x: jax.Array) -> jax.Array:
    """Where Temme's expansion holds."""
    return (a > 20) & (jnp.abs(x - a) < 0.3 * a)


def _temme_series(a: jax.Array, eta: jax.Array) -> jax.Array:
    inverse = 1.0 / a
    return polynomial(eta, *FIRST) + inverse * (polynomial(eta, *SECOND) + inverse * polynomial(eta, *THIRD))


def _temme(a: jax.Array, x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """P and Q by Temme's expansion."""
    half = _phi(x, a)
    eta = jnp.where(x < a, -1.0, 1.0) * jnp.sqrt(2.0 * half)
    rest = jnp.exp(-a * half) * _temme_series(a, eta) / jnp.sqrt(TWO_PI * a)
    root = eta * jnp.sqrt(0.5 * a)
    return 0.5 * lax.erfc(-root) - rest, 0.5 * lax.erfc(root) + rest


def _temme_slope(a: jax.Array, x: jax.Array) -> jax.Array:
    """The derivative of P in `a`, divided by a times the density."""
    half, d = _phi(x, a), (x - a) / a
    eta = jnp.where(x < a, -1.0, 1.0) * jnp.sqrt(2.0 * half)
    ratio = jnp.where(d == 0, 1.0, d / jnp.where(d == 0, 1.0, eta))
    series, turn = jax.jvp(_temme_series, (a, eta), (jnp.ones_like(a), -ratio / a))
    slope = 0.5 * eta - ratio - (d - half) * series - turn + 0.5 * series / a
    return slope * jnp.exp(_correction(a)) / a


def _both(a: jax.Array, x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """P and Q, the smaller one to full accuracy."""
    odd = ~((a > 0) & (x > 0) & (a < jnp.inf) & (x < jnp.inf))
    a, x = jnp.where(odd, 1.0, a), jnp.where(odd, 1.0, x)
    near = _near(a, x)
    tiny = ~near & (x <= 1.1) & (a < 1.1 * x)
    upper = ~near & ~tiny & (x > 1.1) & (x > a)
    lower = ~near & ~tiny & ~upper
    density = _density(a, x)
    p_near, q_near = _temme(a, x)
    p = density * _series(a, x, lower)[0]
    q = jnp.where(tiny, _complement(a, x, tiny), a * density * _fraction(a, x, upper)[0])
    return jnp.where(near, p_near, jnp.where(lower, p, 1.0 - q)), jnp.where(near, q_near, jnp.where(lower, 1.0 - p, q))


def _ends(a: jax.Array, x: jax.Array, low: float, high: float, value: jax.Array) -> jax.Array:
    """`low` where x is 0 or a infinite, `high` where x is infinite or a 0, NaN outside of the domain."""
    at_end = jnp.where((x == jnp.inf) | (a == 0), high, low)
    value = jnp.where((x == 0) | (a == jnp.inf) | (x == jnp.inf) | (a == 0), at_end, value)
    return jnp.where((x >= 0) & (a >= 0) & ~((x == 0) & (a == 0)), value, jnp.nan)


def igamma(a: jax.Array, x: jax.Array) -> jax.Array:
    """The share of a gamma distribution that lies below x."""
    return _ends(a, x, 0.0, 1.0, _both(a, x)[0])


def igammac(a: jax.Array, x: jax.Array) -> jax.Array:
    """The share of a gamma distribution that lies above x."""
    return _ends(a, x, 1.0, 0.0, _both(a, x)[1])


def _slopes(a: jax.Array, x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The derivative of P in `a`, divided by a times the density; and that density."""
    odd = ~((a > 0) & (x > 0) & (a < jnp.inf) & (x < jnp.inf))
    a, x = jnp.where(odd, 1.0, a), jnp.where(odd, 1.0, x)
    near = _near(a, x)
    upper = ~near & (x > 1) & (x > a)
    total, rise = _series(a, x, ~near & ~upper)
    value, slope = _fraction(a, x, upper)
    logarithm = jnp.log(x)
    lower = (total * (logarithm - lax.digamma(a + 1.0)) + rise) / a
    far = jnp.where(upper, -(value * (logarithm - lax.digamma(a)) + slope), lower)
    return jnp.where(near, _temme_slope(a, x), far), a * _density(a, x)


def igamma_grad_a(a: jax.Array, x: jax.Array) -> jax.Array:
    """The derivative of igamma in its first argument."""
    slope, density = _slopes(a, x)
    return jnp.where(a == 0, jnp.nan, _ends(a, x, 0.0, 0.0, slope * density))


composites: dict[str, Callable] = {
    "igamma": in_float32(each(igamma)),
    "igammac": in_float32(each(igammac)),
    "igamma_grad_a": in_float32(each(igamma_grad_a)),
}
