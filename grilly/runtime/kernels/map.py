"""Maps: elementwise values over one domain. An invocation computes one element of each root, or four neighbours."""

import math
from collections.abc import Mapping, Sequence

from ..ir import Atom, Value
from ..shader.builder import Builder, Index, Ref
from ..shader.indexing import Place, add, assume, div, less, mod, mul
from ..target import Target
from .pull import Pull
from .task import WORKGROUP, Context, Task, groups_for, lanes_of

ROWS = 8  # of a transposed array that neighbours read together at least: whole sectors of memory


def groups(task: Task, target: Target) -> int:
    size = math.prod(task.domain)
    return groups_for(size // lanes_of(size, task))


def emit(ctx: Context, task: Task, group: Index) -> None:
    """Writes the section of a kernel that runs in workgroup number `group` of this task."""
    b, size = ctx.b, math.prod(task.domain)
    lanes = b.lanes = lanes_of(size, task)
    across = [root for root in task.roots if root.size and _reads_across(ctx, root)]
    local = _turned(b, _rows(ctx, across[0], lanes)) if across else b.local
    invocation = add(b, mul(b, group, WORKGROUP), local)
    with b.when(less(b, invocation, size // lanes)):
        first = mul(b, assume(invocation, size // lanes), lanes)
        store_roots(ctx, task, ctx.pull(task), [add(b, first, lane) for lane in range(lanes)])
    b.lanes = 1


def _rows(ctx: Context, root: Value, lanes: int) -> int:
    """Of a transposed array, the rows that a workgroup's neighbours work on: as many as it has, a power of two.

    Of bytes they work on no more than they have to.
    """
    value = ctx.graph.producer[root].inputs[0]
    while isinstance(value, Value) and value not in ctx.pointers and ctx.graph.producer[value].inputs:
        value = ctx.graph.producer[value].inputs[0]
    many = WORKGROUP * lanes // root.shape[-1] if value.dtype.itemsize == 4 else 0
    return max(ROWS, 1 << many.bit_length() >> 1)


def _turned(b: Builder, rows: int) -> Index:
    """This invocation's number where neighbours work on different rows: of each, some invocations in turn."""
    return add(b, mul(b, mod(b, b.local, rows), WORKGROUP // rows), div(b, b.local, rows))


def _reads_across(ctx: Context, root: Value) -> bool:
    """Whether what is computed side by side lies far apart where it is read: behind a transpose of the last axis."""
    value: Atom = root
    while isinstance(value, Value) and (eqn := ctx.graph.producer.get(value)) and eqn.inputs:
        if eqn.primitive == "transpose":
            return int(eqn.params["permutation"][-1]) != len(value.shape) - 1
        value = eqn.inputs[0]
        if value in ctx.pointers or value.shape[-1:] != root.shape[-1:]:
            return False
    return False


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


def store_roots(ctx: Context, task: Task, pull: Pull, indices: Sequence[Index]) -> None:
    """Computes every root at the given linear indices (neighbours), then stores them all.

    Nothing is stored before everything is computed, so that a root may lie where one of its inputs lay.
    """
    store_values(ctx, indices, values_of_roots(ctx, task, pull, indices))


def values_of_roots(ctx: Context, task: Task, pull: Pull, indices: Sequence[Index]) -> dict[int, list[Ref]]:
    """Every root at the given linear indices, by the pointer to where it is stored."""
    roots = [root for root in task.roots if root in ctx.pointers]
    places = [[Place(ctx.b, root.shape, linear=i) for i in indices] for root in roots]
    return {
        ctx.pointers[root]: [pull.at(root, place) for place in row] for root, row in zip(roots, places, strict=True)
    }


def store_values(ctx: Context, indices: Sequence[Index], values: Mapping[int, Sequence[Ref]]) -> None:
    """Stores elements of several buffers, each at the same indices."""
    for pointer, row in values.items():
        store_row(ctx.b, pointer, indices, row)


def store_row(b: Builder, pointer: int, indices: Sequence[Index], values: Sequence[Ref]) -> None:
    """Stores elements of a buffer: of runs of four neighbours, four at once, if it can be."""
    if len(values) % 4 == 0 and b.is_wide(pointer):
        for k in range(0, len(values), 4):
            b.store_wide(pointer, indices[k], values[k : k + 4])
    else:
        for index, value in zip(indices, values, strict=True):
            b.store(pointer, index, value)
