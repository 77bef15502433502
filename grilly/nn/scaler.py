"""`VoltageScaler`: a fixed factor. A converted net has one before and one behind the neurons of each ReLU."""

from typing import Any

import numpy as np

from .. import functional as F
from ..functional.arguments import refuse_unless
from .module import Module
from .parameter import Buffer


class VoltageScaler(Module):
    """Multiplies by a number, `F.scale_voltage`: `(*)` to `(*)`, in either step mode.

    Args:
        scale: The factor, > 0 and finite. `state_dict` saves it; it is not learned.

    Attributes:
        scale: It, as a buffer: `float(scaler.scale.data)`.

    Raises:
        ParameterError: `scale` is zero, negative, not finite or no number.

    Example:
        >>> import numpy as np
        >>> np.asarray(VoltageScaler(2.5)(np.array([[0.0, 1.0]]))).tolist()
        [[0.0, 2.5]]
    """

    def __init__(self, scale: float = 1.0) -> None:
        rule = "a factor that is finite and > 0 was expected."
        refuse_unless("scale", scale, lambda s: (s > 0) & np.isfinite(s), rule)
        self.scale = Buffer(np.float32(scale))

    def forward(self, x: Any) -> Any:
        return F.scale_voltage(x, self.scale.data)

    def extra_repr(self) -> str:
        return f"{float(self.scale.data):g}"
