"""Sine, cosine and tangent in float32, within 1 ulp (the tangent: 2) of every angle, however large.

Polynomials over an eighth of a turn, fitted by us to the least largest relative error.
"""

from collections.abc import Callable

import jax
from jax import numpy as jnp

from .angle import quarter_turns
from .numeric import bits_of, exact_sum, from_bits, in_float32, polynomial

Pair = tuple[jax.Array, jax.Array]


def sin(x: jax.Array) -> jax.Array:
    """The sine."""
    turns, sine, cosine = _parts(x)
    value = jnp.where(turns & 1 == 0, sine[0] + sine[1], cosine[0] + cosine[1])
    return _finite(x, _signed(value, (turns << 30) ^ bits_of(x)))


def cos(x: jax.Array) -> jax.Array:
    """The cosine."""
    turns, sine, cosine = _parts(x)
    value = jnp.where(turns & 1 == 0, cosine[0] + cosine[1], sine[0] + sine[1])
    return _finite(x, _signed(value, (turns + 1) << 30))


def tan(x: jax.Array) -> jax.Array:
    """The tangent."""
    turns, sine, cosine = _parts(x)
    even = turns & 1 == 0
    above, above_low = exact_sum(*(jnp.where(even, s, c) for s, c in zip(sine, cosine, strict=True)))
    below, below_low = exact_sum(*(jnp.where(even, c, -s) for s, c in zip(sine, cosine, strict=True)))
    ratio = above / below
    return _finite(x, _signed(ratio + (above_low - ratio * below_low) / below, bits_of(x)))


def _parts(x: jax.Array) -> tuple[jax.Array, Pair, Pair]:
    """Of the size of x: quarter turns, and the sine and cosine of the rest."""
    turns, rest, low = quarter_turns(jnp.abs(x))
    return turns, *eighth(rest, low)


def eighth(x: jax.Array, low: jax.Array) -> tuple[Pair, Pair]:
    """Sine and cosine of `x + low`, at most an eighth of a turn; each is a sum of two."""
    square = x * x
    sine = polynomial(square, 2.71812155e-06, -0.000198393129, 0.00833332911, -0.166666672)
    half = 0.5 * square
    above = 1.0 - half
    cosine = polynomial(square, 2.4433155e-05, -0.00138873165, 0.0416666456)
    cosine = ((1.0 - above) - half) + (square * square * cosine - x * low)
    return (x, x * square * sine + low), (above, cosine)


def _signed(value: jax.Array, sign: jax.Array) -> jax.Array:
    """`value`, negated where the highest bit of `sign` is set."""
    return from_bits(bits_of(value) ^ (sign & -0x80000000))


def _finite(x: jax.Array, value: jax.Array) -> jax.Array:
    """NaN for infinities and NaN."""
    return jnp.where(jnp.abs(x) < jnp.inf, value, jnp.nan)


composites: dict[str, Callable] = {"sin": in_float32(sin), "cos": in_float32(cos), "tan": in_float32(tan)}
