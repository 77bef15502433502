"""Elementwise primitives: one instruction or a few for each, exactly as IEEE and JAX define them."""

from collections.abc import Callable, Sequence

import numpy as np

from ..dtypes import BOOL, F32, SHORT, U16, U32
from ..ir import Atom, Equation, Literal
from ..shader import floats16
from ..shader.builder import Builder, Ref
from ..shader.spirv import Ext, Op
from . import integers
from .division import divided, square_root
from .remainder import float_remainder

Rule = Callable[[Builder, Equation, Sequence[Ref]], Ref]
rules: dict[str, Rule] = {}


def rule(*names: str) -> Callable[[Rule], Rule]:
    """Registers how primitives are computed."""

    def register(function: Rule) -> Rule:
        rules.update(dict.fromkeys(names, function))
        return function

    return register


def dtype_kind(dtype: np.dtype) -> str:
    """f, i or u; b for booleans. bfloat16 is no NumPy kind of its own: it counts as f."""
    return "f" if dtype.kind == "V" else dtype.kind


def _by_kind(**ops: Op) -> Rule:
    def apply(b: Builder, eqn: Equation, args: Sequence[Ref]) -> Ref:
        return b.op(ops[dtype_kind(args[0].dtype)], eqn.outputs[0].dtype, *args)

    return apply


rules["add"] = rules["add_any"] = _by_kind(f=Op.FAdd, i=Op.IAdd, u=Op.IAdd, b=Op.LogicalOr)
rules["sub"] = _by_kind(f=Op.FSub, i=Op.ISub, u=Op.ISub)
rules["mul"] = _by_kind(f=Op.FMul, i=Op.IMul, u=Op.IMul, b=Op.LogicalAnd)
rules["neg"] = _by_kind(f=Op.FNegate, i=Op.SNegate, u=Op.SNegate)
rules["eq"] = _by_kind(f=Op.FOrdEqual, i=Op.IEqual, u=Op.IEqual, b=Op.LogicalEqual)
rules["ne"] = _by_kind(f=Op.FUnordNotEqual, i=Op.INotEqual, u=Op.INotEqual, b=Op.LogicalNotEqual)
ORDERS = {
    "lt": {"f": Op.FOrdLessThan, "i": Op.SLessThan, "u": Op.ULessThan},
    "le": {"f": Op.FOrdLessThanEqual, "i": Op.SLessThanEqual, "u": Op.ULessThanEqual},
    "gt": {"f": Op.FOrdGreaterThan, "i": Op.SGreaterThan, "u": Op.UGreaterThan},
    "ge": {"f": Op.FOrdGreaterThanEqual, "i": Op.SGreaterThanEqual, "u": Op.UGreaterThanEqual},
}


@rule(*ORDERS)
def _ordered(b: Builder, eqn: Equation, args: Sequence[Ref]) -> Ref:
    return ordered(b, eqn.primitive, *args)


def ordered(b: Builder, name: str, *args: Ref) -> Ref:
    """Whether two numbers are in the order `lt`, `le`, `gt` or `ge`. Of booleans, True is the larger."""
    numbers = [converted(b, x, U32) if x.dtype == BOOL else x for x in args]
    return b.op(ORDERS[name][dtype_kind(numbers[0].dtype)], BOOL, *numbers)


rules["and"] = _by_kind(i=Op.BitwiseAnd, u=Op.BitwiseAnd, b=Op.LogicalAnd)
rules["or"] = _by_kind(i=Op.BitwiseOr, u=Op.BitwiseOr, b=Op.LogicalOr)
rules["xor"] = _by_kind(i=Op.BitwiseXor, u=Op.BitwiseXor, b=Op.LogicalNotEqual)
rules["not"] = _by_kind(i=Op.Not, u=Op.Not, b=Op.LogicalNot)
rules["population_count"] = lambda b, eqn, args: integers.count_ones(b, args[0])
rules["clz"] = lambda b, eqn, args: integers.leading_zeros(b, args[0])


