"""Factors of matrices: LU with row exchanges, and QR by Householder's reflections, with the signs that LAPACK has."""

from collections.abc import Callable
from typing import Any

import jax
from jax import lax
from jax import numpy as jnp

from .matrices import column, each_column, numbers, over_batches, row


@over_batches
def lu(a: jax.Array, **_: Any) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Both factors in one matrix, which row each was exchanged with, and where each row came from."""
    i, j = numbers(a)
    count = min(a.shape)

    def step(carried: tuple[jax.Array, jax.Array, jax.Array], k: jax.Array):
        a, pivots, order = carried
        size = jnp.where(i[:, 0] >= k, jnp.abs(column(a, k)), -1.0)
        pivot = lax.argmax(size, 0, jnp.int32)
        a, order = _exchanged(a, k, pivot), _exchanged(order, k, pivot)
        top = row(a, k)
        head = jnp.where(top[k] == 0, 1.0, top[k])
        factor = column(a, k)[:, None] / head
        rest = jnp.where(j == k, factor, jnp.where(j > k, a - factor * top, a))
        return jnp.where(i > k, rest, a), jnp.where(jnp.arange(count) == k, pivot, pivots), order

    start = a, jnp.zeros(count, jnp.int32), jnp.arange(len(a), dtype=jnp.int32)
    return each_column(step, start, count)


def _exchanged(x: jax.Array, k: jax.Array, other: jax.Array) -> jax.Array:
    """x with two of its rows exchanged."""
    number = jnp.arange(len(x)).reshape(-1, *(1 for _ in x.shape[1:]))
    return jnp.where(number == k, row(x, other), jnp.where(number == other, row(x, k), x))


def lu_pivots_to_permutation(pivots: jax.Array, *, permutation_size: int) -> jax.Array:
    """Where each row came from, of which row each was exchanged with."""
    start = jnp.broadcast_to(jnp.arange(permutation_size, dtype=jnp.int32), (*pivots.shape[:-1], permutation_size))
    follow = over_batches(
        lambda pivots, start: each_column(
            lambda order, k: _exchanged(order, k, row(pivots, k)[0]), start[:, 0], len(pivots)
        )
    )
    return follow(pivots[..., None], start[..., None])


@over_batches
def geqrf(a: jax.Array) -> tuple[jax.Array, jax.Array]:
    """R, below its diagonal the reflections' vectors, and their factors."""
    i, _ = numbers(a)
    count = min(a.shape)

    def step(carried: tuple[jax.Array, jax.Array], k: jax.Array) -> tuple[jax.Array, jax.Array]:
        a, taus = carried
        head, tail = column(a, k)[k], jnp.where(i[:, 0] > k, column(a, k), 0.0)
        rest = lax.sqrt(jnp.sum(tail * tail))
        end = -jnp.copysign(_hypotenuse(head, rest), head)
        still = rest == 0
        tau = jnp.where(still, 0.0, (end - head) / jnp.where(still, 1.0, end))
        vector = tail / jnp.where(still, 1.0, head - end)
        reflected = _reflected(a, vector + (i[:, 0] == k), tau)
        packed = jnp.where((i > k) & (numbers(a)[1] == k), vector[:, None], reflected)
        a = jnp.where((i < k) | (numbers(a)[1] < k), a, packed)
        return a, jnp.where(jnp.arange(count) == k, tau, taus)

    return each_column(step, (a, jnp.zeros(count, a.dtype)), count)


def _hypotenuse(x: jax.Array, y: jax.Array) -> jax.Array:
    """`sqrt(x x + y y)`; no square overflows."""
    larger, smaller = jnp.maximum(jnp.abs(x), jnp.abs(y)), jnp.minimum(jnp.abs(x), jnp.abs(y))
    ratio = smaller / jnp.where(larger > 0, larger, 1.0)
    return larger * lax.sqrt(1.0 + ratio * ratio)


def _reflected(a: jax.Array, vector: jax.Array, tau: jax.Array) -> jax.Array:
    """`a - tau v (v a)`: each column mirrored."""
    return a - (tau * vector)[:, None] * jnp.sum(vector[:, None] * a, 0)


@over_batches
def _product(a: jax.Array, taus: jax.Array) -> jax.Array:
    """The reflections of `geqrf` multiplied out: as many columns as a has."""
    i, j = numbers(a)

    def step(q: jax.Array, k: jax.Array) -> jax.Array:
        vector = jnp.where(i[:, 0] > k, column(a, k), (i[:, 0] == k).astype(a.dtype))
        return _reflected(q, vector, row(taus, k)[0])

    return each_column(step, (i == j).astype(a.dtype), len(taus), reverse=True)


def householder_product(a: jax.Array, taus: jax.Array) -> jax.Array:
    """The orthogonal matrix that reflections make: as many of its columns as a has."""
    return _product(a, taus[..., None])


def qr(a: jax.Array, *, full_matrices: bool, pivoting: bool = False, **_: Any) -> tuple[jax.Array, jax.Array]:
    """An orthogonal matrix and an upper triangular one."""
    if pivoting:
        raise NotImplementedError("with pivoting")
    rows, columns = a.shape[-2:]
    packed, taus = geqrf(a)
    kept = rows if full_matrices or rows < columns else columns
    wide = jnp.pad(packed, [*((0, 0) for _ in a.shape[:-1]), (0, max(0, kept - columns))])
    return householder_product(wide[..., :kept], taus), jnp.triu(packed[..., :kept, :])


composites: dict[str, Callable] = {
    "lu": lu,
    "lu_pivots_to_permutation": lu_pivots_to_permutation,
    "geqrf": geqrf,
    "householder_product": householder_product,
    "qr": qr,
}
