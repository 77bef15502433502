"""The loop of a scan: from step to step, with the carry in registers.

What steps read is loaded while the steps before them run: an invocation has so many loads in flight as its registers
hold, and where there are few invocations they may hold many.
"""

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property

from ..ir import Atom, Chunks, ScanParams, Value, Window
from ..shader.builder import Index, Ref
from ..shader.indexing import Place, add, assume, div, equal, joined, least, mod, mul, sub
from .map import store_roots, store_row
from .pull import Source
from .reduction import COMBINE
from .steps import Operands, Steps, size_of
from .task import Context, Task

AHEAD, FARTHEST = 8, 64  # steps whose inputs are loaded ahead: where invocations are many, and where they are few
MOST = 1 << 21  # elements of which invocations with neighbours are so many that half as many steps ahead will do
ON_CPU = 16  # nothing is loaded ahead there: so many steps, or parts of them, load together
IN_FLIGHT = 1 << 20  # loads that keep the memory of a large GPU busy


def nothing(_: int) -> None:
    """What is done beside a step, where that is all."""


class Loop:
    """One invocation's loop over T, for the elements at some indices: one, or runs of four neighbours."""

    def __init__(self, ctx: Context, task: Task, indices: Sequence[Index]) -> None:
        self.ctx, self.task, self.indices, self.b = ctx, task, indices, ctx.b
        self.eqn = task.anchors[0]
        self.scan: ScanParams = self.eqn.params["scan"]
        self.outer = ctx.pull(task)
        self.places = [Place(self.b, task.domain, linear=index) for index in indices]
        self.operands = Operands(self.scan, self.eqn.inputs)
        self.steps = Steps(self.outer, self.places, self.scan.body, self.operands.consts, self.operands.xs)
        self.held = self.scan.carries * len(indices)  # registers of the carry
        self.ys = self.eqn.outputs[self.scan.carries : len(self.scan.body.outputs)]

    def run(self) -> None:
        self._finish(self._through(self.steps.owned(self.operands.initial)))

    def _through(self, carried: list[Ref]) -> list[Ref]:
        """All steps: those of the first chunk, then those of the chunks before which something is saved."""
        chunks = self.scan.chunks or Chunks(self.scan.length, max(1, self.scan.length))
        ahead, every = self._ahead, chunks.every
        carried = self._steps(0, chunks.first, ahead, carried)
        ahead = ahead // every * every or math.gcd(ahead, every)  # chunks have to begin at known steps of a block
        return self._steps(chunks.first, self.scan.length, ahead, carried)

    @cached_property
    def _ahead(self) -> int:
        """Steps whose inputs are loaded ahead."""
        size, beside = max(1, size_of(self.scan)), self.b.lanes
        if self.b.target.software:
            many = ON_CPU // beside
        elif beside > 1:
            many = AHEAD if size < MOST else AHEAD // 2
        else:
            many = max(AHEAD, min(FARTHEST, IN_FLIGHT // size))
        few = many // max(1, len(self.steps.xs))
        return 1 << max(1, few).bit_length() - 1

    def _steps(self, start: int, stop: int, ahead: int, carried: list[Ref]) -> list[Ref]:
        """Some steps, block by block; what is left over is a block of its own."""
        whole = start + (stop - start) // ahead * ahead
        carried = self._blocks(start, whole, ahead, carried)
        return self._blocks(whole, stop, stop - whole, carried)

    def _blocks(self, start: int, stop: int, many: int, carried: list[Ref]) -> list[Ref]:
        """Blocks of `many` steps: each loads what the next one reads, an input for every one that it has used up.

        Invocations that own neighbours are many: while one waits for what it loads, others run.
        """
        if start == stop:
            return carried
        held, last = self.held, stop - start - many
        rolling = last > 0 and not self.b.target.software and len(self.indices) == 1

        def times(count: Index) -> list[Index]:
            return self.elements(add(self.b, count, start), many, self.scan.reverse)

        def body(count: Index, now: list[Ref]) -> list[Ref]:
            mine, carried, loaded = times(count), now[:held], now[held:]
            self.steps.hold(mine, loaded if rolling else self.steps.load(mine))
            later = times(least(self.b, add(self.b, count, many), last)) if rolling else []
            loaded = []

            def beside(k: int) -> None:
                with self.b.pinned():
                    loaded.extend(self.steps.load(later[k : k + 1]))

            return [*self._run(count, start, mine, carried, beside), *loaded]

        first = self.steps.load(times(0)) if rolling else []
        return self.b.loop(0, last + many, many, [*carried, *first], body, bound=last + 1)[:held]

    def _run(
        self,
        count: Index,
        start: int,
        times: Sequence[Index],
        carried: list[Ref],
        beside: Callable[[int], None] = nothing,
    ) -> list[Ref]:
        """The steps from number `count + start` on, with something done beside each."""
        for k, t in enumerate(times):
            self.save(count, start + k, carried)
            beside(k)
            carried = self.step(t, carried)
        return carried

    def elements(self, count: Index, many: int, reverse: bool) -> list[Index]:
        """Which elements of a sequence belong to the steps from number `count` on."""
        if not reverse:
            return [add(self.b, count, k) for k in range(many)]
        earliest = self.scan.length - many
        first = assume(sub(self.b, earliest, count), earliest + 1)
        return [add(self.b, first, many - 1 - k) for k in range(many)]

    def step(self, t: Index, carried: Sequence[Ref], found: Sequence[Ref] = ()) -> list[Ref]:
        outputs = self.steps.run(t, carried, found)
        self.store_each(self.ys[: len(self.ys) - self.scan.saved], t, outputs[self.held :])
        return outputs[: self.held]

    def save(self, count: Index, start: int, carried: list[Ref]) -> None:
        """What is saved before a group of chunks, where step number `count + start` is its first."""
        chunks, saved = self.scan.chunks, self.scan.saved
        if chunks is None or start < chunks.first or (start - chunks.first) % chunks.every:
            return
        number, every = add(self.b, count, start - chunks.first), chunks.every * chunks.group
        with self.b.when(equal(self.b, mod(self.b, number, every), 0)):
            refs = self.steps.run(0, carried)[-saved * len(self.indices) :]
            self.store_each(self.ys[-saved:], div(self.b, number, every), refs)

    def store_each(self, ys: Sequence[Atom], t: Index, refs: Sequence[Ref]) -> None:
        """Stores element `t` of sequences."""
        many = len(self.indices)
        for k, y in enumerate(ys):
            size = math.prod(y.shape[1:])
            self._store(y, size, mul(self.b, t, size), refs[k * many : (k + 1) * many])

    def _store(self, value: Atom, size: int, start: Index, refs: Sequence[Ref]) -> None:
        """Stores this invocation's elements among `size` that begin at `start`, if anybody reads them."""
        if not isinstance(value, Value) or value not in self.ctx.pointers:
            return
        window = self.scan.window
        if window and value is self.eqn.outputs[window.output]:
            return self._store_folded(self.ctx.pointers[value], window, start, refs)
        own = self.indices if size > 1 else [0]
        with self.b.when(True if size > 1 else equal(self.b, self.indices[0], 0)):
            places = [add(self.b, start, index) for index in own]
            store_row(self.b, self.ctx.pointers[value], places, refs[: len(own)])

    def _store_folded(self, pointer: int, window: Window, start: Index, refs: Sequence[Ref]) -> None:
        """Stores what windows make of this invocation's elements, side by side for so many rows."""
        b, beside, wide = self.b, self.b.lanes, self.places[0].shape[-1]
        for first in range(0, len(refs), beside * window.rows):
            places, found = [], []
            for column in range(first, first + beside, window.columns):
                rows = range(column, column + beside * window.rows, beside)
                elements = [refs[k] for row in rows for k in range(row, row + window.columns)]
                found.append(functools.reduce(functools.partial(COMBINE[window.fold], b), elements))
                above = div(b, self.indices[column], wide * window.rows)
                within = div(b, mod(b, self.indices[column], wide), window.columns)
                places.append(add(b, start, joined(b, above, wide // window.columns, within)))
            store_row(b, pointer, places, found)

    def _finish(self, carried: Sequence[Ref]) -> None:
        """Stores the last carry, and what is elementwise in it."""
        pull, many = self.ctx.pull(self.task), len(self.indices)
        for k, value in enumerate(self.eqn.outputs[: self.scan.carries]):
            pull.sources[value] = self._from(carried[k * many : (k + 1) * many])
        stored = self.eqn.outputs[self.scan.carries :]
        kept = [root for root in self.task.roots if root not in stored]
        whole = [root for root in kept if root.size == math.prod(self.task.domain)]
        store_roots(self.ctx, replace(self.task, roots=tuple(whole)), pull, self.indices)
        with self.b.when(equal(self.b, self.indices[0], 0)):
            scalars = tuple(root for root in kept if root not in whole)
            store_roots(self.ctx, replace(self.task, roots=scalars), pull, [0])

    def _from(self, refs: Sequence[Ref]) -> Source:
        """Registers by the places of their elements: that of a scalar is anywhere."""
        found = {self.b.as_ref(index).id: ref for index, ref in zip(self.indices, refs, strict=True)}
        return lambda place: found.get(self.b.as_ref(place.linear).id, refs[0])
