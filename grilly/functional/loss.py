"""Losses: a 0-d mean over the batch. Written without gather: labels are compared with an iota."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.typing import ArrayLike

from ..errors import DataError, ShapeError
from .arguments import as_float


def cross_entropy(logits: ArrayLike, labels: ArrayLike) -> jax.Array:
    """The mean negative log probability of the labels.

        mean over n of  log(sum over c of exp(z[n, c])) - z[n, labels[n]]

    Args:
        logits: `(N, C)`: scores, or the firing rates of C output neurons.
        labels: `(N,)` integers from 0 to C - 1. Those that are traced cannot be checked here: call
            `check_labels` before.

    Returns:
        A 0-d array.

    Raises:
        ShapeError: `logits` is not `(N, C)`, or has no row; or `labels` is not `(N,)`.
        DataError: A label is no integer, or out of range.

    Example:
        >>> import numpy as np
        >>> round(float(cross_entropy(np.zeros((4, 10)), np.array([0, 1, 2, 9]))), 4)
        2.3026
    """
    z = as_float(logits, "logits")
    if z.ndim != 2:
        raise ShapeError(
            f"logits have shape {z.shape}: (N, C) was expected. Average a sequence over time first: .mean(axis=0)."
        )
    _refuse_empty(z, "logits have")
    if not isinstance(labels, Tracer):
        labels = check_labels(labels, z.shape[1])
    labels = jnp.asarray(labels)
    if not jnp.issubdtype(labels.dtype, jnp.integer):
        raise DataError(f"labels have dtype {labels.dtype}: integer class numbers of shape (N,) were expected.")
    if labels.shape != z.shape[:1]:
        raise ShapeError(
            f"labels have shape {labels.shape}, logits {z.shape}: one label for each of {z.shape[0]} rows was expected."
        )
    label = jax.lax.broadcast_in_dim(labels.astype(jnp.int32), z.shape, (0,))
    hit = label == jax.lax.broadcasted_iota(jnp.int32, z.shape, 1)
    z = z - jax.lax.stop_gradient(jnp.max(z, axis=1, keepdims=True))  # the same softmax, and exp cannot overflow
    picked = jnp.sum(jnp.where(hit, z, jnp.zeros_like(z)), axis=1)
    return jnp.mean(jnp.log(jnp.sum(jnp.exp(z), axis=1)) - picked)


def mse(x: ArrayLike, target: ArrayLike) -> jax.Array:
    """The mean squared difference over all elements: `mean (x - target)^2`.

    Args:
        x, target: The same shape, of any number of dimensions. Booleans and integers become float32.

    Returns:
        A 0-d array.

    Raises:
        ShapeError: The shapes differ (they are never broadcast), or there is no element.

    Example:
        >>> import numpy as np
        >>> float(mse(np.array([1.0, 3.0]), np.array([1.0, 1.0])))
        2.0
    """
    x = as_float(x, "x")
    target = as_float(target, "target").astype(x.dtype)
    if x.shape != target.shape:
        raise ShapeError(f"x has shape {x.shape}, target {target.shape}: mse compares arrays of the same shape.")
    _refuse_empty(x, "x has")
    difference = x - target
    return jnp.mean(difference * difference)


def check_labels(labels: ArrayLike, classes: int) -> np.ndarray:
    """Labels as int32, after a look at every one of them. On the host: compiled code cannot raise.

    Args:
        labels: `(N,)` integers.
        classes: The number of classes C.

    Raises:
        DataError: They are not `(N,)`, not integers, or one is not in `0 ... C - 1`; it names the first such.

    Example:
        >>> import numpy as np
        >>> check_labels(np.array([3, 1]), classes=10).dtype
        dtype('int32')
    """
    labels = np.asarray(labels)
    expected = f"class numbers from 0 to {classes - 1} were expected, as an integer array of shape (N,)."
    if labels.ndim != 1:
        raise DataError(f"labels have shape {labels.shape}: {expected}")
    if labels.dtype.kind not in "iu":
        worst = int(np.argmax(np.isnan(labels))) if labels.dtype.kind == "f" and len(labels) else 0
        example = f", labels[{worst}] is {labels[worst]}" if len(labels) else ""
        raise DataError(f"labels have dtype {labels.dtype}{example}: {expected}")
    wrong = np.flatnonzero((labels < 0) | (labels >= classes))
    if len(wrong):
        raise DataError(f"labels[{wrong[0]}] is {labels[wrong[0]]}: {expected}")
    return labels.astype(np.int32)


def _refuse_empty(x: jax.Array, subject: str) -> None:
    if x.size == 0:
        raise ShapeError(f"{subject} shape {x.shape}: a mean needs at least one element. Leave out empty batches.")
