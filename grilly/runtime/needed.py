"""Values that are needed only if another value, known when the kernels run, says so; else nobody looks at them."""

from collections.abc import Collection, Sequence

from .ir import Atom, Graph, Value


def asked(graph: Graph, stored: Collection[Value], roots: Sequence[Value]) -> set[Atom | None]:
    """Which values say whether these are needed; None stands for those that always are.

    What is computed of a value that is only `if_needed`, without another kernel in between, is needed only then, too.
    """
    if all(eqn.primitive != "if_needed" for eqn in graph.equations):
        return {None}
    return {_asked(graph, stored, root) for root in roots}


def _asked(graph: Graph, stored: Collection[Value], root: Value) -> Atom | None:
    todo, seen = [root], {root}
    while todo:
        eqn = graph.producer[todo.pop()]
        if eqn.primitive == "if_needed":
            return eqn.inputs[1]
        behind = {v for v in eqn.inputs if isinstance(v, Value) and v in graph.producer and v not in stored}
        todo += behind - seen
        seen |= behind
    return None
