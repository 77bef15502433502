"""A pass over scans: what they put out at each step and is always 0 or 1 takes a byte between kernels, not four."""

from dataclasses import replace

from ..dtypes import BOOL
from ..ir import Aval, Equation, Graph, ScanParams, Value
from ..kernels.matmul import fetched_once
from ..kernels.pull import RULES
from ..kernels.scan import scan_kind
from ..rewrite import Editor
from .zero_one import zero_one

LARGE = 1 << 20  # elements below which nobody feels their traffic


def narrowed(graph: Graph) -> Graph:
    """The graph with such sequences as booleans, which are numbers again where they are read."""
    editor, known = Editor(graph), zero_one(graph) - set(graph.outputs)
    for eqn in graph.equations:
        spikes = [k for k in _sequences(eqn) if eqn.outputs[k] in known and _pays(graph, eqn.outputs[k])]
        editor.keep(_with_bools(eqn, spikes) if spikes else eqn)
        for k in spikes:
            spike, value = editor.equations[-1].outputs[k], eqn.outputs[k]
            number = editor.made("convert_element_type", [spike], value.aval, eqn, new_dtype=value.dtype)
            editor.renamed[value] = number
    return editor.done()


def _sequences(eqn: Equation) -> range:
    """Which outputs of a scan that is one kernel its own steps put out."""
    scan: ScanParams | None = eqn.params.get("scan")
    if scan is None or scan.replay or scan_kind(eqn) != "scan":
        return range(0)
    return range(scan.carries, len(scan.body.outputs) - scan.saved)


def _pays(graph: Graph, value: Value) -> bool:
    """Whether a sequence is large, and read element by element, or by products that fetch each element once.

    Another product would have it converted by another kernel.
    """
    shown = [value]
    for atom in shown:
        shown += [eqn.outputs[0] for eqn in graph.consumers.get(atom, ()) if eqn.primitive in RULES]
    read = [(eqn, k) for atom in shown for eqn in graph.consumers.get(atom, ()) for k in _places(eqn, atom)]
    once = all(atom.size == value.size for atom in shown)
    products = [(eqn, k) for eqn, k in read if eqn.primitive == "dot_general"]
    pays = not products or (once and all(fetched_once(*reader) for reader in products))
    return value.dtype != BOOL and value.size >= LARGE and pays


def _places(eqn: Equation, atom: Value) -> list[int]:
    """Which of an equation's inputs an atom is."""
    return [k for k, operand in enumerate(eqn.inputs) if operand is atom]


def _with_bools(eqn: Equation, numbers: list[int]) -> Equation:
    """The scan, whose steps put these out as booleans."""
    scan: ScanParams = eqn.params["scan"]
    body, outputs, inner = scan.body, list(eqn.outputs), list(scan.body.outputs)
    equations = list(body.equations)
    for k in numbers:
        outputs[k], spike = Value(Aval(outputs[k].shape, BOOL)), Value(Aval(inner[k].shape, BOOL))
        equations.append(Equation("convert_element_type", (inner[k],), (spike,), {"new_dtype": BOOL}, eqn.source))
        inner[k] = spike
    body = replace(body, equations=tuple(equations), outputs=tuple(inner))
    return replace(eqn, outputs=tuple(outputs), params={"scan": replace(scan, body=body)})
