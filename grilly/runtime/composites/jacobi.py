"""Eigenvalues and singular values by Jacobi's rotations: as accurate as float32 lets them be, small ones too.

All columns are paired, every pair is rotated at once, and the pairs are dealt anew, as in a tournament: after one round
less than there are columns, each has met each. A fixed number of such sweeps is enough for float32.

References:
    G. H. Golub, C. F. Van Loan, "Matrix Computations" (2013), chapters 8.5 (both methods, the tournament) and 8.6.
"""

from collections.abc import Callable
from typing import Any

import jax
from jax import lax
from jax import numpy as jnp

from .factors import qr
from .matrices import over_batches

Rotation = tuple[jax.Array, jax.Array]


def _rotation(first: jax.Array, second: jax.Array, both: jax.Array) -> Rotation:
    """The cosine and sine that turn the matrix `[[first, both], [both, second]]` of each pair into a diagonal one."""
    aligned = both == 0
    slope = (second - first) / jnp.where(aligned, 1.0, both + both)
    tangent = jnp.copysign(1.0, slope) / (jnp.abs(slope) + lax.sqrt(1.0 + slope * slope))
    tangent = jnp.where(aligned, 0.0, tangent)
    cosine = 1.0 / lax.sqrt(1.0 + tangent * tangent)
    return cosine, tangent * cosine


def _rotated(x: jax.Array, rotation: Rotation) -> jax.Array:
    """Each column rotated with its partner, as far from the last as it is from the first; then all but the first move
    one place on.
    """
    cosine, sine = rotation
    first, second = _partners(x)
    first, second = cosine * first - sine * second, sine * first + cosine * second
    return jnp.concatenate([first[:, :1], second[:, :1], first[:, 1:], second[:, :0:-1]], 1)


def _partners(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The first half of what lies along the last axis, and the other half from the last one on."""
    half = x.shape[-1] // 2
    return x[..., :half], x[..., half:][..., ::-1]


def _swept(turn: Callable, start: Any, columns: int) -> Any:
    """All rounds of all sweeps. After a sweep, columns are where they were."""
    rounds = (5 + columns.bit_length()) * max(0, columns - 1)
    return lax.scan(lambda x, _: (turn(x), None), start, None, length=rounds)[0]


def _even(x: jax.Array) -> jax.Array:
    """With a further column of zeros where their number is odd: its pairs are never rotated."""
    return jnp.pad(x, [(0, 0), (0, x.shape[1] % 2)])


def eigh(a: jax.Array, *, lower: bool, subset_by_index: object = None, **_: Any) -> tuple[jax.Array, jax.Array]:
    """The eigenvectors of a symmetric matrix, and its eigenvalues in ascending order."""
    if subset_by_index not in (None, (0, a.shape[-1])):
        raise NotImplementedError("of a part of the eigenvalues")
    triangle = a if lower else jnp.swapaxes(a, -1, -2)
    return _eigen(jnp.tril(triangle) + jnp.swapaxes(jnp.tril(triangle, -1), -1, -2))


@over_batches
def _eigen(a: jax.Array) -> tuple[jax.Array, jax.Array]:
    """By two-sided rotations: of columns, and of rows."""
    size = len(a)
    a = _even(_even(a).T)

    def turn(carried: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        a, vectors = carried
        rotation = _rotation(*_partners(jnp.diagonal(a)), _partners(jnp.diagonal(a[:, ::-1]))[0])
        return _rotated(_rotated(a, rotation).T, rotation).T, _rotated(vectors, rotation)

    a, vectors = _swept(turn, (a, jnp.eye(len(a), dtype=a.dtype)), len(a))
    values = jnp.diagonal(a)[:size]
    order = jnp.argsort(values)
    return vectors[:size, order], values[order]


def svd(
    a: jax.Array, *, full_matrices: bool, compute_uv: bool, subset_by_index: object = None, **_: Any
) -> tuple[jax.Array, ...]:
    """Singular values in descending order, left singular vectors as columns, right ones as rows."""
    if subset_by_index not in (None, (0, min(a.shape[-2:]))):
        raise NotImplementedError("of a part of the singular values")
    wide = a.shape[-2] < a.shape[-1]
    values, right, images = _singular(jnp.swapaxes(a, -1, -2) if wide else a)
    if not compute_uv:
        return (values,)
    left, triangle = qr(images, full_matrices=full_matrices)  # images are orthogonal; those of length 0 are replaced
    signs = jnp.where(jnp.diagonal(triangle, axis1=-2, axis2=-1) < 0, -1.0, 1.0)[..., None, :]
    count = values.shape[-1]
    left = jnp.concatenate([left[..., :count] * signs, left[..., count:]], -1)
    return (values, right, jnp.swapaxes(left, -1, -2)) if wide else (values, left, jnp.swapaxes(right, -1, -2))


@over_batches
def _singular(a: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Singular values of a tall matrix, right singular vectors, and what a makes of these: by one-sided rotations."""
    size = a.shape[1]
    scale = jnp.max(jnp.abs(a), initial=0.0)
    scale = jnp.where(scale == 0, 1.0, scale)
    images = _even(a / scale)

    def turn(carried: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        images, vectors = carried
        first, second = _partners(images)
        rotation = _rotation(jnp.sum(first * first, 0), jnp.sum(second * second, 0), jnp.sum(first * second, 0))
        return _rotated(images, rotation), _rotated(vectors, rotation)

    columns = images.shape[1]
    images, vectors = _swept(turn, (images, jnp.eye(columns, dtype=a.dtype)), columns)
    values = lax.sqrt(jnp.sum(images * images, 0)[:size])
    order = jnp.argsort(-values)
    return values[order] * scale, vectors[:size, order], images[:, order]


composites: dict[str, Callable] = {"eigh": eigh, "svd": svd}
