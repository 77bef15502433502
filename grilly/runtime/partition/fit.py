"""Kernels with more buffers than a target can bind become several, which run one after another.

Kernels that take addresses have no such limit.
"""

from collections.abc import Iterator, Sequence

from ..ir import Graph, Value
from ..kernels.task import Task
from ..target import Target
from .kernel import Kernel, Partition
from .reads import reads


def fitted(graph: Graph, parts: Partition, target: Target) -> Partition:
    """The partition, of kernels that the target can run."""
    if not target.bindings:
        return parts
    stored = dict.fromkeys(parts.stored)
    kernels: list[Kernel] = []
    for kernel in parts.kernels:
        fits = len(_buffers(graph, stored, kernel.tasks)) <= target.bindings
        kernels += [kernel] if fits else _cut(graph, stored, kernel, target.bindings)
    return Partition(tuple(kernels), parts.stored)


def _buffers(graph: Graph, stored: dict[Value, None], tasks: Sequence[Task]) -> set[Value]:
    """What the tasks read or write."""
    return {value for task in tasks for value in (*task.roots, *reads(graph, stored, task))}


def _cut(graph: Graph, stored: dict[Value, None], kernel: Kernel, limit: int) -> Iterator[Kernel]:
    """As many stages of a section in each kernel as fit."""
    for section in kernel.sections:
        stages: tuple[Task, ...] = ()
        for task in section:
            if stages and len(_buffers(graph, stored, (*stages, task))) > limit:
                yield Kernel((stages,))
                stages = ()
            stages += (task,)
        yield Kernel((stages,))
