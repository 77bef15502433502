"""float16 and bfloat16: stored in 16 bits, held in registers as the float32 of the same value.

Every operation on them is a float32 operation, rounded: for + - * / and roots that is the rounding IEEE asks for, and
it is what XLA does on the CPU. The bits are moved by integer instructions, so that no device needs 16-bit floats, and
none rounds differently. Conversions that lose nothing are the hardware's where it keeps denormal numbers; it may not
round, since drivers take the way to float16 and back for none.

References:
    S. A. Figueroa, "When is double rounding innocuous?" (1995).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..dtypes import BF16, BOOL, F16, F32, U16, U32
from .instructions import Instructions
from .spirv import Op

SIGN, SIZE, INFINITY = 0x80000000, 0x7FFFFFFF, 0x7F800000  # of a float32's bits
LEAST_NORMAL, TOO_LARGE = 0x38800000, 0x47800000  # of float16: 2 ** -14 and 2 ** 16, as float32's bits
SCALED = 127 + 127 + 14  # the sum of the exponents, as float32's bits have them, of the largest number and its scale
COUNT = 20  # the bit from which on a sum of exponents counts them: there is room for 4095
FAR = 24  # bits of a float32: where terms lie further below the largest on average, few add anything
REBIAS = 112  # between the exponents of float16 and float32


def rounded(b: Instructions, x: Any, dtype: np.dtype) -> Any:
    """The float32 number that is the nearest of a short dtype, of two equally near the even one."""
    bits = b.op(Op.Bitcast, U32, x)
    lost = 13 if dtype == F16 else 16
    odd = _and(b, _right(b, bits, lost), 1)
    nearest = _add(b, _add(b, bits, (1 << lost - 1) - 1), odd)
    nearest = _and(b, nearest, -1 << lost)
    if dtype == F16:
        size, sign = _and(b, bits, SIZE), _and(b, bits, SIGN)
        beyond = b.op(Op.UGreaterThanEqual, BOOL, _and(b, nearest, SIZE), _const(b, TOO_LARGE))
        nearest = b.select(beyond, _or(b, sign, _const(b, INFINITY)), nearest)
        small = b.op(Op.Bitcast, U32, _multiple(b, b.op(Op.Bitcast, F32, size)))
        nearest = b.select(_below(b, size, LEAST_NORMAL), _or(b, sign, small), nearest)
    return b.select(_is_nan(b, x), x, b.op(Op.Bitcast, F32, nearest))


def _multiple(b: Instructions, size: Any) -> Any:
    """A number below 1/2 as a multiple of 2 ** -24, the step of float16's denormal numbers."""
    half = b.const(np.float32(0.5))
    return b.op(Op.FSub, F32, b.op(Op.FAdd, F32, size, half), half)


def decoded(b: Instructions, stored: Any, dtype: np.dtype) -> Any:
    """The float32 number of 16 bits."""
    if _is_native(b, dtype):
        kind = b.module.half()
        half = b.once(("half", stored.id), F16, lambda: b.module.emit(Op.Bitcast, kind, stored.id))
        return b.op(Op.FConvert, F32, half)
    wide = b.op(Op.UConvert, U32, stored)
    if dtype == BF16:
        return b.op(Op.Bitcast, F32, _left(b, wide, 16))
    size, sign = _and(b, wide, 0x7FFF), _left(b, _and(b, wide, 0x8000), 16)
    bits = _left(b, size, 13)
    strange = b.op(Op.UGreaterThanEqual, BOOL, size, _const(b, 0x7C00))
    plain = b.select(strange, _or(b, bits, _const(b, INFINITY)), _add(b, bits, REBIAS << 23))
    denormal = b.op(Op.FMul, F32, b.op(Op.ConvertUToF, F32, size), b.const(np.float32(2.0**-24)))
    plain = b.select(_below(b, size, 0x400), b.op(Op.Bitcast, U32, denormal), plain)
    return b.op(Op.Bitcast, F32, _or(b, sign, plain))


def encoded(b: Instructions, x: Any, dtype: np.dtype) -> Any:
    """The 16 bits of a float32 number that is one of a short dtype."""
    if _is_native(b, dtype):
        kind = b.module.half()
        half = b.once(("half", x.id), F16, lambda: b.module.emit(Op.FConvert, kind, x.id))
        return b.op(Op.Bitcast, U16, half)
    bits = b.op(Op.Bitcast, U32, x)
    if dtype == BF16:
        short = b.select(_is_nan(b, x), _const(b, 0x7FC0), _right(b, bits, 16))
        return b.op(Op.UConvert, U16, short)
    size, sign = _and(b, bits, SIZE), _right(b, _and(b, bits, SIGN), 16)
    normal = _add(b, _right(b, size, 13), -(REBIAS << 10))
    steps = b.op(Op.FMul, F32, b.op(Op.Bitcast, F32, size), b.const(np.float32(2.0**24)))
    is_small = _below(b, size, LEAST_NORMAL)
    small = b.op(Op.ConvertFToU, U32, b.select(is_small, steps, b.const(np.float32(0))))
    short = b.select(is_small, small, normal)
    short = b.select(_below(b, size, TOO_LARGE), short, _const(b, 0x7C00))
    short = b.select(_is_nan(b, x), _const(b, 0x7E00), short)
    return b.op(Op.UConvert, U16, _or(b, sign, short))


