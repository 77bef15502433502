"""Roots in float32."""

from collections.abc import Callable

import jax
from jax import lax
from jax import numpy as jnp

from .numeric import bits_of, exact_product, from_bits, in_float32, with_sign_of

THIRD_OF_BIAS = 709958130  # makes a third of a float's bits the bits of its cube root, within 4%
SCALE = 2.0**60  # a cube


def cbrt(x: jax.Array) -> jax.Array:
    """The cube root, within 1 ulp: Halley's iteration, then a step of Newton's from the exact remainder."""
    size = jnp.abs(x)
    tiny, huge = size < 1 / SCALE, size > SCALE
    size = size * jnp.where(tiny, SCALE, jnp.where(huge, 1 / SCALE, 1.0))
    root = from_bits(lax.div(bits_of(size), jnp.int32(3)) + THIRD_OF_BIAS)
    for _ in range(2):
        cube = root * root * root
        root = root * ((cube + (size + size)) / ((cube + cube) + size))
    square, low = exact_product(root, root)
    cube, lower = exact_product(square, root)
    rest = ((size - cube) - lower) - low * root
    root = root + rest / (3.0 * square)
    root = root * jnp.where(tiny, 2.0**-20, jnp.where(huge, 2.0**20, 1.0))
    same = (size == 0) | (jnp.abs(x) == jnp.inf) | (x != x)
    return jnp.where(same, x, with_sign_of(root, x))


def rsqrt(x: jax.Array) -> jax.Array:
    """`1 / sqrt(x)`, within 2 ulp. XLA on the CPU starts from the processor's own estimate and is 2 ulp off too."""
    return 1 / lax.sqrt(x)


composites: dict[str, Callable] = {"cbrt": in_float32(cbrt), "rsqrt": in_float32(rsqrt)}
