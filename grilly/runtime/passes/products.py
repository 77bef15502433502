"""Large products on cooperative matrices of half floats, as accurate as float32.

Each operand is multiplied, row by row (column by column on the right), by a power of two that brings its largest number
near 2 ** 14, and split into two half floats, `x = p0 + p1`. The products of the parts are exact and their sums are
float32; p1 q1, which is left out, is below float32's own rounding. What is known to be 0 or 1 is one part by itself.
`precision` may ask for one part of everything: 11 bits, as TF32 has. What may turn out to be spikes when the product
runs tells whether it needs two parts: where it does not, it is neither scaled nor split, and another kernel multiplies.

Two half floats lack float32's 24th bit. That is less than what float32 loses in its additions, unless so few terms
matter that there is little to add: in products that are not deep, of numbers that lie far below their rows' largest.
Those turn up as they run, too, and are left to ordinary float32.

References:
    H. Ootomo, R. Yokota, "Recovering single precision accuracy from Tensor Cores while surpassing the FP32 theoretical
    peak performance" (2022).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..dtypes import BOOL, F16, F32, I32
from ..ir import Atom, Aval, Equation, Graph, Literal, Value
from ..kernels.operand import Axes, Product, exchanged
from ..kernels.spread import (
    DEEPEST,
    DEPTH,
    FLOAT32,
    LARGEST,
    SPIKES,
    SPLIT,
    Spread,
    Tile,
    View,
    columns,
    is_coarse,
    panels,
    plain,
    stacks,
    suits,
    tiles,
    whole,
)
from ..kernels.views import behind_reshapes
from ..rewrite import Editor, common, live
from ..shader.cooperative import HALVES
from ..target import Target
from .images import Album, Layout, padded
from .scales import behind, needs_two, scale_of_all, scale_of_rows, span
from .scans import sizes_over_time
from .split_k import in_parts
from .zero_one import may_be_spikes, zero_one

BUSY = 25600  # invocations that keep a device busy


def products(graph: Graph, target: Target) -> Graph:
    """The graph with each product in the form that suits the target."""
    graph = in_parts(graph, target)
    if target.matrix is None:
        return graph
    suited = dict.fromkeys(eqn for eqn in graph.equations if eqn.primitive == "dot_general" and suits(eqn, target))
    editor, album = Editor(graph), Album(graph, suited)
    known, perhaps = zero_one(graph), may_be_spikes(graph, suited)
    for eqn in graph.equations:
        if eqn in suited:
            editor.renamed[eqn.outputs[0]] = _on_matrices(editor, eqn, target, album, known, perhaps)
        else:
            editor.keep(eqn)
    return live(sizes_over_time(common(editor.done())))


@dataclass(frozen=True)
class _Operand:
    """An operand in half floats.

    Args:
        parts: The half floats of each number.
        view: Where their words lie.
        scale: Of its rows.
        rows: What the scales were found in.
        needed: What says whether all that is needed; None if it always is.
    """

    parts: list[Value]
    view: View
    scale: Value | None = None
    rows: Atom | None = None
    needed: Atom | None = None


def _on_matrices(
    editor: Editor, eqn: Equation, target: Target, album: Album, known: set[Value], perhaps: dict[Atom, Value]
) -> Value:
    """The product of operands in half floats: some `known` to be 0 or 1, some views of arguments that `perhaps` are."""
    read = album.read(eqn)
    if [seen and seen[1].depth_last for seen in read.seen] == [None, True]:
        eqn = exchanged(eqn)
        read = album.read(eqn)
    p, most = read.product, 1 if is_coarse(eqn) else 2
    axes = (p.lhs_axes, p.rhs_axes)
    wanted = [None if operand in known else most for operand in eqn.inputs]
    told = next((k for k in range(2) if wanted[k] and not read.seen[k] and eqn.inputs[k] in perhaps), None)
    needed = None if told is None else needs_two(editor, eqn, perhaps[eqn.inputs[told]])
    general = wanted == [2, 2] and told is None

    def side(k: int) -> _Operand:
        if seen := read.seen[k]:
            return _laid_out(editor, eqn, *seen, wanted[k])
        return _split(editor, eqn, eqn.inputs[k], axes[k], wanted[k], general, needed if k == told else None)

    sides = [side(0), side(1)]
    ways, way = [(sides, SPLIT)], None
    if told is not None and needed is not None:
        spikes = _in_one(editor, eqn, editor.now(eqn.inputs[told]), axes[told])
        ways.append(([spikes if k == told else sides[k] for k in range(2)], SPIKES))
        way = editor.made("convert_element_type", [needed], Aval((), I32), eqn, new_dtype=I32)
    inputs = [atom for sides, _ in ways for atom in _inputs(sides)]
    params: dict[str, Any] = {} if read.order == tuple(sorted(read.order)) else {"order": read.order}
    shallow = p.sizes[3] * eqn.params.get("parts", 1) < DEEPEST and not any(read.seen)
    spans = [_span(editor, eqn, *pair) for pair in zip(sides, axes, strict=True)] if shallow else []
    if spans := [found for found in spans if found]:
        far = editor.made("far_apart", spans, Aval((), BOOL), eqn)
        split, float32 = (Literal(np.asarray(way, I32)) for way in (SPLIT, FLOAT32))
        way = editor.make("select_n", [far, way or split, float32], (), eqn)
        inputs += map(editor.now, eqn.inputs)
        params["float32"] = eqn.params
    spreads = tuple(_spread(target, p, sides, number) for sides, number in ways)
    inputs += [way] if way else []
    return editor.made("matrix_product", inputs, eqn.outputs[0].aval, eqn, spreads=spreads, **params)


def _span(editor: Editor, eqn: Equation, side: _Operand, axes: Axes) -> Value | None:
    """How far an operand's numbers lie apart; None where that is of no concern: where its rows have no scales."""
    if side.rows is None or side.scale is None or not side.scale.shape:
        return None
    found = span(editor, eqn, side.rows, axes, side.scale)
    if side.needed is None:
        return found
    return editor.make("select_n", [side.needed, Literal(np.zeros((), F32)), found], (), eqn)