def _is_native(b: Instructions, dtype: np.dtype) -> bool:
    return b.target.float16 and dtype == F16


def _is_nan(b: Instructions, x: Any) -> Any:
    return b.op(Op.FUnordNotEqual, BOOL, x, x)


def _const(b: Instructions, bits: int) -> Any:
    return b.const(np.uint32(bits & 0xFFFFFFFF))


def _below(b: Instructions, bits: Any, limit: int) -> Any:
    return b.op(Op.ULessThan, BOOL, bits, _const(b, limit))


def _and(b: Instructions, bits: Any, mask: int) -> Any:
    return b.op(Op.BitwiseAnd, U32, bits, _const(b, mask))


def _or(b: Instructions, x: Any, y: Any) -> Any:
    return b.op(Op.BitwiseOr, U32, x, y)


def _add(b: Instructions, bits: Any, other: Any) -> Any:
    return b.op(Op.IAdd, U32, bits, _const(b, other) if isinstance(other, int) else other)


def _left(b: Instructions, bits: Any, distance: int) -> Any:
    return b.op(Op.ShiftLeftLogical, U32, bits, _const(b, distance))


def _right(b: Instructions, bits: Any, distance: int) -> Any:
    return b.op(Op.ShiftRightLogical, U32, bits, _const(b, distance))


def scale(b: Instructions, size: Any) -> Any:
    """The power of two that brings a float32 near 2 ** 14, where float16 has room on both sides.

    It and its inverse are normal numbers, whatever the size.
    """
    exponent = b.op(Op.ShiftRightLogical, U32, b.op(Op.Bitcast, U32, size), _const(b, 23))
    wanted = b.op(Op.ISub, U32, _const(b, SCALED), exponent)
    wanted = b.select(_below(b, wanted, 253), wanted, _const(b, 253))
    return b.op(Op.Bitcast, F32, _left(b, wanted, 23))


def needs_two(b: Instructions, x: Any) -> Any:
    """Whether one half float might not hold a float32 once it is scaled; never so of 0 and 1.

    Numbers of 11 bits and sizes from 2 ** -14 to 2 ** 15 are normal half floats, whichever of them sets the scale.
    """
    size = _and(b, b.op(Op.Bitcast, U32, x), SIZE)
    long = b.op(Op.INotEqual, BOOL, _and(b, size, 0x1FFF), _const(b, 0))
    usual = _below(b, b.op(Op.ISub, U32, size, _const(b, LEAST_NORMAL)), TOO_LARGE - LEAST_NORMAL - (1 << 23))
    unusual = b.op(Op.LogicalNot, BOOL, b.op(Op.LogicalOr, BOOL, usual, b.op(Op.IEqual, BOOL, size, _const(b, 0))))
    return b.op(Op.LogicalOr, BOOL, long, unusual)


def exponent(b: Instructions, x: Any) -> Any:
    """The exponent of a float32, and one in the bits that count; 0 of 0. Integers: sums of any order are the same."""
    size = _and(b, b.op(Op.Bitcast, U32, x), SIZE)
    counted = _or(b, _right(b, size, 23), _const(b, 1 << COUNT))
    return b.select(b.op(Op.IEqual, BOOL, size, _const(b, 0)), _const(b, 0), counted)


def span(b: Instructions, scale: Any, exponents: Any) -> Any:
    """How many bits numbers lie below the largest, which has this scale, on average: of the sum of their exponents."""
    count = b.op(Op.ConvertUToF, F32, _right(b, exponents, COUNT))
    total = b.op(Op.ConvertUToF, F32, _and(b, exponents, (1 << COUNT) - 1))
    largest = b.op(Op.ISub, U32, _const(b, SCALED), _right(b, b.op(Op.Bitcast, U32, scale), 23))
    below = b.op(Op.FSub, F32, b.op(Op.ConvertUToF, F32, largest), b.op(Op.FDiv, F32, total, count))
    return b.select(_below(b, exponents, 1), b.const(np.float32(0)), below)


def far_apart(b: Instructions, spans: Sequence[Any]) -> Any:
    """Whether terms, products of numbers of these spans, lie far below the largest."""
    total = spans[0]
    for other in spans[1:]:
        total = b.op(Op.FAdd, F32, total, other)
    return b.op(Op.FOrdGreaterThan, BOOL, total, b.const(np.float32(FAR)))
