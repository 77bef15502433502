"""Triangular matrices: solving with them, and the Cholesky factor. Backward stable, as LAPACK's are."""

from collections.abc import Callable
from typing import Any

import jax
from jax import lax
from jax import numpy as jnp

from .matrices import column, each_column, numbers, over_batches, row
from .numeric import in_float32


def triangular_solve(
    a: jax.Array, b: jax.Array, *, left_side: bool, lower: bool, transpose_a: bool, unit_diagonal: bool, **_: Any
) -> jax.Array:
    """The x of `a x = b`, or of `x a = b`, by substitution; a may be transposed first."""
    if not left_side:
        a, b = jnp.swapaxes(a, -1, -2), jnp.swapaxes(b, -1, -2)
    if transpose_a:
        a = jnp.swapaxes(a, -1, -2)
    if lower == (transpose_a == left_side):  # upper once transposed: solved from the last row to the first
        a, b = a[..., ::-1, ::-1], b[..., ::-1, :]
    x = _forward(a, b, unit_diagonal=unit_diagonal)
    if lower == (transpose_a == left_side):
        x = x[..., ::-1, :]
    return x if left_side else jnp.swapaxes(x, -1, -2)


@over_batches
def _forward(a: jax.Array, b: jax.Array, *, unit_diagonal: bool) -> jax.Array:
    """Substitution in a lower triangle."""
    number, _ = numbers(a)

    def step(b: jax.Array, k: jax.Array) -> jax.Array:
        found = row(b, k)
        if not unit_diagonal:
            found = found / row(a, k)[k]
        rest = b - column(a, k)[:, None] * found
        return jnp.where(number > k, rest, jnp.where(number == k, found, b))

    return each_column(step, b, len(a))


@over_batches
def cholesky(a: jax.Array) -> jax.Array:
    """The lower triangular factor, below what a holds above its diagonal; NaN where a is not positive definite."""
    i, j = numbers(a)

    def step(factor: jax.Array, k: jax.Array) -> jax.Array:
        """Columns from k on are still those of a."""
        rest = column(factor, k) - jnp.sum(jnp.where(j < k, factor * row(factor, k), 0.0), 1)
        root = lax.sqrt(rest[k])
        found = jnp.where(i == k, root, (rest / root)[:, None])
        return jnp.where((j == k) & (i >= k), found, factor)

    factor = each_column(step, a, len(a))
    positive = jnp.all(jnp.diagonal(factor) > 0)
    return jnp.where(positive, factor, jnp.nan)


def tridiagonal_solve(below: jax.Array, diagonal: jax.Array, above: jax.Array, b: jax.Array, **_: Any) -> jax.Array:
    """The x of a system with three diagonals, by the algorithm of L. Thomas: it does not exchange rows."""
    below, diagonal, above = (jnp.moveaxis(x, -1, 0)[..., None] for x in (below, diagonal, above))
    b = jnp.moveaxis(b, -2, 0)

    def eliminate(before: tuple[jax.Array, jax.Array], equation: tuple[jax.Array, ...]):
        low, middle, high, right = equation
        pivot = middle - low * before[0]
        after = high / pivot, (right - low * before[1]) / pivot
        return after, after

    def substitute(after: jax.Array, equation: tuple[jax.Array, jax.Array]):
        x = equation[1] - equation[0] * after
        return x, x

    nothing = jnp.zeros_like(diagonal[0]), jnp.zeros_like(b[0])
    rows = lax.scan(eliminate, nothing, (below, diagonal, above, b))[1]
    x = lax.scan(substitute, nothing[1], rows, reverse=True)[1]
    return jnp.moveaxis(x, 0, -2)


composites: dict[str, Callable] = {
    "triangular_solve": in_float32(triangular_solve),
    "cholesky": in_float32(cholesky),
    "tridiagonal_solve": in_float32(tridiagonal_solve),
}
