"""Matrices: what linear algebra shares. An algorithm is written for one matrix; leading axes are `jax.vmap`'s.

Columns are eliminated one after another, each in a few kernels over the whole matrix: a scan of as many steps as there
are columns, all recorded in one submit.
"""

from collections.abc import Callable
from functools import partial, wraps
from typing import Any

import jax
from jax import lax
from jax import numpy as jnp


def over_batches(function: Callable) -> Callable:
    """An algorithm for one matrix (and what belongs to it), over all leading axes."""

    @wraps(function)
    def batched(*arrays: jax.Array, **params: object) -> Any:
        single = partial(function, **params)
        for _ in range(arrays[0].ndim - 2):
            single = jax.vmap(single)
        return single(*arrays)

    return batched


def row(matrix: jax.Array, k: jax.Array) -> jax.Array:
    """Row number k."""
    return lax.dynamic_index_in_dim(matrix, k, 0, keepdims=False)


def column(matrix: jax.Array, k: jax.Array) -> jax.Array:
    """Column number k."""
    return lax.dynamic_index_in_dim(matrix, k, 1, keepdims=False)


def numbers(matrix: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The number of each row, as a column, and of each column, as a row."""
    rows, columns = matrix.shape
    return lax.broadcasted_iota(jnp.int32, (rows, 1), 0), lax.broadcasted_iota(jnp.int32, (1, columns), 1)


def each_column(step: Callable, start: Any, count: int, reverse: bool = False) -> Any:
    """Folds over the numbers of columns: `carried = step(carried, k)`."""
    if count == 0:
        return start
    return lax.scan(lambda carried, k: (step(carried, k), None), start, jnp.arange(count), reverse=reverse)[0]
