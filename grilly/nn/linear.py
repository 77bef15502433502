"""Layers that hold no image: Linear, ReLU, Flatten, Dropout. Their functions are in `grilly.functional`."""

from typing import Any

import numpy as np

from .. import functional as F
from ..functional.arguments import check_size
from ..functional.dropout import check_probability
from .init import Init, initial
from .module import Module
from .parameter import Parameter
from .random import random_key


class Linear(Module):
    """An affine map of the last axis, `F.linear`: `(*, in_features)` to `(*, out_features)`.

    Args:
        in_features, out_features: Sizes, >= 1.
        bias: Whether a bias is added; it starts at zero.
        init: `init(key, shape) -> array` for the weight `(out_features, in_features)`. By default normal with
            standard deviation `2 / sqrt(in_features)`.

    Raises:
        ParameterError: A size is no integer of at least 1.

    Example:
        >>> import numpy as np
        >>> Linear(3, 2)(np.ones((4, 3), np.float32)).shape
        (4, 2)
    """

    def __init__(self, in_features: int, out_features: int, bias: bool = True, *, init: Init | None = None) -> None:
        self.in_features = check_size("in_features", in_features)
        self.out_features = check_size("out_features", out_features)
        self.weight = initial(init, (out_features, in_features))
        self.bias = Parameter(np.zeros(out_features)) if bias else None

    def forward(self, x: Any) -> Any:
        return F.linear(x, self.weight.data, None if self.bias is None else self.bias.data)

    def extra_repr(self) -> str:
        return f"{self.in_features}, {self.out_features}" + ("" if self.bias else ", bias=False")


class ReLU(Module):
    """`max(x, 0)`, `F.relu`: any shape to the same.

    Example:
        >>> import numpy as np
        >>> np.asarray(ReLU()(np.array([-1.0, 0.5]))).tolist()
        [0.0, 0.5]
    """

    def forward(self, x: Any) -> Any:
        return F.relu(x)


class Flatten(Module):
    """Merges all axes from `start_dim` on into one, `F.flatten`.

    Example:
        >>> import numpy as np
        >>> Flatten()(np.zeros((2, 3, 4, 5), np.float32)).shape
        (2, 60)
    """

    def __init__(self, start_dim: int = 1) -> None:
        self.start_dim = start_dim

    def forward(self, x: Any) -> Any:
        return F.flatten(x, self.start_dim)

    def extra_repr(self) -> str:
        return "" if self.start_dim == 1 else f"start_dim={self.start_dim}"


class Dropout(Module):
    """In training, sets each element to zero with probability `p` and scales the others up, `F.dropout`.

    Args:
        p: Probability of a zero, `0 <= p < 1`.

    Raises:
        ParameterError: `p` lies outside `[0, 1)`, or is no number.

    Example:
        >>> import numpy as np
        >>> sorted(set(np.asarray(Dropout(0.5)(np.ones(100, np.float32))).tolist()))
        [0.0, 2.0]
    """

    random = True

    def __init__(self, p: float = 0.5) -> None:
        check_probability(p)
        self.p = p

    def forward(self, x: Any) -> Any:
        return F.dropout(x, random_key(), self.p, training=True) if self.training else x

    def extra_repr(self) -> str:
        return f"p={self.p}"
