"""Exact operations: powers by a constant, signs, rounding, neighbours. Every bit is as IEEE and JAX define it."""

from collections.abc import Callable

import jax
from jax import lax
from jax import numpy as jnp


def square(x: jax.Array) -> jax.Array:
    """`x * x`."""
    return x * x


def integer_pow(x: jax.Array, *, y: int) -> jax.Array:
    """`x ** y` by squaring, the low bits of y first, as JAX multiplies."""
    if y == 0:
        return jnp.ones_like(x)
    product, bits = None, abs(y)
    while bits:
        if bits & 1:
            product = x if product is None else product * x
        bits >>= 1
        if bits:
            x = x * x
    assert product is not None
    return product if y > 0 else 1 / product


def rsqrt(x: jax.Array) -> jax.Array:
    """`1 / sqrt(x)`, within 1 ulp. XLA on the CPU starts from the processor's own estimate and is 1 ulp off too."""
    return 1 / lax.sqrt(x)


composites: dict[str, Callable] = {"square": square, "integer_pow": integer_pow, "rsqrt": rsqrt}
