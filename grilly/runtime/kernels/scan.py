"""Scans with an elementwise body: an invocation owns one element (or four neighbours) and loops over all steps, its
carry in registers. Inputs of a few steps are loaded ahead, so that several loads are in flight. Where the scan goes
back through the steps of another one, those are computed again chunk by chunk (see `recompute`).
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache, partial

from ..builder import Index, Ref
from ..indexing import Place, add, assume, div, equal, less, mod, mul, sub
from ..ir import Atom, Chunks, ScanParams, Value
from . import elementwise
from .gather import COMPUTED, keeps_place
from .map import store_roots
from .pull import RULES
from .steps import Steps
from .task import WORKGROUP, Context, Task, groups_for, lanes_of

REGISTERS = 64  # that may hold inputs loaded ahead
RESHAPES = {"reshape", "squeeze", "expand_dims", "broadcast_in_dim"}


def domain(scan: ScanParams) -> tuple[int, ...]:
    """The shape that a scan's invocations are spread over: the largest that a step takes or gives."""
    held = scan.body.inputs[scan.consts :]
    shapes = [value.shape for value in held] + [atom.shape for atom in scan.body.outputs]
    return max(shapes, key=math.prod, default=())


def size_of(scan: ScanParams) -> int:
    """Elements of the domain."""
    return math.prod(domain(scan))


@lru_cache(maxsize=1024)
def is_pointwise(scan: ScanParams) -> bool:
    """Whether a step computes every element of its carry from that element alone."""
    size = math.prod(domain(scan))
    carries = scan.body.inputs[scan.consts : scan.consts + scan.carries]
    if any(value.size not in (1, size) for value in carries):
        return False
    carried = _of_carries(scan, carries)
    return all(_keeps_place(scan, atom, carried, set()) for atom in scan.body.outputs)


def _of_carries(scan: ScanParams, carries: Sequence[Value]) -> set[Value]:
    """The values of a step that depend on its carry."""
    found = set(carries)
    for eqn in scan.body.equations:
        if any(operand in found for operand in eqn.inputs if isinstance(operand, Value)):
            found.update(eqn.outputs)
    return found


def _keeps_place(scan: ScanParams, atom: Atom, carried: set[Value], seen: set[Value]) -> bool:
    """Whether every path from a value back to a carry of full size keeps the place; `carried` depend on one."""
    if not isinstance(atom, Value) or atom in seen or atom not in scan.body.producer:
        return True
    seen.add(atom)
    inner = scan.body.producer[atom]
    if inner.primitive not in elementwise.rules and inner.primitive not in RULES:
        return False
    keeps = inner.primitive in elementwise.rules or (
        inner.primitive in RESHAPES and inner.inputs and inner.inputs[0].size == atom.size
    )
    for number, operand in enumerate(inner.inputs):
        moved = not (keeps or keeps_place(inner, number)) or operand.size not in (1, atom.size)
        if moved and operand.size > 1 and operand in carried:
            return False
    return all(_keeps_place(scan, operand, carried, seen) for operand in inner.inputs)


def searched(scan: ScanParams) -> set[int]:
    """The consts in which a step looks elements up, wherever it has computed that they are."""
    found = set()
    for eqn in scan.body.equations:
        atom = eqn.inputs[0] if eqn.primitive in COMPUTED else None
        while atom in scan.body.producer and scan.body.producer[atom].primitive in RULES:
            atom = scan.body.producer[atom].inputs[0]
        found.update(k for k in range(scan.consts) if scan.body.inputs[k] is atom)
    return found


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
        ScanLoop(ctx, task, [add(b, first, lane) for lane in range(lanes)]).run()
    b.lanes = 1


