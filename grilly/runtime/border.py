"""The border between Python and compiled code: what counts as an array, and the dtype that it has inside.

float64 becomes float32, 64-bit integers become 32-bit ones after a range check, Python scalars 0-d arrays.
"""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from ..errors import DataError, ShapeError

NARROWED = {
    np.dtype(np.float64): np.dtype(np.float32),
    np.dtype(np.int64): np.dtype(np.int32),
    np.dtype(np.uint64): np.dtype(np.uint32),
}
# What goes in as it is.
KNOWN = frozenset(
    np.dtype(t)
    for t in (
        *(np.bool_, np.int8, np.int16, np.int32, np.uint8, np.uint16, np.uint32),
        *(np.float16, np.float32, jax.numpy.bfloat16),
    )
)
COMPLEX = np.dtype(np.complex64)  # inside, pairs of float32
NUMBERS = (np.ndarray, np.generic, jax.Array, bool, int, float)


def canonical(value: Any, name: Callable[[], str] = lambda: "the value") -> np.ndarray:
    """`value` as an array of a dtype that devices know; the caller's own array where nothing had to change.

    Args:
        value: A number, a NumPy array or scalar, or a jax.Array. Of any shape.
        name: Gives what to call it in an error.

    Raises:
        DataError: An integer does not fit into 32 bits.
        ShapeError: It is no array of numbers.
    """
    if not isinstance(value, NUMBERS):
        raise ShapeError(
            f"{name()} is a {type(value).__name__}: an array or a number was expected. "
            "Convert it with numpy.asarray, or name its position in static_argnums."
        )
    if is_key(value):
        raise ShapeError(f"{name()} is a typed random key. Pass jax.random.key_data(key), and wrap it inside.")
    array = np.asarray(value)
    dtype = array.dtype.newbyteorder("=")
    narrow = NARROWED.get(dtype, dtype)
    if narrow not in KNOWN:
        raise ShapeError(f"{name()} has dtype {dtype}: devices know booleans, integers and floats of 32 bits or less.")
    if narrow != dtype and narrow.kind != "f":
        _check_range(array, narrow, name)
    return array.astype(narrow, copy=False)


def array_of(value: Any, name: Callable[[], str] = lambda: "the value") -> np.ndarray:
    """As `canonical`, for complex numbers, too.

    Raises:
        DataError, ShapeError: As there.
    """
    return np.asarray(value, COMPLEX) if np.iscomplexobj(value) else canonical(value, name)


def is_key(value: Any) -> bool:
    """Whether it is one of JAX's typed random keys."""
    return is_key_type(getattr(value, "dtype", np.bool_))


def is_key_type(dtype: Any) -> bool:
    """Whether it is the dtype of such keys."""
    return jax.numpy.issubdtype(dtype, jax.dtypes.prng_key)


def _check_range(array: np.ndarray, narrow: np.dtype, name: Callable[[], str]) -> None:
    limits = np.iinfo(narrow)
    for extreme in (array.min(initial=0), array.max(initial=0)):
        if not limits.min <= extreme <= limits.max:
            raise DataError(
                f"{name()} holds {extreme}, which does not fit into {narrow}: devices compute on 32-bit "
                "integers. Make the values smaller, or convert the array to float32."
            )
