"""Pooling of images, `(N, C, H, W)`: the largest, or the mean, of each window."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from ..errors import ParameterError
from .arguments import images, pair
from .conv import Pair, check_window


def max_pool2d(x: ArrayLike, kernel: Pair, stride: Pair | None = None, padding: Pair = 0) -> jax.Array:
    """The largest pixel of each window. The gradient goes to the first of the largest ones.

    Args:
        x: `(N, C, H, W)`. Booleans and integers become float32.
        kernel: Size of the window, in pixels, >= 1; a number, or (height, width). Static, as all below.
        stride: Step of the window, >= 1; the window's own size where None.
        padding: Pixels added on either side, never the largest; 0 to half the window.

    Returns:
        `(N, C, H', W')`, with `H' = (H + 2 padding - kH) // stride + 1`: an unfilled window is left out.

    Raises:
        ShapeError: `x` is no batch of images, or the window is larger than the padded image.
        ParameterError: A choice lies outside its range.

    Example:
        >>> import numpy as np
        >>> max_pool2d(np.arange(16.0).reshape(1, 1, 4, 4), 2)[0, 0].tolist()
        [[5.0, 7.0], [13.0, 15.0]]
    """
    return _pool(x, "max_pool2d", kernel, stride, padding, jax.lax.max, -jnp.inf)[0]


def avg_pool2d(x: ArrayLike, kernel: Pair, stride: Pair | None = None, padding: Pair = 0) -> jax.Array:
    """The mean of each window; padded pixels count as zeros.

    Args, returns and errors as for `max_pool2d`.

    Example:
        >>> import numpy as np
        >>> avg_pool2d(np.arange(16.0).reshape(1, 1, 4, 4), 2)[0, 0].tolist()
        [[2.5, 4.5], [10.5, 12.5]]
    """
    total, count = _pool(x, "avg_pool2d", kernel, stride, padding, jax.lax.add, 0.0)
    return total / count


def _pool(
    x: ArrayLike,
    taker: str,
    kernel: Pair,
    stride: Pair | None,
    padding: Pair,
    combine: Callable,
    start: float,
) -> tuple[jax.Array, int]:
    """Each window combined, and the number of pixels in one."""
    x = images(x, taker)
    window, (high, wide) = pair(kernel, "kernel", 1), pair(padding, "padding", 0)
    strides = window if stride is None else pair(stride, "stride", 1)
    if 2 * high > window[0] or 2 * wide > window[1]:
        raise ParameterError(f"padding is {padding!r}, kernel {kernel!r}: at most half of the window can be padding.")
    check_window(taker, x.shape, window, (high, wide))
    pads = ((0, 0), (0, 0), (high, high), (wide, wide))
    # The start stays a NumPy number: only then does JAX see a plain maximum or sum, with a gradient.
    y = jax.lax.reduce_window(x, x.dtype.type(start), combine, (1, 1, *window), (1, 1, *strides), pads)
    return y, window[0] * window[1]
