"""Scans of few elements: the two halves of a workgroup share the work on each.

Where there are few elements, each of their invocations waits for itself, step after step; two that work side by side
wait half as long. One half is ahead: it loads what the steps read, or computes a chunk again for a reverse twin. It
leaves that in workgroup memory, where the other half finds it, which goes from step to step and puts out.
"""

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from ..builder import BOOL, Builder, Index, Ref
from ..indexing import add, least, mod, mul
from ..ir import ScanParams
from ..spirv import Op
from ..target import Target
from .back import Twin, parts_of
from .forth import Loop
from .steps import size_of
from .task import SCANNING

FEW = 1 << 14  # elements
BLOCK = 32  # steps whose inputs are handed over together
WORD = 4  # bytes
LANES = SCANNING // 2  # of a workgroup that only scans: a half
SHARED_OF_ALL = 7 << 20  # bytes of workgroup memory that a large GPU has for all elements at a time


def in_halves(scan: ScanParams, target: Target) -> bool:
    """Whether halves share a scan, if workgroups do nothing else."""
    size, replay = size_of(scan), scan.replay
    if target.software or size > FEW or size % LANES:
        return False
    if replay is None:
        return scan.length >= 4 * BLOCK and any(
            value.size == size for value in scan.body.inputs[scan.consts + scan.carries :]
        )
    several = replay.chunks.count > 1 and replay.chunks.group == 1
    each = 2 * replay.chunks.every * replay.found * WORD  # bytes of an element
    return several and each * LANES <= target.shared_bytes and each * size <= SHARED_OF_ALL


class Handover:
    """Workgroup memory for some rows of numbers an element: next ones are left while the other half reads the last.

    Args:
        b: Writes the kernel.
        dtypes: Of a row.
        rows: How many are left at a time.
    """

    def __init__(self, b: Builder, dtypes: Sequence[np.dtype], rows: int) -> None:
        self.b, self.dtypes, self.rows = b, dtypes, rows
        self._arrays = [b.shared(dtype, 2 * rows * LANES) for dtype in dtypes]

    def leave(self, turn: Index, k: int, row: Sequence[Ref]) -> None:
        """Leaves row `k`; odd turns and even ones have memory of their own."""
        for array, ref in zip(self._arrays, row, strict=True):
            self.b.write_shared(array, self._slot(turn, k), ref)

    def found(self, turn: Index) -> list[list[Ref]]:
        """The rows that were left."""
        return [
            [self._read(number, self._slot(turn, k)) for number in range(len(self.dtypes))] for k in range(self.rows)
        ]

    def _slot(self, turn: Index, k: int) -> Index:
        row = add(self.b, mul(self.b, mod(self.b, turn, 2), self.rows), k)
        return add(self.b, mul(self.b, row, LANES), mod(self.b, self.b.local, LANES))

    def _read(self, number: int, slot: Index) -> Ref:
        value = self.b.read_shared(self._arrays[number], slot)
        if self.dtypes[number] != BOOL:
            return value
        return self.b.op(Op.INotEqual, BOOL, value, self.b.const(np.uint32(0)))


def is_ahead(b: Builder) -> Ref:
    """Whether this invocation belongs to the half that is ahead."""
    return b.op(Op.ULessThan, BOOL, b.local, b.const(np.uint32(LANES)))


