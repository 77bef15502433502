"""What is asked of the operands of products before they are split: how large, how far apart, whether spikes.

Powers of two bring the largest number of each row (column, on the right) near 2 ** 14, where half floats have room.
"""

import math
from collections.abc import Sequence

import numpy as np

from ..dtypes import BOOL, F32, U32
from ..ir import Atom, Aval, Equation, Literal, Value
from ..kernels.operand import Axes
from ..kernels.views import ONCE, behind_reshapes
from ..rewrite import Editor
from .split_reductions import split
from .zero_one import shows

OF = {"abs": F32, "exponent": U32}  # what is folded of elements, and its dtype


def scale_of_rows(editor: Editor, eqn: Equation, operand: Atom, axes: Axes) -> Value:
    """Powers of two for what is the largest in each row; of what shows an element many times, one for all."""
    if (base := behind(editor, operand)) is not None:
        return scale_of_all(editor, eqn, base)
    sizes = [math.prod(operand.shape[axis] for axis in group) for group in axes[:2]]
    if (steps := _steps(editor, eqn, operand, axes)) is not None:
        found = editor.make("abs", [steps], steps.shape, eqn)
        found = editor.make("reduce_max", [found], steps.shape[1:], eqn, axes=(0,))
        found = _folded(editor, eqn, "reduce_max", found, range(len(found.shape) - len(axes[1])))
        row = editor.make("half_scale", [editor.make("reshape", [found], sizes[1:], eqn)], sizes[1:], eqn)
        return editor.make("broadcast_in_dim", [row], sizes, eqn, shape=tuple(sizes), broadcast_dimensions=(1,))
    largest = _by_rows(editor, eqn, operand, axes, "abs", "reduce_max")
    return editor.make("half_scale", [largest], sizes, eqn)


def span(editor: Editor, eqn: Equation, operand: Atom, axes: Axes, scale: Value) -> Value:
    """How many bits numbers lie below the largest of their row, which has this scale: on average, zeros left out."""
    exponents = _by_rows(editor, eqn, operand, axes, "exponent", "reduce_sum")
    rows = editor.made("span", [scale, exponents], Aval(scale.shape, F32), eqn)
    total = _folded(editor, eqn, "reduce_sum", rows, range(len(rows.shape)))
    return editor.make("mul", [total, Literal(np.asarray(1 / max(rows.size, 1), F32))], (), eqn)


def _by_rows(editor: Editor, eqn: Equation, operand: Atom, axes: Axes, of: str, fold: str) -> Value:
    """What each row's elements are folded to: of each product of a batch, along the depth."""
    folded = sorted(axes[2])
    left = [axis for axis in range(len(operand.shape)) if axis not in folded]
    found = _along(editor, eqn, operand, folded, of, fold)
    kept = [*axes[0], *axes[1]]
    if kept != left:
        found = editor.transpose(found, [left.index(axis) for axis in kept], eqn)
    sizes = [math.prod(operand.shape[axis] for axis in group) for group in axes[:2]]
    return editor.make("reshape", [found], sizes, eqn)


def _steps(editor: Editor, eqn: Equation, operand: Atom, axes: Axes) -> Value | None:
    """What a scan puts out at each step, if the operand shows it with no more than its last axes free.

    The scan finds the largest over time by the way. Products that are the parts of one may share a scale.
    """
    count = len(axes[1])
    last = tuple(range(len(operand.shape)))[-count:]
    if (axes[0] and "parts" not in eqn.params) or tuple(axes[1]) != last:
        return None
    free, base = operand.shape[-count:], behind_reshapes(editor.producers, operand)
    made = editor.producers.get(base) if isinstance(base, Value) else None
    if made is None or made.primitive != "scan" or base not in made.outputs[made.params["scan"].carries :]:
        return None
    return base if len(base.shape) > count and base.shape[-count:] == free else None  # type: ignore[return-value]


def scale_of_all(editor: Editor, eqn: Equation, array: Atom) -> Value:
    """The power of two for what is the largest of all."""
    return editor.make(
        "half_scale", [_along(editor, eqn, array, range(len(array.shape)), "abs", "reduce_max")], (), eqn
    )


def _along(editor: Editor, eqn: Equation, array: Atom, axes: Sequence[int], of: str, fold: str) -> Atom:
    """Elements folded along axes. Rows are folded row by row in what reshapes show: others may look there."""
    base, shape = array, [extent for axis, extent in enumerate(array.shape) if axis not in axes]
    if axes == [len(array.shape) - 1] and behind_reshapes(editor.producers, array).shape[-1:] == array.shape[-1:]:
        base = behind_reshapes(editor.producers, array)
        axes = [len(base.shape) - 1]
    elements = editor.made(of, [base], Aval(base.shape, OF[of]), eqn)
    found = _folded(editor, eqn, fold, elements, axes)
    return found if list(found.shape) == shape else editor.make("reshape", [found], shape, eqn)


def needs_two(editor: Editor, eqn: Equation, argument: Value) -> Atom:
    """Whether any element needs two half floats: found row by row, as most scales are, and in the same kernel."""
    needs = editor.made("needs_two", [argument], Aval(argument.shape, BOOL), eqn)
    rows = _folded(editor, eqn, "reduce_or", needs, [len(argument.shape) - 1])
    return _folded(editor, eqn, "reduce_or", rows, range(len(rows.shape))) if rows.shape else rows


def _folded(editor: Editor, eqn: Equation, primitive: str, array: Atom, axes: Sequence[int]) -> Atom:
    """A reduction along axes, in two rounds where that is faster."""
    kept = [extent for axis, extent in enumerate(array.shape) if axis not in axes]
    found = editor.make(primitive, [array], kept, eqn, axes=tuple(axes))
    rounds = split(editor, editor.equations[-1])
    return found if rounds is None else rounds[0]


def behind(editor: Editor, operand: Atom) -> Value | None:
    """What an operand shows in pieces, or many times over; None where it shows a plain array, each element once."""
    producers = editor.producers
    found = None
    while isinstance(operand, Value) and operand in producers:
        made = producers[operand]
        if not shows(made) or not isinstance(made.inputs[0], Value):
            break
        operand = made.inputs[0]
        found = operand if made.primitive not in ONCE else found
    return found
