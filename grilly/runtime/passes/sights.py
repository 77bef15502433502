"""Sights: what a chain of reshapes, transposes and patches shows of an array, as sums of strides.

An index of such a view is a number of digits, and each of them moves along one axis of the array.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from ..ir import Equation, Value
from ..shader.cooperative import HALVES


@dataclass(frozen=True)
class Digit:
    """A part of an index: `extent` steps, each `stride` places along an axis of the images."""

    extent: int
    axis: int
    stride: int


@dataclass(frozen=True)
class Sight:
    """A view of images.

    Args:
        images: What is seen.
        axes: What each axis of the view moves over, the fastest last.
        start: Where its first element lies along each axis of the images.
        dilation: From one pixel to the next along each axis of the images; between them are zeros.
    """

    images: Value
    axes: tuple[tuple[Digit, ...], ...]
    start: tuple[int, ...]
    dilation: tuple[int, ...]

    @property
    def around(self) -> tuple[tuple[int, int], ...]:
        """How many zeros it sees before and after the images, along each of their axes."""
        found = []
        for axis, extent in enumerate(self.images.shape):
            last = self.start[axis] + sum((d.extent - 1) * d.stride for d in self.along(axis))
            found.append((max(0, -self.start[axis]), max(0, last - (extent - 1) * self.dilation[axis])))
        return tuple(found)

    @property
    def channels(self) -> int | None:
        """The last axis of the images that no window moves over, if it is one of whole words."""
        once = [n for n, extent in enumerate(self.images.shape) if math.prod(d.extent for d in self.along(n)) == extent]
        whole = [axis for axis in once if self.images.shape[axis] % HALVES == 0]
        return whole[-1] if whole else None

    def along(self, axis: int) -> Iterator[Digit]:
        """What moves along an axis of the images."""
        return (digit for digits in self.axes for digit in digits if digit.axis == axis)


def seen(chain: Sequence[Equation]) -> Sight | None:
    """The view that a chain of equations shows, the last first; None where its digits do not fit the axes."""
    if not chain:
        return None
    images = chain[-1].inputs[0]
    assert isinstance(images, Value)
    rank = len(images.shape)
    axes = tuple((Digit(extent, axis, 1),) for axis, extent in enumerate(images.shape))
    sight: Sight | None = Sight(images, axes, (0,) * rank, (1,) * rank)
    for eqn in reversed(chain):
        sight = MOVES[eqn.primitive](sight, eqn) if sight else None
    return sight


def _transposed(sight: Sight, eqn: Equation) -> Sight:
    return replace(sight, axes=tuple(sight.axes[axis] for axis in eqn.params["permutation"]))


def _reshaped(sight: Sight, eqn: Equation) -> Sight | None:
    """Digits are shared out among the new axes; one may be cut in two."""
    left, axes = [digit for digits in sight.axes for digit in digits if digit.extent > 1][::-1], []
    for extent in eqn.outputs[0].shape:
        taken, wanted = [], extent
        while wanted > 1:
            digit = left.pop()
            if digit.extent > wanted and digit.extent % wanted == 0:
                rest = digit.extent // wanted
                left.append(replace(digit, extent=rest))
                digit = replace(digit, extent=wanted, stride=digit.stride * rest)
            if wanted % digit.extent:
                return None
            taken.append(digit)
            wanted //= digit.extent
        axes.append(tuple(taken))
    return replace(sight, axes=tuple(axes))


def _patches(sight: Sight, eqn: Equation) -> Sight | None:
    """See `simplify._convolution` for the axes."""
    params, shape = eqn.params, eqn.outputs[0].shape
    whole = [[Digit(extent, axis, 1)] for axis, extent in enumerate(sight.images.shape)]
    if any(list(digits) not in whole for digits in sight.axes):
        return None
    image, channel, *pixels = (digits[0].axis for digits in sight.axes)
    spatial = len(pixels)
    groups, channels, *taps, count = shape[: 3 + spatial]
    group = Digit(groups, image, count) if params["batch_groups"] > 1 else Digit(groups, channel, channels)
    axes = (
        group,
        Digit(channels, channel, 1),
        *map(Digit, taps, pixels, params["kernel_dilation"]),
        Digit(count, image, 1),
        *map(Digit, shape[3 + spatial :], pixels, params["strides"]),
    )
    start, dilation = list(sight.start), list(sight.dilation)
    for axis, (low, _), between in zip(pixels, params["padding"], params["input_dilation"], strict=True):
        start[axis], dilation[axis] = -low, between
    return Sight(sight.images, tuple((digit,) for digit in axes), tuple(start), tuple(dilation))


MOVES: dict[str, Callable[[Sight, Equation], Sight | None]] = {
    "transpose": _transposed,
    **dict.fromkeys(("reshape", "squeeze", "expand_dims"), _reshaped),
    "conv_patches": _patches,
}
