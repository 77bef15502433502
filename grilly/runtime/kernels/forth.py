"""The loop of a scan: from step to step, with the carry in registers.

What steps read is loaded while the steps before them run: an invocation has so many loads in flight as its registers
hold, and where there are few invocations they may hold many.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property

from ..builder import Index, Ref
from ..indexing import Place, add, assume, div, equal, least, mod, mul, sub
from ..ir import Atom, Chunks, ScanParams, Value
from .map import store_roots
from .steps import Operands, Steps, size_of
from .task import Context, Task

AHEAD, FARTHEST = 16, 64  # steps whose inputs are loaded ahead: where invocations are many, and where they are few
IN_FLIGHT = 1 << 20  # loads that keep the memory of a large GPU busy


class Loop:
    """One invocation's loop over T, for the element at `index`."""

    def __init__(self, ctx: Context, task: Task, index: Index) -> None:
        self.ctx, self.task, self.index, self.b = ctx, task, index, ctx.b
        self.eqn = task.anchors[0]
        self.scan: ScanParams = self.eqn.params["scan"]
        self.outer = ctx.pull(task)
        self.place = Place(self.b, task.domain, linear=index)
        self.operands = Operands(self.scan, self.eqn.inputs)
        self.steps = Steps(self.outer, self.place, self.scan.body, self.operands.consts, self.operands.xs)
        self.carries = self.scan.carries
        self.ys = self.eqn.outputs[self.carries : len(self.scan.body.outputs)]

    def run(self) -> None:
        self._finish(self._through(self.steps.owned(self.operands.initial)))

    def _through(self, carried: list[Ref]) -> list[Ref]:
        """All steps: those of the first chunk, then those of the chunks before which something is saved."""
        chunks = self.scan.chunks or Chunks(self.scan.length, max(1, self.scan.length))
        carried = self._steps(0, chunks.first, self._ahead, carried)
        return self._steps(chunks.first, self.scan.length, math.gcd(self._ahead, chunks.every), carried)

    @cached_property
    def _ahead(self) -> int:
        """Steps whose inputs are loaded ahead."""
        many = AHEAD if self.b.target.software else IN_FLIGHT // max(1, size_of(self.scan))
        few = max(AHEAD, min(FARTHEST, many)) // max(1, len(self.steps.xs))
        return 1 << max(1, few).bit_length() - 1

    def _steps(self, start: int, stop: int, ahead: int, carried: list[Ref]) -> list[Ref]:
        """Some steps, block by block; what is left over is a block of its own."""
        whole = start + (stop - start) // ahead * ahead
        carried = self._blocks(start, whole, ahead, carried)
        return self._blocks(whole, stop, stop - whole, carried)

    def _blocks(self, start: int, stop: int, many: int, carried: list[Ref]) -> list[Ref]:
        """Blocks of `many` steps: each loads what the next one reads, an input for every one that it has used up."""
        if start == stop:
            return carried
        held, last, chunks = len(carried), stop - start - many, self.scan.chunks
        saving = chunks is not None and start >= chunks.first
        rolling = last > 0 and not self.b.target.software

        def times(count: Index) -> list[Index]:
            return self._elements(add(self.b, count, start), many, self.scan.reverse)

        def body(count: Index, now: list[Ref]) -> list[Ref]:
            mine, carried, loaded = times(count), now[:held], now[held:]
            self.steps.hold(mine, loaded if rolling else self.steps.load(mine))
            later = times(least(self.b, add(self.b, count, many), last)) if rolling else []
            loaded = []
            if saving:
                self._save(count, carried)
            for k, t in enumerate(mine):
                loaded += self.steps.load(later[k : k + 1])
                carried = self._step(t, carried)
            return [*carried, *loaded]

        first = self.steps.load(times(0)) if rolling else []
        return self.b.loop(0, last + many, many, [*carried, *first], body, bound=last + 1)[:held]

    def _elements(self, count: Index, many: int, reverse: bool) -> list[Index]:
        """Which elements of a sequence belong to the steps from number `count` on."""
        if not reverse:
            return [add(self.b, count, k) for k in range(many)]
        earliest = self.scan.length - many
        first = assume(sub(self.b, earliest, count), earliest + 1)
        return [add(self.b, first, many - 1 - k) for k in range(many)]

    def _step(self, t: Index, carried: Sequence[Ref], found: Sequence[Ref] = ()) -> list[Ref]:
        outputs = self.steps.run(t, carried, found)
        ys = len(self.ys) - self.scan.saved
        self._store_each(self.ys[:ys], t, outputs[self.carries : self.carries + ys])
        return outputs[: self.carries]

    def _save(self, count: Index, carried: list[Ref]) -> None:
        """What is saved before a group of chunks, where this is its first step, counted after the first chunk."""
        chunks, saved = self.scan.chunks, self.scan.saved
        assert chunks
        every = chunks.every * chunks.group
        with self.b.when(equal(self.b, mod(self.b, count, every), 0)):
            self._store_each(self.ys[-saved:], div(self.b, count, every), self.steps.run(0, carried)[-saved:])

    def _store_each(self, ys: Sequence[Atom], t: Index, refs: Sequence[Ref]) -> None:
        """Stores element `t` of sequences."""
        for y, ref in zip(ys, refs, strict=True):
            size = math.prod(y.shape[1:])
            self._store(y, size, mul(self.b, t, size), ref)

    def _store(self, value: Atom, size: int, start: Index, ref: Ref) -> None:
        """Stores this invocation's element among `size` that begin at `start`, if anybody reads it."""
        if not isinstance(value, Value) or value not in self.ctx.pointers:
            return
        own = self.index if size > 1 else 0
        with self.b.when(True if size > 1 else equal(self.b, self.index, 0)):
            self.b.store(self.ctx.pointers[value], add(self.b, start, own), ref)

    def _finish(self, carried: Sequence[Ref]) -> None:
        """Stores the last carry, and what is elementwise in it."""
        pull = self.ctx.pull(self.task)
        for value, ref in zip(self.eqn.outputs, carried, strict=False):
            pull.sources[value] = lambda _, ref=ref: ref
        stored = self.eqn.outputs[self.carries :]
        kept = [root for root in self.task.roots if root not in stored]
        whole = [root for root in kept if root.size == math.prod(self.task.domain)]
        store_roots(self.ctx, replace(self.task, roots=tuple(whole)), pull, [self.index])
        with self.b.when(equal(self.b, self.index, 0)):
            scalars = tuple(root for root in kept if root not in whole)
            store_roots(self.ctx, replace(self.task, roots=scalars), pull, [0])
