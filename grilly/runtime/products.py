"""Large products on cooperative matrices of half floats, as accurate as float32.

Each operand is multiplied, row by row (column by column on the right), by a power of two that brings its largest number
near 2 ** 14, and split into two half floats, `x = p0 + p1`. The products of the parts are exact and their sums are
float32; p1 q1, which is left out, is below float32's own rounding. What is known to be 0 or 1 is one part by itself.
`precision` may ask for one part of everything: 11 bits, as TF32 has.

References:
    H. Ootomo, R. Yokota, "Recovering single precision accuracy from Tensor Cores while surpassing the FP32 theoretical
    peak performance" (2022).
"""

import math
from dataclasses import dataclass

import numpy as np

from .floats16 import F16, F32
from .ir import Atom, Aval, Equation, Graph, Literal, Value
from .kernels.operand import Axes, product
from .kernels.pull import RULES
from .kernels.spread import Spread, Tile, is_coarse, suits, tiles, whole
from .parts import in_parts
from .rewrite import Editor, common, live
from .split import split
from .target import Target
from .zero_one import zero_one

BUSY = 25600  # invocations that keep a device busy
VIEWS = {"reshape", "squeeze", "expand_dims", "transpose"}  # that show every element once


def products(graph: Graph, target: Target) -> Graph:
    """The graph with each product in the form that suits the target."""
    graph = in_parts(graph, target)
    if target.matrix is None:
        return graph
    editor, binary = Editor(graph), zero_one(graph)
    for eqn in graph.equations:
        if eqn.primitive == "dot_general" and suits(eqn, target):
            editor.renamed[eqn.outputs[0]] = _on_matrices(editor, eqn, target, binary)
        else:
            editor.keep(eqn)
    return live(common(editor.done()))


@dataclass(frozen=True)
class _Operand:
    """An operand in half floats: its parts, the scale of its rows, whether the depth is its last axis."""

    parts: list[Value]
    scale: Value | None
    depth_last: bool


def _on_matrices(editor: Editor, eqn: Equation, target: Target, binary: set[Value]) -> Value:
    p = product(eqn)
    most = 1 if is_coarse(eqn) else 2
    left, right = (
        _split(editor, eqn, operand, axes, None if operand in binary else most)
        for operand, axes in zip(eqn.inputs, (p.lhs_axes, p.rhs_axes), strict=True)
    )
    parts, last = (len(left.parts), len(right.parts)), (left.depth_last, right.depth_last)
    scales = [side.scale for side in (left, right)]
    spread = Spread(
        product=p,
        depth=whole(p.sizes[3]),
        parts=parts,
        depth_last=last,
        scaled=(left.scale is not None, right.scale is not None),
        tile=_tile(target, p.sizes, parts, last),
    )
    inputs = (*left.parts, *right.parts, *(scale for scale in scales if scale is not None))
    order = {"order": eqn.params["order"]} if "order" in eqn.params else {}
    return editor.made("matrix_product", inputs, eqn.outputs[0].aval, eqn, spread=spread, **order)


def _tile(
    target: Target, sizes: tuple[int, int, int, int], parts: tuple[int, int], depth_last: tuple[bool, bool]
) -> Tile:
    """The best tile that workgroup memory holds and of which there are enough."""
    choices = [
        tile for tile in tiles(target, parts, sizes) if tile.words(parts, depth_last) * 16 <= target.shared_bytes
    ]
    return next((tile for tile in choices if tile.count(sizes) * tile.invocations >= BUSY), choices[-1])


