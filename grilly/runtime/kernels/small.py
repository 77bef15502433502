"""Small tasks: one workgroup does several of them, one after another, in less time than their dispatches would take."""

import math

from ..target import Target
from . import reduction
from .task import Task, groups_for

ELEMENTS = 4096  # that a small task has at most
ROUNDS = 4  # of a GPU's workgroup that it takes at most: each is half a microsecond, and a dispatch two to three


def is_small(task: Task, target: Target) -> bool:
    """Whether the task is a stage of a kernel of one workgroup. A CPU's dispatches are dear: there more of them are."""
    if task.kind == "reduction":
        elements, rounds = task.anchors[0].inputs[0].size, reduction.groups(task, target)
    else:
        elements = math.prod(task.domain)
        rounds = groups_for(elements)
    few = elements <= ELEMENTS and (target.software or rounds <= ROUNDS)
    return few and task.kind in ("map", "reduction")
