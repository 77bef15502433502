"""Sorting in workgroup memory: a workgroup orders one block of a long row, or as many short rows as fill it.

The equation `sorted_blocks` takes keys, uint32[rows, n] each, the weightiest first, and gives where in its row each
block's elements lie when they are in order. That place is the last key, so that equal elements keep their order.

References:
    K. E. Batcher, "Sorting networks and their applications" (1968): the bitonic network, here in the form in which all
    comparisons point the same way.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..dtypes import BOOL, U32
from ..ir import Equation
from ..shader.builder import Builder, Index, Ref, Shared
from ..shader.indexing import Place, add, assume, div, guarded, less, mod, mul
from ..shader.spirv import Op
from ..target import Target
from .map import store_roots
from .task import WORKGROUP, Context, Task


@dataclass(frozen=True)
class Spread:
    """How rows are cut into blocks, and blocks are given to workgroups."""

    rows: int
    extent: int  # of a row
    block: int  # elements that are sorted together, a power of two

    @property
    def blocks(self) -> int:
        """Of a row."""
        return -(-self.extent // self.block)

    @property
    def together(self) -> int:
        """Elements that a workgroup holds: two or more for each invocation."""
        return max(self.block, 2 * WORKGROUP)

    @property
    def groups(self) -> int:
        return max(1, -(-self.rows * self.blocks * self.block // self.together))


def spread(eqn: Equation) -> Spread:
    rows, extent = eqn.outputs[0].shape
    return Spread(rows, extent, min(eqn.params["block"], 1 << (extent - 1).bit_length()))


def groups(task: Task, target: Target) -> int:
    return spread(task.anchors[0]).groups


def emit(ctx: Context, task: Task, group: Index) -> None:
    """Writes the section of a kernel that runs in workgroup number `group` of this task."""
    b, eqn = ctx.b, task.anchors[0]
    s = spread(eqn)
    *keys, places = (b.shared(U32, s.together) for _ in range(len(eqn.inputs) + 1))
    pull, last = ctx.pull(task), b.const(np.uint32(0xFFFFFFFF))
    for slot in _slots(b, s):
        row, place, inside = _element(b, s, group, slot)
        safe = [guarded(b, inside, row, s.rows), guarded(b, inside, place, s.extent)]
        at = Place(b, (s.rows, s.extent), coordinates=safe)
        for array, key in zip(keys, eqn.inputs, strict=True):
            b.write_shared(array, slot, b.select(inside, pull.at(key, at), last))
        b.write_shared(places, slot, b.as_ref(place))
    _network(b, s, [*keys, places])
    b.barrier()
    for slot in _slots(b, s):
        row, place, inside = _element(b, s, group, slot)
        with b.when(inside):
            found = b.read_shared(places, slot)
            finished = ctx.pull(task)
            finished.sources[eqn.outputs[0]] = lambda _, found=found: found
            linear = add(b, mul(b, assume(row, s.rows), s.extent), assume(place, s.extent))
            store_roots(ctx, task, finished, [linear])


def _slots(b: Builder, s: Spread) -> list[Index]:
    """The slots of workgroup memory that an invocation fills and empties."""
    return [add(b, b.local, k * WORKGROUP) for k in range(s.together // WORKGROUP)]


def _element(b: Builder, s: Spread, group: Index, slot: Index) -> tuple[Index, Index, Ref | bool]:
    """The row of a slot's element, its place in the row, and whether there is such an element."""
    block = add(b, mul(b, group, s.together // s.block), div(b, slot, s.block))
    row = div(b, block, s.blocks)
    place = add(b, mul(b, mod(b, block, s.blocks), s.block), mod(b, slot, s.block))
    return row, place, b.both(less(b, row, s.rows), less(b, place, s.extent))


def _network(b: Builder, s: Spread, shared: Sequence[Shared]) -> None:
    """Merges runs of 1, 2, 4... elements: the first step of a merge compares from outside in, others at a distance."""
    one = b.const(np.uint32(1))

    def merge(level: Ref, _: list[Ref]) -> list[Ref]:
        def step(back: Ref, _: list[Ref]) -> list[Ref]:
            b.barrier()
            bit = b.op(Op.ISub, U32, b.op(Op.ISub, U32, level, back), one)
            distance = b.op(Op.ShiftLeftLogical, U32, one, bit)
            mirror = b.op(Op.ISub, U32, b.op(Op.ShiftLeftLogical, U32, one, level), one)
            first = b.op(Op.IEqual, BOOL, back, b.const(np.uint32(0)))
            flips = b.select(first, mirror, distance)
            for k in range(s.together // 2 // WORKGROUP):
                pair = b.as_ref(add(b, b.local, k * WORKGROUP))
                low = _without_bit(b, pair, bit, distance)
                _exchanged(b, shared, low, b.op(Op.BitwiseXor, U32, low, flips))
            return []

        b.loop(0, level, 1, [], step, bound=s.block)
        return []

    levels = s.block.bit_length() - 1
    b.loop(1, levels + 1, 1, [], merge, bound=levels + 1)


def _without_bit(b: Builder, number: Ref, bit: Ref, distance: Ref) -> Ref:
    """The `number`-th of all slots whose bit `bit` is 0."""
    below = b.op(Op.BitwiseAnd, U32, number, b.op(Op.ISub, U32, distance, b.const(np.uint32(1))))
    return b.op(Op.ISub, U32, b.op(Op.ShiftLeftLogical, U32, number, b.const(np.uint32(1))), below)


def _exchanged(b: Builder, shared: Sequence[Shared], low: Ref, high: Ref) -> None:
    """Puts the lesser of two elements into the lower slot."""
    mine = [b.read_shared(array, low) for array in shared]
    theirs = [b.read_shared(array, high) for array in shared]
    with b.when(_precedes(b, theirs, mine)):
        for array, x, y in zip(shared, mine, theirs, strict=True):
            b.write_shared(array, low, y)
            b.write_shared(array, high, x)


def _precedes(b: Builder, xs: Sequence[Ref], ys: Sequence[Ref]) -> Ref:
    """Whether one element comes before another: by the first key that differs."""
    result = b.op(Op.ULessThan, BOOL, xs[-1], ys[-1])
    for x, y in reversed(list(zip(xs[:-1], ys[:-1], strict=True))):
        tied = b.op(Op.LogicalAnd, BOOL, b.op(Op.IEqual, BOOL, x, y), result)
        result = b.op(Op.LogicalOr, BOOL, b.op(Op.ULessThan, BOOL, x, y), tied)
    return result