@rule("copy")
def _copy(b: Builder, eqn: Equation, args: Sequence[Ref]) -> Ref:
    return args[0]


@rule("div")
def _div(b: Builder, eqn: Equation, args: Sequence[Ref]) -> Ref:
    if dtype_kind(args[0].dtype) == "f":
        return divided(b, args[0], args[1], eqn.inputs[0], eqn.inputs[1])
    return integers.quotient(b, args[0], args[1])


@rule("rem")
def _rem(b: Builder, eqn: Equation, args: Sequence[Ref]) -> Ref:
    divide = float_remainder if dtype_kind(args[0].dtype) == "f" else integers.remainder
    return divide(b, args[0], args[1])


@rule("sqrt")
def _sqrt(b: Builder, eqn: Equation, args: Sequence[Ref]) -> Ref:
    return square_root(b, args[0])


@rule("abs")
def _abs(b: Builder, eqn: Equation, args: Sequence[Ref]) -> Ref:
    kind = dtype_kind(args[0].dtype)
    if kind == "u":
        return args[0]
    return b.ext(Ext.FAbs if kind == "f" else Ext.SAbs, args[0].dtype, args[0])


def _unary(instruction: Ext) -> Rule:
    return lambda b, eqn, args: b.ext(instruction, args[0].dtype, args[0])


rules["half_scale"] = lambda b, eqn, args: floats16.scale(b, args[0])
rules["exponent"] = lambda b, eqn, args: floats16.exponent(b, args[0])
rules["span"] = lambda b, eqn, args: floats16.span(b, *args)
rules["far_apart"] = lambda b, eqn, args: floats16.far_apart(b, args)
rules["needs_two"] = lambda b, eqn, args: floats16.needs_two(b, args[0])
rules["multiply_add"] = lambda b, eqn, args: b.ext(Ext.Fma, F32, *args)
rules["if_needed"] = lambda b, eqn, args: args[0]  # anything, where the second operand says that nobody will look
rules["floor"] = _unary(Ext.Floor)
rules["ceil"] = _unary(Ext.Ceil)


@rule("max")
def _max(b: Builder, eqn: Equation, args: Sequence[Ref]) -> Ref:
    return larger(b, args[0], args[1], number=_is_number(eqn.inputs[1]))


@rule("min")
def _min(b: Builder, eqn: Equation, args: Sequence[Ref]) -> Ref:
    return larger(b, args[0], args[1], smaller=True, number=_is_number(eqn.inputs[1]))


def _is_number(atom: Atom) -> bool:
    """Whether it is known not to be NaN."""
    return isinstance(atom, Literal) and not np.isnan(atom.value)


def larger(b: Builder, x: Ref, y: Ref, smaller: bool = False, number: bool = False) -> Ref:
    """The maximum (or minimum). A NaN on either side stays, as JAX has it and FMax does not; y may be a `number`."""
    kind = dtype_kind(x.dtype)
    if kind == "b":
        return b.op(Op.LogicalAnd if smaller else Op.LogicalOr, BOOL, x, y)
    if kind == "f" and number:  # false only where both are numbers and x is the smaller, or equal
        return b.select(b.op(Op.FUnordLessThan if smaller else Op.FUnordGreaterThan, BOOL, x, y), x, y)
    first = b.op(ORDERS["lt" if smaller else "gt"][kind], BOOL, x, y)
    if kind == "f":
        first = b.op(Op.LogicalOr, BOOL, first, b.op(Op.FUnordNotEqual, BOOL, x, x))
    return b.select(first, x, y)


@rule("clamp")
def _clamp(b: Builder, eqn: Equation, args: Sequence[Ref]) -> Ref:
    low, x, high = args
    return larger(b, larger(b, x, low), high, smaller=True)


@rule("select_n")
def _select_n(b: Builder, eqn: Equation, args: Sequence[Ref]) -> Ref:
    which, *cases = args
    if which.dtype == BOOL:
        return b.select(which, cases[1], cases[0]) if len(cases) == 2 else cases[0]
    chosen = cases[-1]
    for k in reversed(range(len(cases) - 1)):
        here = b.op(Op.IEqual, BOOL, which, b.const(np.asarray(k, which.dtype)))
        chosen = b.select(here, cases[k], chosen)
    return chosen


