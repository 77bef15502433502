"""The remainder of floats, exact for all of them: long division of one significand by the other, eight bits a step.

The instruction FRem goes by a rounded quotient, and is wrong as soon as that needs more than 24 bits.
"""

import numpy as np

from ..dtypes import BOOL, F32, U32
from ..shader.builder import Builder, Ref
from ..shader.spirv import Ext, Op

SIGN, SIZE, INFINITY, FRACTION, HIDDEN = 0x80000000, 0x7FFFFFFF, 0x7F800000, 0x7FFFFF, 0x800000
BITS = 8  # a step: a remainder of 24 bits still fits into 32 when it is moved so far
STEPS = 1 + 278 // BITS  # from the largest exponent to that of the least denormal number


def float_remainder(b: Builder, x: Ref, y: Ref) -> Ref:
    """`x - n y` with the whole number n nearest to `x / y` towards zero; of the sign of x."""
    if x.dtype != F32:  # it has no more bits than y
        return b.as_float(float_remainder(b, b.as_float(x, F32), b.as_float(y, F32)), x.dtype)
    bits, size, by = b.op(Op.Bitcast, U32, x), _size(b, x), _size(b, y)
    divides = b.both(_less(b, size, _const(b, INFINITY)), b.op(Op.FOrdNotEqual, BOOL, y, b.const(np.float32(0))))
    divides = b.both(divides, b.op(Op.FOrdEqual, BOOL, y, y))
    smaller = _less(b, size, by)
    sign = b.op(Op.BitwiseAnd, U32, bits, _const(b, SIGN))
    rest = b.op(Op.BitwiseOr, U32, sign, _divided(b, size, by, smaller))
    rest = b.select(smaller, x, b.op(Op.Bitcast, F32, rest))
    return b.select(divides, rest, b.const(np.float32(np.nan)))


def _divided(b: Builder, size: Ref, by: Ref, smaller: Ref | bool) -> Ref:
    """The remainder's bits. No step is made for dividends that are smaller than the divisor."""
    (exponent, rest), (by_exponent, by_fraction) = _parts(b, size), _parts(b, by)
    divisor = b.select(_less(b, _const(b, 0), by_fraction), by_fraction, _const(b, 1))
    distance = b.select(smaller, _const(b, 0), b.op(Op.ISub, U32, exponent, by_exponent))
    rest = b.op(Op.UMod, U32, rest, divisor)
    steps = b.op(Op.ShiftRightLogical, U32, distance, _const(b, 3))
    step = lambda _, carried: [_moved(b, carried[0], _const(b, BITS), divisor)]  # noqa: E731
    (rest,) = b.loop(0, steps, 1, [rest], step, bound=STEPS)
    rest = _moved(b, rest, b.op(Op.BitwiseAnd, U32, distance, _const(b, BITS - 1)), divisor)
    return _joined(b, by_exponent, rest)


def _moved(b: Builder, rest: Ref, distance: Ref, divisor: Ref) -> Ref:
    return b.op(Op.UMod, U32, b.op(Op.ShiftLeftLogical, U32, rest, distance), divisor)


def _parts(b: Builder, size: Ref) -> tuple[Ref, Ref]:
    """Exponent and significand, a whole number; denormal numbers have the exponent 1."""
    exponent = b.op(Op.ShiftRightLogical, U32, size, _const(b, 23))
    fraction = b.op(Op.BitwiseAnd, U32, size, _const(b, FRACTION))
    normal = _less(b, _const(b, 0), exponent)
    fraction = b.op(Op.BitwiseOr, U32, fraction, b.select(normal, _const(b, HIDDEN), _const(b, 0)))
    return b.select(normal, exponent, _const(b, 1)), fraction


def _joined(b: Builder, exponent: Ref, fraction: Ref) -> Ref:
    """The bits of a significand that may have leading zeros."""
    up = b.op(Op.ISub, U32, _const(b, 23), b.ext(Ext.FindUMsb, U32, fraction))
    most = b.op(Op.ISub, U32, exponent, _const(b, 1))  # a number that stays below 2 ** 23 then is denormal
    denormal = _less(b, most, up)
    moved = b.op(Op.ShiftLeftLogical, U32, fraction, b.select(denormal, most, up))
    # The hidden bit adds 1 to the exponent.
    above = b.op(Op.ShiftLeftLogical, U32, b.op(Op.ISub, U32, most, up), _const(b, 23))
    joined = b.op(Op.IAdd, U32, moved, b.select(denormal, _const(b, 0), above))
    return b.select(_less(b, _const(b, 0), fraction), joined, _const(b, 0))


def _size(b: Builder, x: Ref) -> Ref:
    return b.op(Op.BitwiseAnd, U32, b.op(Op.Bitcast, U32, x), _const(b, SIZE))


def _less(b: Builder, x: Ref, y: Ref) -> Ref:
    return b.op(Op.ULessThan, BOOL, x, y)


def _const(b: Builder, bits: int) -> Ref:
    return b.const(np.uint32(bits))
