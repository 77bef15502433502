"""What may be given to a net, a loss or their backward: arrays of real numbers, on the device of the net."""

import contextlib
from typing import Any

import jax
import numpy as np
from jax.core import Tracer

from ..errors import DeviceError, ShapeError
from ..runtime import Array, Device
from ..runtime.border import NUMBERS, canonical


def is_nested(value: Any) -> bool:
    """Whether it is an array written as lists of numbers."""
    return isinstance(value, list) and all(isinstance(leaf, bool | int | float) for leaf in jax.tree.leaves(value))


def as_array(value: Any, name: str) -> Any:
    """An Array as it is, and a tracer; any other array or number as a NumPy array of a dtype that devices know.

    An array is what NumPy can make one of by the method `__array__`: those of other libraries too.

    Raises:
        ShapeError: It is no array of real numbers.
        DataError: An integer does not fit into 32 bits.
    """
    if type(value) is Array or isinstance(value, Tracer):
        return value
    if is_nested(value) or (hasattr(value, "__array__") and not isinstance(value, NUMBERS)):
        with contextlib.suppress(ValueError):  # lists of several lengths are none
            value = np.asarray(value)
    if not isinstance(value, NUMBERS):
        raise ShapeError(f"{name} is a {type(value).__name__}: an array of numbers was expected.")
    return canonical(value, lambda: name)


def checked(value: Any, name: str, device: Device) -> Any:
    """As `as_array`, for a net on a device.

    Raises:
        DeviceError: It is an Array that lives on another device.
    """
    if type(value) is Array and value.device is not device:
        raise DeviceError(
            f"{name} lives on {value.device.name}, but the net is on {device.name}. "
            f"Move one of them: {name}.to(device), or net.to(device)."
        )
    return as_array(value, name)
