"""The loop of a reverse twin: the steps of another scan are computed again chunk by chunk, in registers, and gone back
through (see `recompute`).

What later steps read is loaded meanwhile.
"""

from collections.abc import Callable, Sequence
from functools import cached_property

from ..ir import Chunks, Replay
from ..shader.builder import Index, Ref
from ..shader.indexing import add, alone, assume, equal, least, mul, sub
from .forth import Loop, nothing
from .steps import Steps, parts_of

BACK, BACK_ALONE = 8, 4  # steps back whose inputs are loaded ahead; in a chunk without others


class Twin(Loop):
    """One invocation's way back, for one element."""

    @cached_property
    def again(self) -> Steps:
        """The steps that are computed again."""
        operands = self.operands
        return Steps(self.outer, self.places, self.replay.body, operands.replay_consts, operands.replay_xs)

    def _through(self, carried: list[Ref]) -> list[Ref]:
        """From the last chunk to the first; the carry before each is what was saved, or how it all began."""
        return self._first(self._way()(carried) if self.chunks.count else carried)

    def _first(self, carried: list[Ref]) -> list[Ref]:
        """The first chunk."""
        return self._chunk(self._times(0, self.chunks.first), self.again.owned(self.operands.replay_initial), carried)

    def _way(self) -> Callable[[list[Ref]], list[Ref]]:
        """How the chunks after the first are gone through."""
        if self.chunks.group > 1:
            return self._in_groups
        return self._one_by_one if self.chunks.count == 1 or self.b.target.software else self._loading_ahead

    @property
    def replay(self) -> Replay:
        assert self.scan.replay
        return self.scan.replay

    @property
    def chunks(self) -> Chunks:
        return self.replay.chunks

    @property
    def _near(self) -> int:
        """Steps back whose inputs are loaded ahead."""
        return BACK if self.chunks.count else BACK_ALONE

    # Ways through the chunks -------------------------------------------------------------------------------------

    def _one_by_one(self, carried: list[Ref]) -> list[Ref]:
        def body(count: Index, carried: list[Ref]) -> list[Ref]:
            chunk = self.from_behind(count)
            return self._chunk(self.times_of(chunk), self.saved(chunk), carried)

        return self.b.loop(0, self.chunks.count, 1, carried, body, bound=self.chunks.count)

    def _loading_ahead(self, carried: list[Ref]) -> list[Ref]:
        """While it goes back through a chunk, what the next one reads is loaded."""
        last = self.from_behind(0)
        state, forth = self.saved(last), self.again.load(self.times_of(last))
        sizes = [len(part) for part in (carried, state, forth)]

        def body(count: Index, now: list[Ref]) -> list[Ref]:
            carried, state, forth = parts_of(now, sizes)
            mine, following = (self.times_of(self.from_behind(count, ahead)) for ahead in range(2))
            self.again.hold(mine, forth)
            self.steps.load(mine[-self._near :])
            saved, forth = self.saved(self.from_behind(count, 1)), []
            found = self._replayed(mine, state)[1]
            carried = self._back(mine, found, carried, lambda k: forth.extend(self.again.load([following[k]])))
            return [*carried, *saved, *forth]

        first = [*carried, *state, *forth]
        return self.b.loop(0, self.chunks.count, 1, first, body, bound=self.chunks.count)[: len(carried)]

    def _in_groups(self, carried: list[Ref]) -> list[Ref]:
        """Back through the chunks between two saved carries; the carries before them are computed again first."""
        saved, b, chunks = self.operands.saved, self.b, self.chunks

        def body(nth: Index, carried: list[Ref]) -> list[Ref]:
            group = assume(sub(b, chunks.groups - 1, nth), chunks.groups)
            number = mul(b, group, chunks.group)
            final = equal(b, group, chunks.groups - 1)
            count = assume(b.select(final, b.as_ref(chunks.last), b.as_ref(chunks.group)), chunks.group + 1)

            def forth(k: Index, state: list[Ref]) -> list[Ref]:
                self.store_each(saved, add(b, k, chunks.groups), state)
                return self._replayed(self.times_of(add(b, number, k)), state)[0]

            def back(nth: Index, carried: list[Ref]) -> list[Ref]:
                k = assume(sub(b, sub(b, count, 1), nth), chunks.group)
                before = self.saved(add(b, k, chunks.groups))
                return self._chunk(self.times_of(add(b, number, k)), before, carried)

            b.loop(0, count, 1, self.saved(group), forth, bound=chunks.group)
            return b.loop(0, count, 1, carried, back, bound=chunks.group)

        return b.loop(0, chunks.groups, 1, carried, body, bound=chunks.groups)

    # One chunk ---------------------------------------------------------------------------------------------------

    def _chunk(self, times: list[Index], state: list[Ref], carried: list[Ref]) -> list[Ref]:
        """Computes the steps of a chunk again, then goes back through them."""
        self.steps.load(times[-self._near :])
        self.again.load(times)
        state, found = self._replayed(times, state)
        for carry, ref in zip(self.eqn.outputs[len(self.scan.body.outputs) :], state, strict=False):
            self._store(carry, carry.size, 0, [ref])
        return self._back(times, found, carried)

    def _replayed(self, times: list[Index], state: list[Ref]) -> tuple[list[Ref], list[list[Ref]]]:
        """Steps of the other scan: the carry after them, and what each found."""
        found = []
        for t in times:
            state, results = self.step_again(t, state)
            found.append(results)
        return state, found

    def step_again(self, t: Index, state: list[Ref]) -> tuple[list[Ref], list[Ref]]:
        """A step of the other scan: its carry, and what it found. Where that scan runs only here, it puts out."""
        replay = self.replay
        outputs = self.again.run(t, state)
        state, rest = outputs[: replay.carries], outputs[replay.carries :]
        self.store_each(self.eqn.outputs[len(self.scan.body.outputs) + replay.carries :], t, rest[replay.found :])
        return state, rest[: replay.found]

    def _back(
        self,
        times: Sequence[Index],
        found: Sequence[Sequence[Ref]],
        carried: list[Ref],
        beside: Callable[[int], None] = nothing,
    ) -> list[Ref]:
        """Back through the steps of a chunk, with something done beside each."""
        for k, number in enumerate(reversed(range(len(times)))):
            if number >= self._near:
                self.steps.load([times[number - self._near]])
            beside(k)
            carried = self.step(times[number], carried, found[number])
        return carried

    def from_behind(self, count: Index, ahead: int = 0) -> Index:
        """The number of a chunk, counted from the last one; `ahead` of it, but not below 0."""
        last = self.chunks.count - 1
        return assume(sub(self.b, last, least(self.b, add(self.b, count, ahead), last)), last + 1)

    def times_of(self, chunk: Index) -> list[Index]:
        """The steps of a chunk after the first. Their chunks need the registers that roots of indices would take."""
        start = add(self.b, mul(self.b, chunk, self.chunks.every), self.chunks.first)
        return [alone(t) for t in self._times(start, self.chunks.every)]

    def _times(self, start: Index, length: int) -> list[Index]:
        """Which element of the sequences belongs to each step of the other scan, which runs the other way round."""
        return self.elements(start, length, not self.scan.reverse)

    def saved(self, row: Index) -> list[Ref]:
        """Carries that were saved."""
        return self.again.owned_at(self.operands.saved, row)
