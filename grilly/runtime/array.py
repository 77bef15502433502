"""`grilly.Array`: what compiled functions return. It stays on its device until somebody looks at its values.

Arrays are immutable. Arithmetic on them, and NumPy's functions, run on their device (`arithmetic`).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from ..errors import ParameterError, StateError
from . import arithmetic
from .border import canonical
from .devices import Device, default_device, find_device
from .ir import Aval

_Operators = np.lib.mixins.NDArrayOperatorsMixin


@dataclass(frozen=True, slots=True)
class Donated:
    """What an array keeps of itself once its memory was given away: `what` says to whom."""

    what: Callable[[], str]


class Array(_Operators):
    """An array on a device.

    It goes where NumPy's arrays go: operators, ufuncs, `np.mean(a)`, `float(a)`, `f"{a:.3f}"`.
    Functions that grilly cannot compile are computed by NumPy from a downloaded copy, and give NumPy arrays.

    Attributes:
        shape: Its shape.
        dtype: Its NumPy dtype.
        device: The device it lives on; `device.name` is its name.

    Example:
        >>> import grilly, numpy as np
        >>> a = grilly.jit(lambda x: 2 * x)(np.arange(4, dtype=np.float32))
        >>> a.mean(), float(a.sum()), np.asarray(a).tolist()
        (Array(3., dtype=float32), 12.0, [0.0, 2.0, 4.0, 6.0])
    """

    __slots__ = ("__weakref__", "_storage", "device", "dtype", "shape")

    def __init__(self, storage: Any, shape: tuple[int, ...], dtype: np.dtype, device: Any) -> None:
        self._storage = storage
        self.shape = shape
        self.dtype = dtype
        self.device = device

    # What it is ---------------------------------------------------------------------------------------------

    @property
    def storage(self) -> Any:
        """What its device keeps: a buffer, or a jax.Array.

        Raises:
            StateError: The array was donated.
        """
        if type(self._storage) is Donated:
            raise StateError(
                f"this array was donated: it was {self._storage.what()}, and its memory now holds another "
                "array. Use what that call returned, or take the argument out of donate_argnums."
            )
        return self._storage

    def donate(self, what: Callable[[], str]) -> None:
        """Makes the array unusable: its memory belongs to somebody else, `what` says to whom."""
        self._storage = Donated(what)

    @property
    def aval(self) -> Aval:
        return Aval(self.shape, self.dtype)

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return self.aval.size

    @property
    def itemsize(self) -> int:
        return self.dtype.itemsize

    @property
    def nbytes(self) -> int:
        return self.aval.nbytes

    # Its values ---------------------------------------------------------------------------------------------

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if copy is False and self.device.kind != "cpu":
            raise ValueError(f"the values lie on {self.device.name}: they cannot be had without a copy.")
        values = self.device.get(self.storage, self.aval)
        return np.array(values, dtype) if copy else values.astype(dtype or self.dtype, copy=False)

    def __jax_array__(self) -> jax.Array:
        return jax.numpy.asarray(self.device.get(self.storage, self.aval))

    def block_until_ready(self) -> "Array":
        """Waits until the values are computed."""
        self.device.wait(self.storage)
        return self

    def item(self, *index: Any) -> Any:
        return np.asarray(self).item(*index)

    def tolist(self) -> Any:
        return np.asarray(self).tolist()

    def __float__(self) -> float:
        return float(np.asarray(self))

    def __int__(self) -> int:
        return int(np.asarray(self))

    def __bool__(self) -> bool:
        return bool(np.asarray(self))

    def __index__(self) -> int:
        return np.asarray(self).__index__()

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of a 0-d array")
        return self.shape[0]

    def __iter__(self) -> Iterator[Any]:
        """Over the first axis, from one downloaded copy: rows are NumPy arrays."""
        return iter(np.asarray(self))

    def __format__(self, spec: str) -> str:
        return format(self.item() if not self.shape else np.asarray(self), spec)

    def __repr__(self) -> str:
        if type(self._storage) is Donated:
            return f"Array(donated, shape={self.shape}, dtype={self.dtype.name})"
        return "Array" + repr(np.asarray(self)).removeprefix("array")

    def __str__(self) -> str:
        return str(np.asarray(self))

    def __reduce__(self) -> Any:
        """Pickled as the NumPy array of its values: another process may have no such device."""
        return np.array, (np.asarray(self),)

    def copy(self) -> "Array":
        """The same values in memory of their own."""
        return Array(self.device.copy(self.storage, self.aval), self.shape, self.dtype, self.device)

    def to(self, device: str | Device) -> "Array":
        """The same values on another device; the array itself where it lives there already."""
        device = find_device(device) if isinstance(device, str) else device
        return self if device is self.device else put(np.asarray(self), device)

    def __copy__(self) -> "Array":
        return self.copy()

    def __deepcopy__(self, memo: dict) -> "Array":
        return self.copy()

    # NumPy --------------------------------------------------------------------------------------------------

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        return arithmetic.ufunc(ufunc, method, inputs, kwargs)

    def __array_function__(self, func: Callable, types: Any, args: tuple, kwargs: dict) -> Any:
        return arithmetic.function(func, args, kwargs)

    def __getitem__(self, index: Any) -> Any:
        """Numbers, slices, None and Ellipsis give an Array; other indices a downloaded NumPy array."""
        return arithmetic.item(self, index)

    def __setitem__(self, index: Any, value: Any) -> None:
        raise ParameterError("a grilly.Array is immutable. Change a NumPy copy: b = np.array(a); b[index] = value.")

    # `a += b` gives the name `a` a new array.
    __iadd__ = _Operators.__add__
    __isub__ = _Operators.__sub__
    __imul__ = _Operators.__mul__
    __itruediv__ = _Operators.__truediv__
    __ifloordiv__ = _Operators.__floordiv__
    __imod__ = _Operators.__mod__
    __ipow__ = _Operators.__pow__
    __imatmul__ = _Operators.__matmul__
    __iand__ = _Operators.__and__
    __ior__ = _Operators.__or__
    __ixor__ = _Operators.__xor__

    @property
    def T(self) -> "Array":  # noqa: N802
        return arithmetic.evaluate("transpose", (self,))

    def astype(self, dtype: Any, copy: bool = True) -> "Array":
        return arithmetic.evaluate("astype", (self, np.dtype(dtype)))

    def reshape(self, *shape: Any) -> "Array":
        return arithmetic.evaluate("reshape", (self, shape[0] if len(shape) == 1 else shape))

    def transpose(self, *axes: Any) -> "Array":
        return arithmetic.evaluate("transpose", (self, (axes[0] if len(axes) == 1 else axes) or None))

    def ravel(self) -> "Array":
        return arithmetic.evaluate("ravel", (self,))

    flatten = ravel

    def squeeze(self, axis: Any = None) -> "Array":
        return arithmetic.evaluate("squeeze", (self,), {"axis": axis})

    def clip(self, min: Any = None, max: Any = None) -> Any:
        return np.clip(self, min, max)

    def round(self, decimals: int = 0) -> Any:
        return np.round(self, decimals)

    def sum(self, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: bool = False) -> Any:
        return np.sum(self, axis, dtype, out, keepdims)

    def prod(self, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: bool = False) -> Any:
        return np.prod(self, axis, dtype, out, keepdims)

    def mean(self, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: bool = False) -> Any:
        return np.mean(self, axis, dtype, out, keepdims)

    def var(self, axis: Any = None, dtype: Any = None, out: Any = None, ddof: int = 0, keepdims: bool = False) -> Any:
        return np.var(self, axis, dtype, out, ddof, keepdims)

    def std(self, axis: Any = None, dtype: Any = None, out: Any = None, ddof: int = 0, keepdims: bool = False) -> Any:
        return np.std(self, axis, dtype, out, ddof, keepdims)

    def max(self, axis: Any = None, out: Any = None, keepdims: bool = False) -> Any:
        return np.max(self, axis, out, keepdims)

    def min(self, axis: Any = None, out: Any = None, keepdims: bool = False) -> Any:
        return np.min(self, axis, out, keepdims)

    def any(self, axis: Any = None, out: Any = None, keepdims: bool = False) -> Any:
        return np.any(self, axis, out, keepdims)

    def all(self, axis: Any = None, out: Any = None, keepdims: bool = False) -> Any:
        return np.all(self, axis, out, keepdims)

    def argmax(self, axis: Any = None, out: Any = None, *, keepdims: bool = False) -> Any:
        return np.argmax(self, axis, out, keepdims=keepdims)

    def argmin(self, axis: Any = None, out: Any = None, *, keepdims: bool = False) -> Any:
        return np.argmin(self, axis, out, keepdims=keepdims)


def put(value: Any, device: str | Device | None = None) -> Array:
    """`value` as an Array on a device: a copy, of the dtype it would have in a compiled function.

    Args:
        value: A number or an array of any shape.
        device: A name as for GRILLY_DEVICE, or a device. None: the default device.

    Raises:
        ShapeError: It is no array of numbers.
        DataError: An integer does not fit into 32 bits.

    Example:
        >>> import grilly, numpy as np
        >>> grilly.put(np.arange(3.0)).dtype
        dtype('float32')
    """
    array = canonical(value if type(value) is not Array else np.asarray(value))
    place = find_device(device) if isinstance(device, str) else device or default_device()
    return Array(place.put(array), array.shape, array.dtype, place)