class ScanLoop:
    """One invocation's loop over T, for the elements at `indices`."""

    def __init__(self, ctx: Context, task: Task, indices: list[Index]) -> None:
        self.ctx, self.task, self.indices, self.b = ctx, task, indices, ctx.b
        self.eqn = task.anchors[0]
        self.scan: ScanParams = self.eqn.params["scan"]
        self.outer = ctx.pull(task)
        self.places = [Place(self.b, task.domain, linear=index) for index in indices]
        consts, carries = self.scan.consts, self.scan.carries
        self.initial = self.eqn.inputs[consts : consts + carries]
        self.ys = self.eqn.outputs[carries : len(self.scan.body.outputs)]
        xs = self.eqn.inputs[consts + carries : consts + carries + self.scan.sequences]
        self.steps = Steps(self.outer, self.places, self.scan.body, self.eqn.inputs[:consts], carries, xs)

    def run(self) -> None:
        carries = self.steps.owned(self.outer, self.initial)
        self._finish(self._backward(carries) if self.scan.replay else self._forward(carries))

    def _forward(self, carries: list[Ref]) -> list[Ref]:
        """All steps: those of the first chunk, then those of the chunks before which something is saved."""
        per_step = max(1, len(self.steps.xs) * len(self.indices))
        ahead = max(1, min(16, REGISTERS // per_step, self.scan.length))
        chunks = self.scan.chunks or Chunks(self.scan.length, max(1, self.scan.length))
        carries = self._loop(0, chunks.first, ahead, carries)
        return self._loop(chunks.first, self.scan.length, math.gcd(ahead, chunks.every), carries)

    def _loop(self, start: int, stop: int, ahead: int, carries: list[Ref]) -> list[Ref]:
        """Some steps, so many at once that their inputs are loaded ahead; what is left over runs one by one."""
        whole = (stop - start) // ahead * ahead

        def body(many: int, count: Index, carried: list[Ref]) -> list[Ref]:
            counts = [add(self.b, count, k) for k in range(many)]
            times = [self._time(add(self.b, count, start)) for count in counts]
            self.steps.load(times)
            for count, t in zip(counts, times, strict=True):
                if start:
                    self._save(count, carried)
                carried = self._step(t, carried)
            return carried

        for low, high, many in ((0, whole, ahead), (whole, stop - start, 1)):
            if low < high:
                carries = self.b.loop(low, high, many, carries, partial(body, many), bound=high - many + 1)
        return carries

    def _backward(self, carries: list[Ref]) -> list[Ref]:
        """From the last chunk to the first; the carry before each is what was saved, or how it all began."""
        scan, replay = self.scan, self.scan.replay
        assert replay
        chunks, consts = replay.chunks, scan.consts + scan.carries + scan.sequences
        initial = self.eqn.inputs[consts + replay.consts :][: replay.carries]
        saved = self.eqn.inputs[consts + replay.consts + replay.carries :][: replay.carries if chunks.count else 0]
        xs = self.eqn.inputs[consts + replay.consts + replay.carries + len(saved) :]
        given = self.eqn.inputs[consts:][: replay.consts]
        again = Steps(self.outer, self.places, replay.body, given, replay.carries, xs)

        def body(count: Index, carried: list[Ref]) -> list[Ref]:
            chunk = assume(sub(self.b, chunks.count - 1, count), chunks.count)
            before = again.owned(self.outer, saved, chunk)
            start = add(self.b, mul(self.b, chunk, chunks.every), chunks.first)
            return self._chunk(again, start, chunks.every, before, carried)

        if chunks.count:
            carries = self.b.loop(0, chunks.count, 1, carries, body, bound=chunks.count)
        return self._chunk(again, 0, chunks.first, again.owned(self.outer, initial), carries)

    def _chunk(self, again: Steps, start: Index, length: int, state: list[Ref], carried: list[Ref]) -> list[Ref]:
        """Computes the steps of a chunk again, then goes back through them."""
        last, replay = self.scan.length - 1, self.scan.replay
        assert replay
        counts = [add(self.b, start, k) for k in range(length)]
        times = [count if self.scan.reverse else assume(sub(self.b, last, count), last + 1) for count in counts]
        again.load(times)
        self.steps.load(times)
        results, found = self.eqn.outputs[len(self.scan.body.outputs) :], []
        for t in times:
            state, outputs = again.run(t, state)
            found.append([row[: replay.found] for row in outputs])
            self._store_all(results[replay.carries :], t, [row[replay.found :] for row in outputs])
        self._store_last(results[: replay.carries], state)
        for t, some in zip(reversed(times), reversed(found), strict=True):
            carried = self._step(t, carried, some)
        return carried

    def _time(self, count: Index) -> Index:
        last = self.scan.length - 1
        return assume(sub(self.b, last, count), last + 1) if self.scan.reverse else count

    def _step(self, t: Index, carried: list[Ref], found: Sequence[Sequence[Ref]] = ()) -> list[Ref]:
        """All lanes through one step: computed first, then stored."""
        carried, outputs = self.steps.run(t, carried, found)
        self._store_all(self.ys[: len(self.ys) - self.scan.saved], t, outputs)
        return carried

    def _save(self, count: Index, carried: list[Ref]) -> None:
        """What is saved of a chunk, where this is its first step."""
        if self.scan.chunks is None:
            return
        every = self.scan.chunks.every
        with self.b.when(equal(self.b, mod(self.b, count, every), 0)):
            _, outputs = self.steps.run(0, carried)
            first = len(self.ys) - self.scan.saved
            self._store_all(self.ys[first:], div(self.b, count, every), [row[first:] for row in outputs])

    def _store_all(self, ys: Sequence[Value], t: Index, outputs: Sequence[Sequence[Ref]]) -> None:
        """Stores element `t` of sequences, of which each lane has a row."""
        for k, y in enumerate(ys):
            if y in self.ctx.pointers:
                size = math.prod(y.shape[1:])
                self._store(y, size, mul(self.b, t, size), [row[k] for row in outputs])

    def _store_last(self, carries: Sequence[Value], state: Sequence[Ref]) -> None:
        """Stores the last carries of the scan that is replayed, where it runs nowhere else."""
        for k, carry in enumerate(carries):
            if carry in self.ctx.pointers:
                self._store(carry, carry.size, 0, state[k :: len(carries)])

    def _store(self, value: Value, size: int, start: Index, lanes: Sequence[Ref]) -> None:
        """Stores the elements of all lanes among `size` that begin at `start`."""
        pointer = self.ctx.pointers[value]
        if size == 1:
            with self.b.when(equal(self.b, self.indices[0], 0)):
                self.b.store(pointer, start, lanes[0])
            return
        where = [add(self.b, start, index) for index in self.indices]
        if len(lanes) == 4 and self.b.is_wide(pointer):
            self.b.store_wide(pointer, where[0], lanes)
        else:
            for index, ref in zip(where, lanes, strict=True):
                self.b.store(pointer, index, ref)

    def _finish(self, carries: list[Ref]) -> None:
        """Stores the last carry, and what is elementwise in it."""
        each, pull = self.scan.carries, self.ctx.pull(self.task)
        lanes = {self.b.as_ref(index).id: lane for lane, index in enumerate(self.indices)}
        for k, value in enumerate(self.eqn.outputs[:each]):
            mine = carries[k::each]
            pull.sources[value] = (
                (lambda _, mine=mine: mine[0])
                if value.size == 1
                else lambda place, mine=mine: mine[lanes[self.b.as_ref(place.linear).id]]
            )
        stored = self.eqn.outputs[each:]
        kept = [root for root in self.task.roots if root not in stored]
        whole = [root for root in kept if root.size == math.prod(self.task.domain)]
        store_roots(self.ctx, replace(self.task, roots=tuple(whole)), pull, self.indices)
        with self.b.when(equal(self.b, self.indices[0], 0)):
            scalars = tuple(root for root in kept if root not in whole)
            store_roots(self.ctx, replace(self.task, roots=scalars), pull, [0])
