"""Cuts a graph into kernels: which values are stored, which task computes each, which tasks share a dispatch.

Everything that is not stored is computed where it is needed (`kernels.pull`), so fusing is always right and only the
cost is at stake. The rules, in the order of this file: what must be stored; what is worth storing; who computes it;
which small tasks run one after another in one workgroup; which tasks run side by side.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from .ir import Atom, Equation, Graph, ScanParams, Value
from .kernels import elementwise, matmul, reduction, scan, tensor
from .kernels.gather import COMPUTED, keeps_place
from .kernels.operand import PRODUCTS
from .kernels.pull import JOINT, REPEATING, RULES
from .kernels.small import is_small
from .kernels.task import Task
from .needed import asked
from .target import Target
from .trace import unsupported

CHEAP = 4  # elementwise equations that are computed again rather than stored and loaded for each element of a broadcast
DEAR = 12  # ... rather than stored and loaded by a second kernel
KINDS = PRODUCTS | {"sorted_blocks": "sort"} | dict.fromkeys(reduction.COMBINE, "reduction")
SAME_PLACE = {"reshape", "squeeze", "expand_dims"}  # views that keep the linear index


@dataclass(frozen=True, eq=False)
class Kernel:
    """One dispatch: stages run one after another in one workgroup, sections side by side in workgroups of their own."""

    sections: tuple[tuple[Task, ...], ...]

    @property
    def tasks(self) -> tuple[Task, ...]:
        return tuple(task for section in self.sections for task in section)


@dataclass(frozen=True)
class Partition:
    """Kernels in the order they run, and the values that live in buffers of ours."""

    kernels: tuple[Kernel, ...]
    stored: tuple[Value, ...]


def kind_of(eqn: Equation) -> str | None:
    """The kind of kernel an equation needs; None where it is computed inside others."""
    if eqn.primitive in elementwise.rules or eqn.primitive in RULES:
        return None
    if eqn.primitive in ("scan", "while"):
        return scan.kind_of(eqn)
    if eqn.primitive in KINDS:
        return KINDS[eqn.primitive]
    raise unsupported(eqn)


def partition(graph: Graph, target: Target) -> Partition:
    """The kernels of a graph."""
    stored = _Storage(graph).chosen()
    tasks = _Assignment(graph, stored).tasks()
    return _scheduled(graph, tasks, target)


class _Storage:
    """Chooses the values that get a buffer."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.kinds = {eqn: kind_of(eqn) for eqn in graph.equations}
        self.stored: dict[Value, None] = {}
        self.costs: dict[Value, int] = {}

    def chosen(self) -> list[Value]:
        for atom in self.graph.outputs:
            if self._computed(atom):
                self.stored.setdefault(atom)  # type: ignore[arg-type]
        for eqn in self.graph.equations:
            if self.kinds[eqn] or eqn.primitive in JOINT:
                self.stored.update(dict.fromkeys(eqn.outputs))
        for eqn in self.graph.equations:
            self._store_operands(eqn)
        self._store_seen_twice()
        self._store_shared()
        order = {value: k for k, eqn in enumerate(self.graph.equations) for value in eqn.outputs}
        return sorted(self.stored, key=order.__getitem__)

    def _computed(self, atom: Atom) -> bool:
        return isinstance(atom, Value) and atom in self.graph.producer

    def _store_operands(self, eqn: Equation) -> None:
        """What would be computed many times over: operands of products, and of broadcasts and windows if dear."""
        step = eqn.params.get("scan") or (eqn.params["while"].step if "while" in eqn.params else None)
        searched = scan.searched(step) if step and self.kinds[eqn] != "loop" else ()
        for number, operand in enumerate(eqn.inputs):
            if not isinstance(operand, Value) or operand not in self.graph.producer:
                continue
            base = self._behind_views(operand)
            if self.kinds[eqn] == "loop":
                self._store(operand)
            once = base.size == operand.size and matmul.fetched_once(eqn, number)
            free = CHEAP if tensor.read_seldom(eqn, number) else 0
            if eqn.primitive in PRODUCTS and operand.shape and self.cost(base) > free and not once:
                self._store(base)
            if eqn.primitive == "shallow_product" and self._computed(base):  # each element is read for every result
                self._store(base)
            repeated = number in searched or self._repeats(eqn, operand)
            if repeated and self.cost(base) > CHEAP:
                self._store(base)

    def _store(self, value: Value) -> None:
        self.stored.setdefault(value)
        self.costs[value] = 0

    def _repeats(self, eqn: Equation, operand: Value) -> bool:
        more = not self.kinds[eqn] and any(operand.size < value.size for value in eqn.outputs)
        return more or eqn.primitive in REPEATING

    def _behind_views(self, value: Value) -> Value:
        """The value that a chain of views looks at."""
        eqn = self.graph.producer.get(value)
        while eqn and eqn.primitive in RULES and len(eqn.inputs) == 1 and value not in self.stored:
            if eqn.primitive in REPEATING or not isinstance(eqn.inputs[0], Value):
                break
            value = eqn.inputs[0]
            eqn = self.graph.producer.get(value)
        return value

    def cost(self, atom: Atom) -> int:
        """Elementwise equations behind a value, down to what is stored."""
        if not isinstance(atom, Value) or atom not in self.graph.producer or atom in self.stored:
            return 0
        if atom not in self.costs:
            eqn = self.graph.producer[atom]
            below = sum(self.cost(operand) for operand in eqn.inputs)
            self.costs[atom] = below + self._own_cost(eqn)
        return self.costs[atom]

    def _own_cost(self, eqn: Equation) -> int:
        if eqn.primitive in REPEATING:
            return math.prod(eqn.params.get("window_dimensions", (DEAR,)))
        return int(eqn.primitive in elementwise.rules or eqn.primitive in COMPUTED)

    def _store_seen_twice(self) -> None:
        """A dear value that several views look at, each from places of its own: the halves of a recursion, say."""
        for value, readers in self.graph.consumers.items():
            views = sum(eqn.primitive in RULES and eqn.primitive not in SAME_PLACE for eqn in readers)
            if views > 1 and self.cost(value) > DEAR:
                self._store(value)

    def _store_shared(self) -> None:
        """A dear value that kernels over different domains would each compute."""
        users: dict[Value, set[object]] = {}
        for eqn in reversed(self.graph.equations):
            for value in eqn.outputs:
                if value in self.stored or self.kinds[eqn]:
                    continue
                if len(users.get(value, ())) > 1 and self.cost(value) > DEAR:
                    self._store(value)
            mine: set[object] = set()
            for value in eqn.outputs:
                if self.kinds[eqn]:
                    mine.add(eqn)
                elif value in self.stored:
                    mine.add(value.size)
                else:
                    mine |= users.get(value, set())
            for operand in eqn.inputs:
                if isinstance(operand, Value):
                    users.setdefault(operand, set()).update(mine)


