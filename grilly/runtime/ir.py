"""The compiler's own program: values, equations, graphs. Frozen, printable, and free of JAX and of Vulkan.

`trace` writes it, `simplify` rewrites it, `partition` cuts it into kernels, `kernels` turns those into shaders.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Aval:
    """What is known of an array before it exists: its shape and dtype."""

    shape: tuple[int, ...]
    dtype: np.dtype

    @cached_property
    def size(self) -> int:
        return math.prod(self.shape)

    @cached_property
    def nbytes(self) -> int:
        """Bytes in device memory, where a bool takes one."""
        return self.size * self.dtype.itemsize

    def __str__(self) -> str:
        return f"{self.dtype.name}[{','.join(map(str, self.shape))}]"