def _shift(op: Op) -> Rule:
    return lambda b, eqn, args: integers.shift(b, op, args[0], args[1])


rules["shift_left"] = _shift(Op.ShiftLeftLogical)
rules["shift_right_logical"] = _shift(Op.ShiftRightLogical)
rules["shift_right_arithmetic"] = _shift(Op.ShiftRightArithmetic)


@rule("bitcast_convert_type")
def _bitcast(b: Builder, eqn: Equation, args: Sequence[Ref]) -> Ref:
    x, dtype = args[0], eqn.outputs[0].dtype
    if x.dtype == dtype:
        return x
    bits = b.to_bits(x) if x.dtype in SHORT else x
    if dtype in SHORT:
        return b.from_bits(bits if bits.dtype == U16 else b.op(Op.Bitcast, U16, bits), dtype)
    return bits if bits.dtype == dtype else b.op(Op.Bitcast, dtype, bits)


@rule("convert_element_type")
def _convert(b: Builder, eqn: Equation, args: Sequence[Ref]) -> Ref:
    return converted(b, args[0], eqn.outputs[0].dtype)


def converted(b: Builder, x: Ref, dtype: np.dtype) -> Ref:
    """The number in another dtype."""
    if x.dtype == dtype:
        return x
    if x.dtype == BOOL:
        return b.select(x, b.const(dtype.type(1)), b.const(dtype.type(0)))
    if dtype == BOOL:
        op = Op.FUnordNotEqual if dtype_kind(x.dtype) == "f" else Op.INotEqual
        return b.op(op, BOOL, x, b.const(x.dtype.type(0)))
    pair = dtype_kind(x.dtype) + dtype_kind(dtype)
    if pair == "ff":
        return b.as_float(x, dtype)
    if pair in ("if", "uf"):
        return b.op(Op.ConvertSToF if pair == "if" else Op.ConvertUToF, dtype, x)
    if pair in ("fi", "fu"):
        return _truncated(b, x, dtype)
    return _resized(b, x, dtype)


def _truncated(b: Builder, x: Ref, dtype: np.dtype) -> Ref:
    """A float as an integer: the nearest there is where it is too large, 0 for NaN, as XLA has it."""
    x, info = b.as_float(x, F32), np.iinfo(dtype)
    above = b.op(Op.FOrdGreaterThanEqual, BOOL, x, b.const(x.dtype.type(float(info.max + 1))))
    below = b.op(Op.FOrdLessThan, BOOL, x, b.const(x.dtype.type(info.min)))
    strange = b.op(Op.LogicalOr, BOOL, b.op(Op.LogicalOr, BOOL, above, below), b.op(Op.FUnordNotEqual, BOOL, x, x))
    safe = b.select(strange, b.const(x.dtype.type(0)), x)
    number = b.op(Op.ConvertFToS if dtype.kind == "i" else Op.ConvertFToU, dtype, safe)
    number = b.select(below, b.const(dtype.type(info.min)), number)
    return b.select(above, b.const(dtype.type(info.max)), number)


def _resized(b: Builder, x: Ref, dtype: np.dtype) -> Ref:
    """An integer of another width (extended by its own sign), then of the other signedness."""
    if x.dtype.itemsize != dtype.itemsize:
        middle = np.dtype(f"{'int' if x.dtype.kind == 'i' else 'uint'}{dtype.itemsize * 8}")
        x = b.op(Op.SConvert if x.dtype.kind == "i" else Op.UConvert, middle, x)
    return x if x.dtype == dtype else b.op(Op.Bitcast, dtype, x)


def as_signed(b: Builder, index: Ref, dtype: np.dtype) -> Ref:
    """An index as a number of the program."""
    return converted(b, Ref(index.id, U32), dtype)
