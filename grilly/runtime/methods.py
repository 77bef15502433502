"""The operators and methods that `grilly.Array` has in common with NumPy's arrays.

Each is NumPy's function of the same name, which `Array` takes over (`arithmetic`): it runs on the array's device.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ParameterError
from . import arithmetic

if TYPE_CHECKING:
    from .array import Array

_Operators = np.lib.mixins.NDArrayOperatorsMixin


class Methods(_Operators):
    """Everything that an Array computes; it holds nothing."""

    __slots__ = ()

    if TYPE_CHECKING:  # what Array adds

        def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray: ...

        def __getitem__(self, index: Any) -> Any: ...

    def fill(self, *args: Any, **kwargs: Any) -> None:
        """What changes NumPy's arrays in place is an error, as are `partition`, `put`, `resize` and `sort`.

        Raises:
            ParameterError: Always.
        """
        raise ParameterError(arithmetic.IMMUTABLE)

    partition = put = resize = sort = fill

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
    __ilshift__ = _Operators.__lshift__
    __irshift__ = _Operators.__rshift__

    @property
    def T(self) -> "Array":  # noqa: N802
        return arithmetic.evaluate("transpose", (self,))

    @property
    def mT(self) -> "Array":  # noqa: N802
        return self.swapaxes(-1, -2)

    def astype(self, dtype: Any, copy: bool = True) -> "Array":
        """The values as another dtype, at most 32 bits wide: `np.float64` gives float32."""
        return arithmetic.evaluate("astype", (self, np.dtype(dtype)))

    def reshape(self, *shape: Any, order: str = "C") -> "Array":
        return np.reshape(self, shape[0] if len(shape) == 1 else shape, order)  # type: ignore[call-overload]

    def transpose(self, *axes: Any) -> "Array":
        return np.transpose(self, (axes[0] if len(axes) == 1 else axes) or None)  # type: ignore[return-value]

    def ravel(self, order: str = "C") -> "Array":
        return arithmetic.evaluate("ravel", (self, "C" if order in ("A", "K") else order))  # as they lie in memory

    flatten = ravel

    def squeeze(self, axis: Any = None) -> "Array":
        return np.squeeze(self, axis)  # type: ignore[return-value]

    def swapaxes(self, axis1: int, axis2: int) -> "Array":
        return np.swapaxes(self, axis1, axis2)  # type: ignore[return-value]

    def diagonal(self, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
        return np.diagonal(self, offset, axis1, axis2)

    def repeat(self, repeats: Any, axis: Any = None) -> Any:
        return np.repeat(self, repeats, axis)

    def take(self, indices: Any, axis: Any = None) -> Any:
        """Elements, or slices along an axis; an index out of bounds is an error."""
        if axis is None:
            return self.ravel()[indices]
        return self[(*[slice(None)] * (axis % max(np.ndim(self), 1)), indices)]

    def nonzero(self) -> tuple[np.ndarray, ...]:
        """Where it is not zero: NumPy arrays, since their length depends on the values."""
        return np.asarray(self).nonzero()

    def clip(self, min: Any = None, max: Any = None, out: Any = None) -> Any:
        return np.clip(self, min, max, out=out)

    def round(self, decimals: int = 0, out: Any = None) -> Any:
        return np.round(self, decimals, out=out)

    def dot(self, b: Any, out: Any = None) -> Any:
        return np.dot(self, b, out=out)

    def argsort(self, axis: Any = -1, *, stable: bool = True) -> Any:
        return np.argsort(self, axis=axis, stable=stable)

    def cumsum(self, axis: Any = None, dtype: Any = None, out: Any = None) -> Any:
        return np.cumsum(self, axis=axis, dtype=dtype, out=out)

    def cumprod(self, axis: Any = None, dtype: Any = None, out: Any = None) -> Any:
        return np.cumprod(self, axis=axis, dtype=dtype, out=out)

    def trace(self, offset: int = 0, axis1: int = 0, axis2: int = 1, dtype: Any = None, out: Any = None) -> Any:
        return np.trace(self, offset, axis1, axis2, dtype=dtype, out=out)

    def sum(self, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: bool = False) -> Any:
        return np.sum(self, axis=axis, dtype=dtype, out=out, keepdims=keepdims)

    def prod(self, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: bool = False) -> Any:
        return np.prod(self, axis=axis, dtype=dtype, out=out, keepdims=keepdims)

    def mean(self, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: bool = False) -> Any:
        return np.mean(self, axis=axis, dtype=dtype, out=out, keepdims=keepdims)

    def var(self, axis: Any = None, dtype: Any = None, out: Any = None, ddof: int = 0, keepdims: bool = False) -> Any:
        return np.var(self, axis=axis, dtype=dtype, out=out, ddof=ddof, keepdims=keepdims)

    def std(self, axis: Any = None, dtype: Any = None, out: Any = None, ddof: int = 0, keepdims: bool = False) -> Any:
        return np.std(self, axis=axis, dtype=dtype, out=out, ddof=ddof, keepdims=keepdims)

    def max(self, axis: Any = None, out: Any = None, keepdims: bool = False) -> Any:
        return np.max(self, axis=axis, out=out, keepdims=keepdims)

    def min(self, axis: Any = None, out: Any = None, keepdims: bool = False) -> Any:
        return np.min(self, axis=axis, out=out, keepdims=keepdims)

    def any(self, axis: Any = None, out: Any = None, keepdims: bool = False) -> Any:
        return np.any(self, axis=axis, out=out, keepdims=keepdims)

    def all(self, axis: Any = None, out: Any = None, keepdims: bool = False) -> Any:
        return np.all(self, axis=axis, out=out, keepdims=keepdims)

    def argmax(self, axis: Any = None, out: Any = None, *, keepdims: bool = False) -> Any:
        return np.argmax(self, axis, out, keepdims=keepdims)

    def argmin(self, axis: Any = None, out: Any = None, *, keepdims: bool = False) -> Any:
        return np.argmin(self, axis, out, keepdims=keepdims)
