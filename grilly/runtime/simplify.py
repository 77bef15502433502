"""Rewrites a graph into an equal one that needs fewer kernels. Each pass takes a graph and returns a graph."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from .ir import Atom, Equation, Graph, ScanParams, Value
from .rewrite import Editor, common, live
from .scans import sums_after_time, sums_over_time

Rewrite = Callable[[Editor, Equation], Sequence[Atom] | None]


def simplify(graph: Graph) -> Graph:
    """All passes, in order."""
    graph = live(common(rewritten(graph)))
    graph = live(sums_after_time(sums_over_time(graph)))
    return live(common(rewritten(graph)))


def rewritten(graph: Graph) -> Graph:
    """Equations in their simplest form: see REWRITES. Bodies of scans too."""
    editor = Editor(graph)
    for eqn in graph.equations:
        if eqn.primitive == "scan":
            scan: ScanParams = eqn.params["scan"]
            body = live(common(rewritten(scan.body)))
            eqn = replace(eqn, params={"scan": replace(scan, body=body)})
        results = REWRITES[eqn.primitive](editor, eqn) if eqn.primitive in REWRITES else None
        if results is None:
            editor.keep(eqn)
        else:
            editor.renamed.update(zip(eqn.outputs, results, strict=True))
    return editor.done()


def _same(editor: Editor, eqn: Equation) -> Sequence[Atom] | None:
    """A conversion to the same dtype, a broadcast or reshape to the same shape."""
    operand = editor.now(eqn.inputs[0])
    return [operand] if operand.aval == eqn.outputs[0].aval and isinstance(operand, Value) else None


def _broadcast(editor: Editor, eqn: Equation) -> Sequence[Atom] | None:
    """A broadcast that only adds axes of extent 1 is a reshape."""
    operand, result = editor.now(eqn.inputs[0]), eqn.outputs[0]
    if isinstance(operand, Value) and operand.size == result.size and operand.shape != result.shape:
        return [editor.make("reshape", [operand], result.shape, eqn)]
    return _same(editor, eqn)


def _unit_reduction(editor: Editor, eqn: Equation) -> Sequence[Atom] | None:
    """Folding axes of extent 1 moves no data."""
    operand = editor.now(eqn.inputs[0])
    if any(operand.shape[axis] != 1 for axis in eqn.params["axes"]):
        return None
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


def convolution(editor: Editor, eqn: Equation) -> Sequence[Atom]:
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
    shape = (groups, features // groups, out[0], *out[2:])
    total = editor.make("dot_general", [kernel, patches], shape, eqn, dimension_numbers=numbers)
    total = editor.make("reshape", [total], (features, out[0], *out[2:]), eqn)
    # (feature, image, *out) to where out_spec wants them.
    order = [1, 0, *range(2, len(out))]
    return [_transposed(editor, eqn, total, [order[spec.out_spec.index(a)] for a in range(len(out))])]


def _transposed(editor: Editor, eqn: Equation, atom: Atom, permutation: Sequence[int]) -> Atom:
    if list(permutation) == list(range(len(permutation))):
        return atom
    shape = [atom.shape[axis] for axis in permutation]
    return editor.make("transpose", [atom], shape, eqn, permutation=tuple(permutation))


REWRITES: dict[str, Rewrite] = {
    "convert_element_type": _same,
    "broadcast_in_dim": _broadcast,
    "reshape": _same,
    "transpose": lambda editor, eqn: (
        _same(editor, eqn) if list(eqn.params["permutation"]) == sorted(eqn.params["permutation"]) else None
    ),
    "split": _split,
    "conv_general_dilated": convolution,
    **dict.fromkeys(
        ("reduce_sum", "reduce_max", "reduce_min", "reduce_prod", "reduce_and", "reduce_or"), _unit_reduction
    ),
}
