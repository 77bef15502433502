"""The loops of scans of few elements: where each of their invocations waited for itself, others go ahead of one.

What they do ahead is to load what steps read (`Forth`), or to compute a chunk again for a reverse twin (`Back`).
"""

import math
from collections.abc import Iterator, Sequence

import numpy as np

from ..ir import ScanParams
from ..shader.builder import Index, Ref
from ..shader.indexing import add, least, less, mul, sub
from ..target import Target
from .back import Twin
from .forth import Loop
from .roles import AHEAD, LANES, Turns, is_stepping, rows_of
from .steps import parts_of, size_of

FEW = 1 << 15  # elements
LEAST, BLOCK = 8, 32  # steps that are handed over together
HELD = 48  # words of a block that an invocation ahead has registers for
FORTH, BACK = 4, 16  # steps that are written one after another, at most: a block takes several turns of a loop
WORD = 4  # bytes
SHARED_OF_ALL = 6 << 20  # bytes of workgroup memory that a large GPU has for all elements at a time


def in_roles(scan: ScanParams, target: Target) -> bool:
    """Whether invocations share a scan, if workgroups do nothing else."""
    size, replay = size_of(scan), scan.replay
    own = sum(value.size == size for value in scan.body.inputs[scan.consts + scan.carries :][: scan.sequences])
    if replay is None:
        return own > 0 and scan.length >= 4 * BLOCK and block_of(size, own, target) > 0
    several = replay.chunks.count > AHEAD and replay.chunks.group == 1
    return several and replay.chunks.every <= _most(size, replay.found + own, target)


def block_of(size: int, words: int, target: Target) -> int:
    """How many steps are handed over together, of which each finds so many words; 0 where elements are many."""
    fit = min(_most(size, words, target), SHARED_OF_ALL // max(1, size * _bytes(words)))
    rows = min(BLOCK, HELD // max(1, words), fit) // 4 * 4
    return rows if rows >= LEAST else 0


def _most(size: int, words: int, target: Target) -> int:
    """How many steps of so many words fit into the memory of a workgroup, if elements are few."""
    few = size <= FEW and size % LANES == 0 and not target.software
    return target.shared_bytes // (LANES * _bytes(words)) if few else 0


def _bytes(words: int) -> int:
    """Workgroup memory of a step of an element."""
    return 2 * max(1, words) * WORD


class Fed(Loop):
    """The steps of an element: some of its invocations load, one computes."""

    def _through(self, carried: list[Ref]) -> list[Ref]:
        rows = block_of(size_of(self.scan), len(self.steps.own), self.b.target)
        return self._shared(Forth(self, rows, FORTH), carried)

    def _shared(self, work: "Forth", carried: list[Ref]) -> list[Ref]:
        b, alone = self.b, lambda: self._blocks(0, work.start, work.start, carried)
        carried = b.either(is_stepping(b), alone, lambda: carried) if work.start else carried
        return Turns(b, work).run(*divmod(self.scan.length - work.start, work.rows), carried)

    def _finish(self, carried: Sequence[Ref]) -> None:
        with self.b.when(is_stepping(self.b)):
            super()._finish(carried)


class FedTwin(Fed, Twin):
    """The way back of an element: some of its invocations compute chunks again, one goes back through them."""

    def _through(self, carried: list[Ref]) -> list[Ref]:
        return self._shared(Back(self), carried)


class Forth:
    """Blocks of steps: what they read is loaded."""

    def __init__(self, loop: Loop, rows: int, together: int, found: int = 0) -> None:
        self.loop, self.b, self.rows, self.found = loop, loop.b, rows, found
        self.chunks = loop.scan.chunks
        # before steps that are written together a carry may be saved, and not between them
        self.together = math.gcd(rows, together, self.chunks.every if self.chunks else together)
        self.start = self.chunks.first % self.together if self.chunks else 0
        self.dtypes: Sequence[np.dtype] = [x.dtype for x in loop.steps.own]

    def load(self, block: Index) -> list[Ref]:
        return self.loop.steps.load(self._times(block))

    def left(self, block: Index, loaded: list[Ref]) -> Iterator[tuple[int, list[Ref]]]:
        return enumerate(rows_of(loaded, self.rows))

    def step(self, block: Index, first: Index, carried: list[Ref], rows: list[list[Ref]]) -> list[Ref]:
        loop, count = self.loop, add(self.b, self._first(block), first)
        times = loop.elements(count, len(rows), loop.scan.reverse)
        loop.steps.hold(times, [ref for row in rows for ref in row[self.found :]])
        if self.chunks:
            number = sub(self.b, count, self.chunks.first)
            with self.b.when(less(self.b, number, loop.scan.length)):
                loop.save(number, self.chunks.first, carried)
        for t, row in zip(times, rows, strict=True):
            carried = loop.step(t, carried, row[: self.found])
        return carried

    def _times(self, block: Index) -> list[Index]:
        return self.loop.elements(self._first(block), self.rows, self.loop.scan.reverse)

    def _first(self, block: Index) -> Index:
        """The number of a block's first step: the last block, and those after it, are the last steps."""
        start = add(self.b, mul(self.b, block, self.rows), self.start)
        return least(self.b, start, self.loop.scan.length - self.rows)


class Back(Forth):
    """The chunks of a twin, the last one before others: they are computed again."""

    def __init__(self, twin: Twin) -> None:
        super().__init__(twin, twin.chunks.every, BACK, twin.replay.found)
        self.twin, first = twin, twin.replay.carries
        self.initial = twin.again.owned(twin.operands.replay_initial)
        self.dtypes = [*(atom.dtype for atom in twin.replay.body.outputs[first : first + self.found]), *self.dtypes]

    def load(self, block: Index) -> list[Ref]:
        twin = self.twin
        saved, forth = twin.saved(twin.from_behind(block)), twin.again.load(self._times(block)[::-1])
        return [*saved, *super().load(block), *forth]

    def left(self, block: Index, loaded: list[Ref]) -> Iterator[tuple[int, list[Ref]]]:
        twin, times = self.twin, self._times(block)[::-1]
        saved, own, forth = parts_of(loaded, (twin.replay.carries, self.rows * len(twin.steps.own), len(loaded)))
        later = less(self.b, block, twin.chunks.count)  # than the first chunk, before which nothing is saved
        state = [self.b.select(later, x, y) for x, y in zip(saved, self.initial, strict=True)]
        twin.again.hold(times, forth)
        for (k, row), t in zip(reversed(list(enumerate(rows_of(own, self.rows)))), times, strict=True):
            state, found = twin.step_again(t, state)
            yield k, [*found, *row]