def _split(editor: Editor, eqn: Equation, operand: Atom, axes: Axes, parts: int | None) -> _Operand:
    """The operand as so many half floats; None where it is one as it is."""
    now = editor.now(operand)
    depth_last = len(now.shape) - 1 in axes[2]
    matrix = _matrix(editor, eqn, now, axes, depth_last)
    if parts is None:
        return _Operand([_half(editor, eqn, _filled(editor, eqn, matrix, depth_last))], None, depth_last)
    scale = editor.make("half_scale", [size := _largest(editor, eqn, now, axes)], size.shape, eqn)
    wide: Atom = scale
    if scale.shape:
        kept = (0, 1) if depth_last else (0, 2)
        wide = editor.make(
            "broadcast_in_dim", [scale], matrix.shape, eqn, shape=matrix.shape, broadcast_dimensions=kept
        )
    rest = _filled(editor, eqn, editor.make("mul", [matrix, wide], matrix.shape, eqn), depth_last)
    found = []
    for _ in range(parts):
        found.append(_half(editor, eqn, rest))
        rounded = editor.made("convert_element_type", [found[-1]], rest.aval, eqn, new_dtype=F32)
        rest = editor.make("sub", [rest, rounded], rest.shape, eqn)
    return _Operand(found, scale, depth_last)


def _matrix(editor: Editor, eqn: Equation, atom: Atom, axes: Axes, depth_last: bool) -> Value:
    """A view with axes (batch, free, depth), or (batch, depth, free)."""
    groups = axes if depth_last else (axes[0], axes[2], axes[1])
    order = [axis for group in groups for axis in group]
    if order != sorted(order):
        shape = [atom.shape[axis] for axis in order]
        atom = editor.make("transpose", [atom], shape, eqn, permutation=tuple(order))
    sizes = iter(atom.shape)
    return editor.make("reshape", [atom], [math.prod(next(sizes) for _ in group) for group in groups], eqn)


def _filled(editor: Editor, eqn: Equation, matrix: Value, depth_last: bool) -> Value:
    """Zeros at the end of the depth, and of the last axis, up to matrix words."""
    shape = list(matrix.shape)
    for axis in {2 if depth_last else 1, 2}:
        shape[axis] = whole(shape[axis])
    if tuple(shape) == matrix.shape:
        return matrix
    config = tuple((0, new - old, 0) for new, old in zip(shape, matrix.shape, strict=True))
    value = Value(Aval(tuple(shape), matrix.dtype))
    zero = Literal(np.zeros((), matrix.dtype))
    editor.equations.append(Equation("pad", (matrix, zero), (value,), {"padding_config": config}, eqn.source))
    return value


def _half(editor: Editor, eqn: Equation, value: Value) -> Value:
    return editor.made("convert_element_type", [value], Aval(value.shape, F16), eqn, new_dtype=F16)


def _largest(editor: Editor, eqn: Equation, operand: Atom, axes: Axes) -> Value:
    """The largest size in each row; of what shows an element many times, the largest of all."""
    base, folded = _behind(editor, operand), sorted(axes[2])
    if base is not None:
        operand, folded = base, list(range(len(base.shape)))
    size = editor.make("abs", [operand], operand.shape, eqn)
    left = [axis for axis in range(len(operand.shape)) if axis not in folded]
    shape = [operand.shape[axis] for axis in left]
    found = editor.make("reduce_max", [size], shape, eqn, axes=tuple(folded))
    rounds = split(editor, editor.equations[-1])
    found = found if rounds is None else rounds[0]
    if base is not None:
        return found  # type: ignore[return-value]
    kept = [*axes[0], *axes[1]]
    if kept != left:
        order = tuple(left.index(axis) for axis in kept)
        found = editor.make("transpose", [found], [shape[k] for k in order], eqn, permutation=order)
    sizes = [math.prod(operand.shape[axis] for axis in group) for group in axes[:2]]
    return editor.make("reshape", [found], sizes, eqn)


def _behind(editor: Editor, operand: Atom) -> Value | None:
    """What an operand shows in pieces, or many times over; None where it shows a plain array, each element once."""
    producers = {value: made for made in editor.equations for value in made.outputs}
    found = None
    while isinstance(operand, Value) and operand in producers:
        made = producers[operand]
        if made.primitive not in RULES or len(made.inputs) != 1 or not isinstance(made.inputs[0], Value):
            break
        operand = made.inputs[0]
        found = operand if made.primitive not in VIEWS else found
    return found
