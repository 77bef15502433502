"""Maps: elementwise values over one domain. An invocation computes one element of each root, or four neighbours."""

import math

from ..builder import Index
from ..indexing import Place, add, assume, less, mul
from .pull import Pull
from .task import WORKGROUP, Context, Task, groups_for, lanes_of


def groups(task: Task) -> int:
    size = math.prod(task.domain)
    return groups_for(size // lanes_of(size, task))


def emit(ctx: Context, task: Task, group: Index) -> None:
    """Writes the section of a kernel that runs in workgroup number `group` of this task."""
    b, size = ctx.b, math.prod(task.domain)
    lanes = b.lanes = lanes_of(size, task)
    invocation = add(b, mul(b, group, WORKGROUP), b.local)
    with b.when(less(b, invocation, size // lanes)):
        first = mul(b, assume(invocation, size // lanes), lanes)
        store_roots(ctx, task, ctx.pull(task), [add(b, first, lane) for lane in range(lanes)])
    b.lanes = 1


def emit_stage(ctx: Context, task: Task) -> None:
    """Writes the map as a stage of a kernel of one workgroup."""
    b, size = ctx.b, math.prod(task.domain)

    def body(index: Index, _: list) -> list:
        store_roots(ctx, task, ctx.pull(task), [index])
        return []

    if size <= WORKGROUP:
        with b.when(less(b, b.local, size)):
            body(assume(b.local, size), [])
    else:
        b.loop(b.local, size, WORKGROUP, [], body, bound=size)


def store_roots(ctx: Context, task: Task, pull: Pull, indices: list[Index]) -> None:
    """Computes every root at the given linear indices (neighbours), then stores them all.

    Nothing is stored before everything is computed, so that a root may lie where one of its inputs lay.
    """
    roots = [root for root in task.roots if root in ctx.pointers]
    places = [[Place(ctx.b, root.shape, linear=i) for i in indices] for root in roots]
    values = [[pull.at(root, place) for place in row] for root, row in zip(roots, places, strict=True)]
    for root, row in zip(roots, values, strict=True):
        pointer = ctx.pointers[root]
        if len(row) == 4 and ctx.b.is_wide(pointer):
            ctx.b.store_wide(pointer, indices[0], row)
        else:
            for index, value in zip(indices, row, strict=True):
                ctx.b.store(pointer, index, value)
