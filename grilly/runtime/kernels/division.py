"""Division and square root, correctly rounded as IEEE asks, where a GPU's own instructions are 1 to 3 ulp off.

The instruction's guess is corrected by what it leaves over, `x - guess y`, which a fused multiply-add computes
without a rounding of its own. A tiny dividend, of which that rest would be lost, and a huge divisor, whose reciprocal
would be, are scaled first: by selects, since a branch would keep the instructions of neighbouring steps apart.

References:
    P. Markstein, IA-64 and Elementary Functions (2000), chapters 8 and 9.
"""

import functools
from collections.abc import Callable, Sequence

import numpy as np

from ..dtypes import BOOL, F32, U32
from ..ir import Atom, Literal
from ..shader.builder import Builder, Ref
from ..shader.spirv import Ext, Op

TINY, HUGE, SCALE = -70, 100, 32  # below 2^TINY, and above 2^HUGE, a number is scaled by 2^SCALE


def divided(b: Builder, x: Ref, y: Ref, dividend: Atom, divisor: Atom) -> Ref:
    """`x / y`; of what the atoms tell at compile time, nothing is computed on the device."""
    if b.target.exact_division:
        return b.op(Op.FDiv, x.dtype, x, _hidden(b, y, divisor))
    if inverse := b.recall(("inverse", y.id)):
        return b.op(Op.FMul, F32, x, inverse)
    if x.dtype != F32:  # of numbers this short, the quotient rounded twice is the quotient rounded once
        return b.as_float(divided(b, b.as_float(x, F32), b.as_float(y, F32), dividend, divisor), x.dtype)
    if isinstance(dividend, Literal) and dividend.value == 1:
        return _reciprocal(b, y)
    x, by_x = _scaled(b, x, dividend, Op.FOrdLessThan, TINY, SCALE)
    y, by_y = _scaled(b, y, divisor, Op.FOrdGreaterThan, HUGE, -SCALE)
    quotient = _quotient(b, x, y)
    for factor in (by_x, by_y):
        quotient = quotient if factor is None else b.op(Op.FMul, F32, quotient, factor)
    return quotient


def with_inverses(b: Builder, divisors: Sequence[Ref], write: Callable[[], None]) -> None:
    """Writes what divides by some float32 numbers: twice, for where all are powers of two, and for where not.

    To divide by a power of two is to multiply by its inverse, in one instruction.
    """
    powers = functools.reduce(functools.partial(b.op, Op.LogicalAnd, BOOL), [_is_power(b, y) for y in divisors])
    with b.when(powers):
        for y in divisors:
            b.known(("inverse", y.id), inverse_of_power(b, y))
        write()
    with b.when(b.op(Op.LogicalNot, BOOL, powers)):
        write()


def inverse_of_power(b: Builder, y: Ref) -> Ref:
    """1 / y of a power of two, both normal float32 numbers: the exponent with the other sign."""
    bits = b.op(Op.Bitcast, U32, y)
    return b.op(Op.Bitcast, F32, b.op(Op.ISub, U32, b.const(np.uint32(254 << 23)), bits))


def _is_power(b: Builder, y: Ref) -> Ref:
    """Whether it is a power of two, and its inverse a normal number."""
    bits = b.op(Op.Bitcast, U32, y)
    whole = b.op(Op.IEqual, BOOL, b.op(Op.BitwiseAnd, U32, bits, b.const(np.uint32((1 << 23) - 1))), b.as_ref(0))
    above = b.op(Op.ISub, U32, bits, b.const(np.uint32(1 << 23)))
    return b.op(Op.LogicalAnd, BOOL, whole, b.op(Op.ULessThan, BOOL, above, b.const(np.uint32(253 << 23))))


