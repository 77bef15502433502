"""What a network's layers can give at all, for inputs from 0 to 1: intervals that the weights alone decide.

Each channel of a layer's output has an interval, for all its pixels alike, so that no image's size has to be
known. A layer takes the extremes of its inputs as if they could all occur at once: the deeper the layer, the
wider its intervals. Computed on the host, in float64, with NumPy.
"""

import numpy as np
from jax.typing import ArrayLike

from ..errors import ParameterError
from .conversion import Mode, check_mode, part_of, percentile_of

Interval = tuple[np.ndarray, np.ndarray]  # the least and the largest value in each channel, (C,) or, of all, (1,)
UNIT: Interval = np.zeros(1), np.ones(1)  # from 0 to 1


def bound_scale(interval: Interval, mode: Mode, name: str = "the layer") -> float:
    """As `activation_scale`, of the largest output that is possible at all.

    Args:
        interval: The least and the largest input of the ReLU, `(C,)` each.
        mode: 'max', or a fraction in (0, 1].
        name: What to call the layer in an error.

    Raises:
        ParameterError: `mode` is another, or the output is always 0, or a bound is not finite.

    Example:
        >>> import numpy as np
        >>> bound_scale((np.array([-3.0, -1.0]), np.array([2.0, 4.0])), 0.5)
        2.0
    """
    check_mode(mode)
    if percentile_of(mode) is not None:
        raise ParameterError(
            f"mode is {mode!r}: a percentile is one of outputs on data, and there is none. Give calibration data, "
            "as Converter(ann, mode, dataloader=batches) or convert(data); or use mode='max'."
        )
    largest = float(interval[1].max())
    if not np.isfinite(largest):
        raise ParameterError(
            f"the largest output that {name} can have is {largest}: a weight before it is not finite, or far too "
            "large. Train the ann again, or load other weights."
        )
    if largest <= 0:
        raise ParameterError(
            f"{name} never activates for inputs from 0 to 1, so no scale fits its outputs. Scale the inputs so; or "
            "calibrate with your own: convert(data)."
        )
    return part_of(largest, mode)


def affine_interval(interval: Interval, weight: ArrayLike, bias: ArrayLike | None, groups: int = 1) -> Interval:
    """What `linear` or `conv2d` can give.

        low[o] = bias[o] + sum over i of min(weight[o, i] low[i], weight[o, i] high[i])     and high with max

    Args:
        interval: What each input can be. If there are several inputs to a channel, they follow each other, as
            after `flatten`.
        weight: `(out, in)`, or `(out, in / groups, kH, kW)`.
        bias: `(out,)`, or None.
        groups: As for `conv2d`.

    Example:
        >>> import numpy as np
        >>> low, high = affine_interval(UNIT, np.array([[1.0, -2.0], [3.0, 4.0]]), np.array([0.5, 0.0]))
        >>> low.tolist(), high.tolist()
        ([-1.5, 0.0], [1.5, 7.0])
    """
    weight = np.asarray(weight, np.float64)
    out, inputs = weight.shape[:2]
    rows = weight.reshape(groups, out // groups, inputs, -1)
    low, high = (end.reshape(groups, 1, inputs, 1) for end in _spread(interval, inputs * groups))
    added = np.zeros(out) if bias is None else np.asarray(bias, np.float64)
    least, most = np.minimum(rows * low, rows * high), np.maximum(rows * low, rows * high)
    return least.sum(axis=(2, 3)).ravel() + added, most.sum(axis=(2, 3)).ravel() + added


def line_interval(interval: Interval, factor: np.ndarray, offset: np.ndarray) -> Interval:
    """What `x * factor + offset` can give: batch normalization in evaluation, both `(C,)`."""
    low, high = _spread(interval, len(factor))
    return np.minimum(low * factor, high * factor) + offset, np.maximum(low * factor, high * factor) + offset


def padded_interval(interval: Interval, padding: tuple[int, int]) -> Interval:
    """Intervals with zero in them, if zeros were added around the image."""
    low, high = interval
    return (np.minimum(low, 0), np.maximum(high, 0)) if any(padding) else interval


def relu_interval(interval: Interval) -> Interval:
    """What is left of intervals after ReLU."""
    low, high = interval
    return np.maximum(low, 0), np.maximum(high, 0)


def _spread(interval: Interval, inputs: int) -> Interval:
    """The intervals of so many inputs; the widest for all where it cannot be told which channel one is of."""
    low, high = interval
    if inputs % len(low):
        low, high = low.min(keepdims=True), high.max(keepdims=True)
    return np.repeat(low, inputs // len(low)), np.repeat(high, inputs // len(high))
