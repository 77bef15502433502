"""What a module holds and a compiled call gets as an argument: parameters, which are learned, and buffers."""

from typing import Any

import jax
import numpy as np

from ..runtime import Array
from ..runtime.border import canonical


class Parameter:
    """An array that is learned. In a `forward` it is its `data`.

    Attributes:
        data: Its values, float32: a NumPy array until the module is first called, then a `grilly.Array`.
        grad: The gradient that `backward` summed up, of the same shape; None before.
        requires_grad: Whether `backward` computes a gradient.
        name: What messages call it: the attribute's name.

    Example:
        >>> import numpy as np
        >>> from grilly import nn
        >>> scale = nn.Parameter([1.0, 2.0])
        >>> scale.shape, scale.grad
        ((2,), None)
        >>> class Scaled(nn.Module):
        ...     def __init__(self):
        ...         self.scale = nn.Parameter([1.0, 2.0])
        ...     def forward(self, x):
        ...         return x * self.scale.data
        >>> np.asarray(Scaled()(np.ones((1, 2), np.float32))).tolist()
        [[1.0, 2.0]]
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

    In a `forward` it is its `data`, which may be set there.

    Attributes:
        data: Its values: a NumPy array until the module is first called, then a `grilly.Array`. As everywhere,
            float64 becomes float32, and 64-bit integers become 32-bit ones.

    Raises:
        ShapeError: They are no numbers.
        DataError: An integer does not fit into 32 bits.

    Example:
        >>> import numpy as np
        >>> from grilly import nn
        >>> class Counted(nn.Module):
        ...     def __init__(self):
        ...         self.count = nn.Buffer(0)
        ...     def forward(self, x):
        ...         self.count.data = self.count.data + 1
        ...         return x
        >>> net = Counted()
        >>> y = net(np.ones(3)), net(np.ones(3))
        >>> int(net.count.data), [name for name, _ in net.named_buffers()]
        (2, ['count'])
    """

    def __init__(self, data: Any) -> None:
        self.data: Any = data if isinstance(data, Array) else np.array(canonical(np.asarray(data), lambda: "a buffer"))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.data, dtype, copy=copy)

    def __repr__(self) -> str:
        return f"Buffer(shape={np.shape(self.data)})"
