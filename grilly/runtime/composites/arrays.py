"""Joining, cutting and repeating arrays, out of views that kernels know."""

from collections.abc import Callable, Sequence
from itertools import accumulate

import jax
from jax import lax


def stack(*arrays: jax.Array, axis: int) -> jax.Array:
    """Arrays of one shape along a new axis."""
    return lax.concatenate([lax.expand_dims(array, (axis,)) for array in arrays], axis)


def unstack(array: jax.Array, *, axis: int) -> list[jax.Array]:
    """What lies at each place of an axis."""
    return [lax.squeeze(piece, (axis,)) for piece in split(array, sizes=(1,) * array.shape[axis], axis=axis)]


def split(array: jax.Array, *, sizes: Sequence[int], axis: int) -> list[jax.Array]:
    """Pieces of these sizes along an axis."""
    pairs = zip(sizes, accumulate(sizes), strict=True)
    return [lax.slice_in_dim(array, end - size, end, axis=axis) for size, end in pairs]


def tile(array: jax.Array, *, reps: Sequence[int]) -> jax.Array:
    """The array repeated along each axis."""
    pairs = [extent for pair in zip(reps, array.shape, strict=True) for extent in pair]
    repeated = lax.broadcast_in_dim(array, pairs, range(1, len(pairs), 2))
    return repeated.reshape([rep * extent for rep, extent in zip(reps, array.shape, strict=True)])


composites: dict[str, Callable] = {"stack": stack, "unstack": unstack, "split": split, "tile": tile}
