"""Layers of images `(N, C, H, W)`: convolution and pooling. Their functions are in `grilly.functional`."""

from typing import Any

import numpy as np

from .. import functional as F
from ..errors import ParameterError
from ..functional.arguments import check_size, pair
from ..functional.conv import Pair
from .init import Init, initial
from .module import Module
from .parameter import Parameter


class Conv2d(Module):
    """Two-dimensional convolution, `F.conv2d`: `(N, in_channels, H, W)` to `(N, out_channels, H', W')`.

    Args:
        in_channels, out_channels: Numbers of channels, >= 1.
        kernel_size: Size of the window, in pixels; a number, or (height, width).
        stride, padding, dilation, groups: As for `F.conv2d`.
        bias: Whether a bias is added; it starts at zero.
        init: `init(key, shape) -> array` for the weight `(out, in / groups, height, width)`. By default
            normal with standard deviation `2 / sqrt(inputs of one output)`.

    Raises:
        ParameterError: A number is out of range, or `groups` does not divide the channels.

    Example:
        >>> import numpy as np
        >>> Conv2d(1, 8, 3, padding=1)(np.zeros((2, 1, 6, 6), np.float32)).shape
        (2, 8, 6, 6)
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Pair,
        stride: Pair = 1,
        padding: Pair = 0,
        dilation: Pair = 1,
        groups: int = 1,
        bias: bool = True,
        *,
        init: Init | None = None,
    ) -> None:
        self.in_channels = check_size("in_channels", in_channels)
        self.out_channels = check_size("out_channels", out_channels)
        self.groups = check_size("groups", groups)
        if in_channels % groups or out_channels % groups:
            raise ParameterError(
                f"groups is {groups}: it has to divide both in_channels, {in_channels}, and out_channels, "
                f"{out_channels}."
            )
        self.kernel_size = pair(kernel_size, "kernel_size", 1)
        self.stride, self.padding = pair(stride, "stride", 1), pair(padding, "padding", 0)
        self.dilation = pair(dilation, "dilation", 1)
        self.weight = initial(init, (out_channels, in_channels // groups, *self.kernel_size))
        self.bias = Parameter(np.zeros(out_channels)) if bias else None

    def forward(self, x: Any) -> Any:
        bias = None if self.bias is None else self.bias.data
        return F.conv2d(
            x, self.weight.data, bias, stride=self.stride, padding=self.padding, dilation=self.dilation,
            groups=self.groups,
        )  # fmt: skip

    def extra_repr(self) -> str:
        shown = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}"
        usual = {"stride": (1, 1), "padding": (0, 0), "dilation": (1, 1), "groups": 1}
        unusual = [f"{name}={getattr(self, name)}" for name, value in usual.items() if getattr(self, name) != value]
        return ", ".join([shown, *unusual, *([] if self.bias else ["bias=False"])])


class _Pool2d(Module):
    """What the pooling layers share: their window."""

    def __init__(self, kernel_size: Pair, stride: Pair | None = None, padding: Pair = 0) -> None:
        self.kernel_size = pair(kernel_size, "kernel_size", 1)
        self.stride = self.kernel_size if stride is None else pair(stride, "stride", 1)
        self.padding = pair(padding, "padding", 0)

    def extra_repr(self) -> str:
        shown = f"kernel_size={self.kernel_size}, stride={self.stride}"
        return shown + (f", padding={self.padding}" if any(self.padding) else "")


class MaxPool2d(_Pool2d):
    """The largest pixel of each window, `F.max_pool2d`.

    Args:
        kernel_size: Size of the window, in pixels; a number, or (height, width).
        stride: Step of the window; its size where None.
        padding: Pixels added on either side, at most half the window.

    Raises:
        ParameterError: A number is out of range.

    Example:
        >>> import numpy as np
        >>> MaxPool2d(2, 2)(np.zeros((1, 3, 8, 8), np.float32)).shape
        (1, 3, 4, 4)
    """

    def forward(self, x: Any) -> Any:
        return F.max_pool2d(x, self.kernel_size, self.stride, self.padding)


class AvgPool2d(_Pool2d):
    """The mean of each window, `F.avg_pool2d`. Arguments as for `MaxPool2d`.

    Example:
        >>> import numpy as np
        >>> images = np.arange(4, dtype=np.float32).reshape(1, 1, 2, 2)
        >>> np.asarray(AvgPool2d(2)(images)).ravel().tolist()
        [1.5]
    """

    def forward(self, x: Any) -> Any:
        return F.avg_pool2d(x, self.kernel_size, self.stride, self.padding)
