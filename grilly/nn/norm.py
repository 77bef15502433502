"""Batch normalization, with its running statistics. The function is `F.batch_norm`."""

from typing import Any

import numpy as np

from .. import functional as F
from ..errors import ShapeError
from ..functional.arguments import as_float, check_size
from ..functional.norm import check_norm
from .module import Module
from .parameter import Buffer, Parameter


class _BatchNorm(Module):
    """What both share: a learned scale and bias, and the running mean and variance, one number a channel."""

    dims: tuple[int, ...]  # how many an input may have
    takes: str

    def __init__(self, num_features: int, eps: float = 1e-5, momentum: float = 0.1) -> None:
        self.num_features = check_size("num_features", num_features)
        check_norm(momentum, eps)
        self.eps, self.momentum = eps, momentum
        self.weight = Parameter(np.ones(num_features))
        self.bias = Parameter(np.zeros(num_features))
        self.running_mean = Buffer(np.zeros(num_features, np.float32))
        self.running_var = Buffer(np.ones(num_features, np.float32))
        self.num_batches_tracked = Buffer(np.zeros((), np.int32))

    def forward(self, x: Any) -> Any:
        x = as_float(x, "x")
        if x.ndim not in self.dims:
            raise ShapeError(
                f"x has shape {x.shape}: {type(self).__name__} takes {self.takes}. "
                "Wrap it in nn.SeqToANNContainer if x is a sequence."
            )
        y, mean, var = F.batch_norm(
            x, self.weight.data, self.bias.data, self.running_mean.data, self.running_var.data,
            training=self.training, momentum=self.momentum, eps=self.eps,
        )  # fmt: skip
        if self.training:
            self.running_mean.data, self.running_var.data = mean, var
            self.num_batches_tracked.data = self.num_batches_tracked.data + 1
        return y

    def extra_repr(self) -> str:
        return f"{self.num_features}, eps={self.eps}, momentum={self.momentum}"


class BatchNorm1d(_BatchNorm):
    """Normalizes each feature of `(N, C)`, or channel of `(N, C, L)`, over the batch.

    Args:
        num_features: Number of channels C, >= 1.
        eps: Added to the variance, in the square of the input's unit; >= 0 and finite.
        momentum: Weight of a batch in the running mean and variance, 0 to 1.

    Attributes:
        running_mean, running_var: What evaluation mode normalizes by; buffers, `(C,)`.
        num_batches_tracked: How many batches they have seen.

    Raises:
        ParameterError: A number is out of its range.
        ShapeError: When called, an input of another number of dimensions; or, in training, a single value of
            a channel.

    Example:
        >>> import numpy as np
        >>> np.asarray(BatchNorm1d(1)(np.array([[1.0], [3.0]]))).round(3).tolist()
        [[-1.0], [1.0]]
    """

    dims = (2, 3)
    takes = "(N, C) or (N, C, L)"


class BatchNorm2d(_BatchNorm):
    """Normalizes each channel of images `(N, C, H, W)` over the batch. Arguments as for `BatchNorm1d`.

    Example:
        >>> import numpy as np
        >>> images = np.array([1.0, 3.0], np.float32).reshape(1, 1, 1, 2)
        >>> np.asarray(BatchNorm2d(1)(images)).round(3).ravel().tolist()
        [-1.0, 1.0]
    """

    dims = (4,)
    takes = "images (N, C, H, W)"