def square_root(b: Builder, x: Ref) -> Ref:
    """`sqrt(x)`."""
    if b.target.exact_division:
        return b.ext(Ext.Sqrt, x.dtype, x)
    if x.dtype != F32:
        return b.as_float(square_root(b, b.as_float(x, F32)), x.dtype)
    tiny = _beyond(b, x, Op.FOrdLessThan, TINY)
    scaled = b.op(Op.FMul, F32, x, b.select(tiny, _power(b, SCALE), _power(b, 0)))
    return b.op(Op.FMul, F32, _root(b, scaled), b.select(tiny, _power(b, -SCALE // 2), _power(b, 0)))


def _hidden(b: Builder, y: Ref, atom: Atom) -> Ref:
    """A divisor of which lavapipe does not find out that it is always 0: it would divide by anything then."""
    if not b.target.forgets_zeros or isinstance(atom, Literal):
        return y
    bits = b.op(Op.BitwiseOr, U32, b.op(Op.Bitcast, U32, y), b.unseen_zero)
    return b.op(Op.Bitcast, y.dtype, bits)


def _scaled(b: Builder, x: Ref, atom: Atom, order: Op, limit: int, scale: int) -> tuple[Ref, Ref | None]:
    """A number, scaled where it lies beyond `2 ** limit`, and what the quotient is scaled back by."""
    if isinstance(atom, Literal) and 2.0**TINY <= abs(float(atom.value)) <= 2.0**HUGE:
        return x, None
    beyond = _beyond(b, x, order, limit)
    factor = b.select(beyond, _power(b, scale), _power(b, 0))
    return b.op(Op.FMul, F32, x, factor), b.select(beyond, _power(b, -SCALE), _power(b, 0))


def _quotient(b: Builder, x: Ref, y: Ref) -> Ref:
    """The reciprocal, corrected once, times x, corrected twice; of a guess of 0, infinity or NaN, nothing is left."""
    minus, one = _negated(b, y), _power(b, 0)
    reciprocal = b.op(Op.FDiv, F32, one, y)
    reciprocal = _corrected(b, reciprocal, _fma(b, minus, reciprocal, one), reciprocal)
    guess = quotient = b.op(Op.FMul, F32, x, reciprocal)
    for _ in range(2):
        quotient = _fma(b, _fma(b, minus, quotient, x), reciprocal, quotient)
    return b.select(_is_ordinary(b, guess), quotient, guess)


def _reciprocal(b: Builder, y: Ref) -> Ref:
    """1 / y: the guess, corrected twice. What is left over of a guess of 0, or of infinity, is no number: it stays.

    Nothing is scaled: the reciprocal of a huge number is a denormal one, which devices may lose.
    """
    one, minus = _power(b, 0), _negated(b, y)
    guess = b.op(Op.FDiv, F32, one, y)
    rest = _fma(b, minus, guess, one)
    better = _fma(b, rest, guess, guess)
    best = _fma(b, _fma(b, minus, better, one), better, better)
    return b.select(_is_finite(b, rest), best, guess)


def _root(b: Builder, x: Ref) -> Ref:
    root = b.ext(Ext.Sqrt, F32, x)
    slope = b.op(Op.FDiv, F32, _power(b, -1), root)
    for _ in range(2):
        root = _corrected(b, root, _fma(b, _negated(b, root), root, x), slope)
    return root


def _corrected(b: Builder, guess: Ref, rest: Ref, slope: Ref) -> Ref:
    """`guess + rest slope`; a guess that leaves nothing over (zeros keep their sign), or no number, stays."""
    return b.select(_is_ordinary(b, rest), _fma(b, rest, slope, guess), guess)


def _is_ordinary(b: Builder, x: Ref) -> Ref:
    """Whether x is a number, finite, and not 0."""
    some = b.op(Op.FOrdGreaterThan, BOOL, b.ext(Ext.FAbs, F32, x), b.const(np.float32(0)))
    return b.op(Op.LogicalAnd, BOOL, some, _is_finite(b, x))


def _is_finite(b: Builder, x: Ref) -> Ref:
    return b.op(Op.FOrdLessThan, BOOL, b.ext(Ext.FAbs, F32, x), b.const(np.float32(np.inf)))


def _beyond(b: Builder, x: Ref, order: Op, exponent: int) -> Ref:
    """Whether `|x|` is below, or above, `2 ** exponent`."""
    return b.op(order, BOOL, b.ext(Ext.FAbs, F32, x), _power(b, exponent))


def _fma(b: Builder, x: Ref, y: Ref, z: Ref) -> Ref:
    return b.ext(Ext.Fma, F32, x, y, z)


def _negated(b: Builder, x: Ref) -> Ref:
    return b.op(Op.FNegate, F32, x)


def _power(b: Builder, exponent: int) -> Ref:
    return b.const(np.float32(2.0**exponent))
