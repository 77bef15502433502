"""What is left of an angle after whole quarter turns, for every float32, however large.

The product of an angle with 2 / pi is needed modulo 4 only, so that of 2 / pi, known to 224 bits, 96 suffice: which,
the angle's exponent says. All of it is integer arithmetic, and exact until the last conversion.

References:
    M. H. Payne, R. N. Hanek, "Radian reduction for trigonometric functions", SIGNUM Newsletter 18 (1983).
"""

from itertools import pairwise

import jax
from jax import lax
from jax import numpy as jnp

from .numeric import bits_of, exact_sum, high_product, top

# The bits of 2 / pi after the binary point, behind 32 zeros.
TWO_OVER_PI = (0, 0xA2F9836E, 0x4E441529, 0xFC2757D1, 0xF534DDC0, 0xDB629599, 0x3C439041, 0xFE5163AB)
QUARTER_PI = 0.78539816
# pi / 2 in units of the fraction's last bit, 2 ** -30; the first part has 12 bits.
STEP = 1.5707963267948966 * 2.0**-30
STEP_HIGH = 1.5703125 * 2.0**-30
STEP_LOW = STEP - STEP_HIGH


def quarter_turns(size: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Of a positive angle: the nearest number of quarter turns, modulo 4, and the rest in radians, in two floats."""
    high, low = _turned(size)
    turns = (high + 0x20000000) >> 30
    fraction = lax.bitcast_convert_type(high - (turns << 30), jnp.int32)
    rest, tail = _radians(fraction, low)
    small = size <= QUARTER_PI
    nothing = jnp.zeros_like(size)
    turns = lax.bitcast_convert_type(turns & 3, jnp.int32)
    return jnp.where(small, 0, turns), jnp.where(small, size, rest), jnp.where(small, nothing, tail)


def _turned(size: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Quarter turns in fixed point: 2 bits before the point, 30 and then 32 more after it."""
    bits = lax.bitcast_convert_type(bits_of(size), jnp.uint32)
    significand = (bits & 0x7FFFFF) | 0x800000
    skipped = jnp.maximum(bits >> 23, 120) - 120
    first, second, third = _window(skipped)
    low = significand * second
    carried = high_product(significand, third)
    total = low + carried
    carry = (total < low).astype(jnp.uint32)
    return significand * first + high_product(significand, second) + carry, total


def _window(skipped: jax.Array) -> list[jax.Array]:
    """96 bits of 2 / pi, after so many."""
    word, shift = skipped >> 5, skipped & 31
    words = [_chosen(word, TWO_OVER_PI[k : k + 5]) for k in range(4)]
    return [(a << shift) | ((b >> 1) >> (31 - shift)) for a, b in pairwise(words)]


def _chosen(number: jax.Array, words: tuple[int, ...]) -> jax.Array:
    chosen = jnp.full_like(number, words[0])
    for k, word in enumerate(words[1:], 1):
        chosen = jnp.where(number == k, jnp.uint32(word), chosen)
    return chosen


def _radians(fraction: jax.Array, low: jax.Array) -> tuple[jax.Array, jax.Array]:
    """A signed fixed-point fraction of a quarter turn, times pi / 2."""
    upper = (fraction & ~0xFFF).astype(jnp.float32)  # 18 bits, and then 12, and then 32
    lower, lowest = (fraction & 0xFFF).astype(jnp.float32), low.astype(jnp.float32) * 2.0**-32
    part, rest = exact_sum(lower, lowest)
    total, more = exact_sum(upper, part)
    rest = rest + more
    high = top(total)
    large = high * STEP_HIGH
    small = high * STEP_LOW + ((total - high) * STEP + rest * STEP)
    radians = large + small
    return radians, small - (radians - large)