def _spread(target: Target, p: Product, sides: Sequence[_Operand], way: int) -> Spread:
    """How the product of these operands is computed."""
    left, right = sides
    parts, views = (len(left.parts), len(right.parts)), (left.view, right.view)
    scaled = left.scale is not None, right.scale is not None
    tile = _tile(target, p.sizes, parts, (left.view.depth_last, right.view.depth_last))
    return Spread(p, whole(p.sizes[3]), parts, views, scaled, tile, way)


def _inputs(sides: Sequence[_Operand]) -> list[Atom]:
    """What the product of these operands reads."""
    scales = [side.scale for side in sides if side.scale is not None]
    return [*(part for side in sides for part in side.parts), *scales]


def _tile(
    target: Target, sizes: tuple[int, int, int, int], parts: tuple[int, int], depth_last: tuple[bool, bool]
) -> Tile:
    """The best tile that workgroup memory holds and of which there are enough."""
    choices = [
        tile for tile in tiles(target, parts, sizes) if tile.words(parts, depth_last) * 16 <= target.shared_bytes
    ]
    return next((tile for tile in choices if tile.count(sizes) * tile.invocations >= BUSY), choices[-1])


def _split(
    editor: Editor, eqn: Equation, operand: Atom, axes: Axes, parts: int | None, general: bool, needed: Atom | None
) -> _Operand:
    """The operand as so many half floats; None where it is one as it is.

    What may turn out to be spikes is only split where that is `needed`, which is known row by row: by the way, so are
    the scales of rows.
    """
    now = editor.now(operand)
    if parts is None:
        return _in_one(editor, eqn, now, axes)
    seen = now if needed is None else editor.made("if_needed", [now, needed], now.aval, eqn)
    rows = now if _is_depth_last(now, axes) else seen
    scale = scale_of_rows(editor, eqn, rows, axes)
    halves, view = _in_parts(editor, eqn, seen, axes, scale, parts, general)
    return _Operand(halves, view, scale, rows if parts == 2 else None, needed)


