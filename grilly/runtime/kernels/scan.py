"""Scans with an elementwise body: an invocation owns one element and loops over all steps, its carry in registers.

Inputs of a few steps are loaded ahead, so that several loads are in flight. Where the scan goes back through the steps
of another one, those are computed again chunk by chunk (see `recompute`).
"""

import math
from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import lru_cache, partial

from ..builder import Index, Ref
from ..indexing import Place, add, assume, div, equal, less, mod, mul, sub
from ..ir import Atom, Chunks, Equation, ScanParams, Value, WhileParams
from . import elementwise
from .gather import COMPUTED, keeps_place
from .map import store_roots
from .places import reads_own_element
from .pull import RULES
from .steps import Operands, Steps
from .task import WORKGROUP, Context, Task, groups_for

AHEAD = 16  # steps whose inputs are loaded ahead
REGISTERS = 64  # that may hold them
BACK = 8  # steps back whose inputs are loaded ahead: registers are scarce where a chunk's states are held
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
def is_pointwise(scan: ScanParams, own: frozenset[int] = frozenset()) -> bool:
    """Whether a step computes, and puts out, every element from that of its carry alone: of consts `own`, too."""
    size = size_of(scan)
    carries = [value for k, value in enumerate(scan.body.inputs) if k in own or 0 <= k - scan.consts < scan.carries]
    if any(value.size not in (1, size) for value in (*carries, *scan.body.outputs)):
        return False
    carried = scan.body.computed_from(carries)
    if all(_keeps_place(scan, atom, carried, set()) for atom in scan.body.outputs):
        return True
    if not all(_in_registers(eqn, carried) for eqn in scan.body.equations):
        return False
    others = [value for value in scan.body.inputs if value not in carries]
    return reads_own_element(scan.body.producer, scan.body.outputs, carries, others, domain(scan))


def kind_of(eqn: Equation) -> str | None:
    """The kind of kernel that a scan or a while needs: None for loops in the registers of any kernel."""
    if "scan" in eqn.params:
        scan: ScanParams = eqn.params["scan"]
        if not scan.carries and all(_in_registers(inner, set()) for inner in scan.body.equations):
            return None
        return "scan" if is_pointwise(scan) else "loop"
    return None if is_pointwise_while(eqn.params["while"]) else "loop"


def is_pointwise_while(params: WhileParams, own: frozenset[int] = frozenset()) -> bool:
    """Whether a while works on every element of its carry, and of consts number `own`, by itself."""
    return params.going.size in (1, size_of(params.step)) and is_pointwise(params.step, own)


def reads_own_place(eqn: Equation, number: int) -> bool:
    """Whether a while reads operand `number` only at the place of the element that it works on."""
    params: WhileParams | None = eqn.params.get("while")
    if params is None or eqn.inputs[number].size != size_of(params.step):
        return False
    return number >= params.consts or is_pointwise_while(params, frozenset({number}))


def _keeps_place(scan: ScanParams, atom: Atom, carried: Collection[Atom], seen: set[Value]) -> bool:
    """Whether every path from a value back to a carry of full size keeps the place; `carried` depend on one."""
    if not isinstance(atom, Value) or atom in seen or atom not in scan.body.producer:
        return True
    seen.add(atom)
    inner = scan.body.producer[atom]
    if not _in_registers(inner, carried):
        return False
    keeps = inner.primitive in elementwise.rules or inner.primitive == "while"
    keeps = keeps or bool(inner.primitive in RESHAPES and inner.inputs and inner.inputs[0].size == atom.size)
    for number, operand in enumerate(inner.inputs):
        moved = not (keeps or keeps_place(inner, number)) or operand.size not in (1, atom.size)
        if moved and operand.size > 1 and operand in carried:
            return False
    return all(_keeps_place(scan, operand, carried, seen) for operand in inner.inputs)


def _in_registers(eqn: Equation, carried: Collection[Atom]) -> bool:
    """Whether an equation of a step is computed wherever its value is needed; `carried` depend on the carry."""
    if "while" in eqn.params:
        params: WhileParams = eqn.params["while"]
        own = (k for k, atom in enumerate(eqn.inputs[: params.consts]) if atom in carried and atom.size > 1)
        return is_pointwise_while(params, frozenset(own))
    if "scan" in eqn.params:
        return kind_of(eqn) is None
    return eqn.primitive in elementwise.rules or eqn.primitive in RULES


