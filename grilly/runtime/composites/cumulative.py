"""Cumulative sums and their like: a scan over the axis, all else side by side; a long axis in chunks.

Chunks are scanned side by side, then their totals, and each chunk is combined with the total of those before it: of n
elements, a device waits for some 64 log n / log 64 steps. Float sums and products differ from JAX's in the order of
operations, by at most some ulp of the largest partial result; all else is exact.
"""

import math
from collections.abc import Callable

import jax
import numpy as np
from jax import lax
from jax import numpy as jnp

from .limits import highest, lowest

CHUNK = 64  # elements that are scanned one after another
BUSY = 4096  # scans side by side that keep a device busy
Combine = Callable[[jax.Array, jax.Array], jax.Array]


def _cumulative(combine: Combine, neutral: Callable[[np.dtype], np.ndarray], wide: bool = False) -> Callable:
    """The composite of a cumulative operation; `wide` asks for float32 where floats are shorter."""

    def cumulative(x: jax.Array, *, axis: int, reverse: bool) -> jax.Array:
        """One element after another, long axes in chunks: floats differ from JAX's by the order of operations."""
        if x.size == 0:
            return x
        dtype = jnp.dtype(jnp.float32) if wide and jnp.issubdtype(x.dtype, jnp.floating) else x.dtype
        moved = jnp.moveaxis(x.astype(dtype), axis, 0)
        sums = _along(moved.reshape(len(moved), -1), combine, jnp.asarray(neutral(dtype)), reverse)
        return jnp.moveaxis(sums.reshape(moved.shape), 0, axis).astype(x.dtype)

    return cumulative


def _along(x: jax.Array, combine: Combine, neutral: jax.Array, reverse: bool) -> jax.Array:
    """Of columns, from top to bottom, or back."""
    extent, columns = x.shape
    if extent <= 2 * CHUNK or columns >= BUSY:
        return _scanned(x, combine, neutral, reverse)
    count = math.ceil(extent / CHUNK)
    missing = (0, count * CHUNK - extent, 0)
    chunks = lax.pad(x, neutral, [missing, (0, 0, 0)]).reshape(count, CHUNK, columns)
    chunks = _scanned(jnp.swapaxes(chunks, 0, 1), combine, neutral, reverse)
    totals = _along(chunks[0 if reverse else -1], combine, neutral, reverse)
    shift = (-1, 1, 0) if reverse else (1, -1, 0)
    before = lax.pad(totals, neutral, [shift, (0, 0, 0)])
    joined = jnp.swapaxes(combine(before[None], chunks), 0, 1)
    return joined.reshape(count * CHUNK, columns)[:extent]


def _scanned(x: jax.Array, combine: Combine, neutral: jax.Array, reverse: bool) -> jax.Array:
    """One element after another."""

    def step(total: jax.Array, element: jax.Array) -> tuple[jax.Array, jax.Array]:
        total = combine(total, element)
        return total, total

    return lax.scan(step, jnp.full(x.shape[1:], neutral), x, reverse=reverse)[1]


composites: dict[str, Callable] = {
    "cumsum": _cumulative(lax.add, lambda dtype: np.zeros((), dtype), wide=True),
    "cumprod": _cumulative(lax.mul, lambda dtype: np.ones((), dtype), wide=True),
    "cummax": _cumulative(lax.max, lowest),
    "cummin": _cumulative(lax.min, highest),
    "cumlogsumexp": _cumulative(jnp.logaddexp, lowest, wide=True),
}