@dataclass(eq=False)
class _Draft:
    """A task under assignment, with the level it runs at."""

    task: Task
    level: int


class _Assignment:
    """Gives every stored value to a task: its own, that of a value at the same places, or that of its siblings."""

    def __init__(self, graph: Graph, stored: list[Value]) -> None:
        self.graph = graph
        self.stored = dict.fromkeys(stored)
        self.owner: dict[Value, _Draft] = {}
        self.drafts: list[_Draft] = []

    def tasks(self) -> list[_Draft]:
        for value in self.stored:
            if value in self.owner:
                continue
            eqn = self.graph.producer[value]
            kind = kind_of(eqn)
            draft = self._anchored(eqn, kind) if kind else self._joined(value)
            for output in eqn.outputs if kind else (value,):
                self.owner[output] = draft
        return self.drafts

    def _anchored(self, eqn: Equation, kind: str) -> _Draft:
        level = 1 + max((self._level(leaf) for leaf, _ in self._leaves(eqn)), default=-1)
        domain = scan.domain(eqn.params["scan"]) if "scan" in eqn.params else eqn.outputs[0].shape
        sibling = self._sibling(eqn, level) if kind == "reduction" else None
        if sibling:
            task = sibling.task
            sibling.task = replace(task, anchors=(*task.anchors, eqn), roots=(*task.roots, *eqn.outputs))
            return sibling
        return self._draft(Task(kind, (eqn,), eqn.outputs, domain), level)

    def _sibling(self, eqn: Equation, level: int) -> _Draft | None:
        """A reduction of an operand of the same shape over the same axes, which may run at the same time."""
        for draft in self.drafts:
            if draft.level == level and draft.task.kind == "reduction":
                other = draft.task.anchors[0]
                same = other.inputs[0].shape == eqn.inputs[0].shape
                if same and tuple(other.params["axes"]) == tuple(eqn.params["axes"]):
                    return draft
        return None

    def _joined(self, value: Value) -> _Draft:
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

    def _draft(self, task: Task, level: int) -> _Draft:
        self.drafts.append(_Draft(task, level))
        return self.drafts[-1]

    def _level(self, leaf: Value) -> int:
        return self.owner[leaf].level if leaf in self.owner else -1

    def _leaves(self, eqn: Equation) -> Iterator[tuple[Value, bool]]:
        for operand in eqn.inputs:
            yield from leaves(self.graph, self.stored, operand, False)


