"""What NumPy computes of known scalars while a function is traced: operations of which IEEE 754 leaves no bit open.

JAX would compile a program for each of them, 20 ms apiece: most of a first call. What is not here it still computes, so
that no constant is off by an ulp: exp and its like, and what depends on the machine (the larger of 0 and -0, an integer
of a float too large for it).
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np


def _shifted(value: np.ndarray, by: np.ndarray) -> np.ndarray:
    """Shifted right, the sign moving in; by all bits and more, too."""
    bits = 8 * value.itemsize
    signed = value.view(f"i{value.itemsize}")
    return (signed >> np.minimum(by.view(f"u{by.itemsize}"), bits - 1).astype(signed.dtype)).view(value.dtype)


OPERATIONS: dict[str, Callable[..., np.ndarray]] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,  # of floats: integers give another dtype here
    "neg": np.negative,
    "abs": np.abs,
    "floor": np.floor,
    "ceil": np.ceil,
    "sqrt": np.sqrt,
    "eq": np.equal,
    "ne": np.not_equal,
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
    "and": np.bitwise_and,
    "or": np.bitwise_or,
    "xor": np.bitwise_xor,
    "not": np.bitwise_not,
    "shift_right_arithmetic": _shifted,
    "select_n": lambda which, *cases: cases[int(which)],
}


def computed(primitive: str, values: Sequence[np.ndarray], dtype: np.dtype) -> np.ndarray | None:
    """The value of an operation on scalars, of this dtype; None where that is left to JAX."""
    if primitive == "bitcast_convert_type":
        return values[0].view(dtype)
    if primitive == "convert_element_type":
        return _converted(values[0], dtype)
    if primitive not in OPERATIONS:
        return None
    with np.errstate(all="ignore"):
        result: Any = OPERATIONS[primitive](*values)
    return np.asarray(result) if result.dtype == dtype else None


def _converted(value: np.ndarray, dtype: np.dtype) -> np.ndarray | None:
    integer = np.issubdtype(dtype, np.integer) and not np.issubdtype(value.dtype, np.integer)
    if integer and value.dtype != np.bool_:
        return None
    with np.errstate(over="ignore"):
        return value.astype(dtype)
