"""A pass for GPUs: sums with a term that is a power of two (or 0) times a value take one instruction instead of two.

Such a product is exact, so a fused multiply-add, which does not round it, gives the same bits; but for denormal
numbers, which devices may lose in either. A scan waits for every instruction between one state and the next.
"""

import numpy as np

from ..dtypes import F32
from ..ir import Atom, Equation, Graph, Literal, Value, with_body
from ..rewrite import Editor, live
from ..target import Target


def multiply_adds(graph: Graph, target: Target) -> Graph:
    """The graph with such sums as `multiply_add` (x, factor, y): x factor + y. CPUs may lack the instruction."""
    return graph if target.software else live(_fused(graph))


def _fused(graph: Graph) -> Graph:
    editor = Editor(graph)
    for eqn in graph.equations:
        eqn = with_body(eqn, lambda body: live(_fused(body)))
        result = _sum(editor, eqn) if eqn.primitive in ("add", "add_any", "sub") else None
        if result is None:
            editor.keep(eqn)
        else:
            editor.renamed[eqn.outputs[0]] = result
    return editor.done()


def _sum(editor: Editor, eqn: Equation) -> Value | None:
    """A sum as one instruction, if it can be."""
    if eqn.outputs[0].dtype != F32:
        return None
    first, second = eqn.inputs
    sign = -1 if eqn.primitive == "sub" else 1
    for term, other, by, of_other in ((second, first, sign, 1), (first, second, 1, sign)):
        x, factor = _scaled(editor.graph, term)
        if x is None:
            continue
        other = editor.now(other)
        if of_other < 0:
            other = editor.made("neg", [other], other.aval, eqn)
        operands = [editor.now(x), Literal(np.asarray(by * factor, F32)), other]
        return editor.made("multiply_add", operands, eqn.outputs[0].aval, eqn)
    return None


def _scaled(graph: Graph, atom: Atom) -> tuple[Atom | None, float]:
    """What a value is a power of two of, below 1, or 0 times: and that factor."""
    made = graph.producer.get(atom) if isinstance(atom, Value) else None
    if made is None or made.primitive not in ("mul", "neg"):
        return None, 0.0
    if made.primitive == "neg":
        x, factor = _scaled(graph, made.inputs[0])
        return x, -factor
    for x, by in (made.inputs, made.inputs[::-1]):
        if isinstance(by, Literal) and isinstance(x, Value) and _is_exact(float(by.value)):
            negated = graph.producer.get(x)
            if negated is not None and negated.primitive == "neg":
                return negated.inputs[0], -float(by.value)
            return x, float(by.value)
    return None, 0.0


def _is_exact(factor: float) -> bool:
    """Whether products with it need no rounding, and do not overflow."""
    return factor == 0 or (abs(factor) <= 1 and abs(np.frexp(factor)[0]) == 0.5)