def searched(scan: ScanParams) -> set[int]:
    """The consts in which a step looks elements up, wherever it has computed that they are."""
    found = set()
    for eqn in scan.body.equations:
        atom = eqn.inputs[0] if eqn.primitive in COMPUTED else None
        while atom in scan.body.producer and scan.body.producer[atom].primitive in RULES:
            atom = scan.body.producer[atom].inputs[0]
        found.update(k for k in range(scan.consts) if scan.body.inputs[k] is atom)
    return found


def rewritten(task: Task) -> set[Value]:
    """What a scan reads, and writes again for itself: places for the carries of a group of chunks."""
    scan = task.anchors[0].params.get("scan") if task.kind == "scan" else None
    if scan is None or scan.replay is None or scan.replay.chunks.group == 1:
        return set()
    return {value for value in Operands(scan, task.anchors[0].inputs).saved if isinstance(value, Value)}


def groups(task: Task) -> int:
    return groups_for(math.prod(task.domain))


def emit(ctx: Context, task: Task, group: Index) -> None:
    """Writes the section of a kernel that runs in workgroup number `group` of this task."""
    b, size = ctx.b, math.prod(task.domain)
    invocation = add(b, mul(b, group, WORKGROUP), b.local)
    with b.when(less(b, invocation, size)):
        _ScanLoop(ctx, task, assume(invocation, size)).run()


