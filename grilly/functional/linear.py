"""Layers without a window: linear, relu, flatten. Pure functions of one batch `(N, *)`."""

import math

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from ..errors import ParameterError, ShapeError
from .arguments import as_float


def linear(x: ArrayLike, weight: ArrayLike, bias: ArrayLike | None = None) -> jax.Array:
    """An affine map of the last axis: `y = x weight^T + bias`.

    The weight is contracted as it is stored: transposing it first would copy it into the residuals.

    Args:
        x: `(*, in)`, with any leading axes. Booleans and integers become float32.
        weight: `(out, in)`.
        bias: `(out,)`, or None.

    Returns:
        `(*, out)`, of `x`'s dtype.

    Raises:
        ShapeError: The shapes do not fit together.

    Example:
        >>> import numpy as np
        >>> linear(np.array([[1.0, 2.0]]), np.array([[1.0, 1.0], [0.0, 3.0]]), np.array([0.5, 0.0])).tolist()
        [[3.5, 6.0]]
    """
    x = as_float(x, "x")
    weight = jnp.asarray(weight, x.dtype)
    if x.ndim == 0 or weight.ndim != 2 or x.shape[-1] != weight.shape[1]:
        raise ShapeError(
            f"x has shape {x.shape}, weight {weight.shape}: "
            "linear takes x of shape (*, in) and a weight of shape (out, in) with the same number of inputs."
        )
    y = jax.lax.dot_general(x, weight, (((x.ndim - 1,), (1,)), ((), ())))
    return y if bias is None else y + broadcast_bias(bias, y, axis=y.ndim - 1)


def broadcast_bias(bias: ArrayLike, y: jax.Array, axis: int) -> jax.Array:
    """A bias `(out,)` in the shape of a layer's result, along one of its axes.

    Raises:
        ShapeError: It has another number of outputs.
    """
    bias = jnp.asarray(bias, y.dtype)
    if bias.shape != (y.shape[axis],):
        raise ShapeError(f"bias has shape {bias.shape}: ({y.shape[axis]},) was expected, one number for each output.")
    return jax.lax.broadcast_in_dim(bias, y.shape, (axis,))


def relu(x: ArrayLike) -> jax.Array:
    """`max(x, 0)`, with a gradient of zero at zero. NaN stays NaN.

    Args:
        x: Any shape. Booleans and integers become float32.

    Returns:
        An array of `x`'s shape and dtype.

    Raises:
        ShapeError: `x` is no array of real numbers.

    Example:
        >>> import numpy as np
        >>> relu(np.array([-1.0, 0.5])).tolist()
        [0.0, 0.5]
    """
    return jax.nn.relu(as_float(x, "x"))


def flatten(x: ArrayLike, start_dim: int = 1) -> jax.Array:
    """Merges all axes from `start_dim` on into one: `(N, C, H, W)` becomes `(N, C H W)`.

    Raises:
        ParameterError: `x` has no such axis.

    Example:
        >>> import numpy as np
        >>> flatten(np.zeros((2, 3, 4, 5))).shape
        (2, 60)
    """
    x = jnp.asarray(x)
    if not 0 <= start_dim < max(x.ndim, 1):
        raise ParameterError(
            f"start_dim is {start_dim}: x has shape {x.shape}, so 0 to {max(x.ndim, 1) - 1} is possible."
        )
    return x.reshape(*x.shape[:start_dim], math.prod(x.shape[start_dim:]))
