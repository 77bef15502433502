"""Roles of a workgroup: several invocations for each element, of which one steps and the others are ahead.

Those ahead take turns. In its turn, one leaves in workgroup memory what the steps of the next block find there, and
begins to load what it leaves next; that has arrived when its turn comes again. So nobody waits for device memory, and
the one that steps has nothing else to do.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np

from ..dtypes import BOOL
from ..shader.builder import Builder, Index, Ref
from ..shader.indexing import add, div, equal, least, mod, mul
from ..shader.spirv import Op
from .steps import parts_of

LANES = 64  # elements of a workgroup
AHEAD = 2  # invocations of an element that are ahead
INVOCATIONS = LANES * (1 + AHEAD)  # of a workgroup


class Work(Protocol):
    """Steps, block by block: what is shared between the roles."""

    dtypes: Sequence[np.dtype]  # of what a step finds: a row
    rows: int  # steps of a block
    together: int  # steps of a turn of the loop through a block, which divide it

    def load(self, block: Index) -> list[Ref]:
        """Begins a block."""
        ...

    def left(self, block: Index, loaded: list[Ref]) -> Iterator[tuple[int, list[Ref]]]:
        """The numbers of a block's steps, and what they find, once it is loaded."""
        ...

    def step(self, block: Index, first: Index, carried: list[Ref], rows: list[list[Ref]]) -> list[Ref]:
        """The carry after the steps from number `first` on, which found `rows`."""
        ...


def role(b: Builder) -> Index:
    """The role of this invocation: 0 steps, the others are ahead."""
    return div(b, b.local, LANES)


def is_stepping(b: Builder) -> Ref:
    """Whether this invocation goes from step to step."""
    return equal(b, role(b), 0)  # type: ignore[return-value]


def unseen(b: Builder, count: int) -> Index:
    """The same number: drivers that see how long a short loop is write all of it out, and read all it needs first."""
    return add(b, b.unseen_zero, count)


def rows_of(refs: Sequence[Ref], count: int) -> list[list[Ref]]:
    """So many rows of equal length."""
    each = len(refs) // count
    return [list(refs[k * each : (k + 1) * each]) for k in range(count)]


class Handover:
    """Workgroup memory for two blocks: while one is read, the other is written."""

    def __init__(self, b: Builder, dtypes: Sequence[np.dtype], rows: int) -> None:
        self.b, self.dtypes, self.rows = b, dtypes, rows
        self._arrays = [b.shared(dtype, 2 * rows * LANES) for dtype in dtypes]

    def leave(self, block: Index, k: int, row: Sequence[Ref]) -> None:
        """Leaves row `k`; odd blocks and even ones have memory of their own."""
        for array, ref in zip(self._arrays, row, strict=True):
            self.b.write_shared(array, self._slot(block, k), ref)

    def found(self, block: Index, first: Index, many: int) -> list[Ref]:
        """Some rows, one after another."""
        slots = [self._slot(block, add(self.b, first, k)) for k in range(many)]
        return [self._read(number, slot) for slot in slots for number in range(len(self.dtypes))]

    def _slot(self, block: Index, k: Index) -> Index:
        row = add(self.b, mul(self.b, mod(self.b, block, 2), self.rows), k)
        return add(self.b, mul(self.b, row, LANES), mod(self.b, self.b.local, LANES))

    def _read(self, number: int, slot: Index) -> Ref:
        value = self.b.read_shared(self._arrays[number], slot)
        if self.dtypes[number] != BOOL:
            return value
        return self.b.op(Op.INotEqual, BOOL, value, self.b.const(np.uint32(0)))


class Turns:
    """Some work, shared by the invocations of an element: while one steps through a block, the next ones begin."""

    def __init__(self, b: Builder, work: Work) -> None:
        self.b, self.work, self.handover = b, work, Handover(b, work.dtypes, work.rows)

    def run(self, blocks: int, rest: int, carried: list[Ref]) -> list[Ref]:
        """Through all blocks, and the last steps of one more; gives what the one that steps carries in the end."""
        b, loaded = self.b, self.work.load(role(self.b))
        sizes = len(carried), len(loaded)
        with b.when(is_stepping(b)):
            self._leave(0, loaded)

        def turn(nth: Index, now: list[Ref]) -> list[Ref]:
            carried, loaded = parts_of(now, sizes)

            def lead() -> list[Ref]:
                self._leave(add(b, nth, 1), loaded)
                return [*carried, *self.work.load(add(b, nth, 1 + AHEAD))]

            def ahead() -> list[Ref]:
                leads = equal(b, role(b), add(b, mod(b, nth, AHEAD), 1))
                return b.either(leads, lead, lambda: now)  # type: ignore[arg-type]

            after = b.either(is_stepping(b), lambda: [*self._step(nth, 0, carried), *loaded], ahead)
            b.barrier(buffers=False)
            return after

        carried = b.loop(0, blocks, 1, [*carried, *loaded], turn, bound=blocks)[: len(carried)]
        if not rest:
            return carried
        return b.either(is_stepping(b), lambda: self._step(blocks, self.work.rows - rest, carried), lambda: carried)

    def _leave(self, block: Index, loaded: list[Ref]) -> None:
        for k, row in self.work.left(block, loaded):
            self.handover.leave(block, k, row)

    def _step(self, block: Index, start: int, carried: list[Ref]) -> list[Ref]:
        """Through a block from step number `start` on: what the next steps find is read while some run."""
        b, work, held = self.b, self.work, len(carried)
        some = math.gcd(work.rows - start, work.together)
        last = work.rows - some

        def steps(first: Index, now: list[Ref]) -> list[Ref]:
            later = self.handover.found(block, least(b, add(b, first, some), last), some)
            return [*work.step(block, first, now[:held], rows_of(now[held:], some)), *later]

        found = self.handover.found(block, start, some)
        return b.loop(start, unseen(b, work.rows), some, [*carried, *found], steps, bound=last + 1)[:held]
