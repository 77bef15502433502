"""What its parts need of a `builder.Builder`, which is made of them."""

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from ..target import Target
from .spirv import Module, Op


class Instructions(Protocol):
    """Writes instructions."""

    module: Module
    target: Target

    def op(self, op: Op, dtype: np.dtype, *operands: Any) -> Any: ...
    def const(self, value: Any) -> Any: ...
    def select(self, condition: Any, yes: Any, no: Any) -> Any: ...
    def once(self, key: tuple, dtype: np.dtype, write: Callable[[], int]) -> Any: ...