def _in_one(editor: Editor, eqn: Equation, operand: Atom, axes: Axes) -> _Operand:
    """One half float of each number, in an order that a layer's products, forth and back, share.

    Words run along the first axis, free or not; where they can, they know nothing of batches. Zeros fill up tiles, so
    that none has an edge to look for.
    """
    batch, first, last = _sizes(operand, axes)
    matrix = _matrix(editor, eqn, operand, axes)
    if first % HALVES == 0:
        matrix = editor.make("reshape", [behind_reshapes(editor.producers, matrix)], (1, batch * first, last), eqn)
    matrix = _filled(editor, eqn, matrix, (1, LARGEST, DEPTH))
    count, rows, last = matrix.shape
    words = editor.make("reshape", [matrix], (count, rows // HALVES, HALVES, last), eqn)
    parts = _halves(editor, eqn, editor.transpose(words, (0, 1, 3, 2), eqn), None)
    shape = (batch, (rows if count == batch else first) // HALVES, last, HALVES)
    return _Operand(parts, columns(shape) if _is_depth_last(operand, axes) else stacks(shape))


def _is_depth_last(operand: Atom, axes: Axes) -> bool:
    return len(operand.shape) - 1 in axes[2]


def _in_parts(
    editor: Editor, eqn: Equation, array: Atom, axes: Axes, scale: Value, parts: int, general: bool
) -> tuple[list[Value], View]:
    """An operand's parts, scaled."""
    depth_last = _is_depth_last(array, axes)
    matrix = _matrix(editor, eqn, array, axes)
    kept = (0, 1) if depth_last else (0, 2)
    matrix = _scaled(editor, eqn, matrix, scale, kept if scale.shape else ())
    matrix, view = _in_words(editor, eqn, matrix, depth_last, general)
    return _halves(editor, eqn, matrix, parts), view


def _in_words(editor: Editor, eqn: Equation, matrix: Value, depth_last: bool, general: bool) -> tuple[Value, View]:
    """The axes (batch, free, depth), or (batch, depth, free), in the order that was measured to be the fastest.

    Words across the depth come faster out of workgroup memory, but for `general` products, of two parts by two.
    """
    matrix = _filled(editor, eqn, matrix, (1, HALVES, DEPTH) if depth_last else (1, DEPTH, HALVES))
    batch, first, last = matrix.shape
    if depth_last and general:
        cut, order, view = (batch, first, last // DEPTH, DEPTH), (0, 2, 1, 3), panels
    elif depth_last:
        cut, order, view = (batch, first // HALVES, HALVES, last), (0, 1, 3, 2), columns
    elif general:
        cut, order, view = (batch, first, last // HALVES, HALVES), (0, 2, 1, 3), columns
    else:
        return matrix, plain(matrix.shape)
    matrix = editor.transpose(editor.make("reshape", [matrix], cut, eqn), order, eqn)
    return matrix, view(matrix.shape)


def _filled(editor: Editor, eqn: Equation, matrix: Value, units: Sequence[int]) -> Value:
    """The matrix with zeros at its ends that fill up whole units."""
    padding = [(0, whole(n, unit) - n, 0) for n, unit in zip(matrix.shape, units, strict=True)]
    return _padded(editor, eqn, matrix, padding)


def _laid_out(editor: Editor, eqn: Equation, layout: Layout, view: View, parts: int | None) -> _Operand:
    """Images as so many half floats, all of one scale: whoever reads them sees each element many times."""
    images, order, scale = editor.now(layout.images), layout.order, None
    array: Atom = images
    if parts is None:  # on its way, a byte holds what is 0 or 1
        array = editor.made("convert_element_type", [images], Aval(images.shape, BOOL), eqn, new_dtype=BOOL)
    array = _padded(editor, eqn, editor.transpose(array, order, eqn), layout.padding)
    if parts is not None:
        scale = scale_of_all(editor, eqn, behind(editor, images) or images)
        array = _scaled(editor, eqn, array, scale, ())
    return _Operand(_halves(editor, eqn, array, parts), view, scale)


def _groups(operand: Atom, axes: Axes) -> Axes:
    """The axes of a matrix: (batch, free, depth), or (batch, depth, free)."""
    batch, free, depth = axes
    return axes if _is_depth_last(operand, axes) else (batch, depth, free)


def _order(operand: Atom, axes: Axes) -> list[int]:
    return [axis for group in _groups(operand, axes) for axis in group]


def _sizes(operand: Atom, axes: Axes) -> list[int]:
    return [math.prod(operand.shape[axis] for axis in group) for group in _groups(operand, axes)]


def _matrix(editor: Editor, eqn: Equation, atom: Atom, axes: Axes) -> Value:
    """A view with axes (batch, free, depth), or (batch, depth, free)."""
    sizes, order = _sizes(atom, axes), _order(atom, axes)
    if order != sorted(order):
        atom = editor.transpose(atom, order, eqn)
    return editor.make("reshape", [atom], sizes, eqn)


def _scaled(editor: Editor, eqn: Equation, array: Value, scale: Value, axes: tuple[int, ...]) -> Value:
    """The array times a scale that has these of its axes."""
    shape = array.shape
    wide = editor.make("broadcast_in_dim", [scale], shape, eqn, shape=shape, broadcast_dimensions=axes)
    return editor.make("mul", [array, wide if axes else scale], shape, eqn)


def _halves(editor: Editor, eqn: Equation, rest: Atom, parts: int | None) -> list[Value]:
    """An array as half floats, each the rounded rest of those before."""
    found = []
    for _ in range(parts or 1):
        found.append(editor.made("convert_element_type", [rest], Aval(rest.shape, F16), eqn, new_dtype=F16))
        rounded = editor.made("convert_element_type", [found[-1]], rest.aval, eqn, new_dtype=F32)
        rest = editor.make("sub", [rest, rounded], rest.shape, eqn)
    return found


def _padded(editor: Editor, eqn: Equation, array: Value, padding: Sequence[tuple[int, int, int]]) -> Value:
    """The array with zeros before, after, and between."""
    if not any(map(any, padding)):
        return array
    zero = Literal(np.zeros((), array.dtype))
    aval = Aval(padded(array.shape, padding), array.dtype)
    return editor.made("pad", [array, zero], aval, eqn, padding_config=tuple(padding))
