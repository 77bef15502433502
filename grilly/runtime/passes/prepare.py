"""What a program computes for its products from steady arguments alone, as a program of its own.

Weights are split into half floats before matrix units multiply with them. While they stay the same, as in evaluation,
that needs to be done once.
"""

from collections.abc import Collection
from dataclasses import replace

from ..ir import Graph, Value
from ..rewrite import live

READERS = {"matrix_product", "far_apart"}  # what reads operands, or what is known of them, in a form worth keeping


def prepared(graph: Graph, steady: Collection[int]) -> tuple[Graph, tuple[int, ...], Graph] | None:
    """The graph in two, if anything can be prepared.

    Returns:
        What prepares; which arguments that takes; and the rest, which takes the results after its own arguments.
    """
    known = {graph.inputs[k] for k in steady} | graph.constants.keys()
    given = frozenset(known)
    for eqn in graph.equations:
        if all(atom in known for atom in eqn.inputs if isinstance(atom, Value)):
            known.update(eqn.outputs)
    readers = [eqn for eqn in graph.equations if eqn.primitive in READERS and not known.issuperset(eqn.outputs)]
    wanted = dict.fromkeys(atom for eqn in readers for atom in eqn.inputs if atom in known - given)
    first = live(replace(graph, outputs=tuple(wanted)))
    read = {atom for eqn in first.equations for atom in eqn.inputs}
    arguments = tuple(k for k in sorted(steady) if graph.inputs[k] in read)
    if not arguments:
        return None
    kept = tuple(eqn for eqn in graph.equations if not wanted.keys() & set(eqn.outputs))
    rest = live(replace(graph, inputs=(*graph.inputs, *wanted), equations=kept))  # type: ignore[arg-type]
    return replace(first, inputs=tuple(graph.inputs[k] for k in arguments)), arguments, rest
