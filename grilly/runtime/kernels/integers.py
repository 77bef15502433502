"""Integer arithmetic where SPIR-V leaves a case to the driver, or knows 32 bits only. What XLA defines holds.

A quotient by zero is -1 (all ones), a remainder by zero the dividend; the least integer by -1 is itself, rest 0.
"""

from collections.abc import Callable

import numpy as np

from ..dtypes import BOOL, U32
from ..shader.builder import Builder, Ref
from ..shader.spirv import Ext, Op


def quotient(b: Builder, x: Ref, y: Ref) -> Ref:
    """`x / y`, towards zero."""
    by_zero = _equal(b, y, 0)
    return b.select(by_zero, _const(b, x, -1), _divided(b, x, y, by_zero))


def remainder(b: Builder, x: Ref, y: Ref) -> Ref:
    """What `quotient` leaves, of the dividend's sign. SPIR-V's own is the driver's choice for negative numbers."""
    by_zero = _equal(b, y, 0)
    whole = b.op(Op.IMul, x.dtype, _divided(b, x, y, by_zero), y)
    return b.op(Op.ISub, x.dtype, x, whole)  # by zero, that is x - whole 0


def _divided(b: Builder, x: Ref, y: Ref, by_zero: Ref) -> Ref:
    """The quotient where it is defined and fits; x elsewhere."""
    if x.dtype.kind == "u":
        return b.op(Op.UDiv, x.dtype, x, b.select(by_zero, _const(b, y, 1), y))
    least = _equal(b, x, int(np.iinfo(x.dtype).min))
    beyond = b.op(Op.LogicalAnd, BOOL, least, _equal(b, y, -1))
    return b.op(Op.SDiv, x.dtype, x, b.select(b.op(Op.LogicalOr, BOOL, by_zero, beyond), _const(b, y, 1), y))


def count_ones(b: Builder, x: Ref) -> Ref:
    """How many bits are 1."""
    return in_32_bits(b, x, lambda bits: b.op(Op.BitCount, U32, bits))


def leading_zeros(b: Builder, x: Ref) -> Ref:
    """How many bits are above the highest 1; the width for 0, whose highest 1 SPIR-V finds at -1."""
    last = b.const(np.uint32(x.dtype.itemsize * 8 - 1))
    return in_32_bits(b, x, lambda bits: b.op(Op.ISub, U32, last, b.ext(Ext.FindUMsb, U32, bits)))


def in_32_bits(b: Builder, x: Ref, count: Callable[[Ref], Ref]) -> Ref:
    """A number that depends on the bits of an integer, which 32 bits are wide enough for."""
    unsigned = np.dtype(f"uint{x.dtype.itemsize * 8}")
    bits = x if x.dtype == unsigned else b.op(Op.Bitcast, unsigned, x)
    result = count(bits) if unsigned == U32 else b.op(Op.UConvert, unsigned, count(b.op(Op.UConvert, U32, bits)))
    return result if x.dtype == unsigned else b.op(Op.Bitcast, x.dtype, result)


def shift(b: Builder, op: Op, x: Ref, amount: Ref) -> Ref:
    """A shift by the width or more gives 0, or the sign: SPIR-V leaves it undefined."""
    bits = x.dtype.itemsize * 8
    unsigned = np.dtype(f"uint{bits}")
    count = amount if amount.dtype == unsigned else b.op(Op.Bitcast, unsigned, amount)
    inside = b.op(Op.ULessThan, BOOL, count, b.const(unsigned.type(bits)))
    shifted = b.op(op, x.dtype, x, b.select(inside, amount, _const(b, x, bits - 1)))
    if op is Op.ShiftRightArithmetic:
        return shifted
    return b.select(inside, shifted, _const(b, x, 0))


def _const(b: Builder, like: Ref, value: int) -> Ref:
    return b.const(np.asarray(value).astype(like.dtype))


def _equal(b: Builder, x: Ref, value: int) -> Ref:
    return b.op(Op.IEqual, BOOL, x, _const(b, x, value))
