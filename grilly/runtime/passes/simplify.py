"""Rewrites a graph into an equal one that needs fewer kernels. Each pass takes a graph and returns a graph."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from ..ir import Atom, Aval, Equation, Graph, Literal, ScanParams, Value, WhileParams, with_body
from ..kernels.reduction import COMBINE
from ..rewrite import Editor, common, live
from .hoist import hoisted
from .identities import IDENTITIES
from .scans import sizes_over_time, sums_after_time, sums_over_time, time_first
from .split_carries import taken_apart
from .split_reductions import split

Rewrite = Callable[[Editor, Equation], Sequence[Atom] | None]


def simplify(graph: Graph) -> Graph:
    """All passes, in order."""
    graph = live(common(rewritten(time_first(hoisted(graph)))))
    graph = live(sums_after_time(sizes_over_time(sums_over_time(graph))))
    return live(common(rewritten(taken_apart(graph))))


def rewritten(graph: Graph) -> Graph:
    """Equations in their simplest form: see REWRITES. Bodies of scans too."""
    editor = Editor(graph)
    for eqn in graph.equations:
        eqn = with_body(eqn, lambda body: live(common(rewritten(body))))
        results = REWRITES[eqn.primitive](editor, eqn) if eqn.primitive in REWRITES else None
        if results is None:
            editor.keep(eqn)
        else:
            editor.renamed.update(zip(eqn.outputs, results, strict=True))
    return editor.done()


def _no_step(editor: Editor, eqn: Equation) -> Sequence[Atom] | None:
    """A scan of length 0 hands its carry on."""
    scan: ScanParams = eqn.params["scan"]
    if scan.length:
        return None
    carries = [editor.now(atom) for atom in eqn.inputs[scan.consts : scan.consts + scan.carries]]
    return [*carries, *(editor.zeros(value.aval, eqn) for value in eqn.outputs[scan.carries :])]


def _unchanged(editor: Editor, eqn: Equation) -> Sequence[Atom] | None:
    """What no step of a while changes is no carry, but a const."""
    params: WhileParams = eqn.params["while"]
    body, consts = params.body, params.consts
    same = [k for k, value in enumerate(body.inputs) if k >= consts and body.outputs[k - consts] is value]
    if not same:
        return None
    order = [*range(consts), *same, *(k for k in range(consts, len(body.inputs)) if k not in same)]
    operands = [editor.now(atom) for atom in eqn.inputs]
    moving = order[consts + len(same) :]
    outputs = (*(body.outputs[k - consts] for k in moving), params.going)
    body = replace(body, inputs=tuple(body.inputs[k] for k in order), outputs=outputs)
    results = tuple(eqn.outputs[k - consts] for k in moving)
    params = WhileParams(body, consts + len(same))
    inputs = tuple(operands[k] for k in order)
    if moving:
        editor.equations.append(replace(eqn, inputs=inputs, outputs=results, params={"while": params}))
    return [operands[consts + k] if consts + k in same else value for k, value in enumerate(eqn.outputs)]


def _same(editor: Editor, eqn: Equation) -> Sequence[Atom] | None:
    """A conversion to the same dtype, a broadcast or reshape to the same shape."""
    operand = editor.now(eqn.inputs[0])
    return [operand] if operand.aval == eqn.outputs[0].aval and isinstance(operand, Value) else None


def _divided(editor: Editor, eqn: Equation) -> Sequence[Atom] | None:
    """A division by a power of two is a product, to the last bit."""
    divisor = eqn.inputs[1]
    if not isinstance(divisor, Literal) or divisor.dtype != np.float32:
        return None
    mantissa, exponent = np.frexp(divisor.value)
    if abs(mantissa) != 0.5 or abs(exponent) > 100:
        return None
    factor = Literal(np.float32(1) / divisor.value)
    return [editor.make("mul", [factor, editor.now(eqn.inputs[0])], eqn.outputs[0].shape, eqn)]


def _broadcast(editor: Editor, eqn: Equation) -> Sequence[Atom] | None:
    """A broadcast that only adds axes of extent 1 is a reshape."""
    operand, result = editor.now(eqn.inputs[0]), eqn.outputs[0]
    if isinstance(operand, Value) and operand.size == result.size and operand.shape != result.shape:
        return [editor.make("reshape", [operand], result.shape, eqn)]
    return _same(editor, eqn)


def _reduction(editor: Editor, eqn: Equation) -> Sequence[Atom] | None:
    """Folding axes of extent 1 moves no data; folding very many elements takes two rounds."""
    operand = editor.now(eqn.inputs[0])
    if any(operand.shape[axis] != 1 for axis in eqn.params["axes"]):
        return split(editor, eqn)
    return [editor.make("reshape", [operand], eqn.outputs[0].shape, eqn)]


def _split(editor: Editor, eqn: Equation) -> Sequence[Atom]:
    """Slices, one a part."""
    operand, axis, start, parts = editor.now(eqn.inputs[0]), eqn.params["axis"], 0, []
    for size in eqn.params["sizes"]:
        low, high = [0] * len(operand.shape), list(operand.shape)
        low[axis], high[axis] = start, start + size
        shape = [h - l for l, h in zip(low, high, strict=True)]  # noqa: E741
        parts.append(editor.make("slice", [operand], shape, eqn, start_indices=tuple(low), limit_indices=tuple(high)))
        start += size
    return parts


def _stack(editor: Editor, eqn: Equation) -> Sequence[Atom]:
    """Arrays joined along a new axis."""
    axis, shape = eqn.params["axis"], eqn.outputs[0].shape
    unit = (*shape[:axis], 1, *shape[axis + 1 :])
    parts = [editor.make("reshape", [editor.now(part)], unit, eqn) for part in eqn.inputs]
    return [editor.make("concatenate", parts, shape, eqn, dimension=axis)]


def _convolution(editor: Editor, eqn: Equation) -> Sequence[Atom]:
    """A convolution is a product of its kernel with a view of patches.

    The patches have axes (group, channel, *kernel, image, *out), the kernel (group, feature, channel, *kernel).
    """
    params, spec = eqn.params, eqn.params["dimension_numbers"]
    groups = params["feature_group_count"] * params["batch_group_count"]
    images = _transposed(editor, eqn, editor.now(eqn.inputs[0]), spec.lhs_spec)
    kernel = _transposed(editor, eqn, editor.now(eqn.inputs[1]), spec.rhs_spec)
    features, channels, *taps = kernel.shape
    out = [eqn.outputs[0].shape[axis] for axis in spec.out_spec]
    patches = editor.make(
        "conv_patches",
        [images],
        (groups, channels, *taps, out[0], *out[2:]),
        eqn,
        strides=tuple(params["window_strides"]),
        padding=tuple((int(low), int(high)) for low, high in params["padding"]),
        input_dilation=tuple(params["lhs_dilation"]),
        kernel_dilation=tuple(params["rhs_dilation"]),
        batch_groups=params["batch_group_count"],
    )
    kernel = editor.make("reshape", [kernel], (groups, features // groups, channels, *taps), eqn)
    inner = range(1 + len(taps))
    numbers = ((tuple(2 + i for i in inner), tuple(1 + i for i in inner)), ((0,), (0,)))
    # Axes (group, feature, image, *out) of the product, to where out_spec wants them.
    extents = (groups, features // groups, out[0], *out[2:])
    axes = {spec.out_spec[0]: [2], spec.out_spec[1]: [0, 1]}
    axes |= {axis: [3 + k] for k, axis in enumerate(spec.out_spec[2:])}
    order = [own for axis in range(len(out)) for own in axes[axis]]
    shape = [extents[axis] for axis in order]
    product = {"dimension_numbers": numbers, "preferred_element_type": eqn.outputs[0].dtype, "order": tuple(order)}
    total = editor.make("dot_general", [kernel, patches], shape, eqn, **product)
    return [editor.make("reshape", [total], eqn.outputs[0].shape, eqn)]


def _scatter(editor: Editor, eqn: Equation) -> Sequence[Atom]:
    """Each window chooses once, and only which element it chose is kept: of most windows, a byte."""
    source, operand = map(editor.now, eqn.inputs)
    dtype = np.dtype(np.uint8 if math.prod(eqn.params["window_dimensions"]) <= 256 else np.uint32)
    choice = editor.made("window_choice", [operand], Aval(source.shape, dtype), eqn, windows=dict(eqn.params))
    return [editor.made("scatter_chosen", [source, choice], eqn.outputs[0].aval, eqn, **eqn.params)]


def _reshape(editor: Editor, eqn: Equation) -> Sequence[Atom] | None:
    """A reshape may transpose first."""
    operand, order = editor.now(eqn.inputs[0]), eqn.params.get("dimensions")
    if order is None:
        return _same(editor, eqn)
    return [editor.make("reshape", [_transposed(editor, eqn, operand, order)], eqn.outputs[0].shape, eqn)]


def _transpose(editor: Editor, eqn: Equation) -> Sequence[Atom] | None:
    """A transpose of a product that nobody else reads: the product is stored in that order."""
    order, operand = eqn.params["permutation"], eqn.inputs[0]
    if list(order) == sorted(order):
        return _same(editor, eqn)
    product = editor.graph.producer.get(operand) if isinstance(operand, Value) else None
    if not product or product.primitive != "dot_general":
        return None
    if len(editor.graph.consumers[product.outputs[0]]) > 1 or operand in editor.graph.outputs:
        return None
    before = product.params.get("order", range(len(order)))
    params = {**product.params, "order": tuple(before[axis] for axis in order)}
    operands = map(editor.now, product.inputs)
    return [editor.made("dot_general", operands, eqn.outputs[0].aval, product, **params)]


def _product(editor: Editor, eqn: Equation) -> Sequence[Atom] | None:
    """A product without elements needs no kernel; that of a transpose is one of other axes."""
    if not eqn.outputs[0].size:
        return [editor.zeros(eqn.outputs[0].aval, eqn)]
    depth, batch = (list(map(tuple, pair)) for pair in eqn.params["dimension_numbers"])
    inputs = list(map(editor.now, eqn.inputs))
    for side, operand in enumerate(eqn.inputs):
        made = editor.graph.producer.get(operand) if isinstance(operand, Value) else None
        if not made or made.primitive != "transpose":
            continue
        axes = [int(axis) for axis in made.params["permutation"]]
        free = [axes[k] for k in range(len(axes)) if k not in (*depth[side], *batch[side])]
        if free == sorted(free):  # the result's axes stay in order
            depth[side], batch[side] = (tuple(axes[k] for k in group) for group in (depth[side], batch[side]))
            inputs[side] = editor.now(made.inputs[0])
    if inputs == list(map(editor.now, eqn.inputs)):
        return None
    params = {**eqn.params, "dimension_numbers": (tuple(depth), tuple(batch))}
    return [editor.made("dot_general", inputs, eqn.outputs[0].aval, eqn, **params)]


def _transposed(editor: Editor, eqn: Equation, atom: Atom, permutation: Sequence[int]) -> Atom:
    if list(permutation) == list(range(len(permutation))):
        return atom
    return editor.transpose(atom, permutation, eqn)


REWRITES: dict[str, Rewrite] = {
    **IDENTITIES,
    "scan": _no_step,
    "div": _divided,
    "while": _unchanged,
    "convert_element_type": _same,
    "broadcast_in_dim": _broadcast,
    "reshape": _reshape,
    "transpose": _transpose,
    "split": _split,
    "stack": _stack,
    "conv_general_dilated": _convolution,
    "dot_general": _product,
    "select_and_scatter_add": _scatter,
    **dict.fromkeys(COMBINE, _reduction),
}
