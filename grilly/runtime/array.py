"""`grilly.Array`: what compiled functions return. It stays on its device until somebody looks at its values.

Arrays are immutable. Arithmetic on them, and NumPy's functions, run on their device (`arithmetic`).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import numpy as np

from ..errors import ParameterError, StateError
from . import arithmetic, items
from .border import array_of
from .devices import Device, default_device, find_device
from .ir import Aval
from .methods import Methods

DLPACK_CPU = (1, 0)  # kDLCPU, the first


@dataclass(frozen=True, slots=True)
class Donated:
    """What an array keeps of itself once its memory was given away: `what` says to whom."""

    what: Callable[[], str]
    advice: str

    def __str__(self) -> str:
        return f"it was {self.what()}, and its memory now holds another array. {self.advice}"


class Deleted:
    """What an array keeps of itself once it was deleted."""

    def __str__(self) -> str:
        return "its method delete() gave its memory back. Delete it after its last use, or compute it again."


GONE = {Donated: "donated", Deleted: "deleted"}


class Form(NamedTuple):
    """What an array is, beside its values; shared by all that one result of a compiled function ever gave."""

    shape: tuple[int, ...]
    dtype: np.dtype
    device: Device


class Array(Methods):
    """An array on a device.

    It goes where NumPy's arrays go: operators, ufuncs, `np.mean(a)`, `float(a)`, `f"{a:.3f}"`, `np.from_dlpack(a)`.
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

    __slots__ = ("__weakref__", "_form", "_storage")

    def __init__(self, storage: Any, form: Form) -> None:
        self._storage, self._form = storage, form

    # What it is ---------------------------------------------------------------------------------------------

    @property
    def shape(self) -> tuple[int, ...]:
        return self._form.shape

    @property
    def dtype(self) -> np.dtype:
        return self._form.dtype

    @property
    def device(self) -> Device:
        return self._form.device

    @property
    def storage(self) -> Any:
        """What its device keeps: a buffer, or a jax.Array.

        Raises:
            StateError: The array was donated, or deleted.
        """
        if self.gone:
            raise self.gone
        return self._storage

    @property
    def gone(self) -> StateError | None:
        """What is raised where the array is used after it was donated, or deleted."""
        if (how := GONE.get(type(self._storage))) is None:
            return None
        return StateError(f"this array was {how}: {self._storage}")

    def delete(self) -> None:
        """Gives its memory back now, unless another array has the same; the array cannot be used afterwards."""
        self._storage = Deleted()

    def donate(self, donated: Donated) -> None:
        """Makes the array unusable: its memory belongs to somebody else."""
        self._storage = donated

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
        dtype = np.dtype(dtype or self.dtype)
        if copy is False and (self.device.kind != "cpu" or dtype != self.dtype):
            raise ValueError(f"the values lie on {self.device.name} as {self.dtype}: no {dtype} without a copy.")
        values = self.device.get(self.storage, self.aval)
        return np.array(values, dtype) if copy else values.astype(dtype, copy=False)

    def __dlpack__(
        self, *, stream: Any = None, max_version: Any = None, dl_device: Any = None, copy: bool | None = None
    ) -> Any:
        """A capsule of a copy on the host, for np.from_dlpack, torch.from_dlpack and their like."""
        if copy is False:
            raise BufferError(f"the values lie on {self.device.name}: DLPack gets a copy of them on the host.")
        if dl_device not in (None, DLPACK_CPU):
            raise BufferError(f"DLPack gets the values on the host, device {DLPACK_CPU}, not on {dl_device}.")
        values: Any = jax.numpy.array(np.asarray(self))  # unlike NumPy's, it exports bfloat16 too
        return values.__dlpack__(max_version=max_version)

    def __dlpack_device__(self) -> tuple[int, int]:
        return DLPACK_CPU

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

    def tobytes(self) -> bytes:
        return np.asarray(self).tobytes()

    def __float__(self) -> float:
        return float(np.asarray(self))

    def __int__(self) -> int:
        return int(np.asarray(self))

    def __bool__(self) -> bool:
        return bool(np.asarray(self))

    def __index__(self) -> int:
        return np.asarray(self).__index__()

    def __contains__(self, value: Any) -> bool:
        return bool(np.any(self == value))

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
        if (gone := GONE.get(type(self._storage))) is not None:
            return f"Array({gone}, shape={self.shape}, dtype={self.dtype.name})"
        return "Array" + repr(np.asarray(self)).removeprefix("array")

    def __str__(self) -> str:
        return str(np.asarray(self))

    def __reduce__(self) -> Any:
        """Pickled as the NumPy array of its values: another process may have no such device."""
        return np.array, (np.asarray(self),)

    def copy(self) -> "Array":
        """The same values in memory of their own."""
        return Array(self.device.copy(self.storage, self.aval), self._form)

    def to(self, device: str | Device) -> "Array":
        """The same values on another device; the array itself where it lives there already."""
        device = find_device(device)
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
        """An Array; a NumPy array where a mask that lies on a device says how many elements there are."""
        return items.item(self, index)

    def __setitem__(self, index: Any, value: Any) -> None:
        raise ParameterError("a grilly.Array is immutable. Change a NumPy copy: b = np.array(a); b[index] = value.")


def put(value: Any, device: str | Device | None = None) -> Array:
    """`value` as an Array on a device: a copy, of the dtype it would have in a compiled function.

    Args:
        value: A number or an array of any shape.
        device: A name as for GRILLY_DEVICE, or a device. None: the default device.

    Raises:
        ShapeError: It is no array of numbers.
        DataError: An integer does not fit into 32 bits.
        DeviceError: There is no such device.

    Example:
        >>> import grilly, numpy as np
        >>> grilly.put(np.arange(3.0)).dtype
        dtype('float32')
    """
    array = array_of(value if type(value) is not Array else np.asarray(value))
    place = default_device() if device is None else find_device(device)
    return Array(place.put(array), Form(array.shape, array.dtype, place))
