"""Which buffers a task reads, through whatever it computes by the way."""

from ..ir import Atom, Equation, Graph, ScanParams, Value
from ..kernels import elementwise, scan
from ..kernels.gather import keeps_place
from ..kernels.task import Task
from ..kernels.views import SAME_PLACE


def leaves(graph: Graph, stored: dict[Value, None], atom: Atom, same: bool) -> list[tuple[Value, bool]]:
    """The buffers behind a value, and whether each is read only at the very place that is computed.

    `same` is true to look behind a value that is itself stored (its own inputs), false to take it as a leaf.
    """
    found: dict[Value, bool] = {}
    seen: set[tuple[Value, bool]] = set()
    pending = [(atom, same, same)]
    while pending:
        atom, same, top = pending.pop()
        if not isinstance(atom, Value) or (atom, same) in seen:
            continue
        seen.add((atom, same))
        eqn = graph.producer.get(atom)
        if eqn is None or (atom in stored and not top):
            found[atom] = found.get(atom, True) and same
            continue
        below = [
            (operand, same and _keeps_place(eqn, number, atom), False) for number, operand in enumerate(eqn.inputs)
        ]
        pending += reversed(below)
    return list(found.items())


def _keeps_place(eqn: Equation, number: int, result: Value) -> bool:
    """Whether an equation reads operand `number` only at the place where it computes the result."""
    operand = eqn.inputs[number]
    pointwise = eqn.primitive in elementwise.rules and operand.shape == result.shape
    keeps = pointwise or eqn.primitive in SAME_PLACE or keeps_place(eqn, number)
    return keeps or (scan.reads_own_place(eqn, number) and operand.size == result.size)


def reads(graph: Graph, stored: dict[Value, None], task: Task) -> dict[Value, bool]:
    """The buffers that a task reads but does not compute, and whether only at the place it writes."""
    found: dict[Value, bool] = {}
    for anchor in task.anchors:
        held: tuple[Atom, ...] = ()
        if task.kind == "scan":  # the initial carry is read at the place where the last one is written
            params: ScanParams = anchor.params["scan"]
            held = anchor.inputs[params.consts : params.consts + params.carries]
        for operand in anchor.inputs:
            for leaf, _ in leaves(graph, stored, operand, False):
                found[leaf] = found.get(leaf, True) and operand in held and leaf is operand
    if task.when:
        found |= {leaf: False for leaf, _ in leaves(graph, stored, task.when[0], False)}
    anchored = {value for anchor in task.anchors for value in anchor.outputs}
    for root in task.roots:
        if root not in anchored:
            for leaf, same in leaves(graph, stored, root, True):
                found[leaf] = found.get(leaf, True) and same
    own = {*task.roots, *anchored}
    return {leaf: same for leaf, same in found.items() if leaf not in own}
