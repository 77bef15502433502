"""Products of few results and great depth, in parts: each part's product, then the sum of the parts.

A workgroup computes one tile of the result; few tiles would leave most of a GPU idle. Whoever reads the product adds a
few parts up for itself; for many there is a kernel.
"""

from collections.abc import Sequence
from dataclasses import replace

from ..dtypes import F32
from ..ir import Atom, Equation, Graph, Value
from ..kernels import matmul, spread
from ..kernels.operand import product
from ..rewrite import Editor
from ..shader.cooperative import HALVES
from ..target import Target

BUSY = 1024  # workgroups of ordinary products that keep a GPU busy
AT_ONCE = 1 << 15  # invocations of products on cooperative matrices that run at once: a few more would run after them
SHORTEST = 4  # tiles of depth that a part has at least
FEW = 8  # parts that every reader adds up


def in_parts(graph: Graph, target: Target) -> Graph:
    """The graph with such products in parts. A CPU is busy with a few workgroups."""
    if target.software:
        return graph
    editor = Editor(graph)
    for eqn in graph.equations:
        found = _cut(eqn, target) if eqn.primitive == "dot_general" else None
        if found is None:
            editor.keep(eqn)
        else:
            editor.renamed[eqn.outputs[0]] = _in_parts(editor, eqn, *found)
    return editor.done()


def _cut(eqn: Equation, target: Target) -> tuple[int, int] | None:
    """Which of the contracted axes to cut, and into how many equal parts; words of half floats stay whole."""
    sizes = product(eqn).sizes
    if eqn.outputs[0].dtype != F32 or not all(sizes):  # 16-bit floats are rounded once, in the end
        return None
    words = spread.suits(eqn, target)
    if words:
        most = min(AT_ONCE // spread.invocations(eqn), sizes[3] // (SHORTEST * spread.DEPTH))
    else:
        most = min(BUSY // matmul.count(sizes), sizes[3] // (SHORTEST * matmul.tile(sizes).depth))
    cuts = [
        (parts, -nth)
        for nth, extent in enumerate(product(eqn).depth)
        for parts in range(2, min(most, extent) + 1)
        if extent % parts == 0 and not (words and extent % HALVES == 0 and extent // parts % HALVES)
    ]
    if not cuts:
        return None
    parts, nth = max(cuts)
    return -nth, parts


def _in_parts(editor: Editor, eqn: Equation, nth: int, parts: int) -> Atom:
    depth, batch = (list(map(tuple, pair)) for pair in eqn.params["dimension_numbers"])
    inputs = []
    for side, operand in enumerate(eqn.inputs):
        axis = int(depth[side][nth])
        moved = lambda k, axis=axis: int(k) + (k >= axis)  # noqa: E731  the parts' axis comes before the one that was cut
        inputs.append(_with_parts(editor, eqn, editor.now(operand), axis, parts))
        depth[side] = tuple(map(moved, depth[side]))
        batch[side] = (axis, *map(moved, batch[side]))
    order = {"order": (0, *(axis + 1 for axis in eqn.params["order"]))} if "order" in eqn.params else {}
    params = {**eqn.params, "dimension_numbers": (tuple(depth), tuple(batch)), **order, "parts": parts}
    aval = eqn.outputs[0].aval
    each = editor.made("dot_general", inputs, replace(aval, shape=(parts, *aval.shape)), eqn, **params)
    if parts > FEW:
        return editor.made("reduce_sum", [each], aval, eqn, axes=(0,))
    total, *others = (_part(editor, eqn, each, k) for k in range(parts))
    for part in others:
        total = editor.make("add", [total, part], aval.shape, eqn)
    return total


def _part(editor: Editor, eqn: Equation, each: Value, k: int) -> Value:
    """The product of part `k`."""
    shape = each.shape[1:]
    start, stop = (k, *(0 for _ in shape)), (k + 1, *shape)
    part = editor.make("slice", [each], (1, *shape), eqn, start_indices=start, limit_indices=stop)
    return editor.make("reshape", [part], shape, eqn)


def _with_parts(editor: Editor, eqn: Equation, operand: Atom, axis: int, parts: int) -> Value:
    shape: Sequence[int] = operand.shape
    cut = (*shape[:axis], parts, shape[axis] // parts, *shape[axis + 1 :])
    return editor.make("reshape", [operand], cut, eqn)
