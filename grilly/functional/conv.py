"""Convolution of images, `(N, C, H, W)`. It is a cross-correlation, as everywhere in deep learning."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from ..errors import ShapeError
from .arguments import check_size, images, pair
from .linear import broadcast_bias

Pair = int | tuple[int, int]


def conv2d(
    x: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike | None = None,
    *,
    stride: Pair = 1,
    padding: Pair = 0,
    dilation: Pair = 1,
    groups: int = 1,
) -> jax.Array:
    """Two-dimensional convolution.

        y[n, o, i, j] = bias[o] + sum over c, a, b of weight[o, c, a, b] x[n, c, stride i + a - padding, ...]

    Args:
        x: `(N, C, H, W)`. Booleans and integers become float32.
        weight: `(O, C / groups, kH, kW)`.
        bias: `(O,)`, or None.
        stride: Step of the window, in pixels, >= 1; a number, or (height, width). Static, as all below.
        padding: Zeros added on either side, >= 0.
        dilation: Distance between the pixels under a window, >= 1.
        groups: Number of groups of channels that do not see each other; divides C and O.

    Returns:
        `(N, O, H', W')`, with `H' = (H + 2 padding - dilation (kH - 1) - 1) // stride + 1`.

    Raises:
        ShapeError: The shapes do not fit together, or the window is larger than the padded image.
        ParameterError: A choice lies outside its range.

    Example:
        >>> import numpy as np
        >>> conv2d(np.ones((1, 1, 4, 4)), np.ones((2, 1, 3, 3)), padding=1, stride=2)[0, 0].tolist()
        [[4.0, 6.0], [6.0, 9.0]]
    """
    x = images(x, "conv2d")
    weight = jnp.asarray(weight, x.dtype)
    groups = check_size("groups", groups)
    if weight.ndim != 4 or weight.shape[0] % groups or x.shape[1] != weight.shape[1] * groups:
        raise ShapeError(
            f"x has shape {x.shape}, weight {weight.shape}, groups is {groups}: conv2d takes x of shape "
            "(N, C, H, W) and a weight of shape (O, C / groups, kH, kW), with O a multiple of groups."
        )
    strides, (high, wide) = pair(stride, "stride", 1), pair(padding, "padding", 0)
    spread = pair(dilation, "dilation", 1)
    reach = tuple(d * (k - 1) + 1 for d, k in zip(spread, weight.shape[2:], strict=True))
    check_window("conv2d", x.shape, reach, (high, wide))
    y = jax.lax.conv_general_dilated(
        x, weight, strides, ((high, high), (wide, wide)), rhs_dilation=spread, feature_group_count=int(groups),
        dimension_numbers=("NCHW", "OIHW", "NCHW"),
    )  # fmt: skip
    return y if bias is None else y + broadcast_bias(bias, y, axis=1)


def check_window(taker: str, shape: tuple[int, ...], window: tuple[int, ...], padding: tuple[int, int]) -> None:
    """Refuses a window that does not fit into the padded image.

    Raises:
        ShapeError: It names both sizes.
    """
    padded = (shape[2] + 2 * padding[0], shape[3] + 2 * padding[1])
    if window[0] > padded[0] or window[1] > padded[1]:
        raise ShapeError(
            f"x has shape {shape}, with padding its images are {padded[0]} x {padded[1]}: "
            f"the {window[0]} x {window[1]} window of {taker} does not fit. "
            "Use larger images, a smaller window or more padding."
        )
