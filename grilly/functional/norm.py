"""Batch normalization, with a gradient of its own: the backward reads the batch once for both its sums."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from ..errors import ShapeError
from .arguments import as_float, refuse_unless


def batch_norm(
    x: ArrayLike,
    scale: ArrayLike,
    bias: ArrayLike,
    mean: ArrayLike,
    var: ArrayLike,
    *,
    training: bool,
    momentum: float = 0.1,
    eps: float = 1e-5,
    axis: int = 1,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Normalizes each channel over the batch (training), or by its running mean and variance.

        y = (x - mean) / sqrt(var + eps) * scale + bias
        running = (1 - momentum) running + momentum batch       in training

    As in PyTorch, the batch is normalized by its biased variance; the running one takes the unbiased.

    Args:
        x: `(N, C, *)`. Booleans and integers become float32.
        scale, bias: `(C,)`, learned.
        mean, var: `(C,)`, the running mean and variance. No gradient flows through them.
        training: Whether to use the batch's statistics and update the running ones. Static, as all below.
        momentum: Weight of this batch in the running statistics, 0 to 1.
        eps: Added to the variance, in the square of `x`'s unit; >= 0 and finite.
        axis: The axis of the channels.

    Returns:
        `y` of `x`'s shape, the next running mean, the next running variance.

    Raises:
        ShapeError: A leaf is not `(C,)`, or a channel has a single value to normalize in training.
        ParameterError: `momentum` or `eps` is out of its range.

    Example:
        >>> import numpy as np
        >>> x, one, zero = np.array([[1.0], [3.0]]), np.ones(1), np.zeros(1)
        >>> y, mean, var = batch_norm(x, one, zero, zero, one, training=True, momentum=0.5)
        >>> y.round(3).tolist(), mean.tolist(), var.tolist()
        ([[-1.0], [1.0]], [1.0], [1.5])

    References:
        S. Ioffe and C. Szegedy, "Batch normalization", ICML 2015.
    """
    check_norm(momentum, eps)
    x = as_float(x, "x")
    if not 0 <= axis < x.ndim:
        raise ShapeError(f"x has shape {x.shape}: batch_norm takes (N, C, *) with the channels along axis {axis}.")
    scale, bias, mean, var = (
        _per_channel(leaf, name, x, axis)
        for leaf, name in ((scale, "scale"), (bias, "bias"), (mean, "mean"), (var, "var"))
    )
    if not training:
        inverse = scale / jnp.sqrt(var + eps)
        y = (x - _along(mean, x, axis)) * _along(inverse, x, axis) + _along(bias, x, axis)
        return y, mean, var

    count = x.size // x.shape[axis]
    if count < 2:
        raise ShapeError(f"x has shape {x.shape}: in training batch_norm needs at least 2 values of each channel.")
    y, batch_mean, batch_var = _normalize(x, scale, bias, eps, axis)
    unbiased = batch_var * (count / (count - 1))
    blend = functools.partial(_blend, momentum=momentum)
    return y, blend(mean, batch_mean), blend(var, unbiased)


def check_norm(momentum: float, eps: float) -> None:
    """Refuses a weight of the newest batch that is no share, and an addition to the variance that takes away.

    Raises:
        ParameterError: `momentum` lies outside [0, 1], or `eps` is negative or not finite.
    """
    rule = "the weight of a batch in the running mean and variance lies in [0, 1]."
    refuse_unless("momentum", momentum, lambda m: (m >= 0) & (m <= 1), rule)
    rule = "what is added to the variance must be finite and >= 0."
    refuse_unless("eps", eps, lambda e: (e >= 0) & np.isfinite(e), rule)


def _blend(old: jax.Array, new: jax.Array, momentum: float) -> jax.Array:
    return jax.lax.stop_gradient((1 - momentum) * old + momentum * new)


def _normalized(x: jax.Array, scale: jax.Array, bias: jax.Array, eps: float, axis: int) -> tuple[jax.Array, ...]:
    """The normalized batch, its mean and its variance; the last two pass no gradient on."""
    return _normalize_forward(x, scale, bias, eps, axis)[0]


def _normalize_forward(x: jax.Array, scale: jax.Array, bias: jax.Array, eps: float, axis: int) -> Any:
    others = tuple(i for i in range(x.ndim) if i != axis)
    mean = jnp.mean(x, others)
    centred = x - _along(mean, x, axis)
    var = jnp.mean(centred * centred, others)
    inverse = 1 / jnp.sqrt(var + eps)
    y = centred * _along(inverse * scale, x, axis) + _along(bias, x, axis)
    return (y, mean, var), (x, scale, mean, inverse)


def _normalize_backward(eps: float, axis: int, residuals: Any, gradients: Any) -> tuple[jax.Array, ...]:
    x, scale, mean, inverse = residuals
    g = gradients[0]
    others = tuple(i for i in range(x.ndim) if i != axis)
    count = x.size // x.shape[axis]
    normal = (x - _along(mean, x, axis)) * _along(inverse, x, axis)
    g_bias = jnp.sum(g, others)
    g_scale = jnp.sum(g * normal, others)
    centred = g - _along(g_bias / count, x, axis) - normal * _along(g_scale / count, x, axis)
    return centred * _along(scale * inverse, x, axis), g_scale, g_bias


_normalize = jax.custom_vjp(_normalized, nondiff_argnums=(3, 4))
_normalize.defvjp(_normalize_forward, _normalize_backward)


def _along(leaf: jax.Array, x: jax.Array, axis: int) -> jax.Array:
    """`(C,)` in the shape of `x`, along its channels."""
    return jax.lax.broadcast_in_dim(leaf, x.shape, (axis,))


def _per_channel(leaf: ArrayLike, name: str, x: jax.Array, axis: int) -> jax.Array:
    leaf = jnp.asarray(leaf, x.dtype)
    if leaf.shape != (x.shape[axis],):
        raise ShapeError(
            f"{name} has shape {leaf.shape}, x {x.shape}: ({x.shape[axis]},) was expected, one number for each channel."
        )
    return leaf
