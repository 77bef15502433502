"""Which tasks share a dispatch: small ones one after another in one workgroup, others side by side."""

from dataclasses import replace

from ..ir import Graph, Value
from ..kernels.small import is_small
from ..kernels.task import Task
from ..target import Target
from .assignment import Draft
from .kernel import Kernel, Partition
from .reads import reads


def scheduled(graph: Graph, drafts: list[Draft], target: Target) -> Partition:
    """Tasks without roots that nobody reads lose them; small chains become one workgroup; levels become kernels."""
    stored = dict.fromkeys(root for draft in drafts for root in draft.task.roots)
    read = {d: reads(graph, stored, d.task) for d in drafts}
    needed = {leaf for found in read.values() for leaf in found} | set(graph.outputs)
    for draft in drafts:
        draft.task = replace(draft.task, roots=tuple(root for root in draft.task.roots if root in needed))
    kernels = _levelled(graph, _clustered(drafts, read, target), read, target)
    order = [root for kernel in kernels for task in kernel.tasks for root in task.roots]
    return Partition(tuple(kernels), tuple(order))


def _clustered(drafts: list[Draft], read: dict[Draft, dict[Value, bool]], target: Target) -> list[list[Draft]]:
    """Groups of small tasks that can run one after another with nothing else in between; others stay alone."""
    maker = {root: draft for draft in drafts for root in _made(draft.task)}
    clusters: list[list[Draft]] = []
    home: dict[Draft, int] = {}
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
    graph: Graph, clusters: list[list[Draft]], read: dict[Draft, dict[Value, bool]], target: Target
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
        kernels += _side_by_side(sections, read, target)
    return kernels


def _side_by_side(
    sections: list[tuple[Task, ...]], read: dict[Draft, dict[Value, bool]], target: Target
) -> list[Kernel]:
    """Sections share a kernel as long as their buffers' addresses fit into push constants."""
    found = {draft.task: values for draft, values in read.items()}
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
