"""Products: powers by a constant, polynomials. Every bit is as IEEE and JAX define it."""

from collections.abc import Callable

import jax
from jax import numpy as jnp


def square(x: jax.Array) -> jax.Array:
    """`x * x`."""
    return x * x


def one_minus_square(x: jax.Array) -> jax.Array:
    """`1 - x * x`, as accurate near 1 as elsewhere. A primitive from jax 0.11 on."""
    one = jnp.ones_like(x)
    return (one + x) * (one - x)


def polynomial(x: jax.Array, *coefficients: jax.Array) -> jax.Array:
    """Horner's rule, the lowest power first. A primitive from jax 0.12 on."""
    total = coefficients[-1]
    for coefficient in reversed(coefficients[:-1]):
        total = total * x + coefficient
    return total


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


composites: dict[str, Callable] = {
    "square": square,
    "one_minus_square": one_minus_square,
    "polynomial": polynomial,
    "integer_pow": integer_pow,
}
