"""Products, and convolutions, of so few terms that a scan may as well compute what it reads of them.

The first layer of a net that sees pictures of one channel is one: its result is a hundred times as large as the
pictures, and to compute an element again takes less than to store and to load it. In training others read it too.
"""

import math
from dataclasses import replace

import numpy as np

from ..dtypes import F32
from ..ir import Aval, Equation, Graph, Literal, Value
from ..kernels import elementwise, scan
from ..kernels.operand import WIDE, product
from ..kernels.views import SAME_PLACE
from ..rewrite import Editor

DEEPEST = 16  # terms


def shallow(graph: Graph) -> Graph:
    """The graph where such products are no kernels."""
    editor = Editor(graph)
    readers = {eqn: _reader(graph, eqn.outputs[0]) for eqn in graph.equations if _is_shallow(eqn)}
    chosen = {eqn: reader for eqn, reader in readers.items() if reader}
    strides = {reader: _patch_stride(graph, eqn) for eqn, reader in chosen.items()}
    for eqn in graph.equations:
        if eqn in chosen:
            editor.keep(replace(eqn, primitive="shallow_product"))
        elif eqn in strides:
            editor.keep(replace(eqn, params={"scan": replace(eqn.params["scan"], patch_stride=strides[eqn])}))
        elif _reaches_out(eqn) and chosen.keys() >= set(graph.consumers[eqn.outputs[0]]):
            editor.renamed[eqn.outputs[0]] = _among_zeros(editor, eqn)
        else:
            editor.keep(eqn)
    return editor.done()


def _is_shallow(eqn: Equation) -> bool:
    if eqn.primitive != "dot_general":
        return False
    floats = all(value.dtype == F32 for value in (*eqn.inputs, *eqn.outputs))
    return floats and 0 < product(eqn).sizes[3] <= DEEPEST


def _reader(graph: Graph, value: Value) -> Equation | None:
    """The scan that alone reads a value, each element in one step; None where others do, too."""
    readers = graph.consumers.get(value, [])
    if len(readers) != 1 or value in graph.outputs:
        return None
    (reader,) = readers
    if reader.primitive in elementwise.rules or reader.primitive in SAME_PLACE:
        return _reader(graph, reader.outputs[0]) if reader.outputs[0].size == value.size else None
    return reader if reader.primitive == "scan" and _is_sequence(reader, value) else None


def _is_sequence(eqn: Equation, value: Value) -> bool:
    """Whether a value is one that a scan in one kernel reads step by step, each invocation its own elements."""
    steps = eqn.params["scan"]
    if steps.replay or scan.scan_kind(eqn) != "scan" or value.size != steps.length * scan.size_of(steps):
        return False
    return eqn.inputs.index(value) >= steps.consts + steps.carries


def _patch_stride(graph: Graph, eqn: Equation) -> int:
    """Elements between what two neighbouring features make of the same patch; 0 of a product that sees no patches."""
    made = graph.producer.get(eqn.inputs[1])  # type: ignore[arg-type]
    if made is None or made.primitive != "conv_patches":
        return 0
    p = product(eqn)
    axis = eqn.params["order"].index(len(p.batch) + len(p.rows) - 1)
    return math.prod(eqn.outputs[0].shape[axis + 1 :])


def _reaches_out(eqn: Equation) -> bool:
    """Whether it is patches that look beyond the edges of pictures, which are not spread."""
    if eqn.primitive != "conv_patches":
        return False
    padding = [zeros for pair in eqn.params["padding"] for zeros in pair]
    return any(padding) and min(padding) >= 0 and set(eqn.params["input_dilation"]) == {1}


def _among_zeros(editor: Editor, eqn: Equation) -> Value:
    """Patches of pictures that are stored with the zeros around them: then none looks beyond an edge."""
    images, padding = editor.now(eqn.inputs[0]), eqn.params["padding"]
    low, high = padding[-1]
    unit = -(images.shape[-1] + low + high) % WIDE  # of whole wide loads
    around = ((0, 0), (0, 0), *padding[:-1], (low, high + unit))
    shape = tuple(low + extent + high for extent, (low, high) in zip(images.shape, around, strict=True))
    zero, config = Literal(np.zeros((), images.dtype)), tuple((*pair, 0) for pair in around)
    padded = editor.made("pad", [images, zero], Aval(shape, images.dtype), eqn, padding_config=config)
    params = {**eqn.params, "padding": ((0, 0),) * len(padding)}
    return editor.made("conv_patches", [padded], eqn.outputs[0].aval, eqn, **params)
