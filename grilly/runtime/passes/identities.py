"""Arithmetic that is the same to the last bit in fewer operations, for NaN, infinities and signed zeros too.

A scan waits for every operation between one state and the next, T times over.
"""

from collections.abc import Sequence

import numpy as np

from ..ir import Atom, Equation, Literal, Value
from ..rewrite import Editor

COMPARISONS = ("lt", "le", "gt", "ge", "eq", "ne")


def difference(editor: Editor, eqn: Equation) -> Sequence[Atom] | None:
    """`x - 0` is x; `1 - b`, of a boolean made a number, is that of `not b`."""
    first, second = eqn.inputs
    if isinstance(first, Value) and first.aval == eqn.outputs[0].aval and _is_zero(second):
        return [editor.now(first)]
    condition = _condition(editor, second)
    if condition is None or not isinstance(first, Literal) or first.value != 1:
        return None
    inverse = editor.make("not", [editor.now(condition)], condition.shape, eqn)
    return [editor.made("convert_element_type", [inverse], eqn.outputs[0].aval, eqn, new_dtype=eqn.outputs[0].dtype)]


def comparison(editor: Editor, eqn: Equation) -> Sequence[Atom] | None:
    """`x - c` compared with 0 is x compared with c: their difference rounds to 0 only where it is 0."""
    made = _producer(editor, eqn.inputs[0])
    if made is None or made.primitive != "sub" or not isinstance(eqn.inputs[1], Literal) or eqn.inputs[1].value != 0:
        return None
    x, c = made.inputs
    if not isinstance(x, Value) or not isinstance(c, Literal) or c.dtype != np.float32 or not np.isfinite(c.value):
        return None
    return [editor.made(eqn.primitive, [editor.now(x), c], eqn.outputs[0].aval, eqn)]


def product(editor: Editor, eqn: Equation) -> Sequence[Atom] | None:
    """A boolean made a number, times a finite constant, is one of two constants."""
    for number, factor in (eqn.inputs, eqn.inputs[::-1]):
        condition = _condition(editor, number)
        if condition is not None and isinstance(factor, Literal) and np.isfinite(factor.value):
            none = Literal(np.copysign(np.float32(0), factor.value))
            choice = [editor.now(condition), none, factor]
            return [editor.made("select_n", choice, eqn.outputs[0].aval, eqn)]
    return None


def negation(editor: Editor, eqn: Equation) -> Sequence[Atom] | None:
    """The opposite of a boolean made a number is -1 or -0; from 1 or 0, NVIDIA's driver makes -1 or 0."""
    condition = _condition(editor, eqn.inputs[0])
    if condition is None:
        return None
    constants = (Literal(np.array(value, np.float32)) for value in (-0.0, -1.0))
    return [editor.made("select_n", [editor.now(condition), *constants], eqn.outputs[0].aval, eqn)]


def _is_zero(atom: Atom) -> bool:
    """Whether it is the constant 0, and not -0."""
    return (
        isinstance(atom, Literal) and atom.dtype.kind in "fiu" and not np.any(atom.value) and not np.signbit(atom.value)
    )


def _condition(editor: Editor, atom: Atom) -> Value | None:
    """The boolean that a float32 is made of, if it is."""
    made = _producer(editor, atom)
    if made is None or made.primitive != "convert_element_type" or atom.dtype != np.float32:
        return None
    operand = made.inputs[0]
    return operand if isinstance(operand, Value) and operand.dtype == np.bool_ else None


def _producer(editor: Editor, atom: Atom) -> Equation | None:
    return editor.graph.producer.get(atom) if isinstance(atom, Value) else None


IDENTITIES = {"sub": difference, "mul": product, "neg": negation, **dict.fromkeys(COMPARISONS, comparison)}
