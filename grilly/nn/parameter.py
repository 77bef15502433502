"""What a module holds and a compiled call gets as an argument: parameters, which are learned, and buffers."""

from typing import Any

import jax
import numpy as np

from ..runtime import Array


class Parameter:
    """An array that is learned.

    Attributes:
        data: Its values, float32: a NumPy array until the module is first called, then a `grilly.Array`.
        grad: The gradient that `backward` summed up, of the same shape; None before.
        requires_grad: Whether `backward` computes a gradient.
        name: What messages call it: the attribute's name.

    Example:
        >>> scale = Parameter([1.0, 2.0])
        >>> scale.shape, scale.grad
        ((2,), None)
    """

    def __init__(self, data: Any, *, requires_grad: bool = True, name: str = "parameter") -> None:
        self.data: Any = data if isinstance(data, Array) else np.array(data, np.float32)
        self.grad: Any = None
        self.requires_grad = requires_grad
        self.name = name

    @property
    def shape(self) -> tuple[int, ...]:
        return self.data.shape

    @property
    def size(self) -> int:
        return self.data.size

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.data, dtype, copy=copy)

    def __jax_array__(self) -> jax.Array:
        return jax.numpy.asarray(self.data)

    def __repr__(self) -> str:
        return f"Parameter({self.name}, shape={self.shape})"


class Buffer:
    """An array that a module keeps and `state_dict` saves, but that is not learned: a running mean, a count.

    Attributes:
        data: Its values. A module's `forward` may set it.
    """

    def __init__(self, data: Any) -> None:
        self.data: Any = data

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.data, dtype, copy=copy)

    def __repr__(self) -> str:
        return f"Buffer(shape={np.shape(self.data)})"
