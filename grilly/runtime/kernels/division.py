"""Division and square root, correctly rounded as IEEE asks, where a GPU's own instructions are 1 to 3 ulp off.

The instruction's guess is corrected by what it leaves over, `x - guess y`, which a fused multiply-add computes
without a rounding of its own. Operands near the ends of the exponent's range are scaled first, in a branch that
hardly ever runs.

References:
    P. Markstein, IA-64 and Elementary Functions (2000), chapters 8 and 9.
"""

import numpy as np

from ..builder import BOOL, F32, Builder, Ref
from ..spirv import Ext, Op

NARROW, WIDE = 30, 90  # exponents between which divisors, and dividends, need no scaling
TINY, SCALE = 62, 64  # below 2^-62 a number is scaled by 2^64, above 2^62 by 2^-64


def divided(b: Builder, x: Ref, y: Ref) -> Ref:
    """`x / y`."""
    if b.target.exact_division:
        return b.op(Op.FDiv, x.dtype, x, y)
    if x.dtype != F32:  # of numbers this short, the quotient rounded twice is the quotient rounded once
        return b.as_float(divided(b, b.as_float(x, F32), b.as_float(y, F32)), x.dtype)
    plain = b.both(_between(b, y, NARROW), b.op(Op.LogicalOr, BOOL, _between(b, x, WIDE), _is_zero(b, x)))
    return b.chosen(plain, lambda: _quotient(b, x, y), lambda: _scaled_quotient(b, x, y))


def square_root(b: Builder, x: Ref) -> Ref:
    """`sqrt(x)`."""
    if b.target.exact_division:
        return b.ext(Ext.Sqrt, x.dtype, x)
    if x.dtype != F32:
        return b.as_float(square_root(b, b.as_float(x, F32)), x.dtype)
    plain = b.op(Op.LogicalOr, BOOL, _between(b, x, WIDE), _is_zero(b, x))
    return b.chosen(plain, lambda: _root(b, x), lambda: _scaled_root(b, x))


def _quotient(b: Builder, x: Ref, y: Ref) -> Ref:
    """The reciprocal, corrected once, times x, corrected twice."""
    minus, one = _negated(b, y), _power(b, 0)
    reciprocal = b.op(Op.FDiv, F32, one, y)
    reciprocal = _corrected(b, reciprocal, _fma(b, minus, reciprocal, one), reciprocal)
    quotient = b.op(Op.FMul, F32, x, reciprocal)
    for _ in range(2):
        quotient = _corrected(b, quotient, _fma(b, minus, quotient, x), reciprocal)
    return quotient


def _root(b: Builder, x: Ref) -> Ref:
    root = b.ext(Ext.Sqrt, F32, x)
    slope = b.op(Op.FDiv, F32, _power(b, -1), root)
    for _ in range(2):
        root = _corrected(b, root, _fma(b, _negated(b, root), root, x), slope)
    return root


def _corrected(b: Builder, guess: Ref, rest: Ref, slope: Ref) -> Ref:
    """`guess + rest slope`; a guess that leaves nothing over, or no number, stays."""
    return b.select(b.op(Op.FOrdNotEqual, BOOL, rest, _zero(b)), _fma(b, rest, slope, guess), guess)


def _scaled_quotient(b: Builder, x: Ref, y: Ref) -> Ref:
    by_x, by_y = _scale(b, x, SCALE), _scale(b, y, SCALE)
    quotient = _quotient(b, b.op(Op.FMul, F32, x, by_x), b.op(Op.FMul, F32, y, by_y))
    back = b.op(Op.FMul, F32, quotient, _scale(b, x, -SCALE))
    return b.op(Op.FMul, F32, back, by_y)


def _scaled_root(b: Builder, x: Ref) -> Ref:
    root = _root(b, b.op(Op.FMul, F32, x, _scale(b, x, SCALE)))
    return b.op(Op.FMul, F32, root, _scale(b, x, -SCALE // 2))


def _scale(b: Builder, x: Ref, exponent: int) -> Ref:
    """2 ** exponent for a tiny x, its inverse for a huge one, 1 for others."""
    size = b.ext(Ext.FAbs, F32, x)
    tiny = b.op(Op.FOrdLessThan, BOOL, size, _power(b, -TINY))
    huge = b.op(Op.FOrdGreaterThan, BOOL, size, _power(b, TINY))
    return b.select(tiny, _power(b, exponent), b.select(huge, _power(b, -exponent), _power(b, 0)))


def _between(b: Builder, x: Ref, exponent: int) -> Ref:
    """Whether `|x|` lies between `2 ** -exponent` and `2 ** exponent`."""
    size = b.ext(Ext.FAbs, F32, x)
    above = b.op(Op.FOrdGreaterThan, BOOL, size, _power(b, -exponent))
    below = b.op(Op.FOrdLessThan, BOOL, size, _power(b, exponent))
    return b.op(Op.LogicalAnd, BOOL, above, below)


def _fma(b: Builder, x: Ref, y: Ref, z: Ref) -> Ref:
    return b.ext(Ext.Fma, F32, x, y, z)


def _negated(b: Builder, x: Ref) -> Ref:
    return b.op(Op.FNegate, F32, x)


def _is_zero(b: Builder, x: Ref) -> Ref:
    return b.op(Op.FOrdEqual, BOOL, x, _zero(b))


def _zero(b: Builder) -> Ref:
    return b.const(np.float32(0))


def _power(b: Builder, exponent: int) -> Ref:
    return b.const(np.float32(2.0**exponent))