class Fed(Loop):
    """The steps of one invocation of either half: one loads, the other computes."""

    def run(self) -> None:
        carried = self._through(self.steps.owned(self.operands.initial))
        with self.b.when(self.b.op(Op.LogicalNot, BOOL, is_ahead(self.b))):
            self._finish(carried)

    @cached_property
    def _ahead(self) -> int:
        """Steps of a block."""
        return 1 << max(1, BLOCK // len(self.steps.xs)).bit_length() - 1

    def _blocks(self, start: int, stop: int, many: int, carried: list[Ref]) -> list[Ref]:
        """Blocks of `many` steps. While one half computes, the other leaves what the next block reads."""
        if start == stop:
            return carried
        b, held, turns = self.b, len(carried), (stop - start) // many
        if turns < 2:
            return b.either(is_ahead(b), lambda: carried, lambda: super(Fed, self)._blocks(start, stop, many, carried))

        def times(turn: Index) -> list[Index]:
            return self._elements(add(b, mul(b, least(b, turn, turns - 1), many), start), many, self.scan.reverse)

        first, loaded = self.steps.load(times(0)), self.steps.load(times(1))
        each = len(first) // many
        handover = Handover(b, [ref.dtype for ref in first[:each]], many)

        def leave(turn: Index, loaded: list[Ref]) -> None:
            for k in range(many):
                handover.leave(turn, k, loaded[k * each : (k + 1) * each])

        def body(turn: Index, now: list[Ref]) -> list[Ref]:
            mine, later, carried, loaded = times(turn), times(add(b, turn, 2)), now[:held], now[held:]

            def ahead() -> list[Ref]:
                leave(add(b, turn, 1), loaded)
                return [*carried, *self.steps.load(later)]

            def behind() -> list[Ref]:
                self.steps.hold(mine, [ref for row in handover.found(turn) for ref in row])
                return [*self._run(mul(b, turn, many), start, mine, carried), *loaded]

            results = b.either(is_ahead(b), ahead, behind)
            b.barrier(buffers=False)
            return results

        with b.when(is_ahead(b)):
            leave(0, first)
        b.barrier(buffers=False)
        return b.loop(0, turns, 1, [*carried, *loaded], body, bound=turns)[:held]


class Halves(Twin):
    """The way back of one invocation of either half: one computes chunks again, the other goes back through them."""

    def run(self) -> None:
        carried = self._side_by_side(self.steps.owned(self.operands.initial))
        with self.b.when(self.b.op(Op.LogicalNot, BOOL, is_ahead(self.b))):
            self._finish(self._first(carried))

    @cached_property
    def _handover(self) -> Handover:
        """For what steps back find."""
        first = self._replay.carries
        found = self._replay.body.outputs[first : first + self._replay.found]
        return Handover(self.b, [atom.dtype for atom in found], self._chunks.every)

    def _leave(self, turn: Index, times: Sequence[Index], state: list[Ref]) -> None:
        """Computes a chunk again."""
        for k, t in enumerate(times):
            state, results = self._again(t, state)
            self._handover.leave(turn, k, results)

    def _side_by_side(self, carried: list[Ref]) -> list[Ref]:
        """Through all chunks but the first: while one half goes back, the other is a chunk ahead."""
        b, count = self.b, self._chunks.count
        last, before = (self._times_of(self._from_behind(0, ahead)) for ahead in range(2))
        with b.when(is_ahead(b)):
            self.again.load(last)
            self._leave(0, last, self._saved(self._from_behind(0)))
        first = [carried, self.steps.load(last[::-1]), self._saved(self._from_behind(0, 1)), self.again.load(before)]
        sizes = [len(part) for part in first]
        b.barrier(buffers=False)

        def body(nth: Index, now: list[Ref]) -> list[Ref]:
            carried, back, state, forth = parts_of(now, sizes)
            mine, following, later = (self._times_of(self._from_behind(nth, ahead)) for ahead in range(3))

            def ahead() -> list[Ref]:
                self.again.hold(following, forth)
                self._leave(add(b, nth, 1), following, state)
                return [*carried, *back, *self._saved(self._from_behind(nth, 2)), *self.again.load(later)]

            def behind() -> list[Ref]:
                self.steps.hold(mine[::-1], back)
                loaded: list[Ref] = []

                def beside(k: int) -> None:
                    if k == 1:  # the first step back has waited for what was loaded before
                        loaded.extend(self.steps.load(following[::-1]))

                return [*self._back(mine, self._handover.found(nth), carried, beside), *loaded, *state, *forth]

            results = b.either(is_ahead(b), ahead, behind)
            b.barrier(buffers=False)
            return results

        return b.loop(0, count, 1, [ref for part in first for ref in part], body, bound=count)[: sizes[0]]