def leaves(graph: Graph, stored: dict[Value, None], atom: Atom, same: bool) -> list[tuple[Value, bool]]:
    """The buffers behind a value, and whether each is read only at the very place that is computed.

    `same` is true to look behind a value that is itself stored (its own inputs), false to take it as a leaf.
    """
    found: dict[Value, bool] = {}
    seen: set[tuple[Value, bool]] = set()

    def walk(atom: Atom, same: bool, top: bool) -> None:
        if not isinstance(atom, Value) or (atom, same) in seen:
            return
        seen.add((atom, same))
        eqn = graph.producer.get(atom)
        if eqn is None or (atom in stored and not top):
            found[atom] = found.get(atom, True) and same
            return
        for number, operand in enumerate(eqn.inputs):
            pointwise = eqn.primitive in elementwise.rules and operand.shape == atom.shape
            keeps = pointwise or eqn.primitive in SAME_PLACE or keeps_place(eqn, number)
            keeps = keeps or (scan.reads_own_place(eqn, number) and operand.size == atom.size)
            walk(operand, same and keeps, False)

    walk(atom, same, same)
    return list(found.items())


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


def _scheduled(graph: Graph, drafts: list[_Draft], target: Target) -> Partition:
    """Tasks without roots that nobody reads lose them; small chains become one workgroup; levels become kernels."""
    stored = dict.fromkeys(root for draft in drafts for root in draft.task.roots)
    read = {d: reads(graph, stored, d.task) for d in drafts}
    needed = {leaf for found in read.values() for leaf in found} | set(graph.outputs)
    for draft in drafts:
        draft.task = replace(draft.task, roots=tuple(root for root in draft.task.roots if root in needed))
    kernels = _levelled(graph, _clustered(drafts, read, target), read, target)
    order = [root for kernel in kernels for task in kernel.tasks for root in task.roots]
    return Partition(tuple(kernels), tuple(order))


def _clustered(drafts: list[_Draft], read: dict[_Draft, dict[Value, bool]], target: Target) -> list[list[_Draft]]:
    """Groups of small tasks that can run one after another with nothing else in between; others stay alone."""
    maker = {root: draft for draft in drafts for root in _made(draft.task)}
    clusters: list[list[_Draft]] = []
    home: dict[_Draft, int] = {}
    above: list[set[int]] = []  # clusters that each cluster depends on, at any distance
    for draft in sorted(drafts, key=lambda d: d.level):
        needs = {home[maker[leaf]] for leaf in read[draft] if leaf in maker}
        chosen = None
        if is_small(draft.task, target):
            for k in reversed(range(len(clusters))):
                joins = is_small(clusters[k][0].task, target)
                if joins and not any(k in above[n] for n in needs if n != k):
                    chosen = k
                    break
        if chosen is None:
            clusters.append([])
            above.append(set())
            chosen = len(clusters) - 1
        clusters[chosen].append(draft)
        home[draft] = chosen
        for n in needs - {chosen}:
            above[chosen] |= {n} | above[n]
        for other in above:
            if chosen in other:
                other |= above[chosen]
    return clusters


def _made(task: Task) -> set[Value]:
    return {*task.roots, *(value for anchor in task.anchors for value in anchor.outputs)}


def _levelled(
    graph: Graph, clusters: list[list[_Draft]], read: dict[_Draft, dict[Value, bool]], target: Target
) -> list[Kernel]:
    """Clusters by the level they can run at; those of one level share a kernel, products and scans apart."""
    maker = {root: k for k, cluster in enumerate(clusters) for d in cluster for root in _made(d.task)}
    level: dict[int, int] = {}

    def level_of(k: int) -> int:
        if k not in level:
            below = {maker[leaf] for d in clusters[k] for leaf in read[d] if leaf in maker} - {k}
            level[k] = 1 + max(map(level_of, below), default=-1)
        return level[k]

    kernels: list[Kernel] = []
    # Of one level, what writes results runs last: it may then take over the memory of what the others read.
    ordered = sorted(
        range(len(clusters)), key=lambda k: any(set(graph.outputs) & set(d.task.roots) for d in clusters[k])
    )
    for wanted in range(1 + max(map(level_of, range(len(clusters))), default=-1)):
        sections: list[tuple[Task, ...]] = []
        for k in ordered:
            if level[k] != wanted:
                continue
            tasks = tuple(d.task for d in sorted(clusters[k], key=lambda d: d.level))
            if tasks[0].kind in ("map", "reduction"):
                sections.append(tasks)
            else:
                kernels.append(Kernel((tasks,)))
        kernels += _side_by_side(sections, read, clusters, target)
    return kernels


def _side_by_side(
    sections: list[tuple[Task, ...]], read: dict[_Draft, dict[Value, bool]], clusters, target: Target
) -> list[Kernel]:
    """Sections share a kernel as long as their buffers' addresses fit into push constants."""
    found = {d.task: read[d] for cluster in clusters for d in cluster}
    room = target.push_constant_bytes // 8
    kernels: list[list[tuple[Task, ...]]] = []
    used: set[Value] = set()
    for section in sections:
        mine = {value for task in section for value in (*task.roots, *found[task])}
        if not kernels or len(used | mine) > room:
            kernels.append([])
            used = set()
        used |= mine
        kernels[-1].append(section)
    return [Kernel(tuple(kernel)) for kernel in kernels]