class _ScanLoop:
    """One invocation's loop over T, for the element at `index`."""

    def __init__(self, ctx: Context, task: Task, index: Index) -> None:
        self.ctx, self.task, self.index, self.b = ctx, task, index, ctx.b
        self.eqn = task.anchors[0]
        self.scan: ScanParams = self.eqn.params["scan"]
        self.outer = ctx.pull(task)
        self.place = Place(self.b, task.domain, linear=index)
        operands = Operands(self.scan, self.eqn.inputs)
        self.steps = Steps(self.outer, self.place, self.scan.body, operands.consts, operands.xs)
        self.operands, self.carries = operands, self.scan.carries
        self.ys = self.eqn.outputs[self.carries : len(self.scan.body.outputs)]

    def run(self) -> None:
        carried = self.steps.owned(self.operands.initial)
        self._finish(self._backward(carried) if self.scan.replay else self._forward(carried))

    def _forward(self, carried: list[Ref]) -> list[Ref]:
        """All steps: those of the first chunk, then those of the chunks before which something is saved."""
        ahead = max(1, min(AHEAD, REGISTERS // max(1, len(self.steps.xs)), self.scan.length))
        chunks = self.scan.chunks or Chunks(self.scan.length, max(1, self.scan.length))
        carried = self._loop(0, chunks.first, ahead, carried)
        return self._loop(chunks.first, self.scan.length, math.gcd(ahead, chunks.every), carried)

    def _loop(self, start: int, stop: int, ahead: int, carried: list[Ref]) -> list[Ref]:
        """Some steps, so many at once that their inputs are loaded ahead; what is left over runs one by one."""
        whole = (stop - start) // ahead * ahead

        def body(many: int, count: Index, carried: list[Ref]) -> list[Ref]:
            counts = [add(self.b, count, k) for k in range(many)]
            times = [self._time(add(self.b, count, start), self.scan.reverse) for count in counts]
            self.steps.load(times)
            for count, t in zip(counts, times, strict=True):
                if start:
                    self._save(count, carried)
                carried = self._step(t, carried)
            return carried

        for low, high, many in ((0, whole, ahead), (whole, stop - start, 1)):
            if low < high:
                carried = self.b.loop(low, high, many, carried, partial(body, many), bound=high - many + 1)
        return carried

    def _backward(self, carried: list[Ref]) -> list[Ref]:
        """From the last chunk to the first; the carry before each is what was saved, or how it all began."""
        replay, operands = self.scan.replay, self.operands
        assert replay
        chunks = replay.chunks
        again = Steps(self.outer, self.place, replay.body, operands.replay_consts, operands.replay_xs)

        def body(count: Index, carried: list[Ref]) -> list[Ref]:
            group = assume(sub(self.b, chunks.groups - 1, count), chunks.groups)
            return self._group(again, group, carried)

        if chunks.count:
            carried = self.b.loop(0, chunks.groups, 1, carried, body, bound=chunks.groups)
        return self._chunk(again, 0, chunks.first, again.owned(operands.replay_initial), carried)

    def _group(self, again: Steps, group: Index, carried: list[Ref]) -> list[Ref]:
        """Back through the chunks between two saved carries; the carries before them are computed again first."""
        replay, saved, b = self.scan.replay, self.operands.saved, self.b
        assert replay
        chunks = replay.chunks
        state = again.owned_at(saved, group)
        if chunks.group == 1:
            return self._chunk(again, self._start(chunks, group), chunks.every, state, carried)
        number = mul(b, group, chunks.group)
        final = equal(b, group, chunks.groups - 1)
        count = assume(b.select(final, b.as_ref(chunks.last), b.as_ref(chunks.group)), chunks.group + 1)

        def forth(k: Index, state: list[Ref]) -> list[Ref]:
            self._store_each(saved, add(b, k, chunks.groups), state)
            return self._replayed(again, self._start(chunks, add(b, number, k)), chunks.every, state)[0]

        def back(nth: Index, carried: list[Ref]) -> list[Ref]:
            k = assume(sub(b, sub(b, count, 1), nth), chunks.group)
            before = again.owned_at(saved, add(b, k, chunks.groups))
            return self._chunk(again, self._start(chunks, add(b, number, k)), chunks.every, before, carried)

        b.loop(0, count, 1, state, forth, bound=chunks.group)
        return b.loop(0, count, 1, carried, back, bound=chunks.group)

    def _start(self, chunks: Chunks, number: Index) -> Index:
        """The first step of a chunk, counted after the first one."""
        return add(self.b, mul(self.b, number, chunks.every), chunks.first)

    def _chunk(self, again: Steps, start: Index, length: int, state: list[Ref], carried: list[Ref]) -> list[Ref]:
        """Computes the steps of a chunk again, then goes back through them."""
        times = self._times(start, length)
        self.steps.load(times[-BACK:])
        state, found = self._replayed(again, start, length, state)
        for carry, ref in zip(self.eqn.outputs[len(self.scan.body.outputs) :], state, strict=False):
            self._store(carry, carry.size, 0, ref)
        for k in reversed(range(length)):
            if (length - 1 - k) % BACK == 0:
                self.steps.load(times[max(0, k + 1 - BACK) : k + 1])
            carried = self._step(times[k], carried, found[k])
        return carried

    def _replayed(self, again: Steps, start: Index, length: int, state: list[Ref]) -> tuple[list[Ref], list[list[Ref]]]:
        """Steps of the other scan: the carry after them, and what each found. Where it runs only here, it puts out."""
        replay, found, times = self.scan.replay, [], self._times(start, length)
        assert replay
        results = self.eqn.outputs[len(self.scan.body.outputs) + replay.carries :]
        again.load(times)
        for t in times:
            outputs = again.run(t, state)
            state, rest = outputs[: replay.carries], outputs[replay.carries :]
            found.append(rest[: replay.found])
            self._store_each(results, t, rest[replay.found :])
        return state, found

    def _times(self, start: Index, length: int) -> list[Index]:
        """Which element of the sequences belongs to each step of the other scan, which runs the other way round."""
        return [self._time(add(self.b, start, k), not self.scan.reverse) for k in range(length)]

    def _time(self, count: Index, reverse: bool) -> Index:
        """Which element of a sequence belongs to step number `count`."""
        last = self.scan.length - 1
        return assume(sub(self.b, last, count), last + 1) if reverse else count

    def _step(self, t: Index, carried: Sequence[Ref], found: Sequence[Ref] = ()) -> list[Ref]:
        outputs = self.steps.run(t, carried, found)
        ys = len(self.ys) - self.scan.saved
        self._store_each(self.ys[:ys], t, outputs[self.carries : self.carries + ys])
        return outputs[: self.carries]

    def _save(self, count: Index, carried: list[Ref]) -> None:
        """What is saved before a group of chunks, where this is its first step."""
        if self.scan.chunks is None:
            return
        every, saved = self.scan.chunks.every * self.scan.chunks.group, self.scan.saved
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
