"""Which values are known to be 0 or 1 everywhere: spikes, and views of spikes; and which may turn out to be."""

from collections.abc import Iterable

import numpy as np

from ..ir import Atom, Equation, Graph, Literal, ScanParams, Value
from ..kernels.pull import RULES

# What puts out one of the numbers it is given (or 0, where it fills up).
CHOOSING = {"select_n", "max", "min", "mul", "convert_element_type", "copy", "clamp"}
INVENTING = {
    *("iota", "ordered_fold", "shallow_product", "reduce_window_sum"),
    *("select_and_gather_add", "window_choice", "scatter_chosen"),
}


def zero_one(graph: Graph, given: frozenset[Value] = frozenset()) -> set[Value]:
    """The values of a graph that are always 0 or 1, if those `given` are."""
    found = set(given) | {value for value in (*graph.inputs, *graph.producer) if value.dtype == np.bool_}
    found |= {value for value, array in graph.constants.items() if _holds(array)}
    for eqn in graph.equations:
        if eqn.primitive == "scan":
            found.update(_of_scan(eqn, found))
        elif _keeps(eqn, found):
            found.update(eqn.outputs)
    return found


def may_be_spikes(graph: Graph, products: Iterable[Equation]) -> dict[Atom, Value]:
    """Maps each view to the argument it shows, for arguments that may turn out to hold only 0 and 1.

    Of the two arguments of a product, the one with more axes (it has time and a batch), or of as many, the larger one,
    is taken for spikes, and the other for weights.
    """
    shown: dict[Atom, Value] = {value: value for value in graph.inputs if value.shape}
    for eqn in graph.equations:
        if shows(eqn) and eqn.inputs[0] in shown:
            shown.update(dict.fromkeys(eqn.outputs, shown[eqn.inputs[0]]))
    pairs = [[shown[operand] for operand in eqn.inputs if operand in shown] for eqn in products]
    likely = {max(pair, key=lambda value: (len(value.shape), value.size)) for pair in pairs if len(pair) == 2}
    return {atom: argument for atom, argument in shown.items() if argument in likely}


def shows(eqn: Equation) -> bool:
    """Whether an equation puts out elements of its one input."""
    return eqn.primitive in RULES and eqn.primitive not in INVENTING and len(eqn.inputs) == 1


def _keeps(eqn: Equation, found: set[Value]) -> bool:
    if eqn.primitive in INVENTING or not (eqn.primitive in CHOOSING or eqn.primitive in RULES):
        return False
    chosen = eqn.inputs[1:] if eqn.primitive == "select_n" else eqn.inputs
    if eqn.primitive in ("gather", "dynamic_slice"):
        chosen = eqn.inputs[:1] if eqn.params.get("fill_value") is None else ()
    return bool(chosen) and all(_is(atom, found) for atom in chosen)


def _is(atom: Atom, found: set[Value]) -> bool:
    return _holds(atom.value) if isinstance(atom, Literal) else atom in found


def _holds(array: np.ndarray) -> bool:
    return bool(np.all((array == 0) | (array == 1)) and not np.any(np.signbit(array.astype(np.float32))))


def _of_scan(eqn: Equation, found: set[Value]) -> set[Value]:
    """What a scan puts out at each step, if its body makes nothing but 0 and 1 of it, whatever it carries."""
    scan: ScanParams = eqn.params["scan"]
    held, own = range(scan.consts, scan.consts + scan.carries), scan.consts + scan.carries + scan.sequences
    known = (k for k, atom in enumerate(eqn.inputs[:own]) if k not in held and _is(atom, found))
    body = zero_one(scan.body, frozenset(scan.body.inputs[k] for k in known))
    outputs = zip(eqn.outputs[scan.carries :], scan.body.outputs[scan.carries :], strict=False)  # a replay's follow
    added = eqn.outputs[scan.window.output] if scan.window and scan.window.fold == "reduce_sum" else None
    return {value for value, atom in outputs if _is(atom, body) and value is not added}
