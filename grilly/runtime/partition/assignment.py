"""Which task computes each stored value: its own, that of a value at the same places, or that of its siblings."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from ..ir import Equation, Graph, Value
from ..kernels import scan
from ..kernels.kind import kind_of
from ..kernels.task import Task
from ..needed import asked
from .reads import leaves


@dataclass(eq=False)
class Draft:
    """A task under assignment, with the level it runs at."""

    task: Task
    level: int


def assigned(graph: Graph, stored: list[Value]) -> list[Draft]:
    """The tasks that compute the stored values of a graph."""
    return _Assignment(graph, stored).tasks()


class _Assignment:
    """Gives every stored value to a task: its own, that of a value at the same places, or that of its siblings."""

    def __init__(self, graph: Graph, stored: list[Value]) -> None:
        self.graph = graph
        self.stored = dict.fromkeys(stored)
        self.owner: dict[Value, Draft] = {}
        self.drafts: list[Draft] = []

    def tasks(self) -> list[Draft]:
        for value in self.stored:
            if value in self.owner:
                continue
            eqn = self.graph.producer[value]
            kind = kind_of(eqn)
            draft = self._anchored(eqn, kind) if kind else self._joined(value)
            for output in eqn.outputs if kind else (value,):
                self.owner[output] = draft
        return self.drafts

    def _anchored(self, eqn: Equation, kind: str) -> Draft:
        level = 1 + max((self._level(leaf) for leaf, _ in self._leaves(eqn)), default=-1)
        domain = scan.domain(eqn.params["scan"]) if "scan" in eqn.params else eqn.outputs[0].shape
        sibling = self._sibling(eqn, level) if kind == "reduction" else None
        if sibling:
            task = sibling.task
            sibling.task = replace(task, anchors=(*task.anchors, eqn), roots=(*task.roots, *eqn.outputs))
            return sibling
        return self._draft(Task(kind, (eqn,), eqn.outputs, domain), level)

    def _sibling(self, eqn: Equation, level: int) -> Draft | None:
        """A reduction of an operand of the same shape over the same axes, which may run at the same time."""
        for draft in self.drafts:
            if draft.level == level and draft.task.kind == "reduction":
                other = draft.task.anchors[0]
                same = other.inputs[0].shape == eqn.inputs[0].shape
                if same and tuple(other.params["axes"]) == tuple(eqn.params["axes"]):
                    return draft
        return None

    def _joined(self, value: Value) -> Draft:
        """An elementwise value joins the task of what it is computed from, if it needs no other place or later task."""
        found = leaves(self.graph, self.stored, value, True)
        level = max((self._level(leaf) for leaf, _ in found), default=-1)
        latest = [(leaf, same) for leaf, same in found if self._level(leaf) == level and leaf in self.owner]
        owners = {self.owner[leaf] for leaf, _ in latest}
        if len(owners) == 1 and all(same for _, same in latest):
            draft = next(iter(owners))
            if self._may_join(draft.task, value, [leaf for leaf, _ in latest]):
                draft.task = replace(draft.task, roots=(*draft.task.roots, value))
                return draft
        for draft in self.drafts:
            alike = draft.level == level + 1 and not draft.task.anchors
            alike = alike and math.prod(draft.task.domain) == value.size
            if alike and len(asked(self.graph, self.stored, [*draft.task.roots, value])) == 1:
                draft.task = replace(draft.task, roots=(*draft.task.roots, value))
                return draft
        return self._draft(Task("map", (), (value,), value.shape), level + 1)

    def _may_join(self, task: Task, value: Value, leaves: list[Value]) -> bool:
        if value.size != math.prod(task.domain) or task.kind == "loop":
            return False
        if task.kind == "scan":  # what a scan puts out at each step is complete only in the end
            anchor = task.anchors[0]
            carries = anchor.outputs[: anchor.params["scan"].carries]
            return all(leaf in carries or leaf not in anchor.outputs for leaf in leaves)
        return True

    def _draft(self, task: Task, level: int) -> Draft:
        self.drafts.append(Draft(task, level))
        return self.drafts[-1]

    def _level(self, leaf: Value) -> int:
        return self.owner[leaf].level if leaf in self.owner else -1

    def _leaves(self, eqn: Equation) -> Iterator[tuple[Value, bool]]:
        for operand in eqn.inputs:
            yield from leaves(self.graph, self.stored, operand, False)
