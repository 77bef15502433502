"""Scans with an elementwise body: an invocation owns one element (or four neighbours) and loops over all steps, its
carry in registers. Inputs of a few steps are loaded ahead, so that several loads are in flight.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

from ..builder import Index, Ref
from ..indexing import Place, add, assume, equal, less, mul, sub
from ..ir import Atom, ScanParams, Value
from . import elementwise
from .gather import COMPUTED, keeps_place
from .map import store_roots
from .pull import RULES, Pull, Source
from .task import WORKGROUP, Context, Task, groups_for, lanes_of

REGISTERS = 64  # that may hold inputs loaded ahead
RESHAPES = {"reshape", "squeeze", "expand_dims", "broadcast_in_dim"}


def domain(scan: ScanParams) -> tuple[int, ...]:
    """The shape that a scan's invocations are spread over: the largest that a step takes or gives."""
    held = scan.body.inputs[scan.consts :]
    shapes = [value.shape for value in held] + [atom.shape for atom in scan.body.outputs]
    return max(shapes, key=math.prod, default=())


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
        _Loop(ctx, task, [add(b, first, lane) for lane in range(lanes)]).run()
    b.lanes = 1


class _Loop:
    """One invocation's loop over T, for the elements at `indices`."""

    def __init__(self, ctx: Context, task: Task, indices: list[Index]) -> None:
        self.ctx, self.task, self.indices, self.b = ctx, task, indices, ctx.b
        self.eqn = task.anchors[0]
        self.scan: ScanParams = self.eqn.params["scan"]
        self.outer = ctx.pull(task)
        self.places = [Place(self.b, task.domain, linear=index) for index in indices]
        consts, carries = self.scan.consts, self.scan.carries
        self.consts = self.eqn.inputs[:consts]
        self.initial = self.eqn.inputs[consts : consts + carries]
        self.xs = self.eqn.inputs[consts + carries :]
        self.ys = self.eqn.outputs[carries:]

    def run(self) -> None:
        carries = [self._own(self.outer, atom, place) for place in self.places for atom in self.initial]
        ahead = max(1, min(16, REGISTERS // max(1, len(self.xs) * len(self.indices)), self.scan.length))
        whole = self.scan.length // ahead * ahead
        carries = self._loop(0, whole, ahead, carries)
        carries = self._loop(whole, self.scan.length, 1, carries)
        self._finish(carries)

    def _loop(self, start: int, stop: int, ahead: int, carries: list[Ref]) -> list[Ref]:
        if start == stop:
            return carries

        def body(first: Ref, carried: list[Ref]) -> list[Ref]:
            steps = [self._time(add(self.b, first, k)) for k in range(ahead)]
            for t in steps:
                self._load_ahead(t)
            for t in steps:
                carried = self._step(t, carried)
            return carried

        return self.b.loop(start, stop, ahead, carries, body, bound=max(1, stop - ahead + 1))

    def _time(self, count: Index) -> Index:
        last = self.scan.length - 1
        return assume(sub(self.b, last, count), last + 1) if self.scan.reverse else count

    def _load_ahead(self, t: Index) -> None:
        for place in self.places:
            for x in self.xs:
                if math.prod(x.shape[1:]) == math.prod(self.task.domain):
                    self.outer.at(x, self._at_time(x.shape, t, place))

    def _at_time(self, shape: Sequence[int], t: Index, place: Place) -> Place:
        """The place of one step's element in a sequence of shape (T, *)."""
        linear = add(self.b, mul(self.b, t, math.prod(shape[1:])), place.linear)
        return Place(self.b, shape, linear=linear)

    def _own(self, pull: Pull, atom: Atom, place: Place) -> Ref:
        """The element that belongs to an invocation: its own, or the one that a scalar has."""
        if atom.size == 1:
            return pull.at(atom, Place(self.b, atom.shape, linear=0))
        return pull.at(atom, place.reshaped(atom.shape))

    def _step(self, t: Index, carried: list[Ref]) -> list[Ref]:
        """All lanes through one step: computed first, then stored."""
        each = self.scan.carries
        following, outputs = [], []
        for lane, place in enumerate(self.places):
            pull = self._body(t, carried[lane * each : (lane + 1) * each])
            following += [self._own(pull, atom, place) for atom in self.scan.body.outputs[:each]]
            outputs.append([self._own(pull, atom, place) for atom in self.scan.body.outputs[each:]])
        for k, y in enumerate(self.ys):
            if y in self.ctx.pointers:
                self._store(y, t, [row[k] for row in outputs])
        return following

    def _body(self, t: Index, carried: Sequence[Ref]) -> Pull:
        """The body's graph for one element and step: consts and xs come from outside, the carry from registers."""
        consts, carries = self.scan.consts, self.scan.carries
        inputs = self.scan.body.inputs
        sources: dict[Value, Source] = {}
        for value, const in zip(inputs[:consts], self.consts, strict=True):
            sources[value] = lambda place, const=const: self.outer.at(const, place)
        for value, ref in zip(inputs[consts : consts + carries], carried, strict=True):
            sources[value] = lambda _, ref=ref: ref
        for value, x in zip(inputs[consts + carries :], self.xs, strict=True):
            sources[value] = lambda place, x=x: self.outer.at(x, self._at_time(x.shape, t, place))
        return Pull(self.b, self.scan.body.producer, sources)

    def _store(self, y: Value, t: Index, values: list[Ref]) -> None:
        pointer, size = self.ctx.pointers[y], math.prod(y.shape[1:])
        if size == 1:
            with self.b.when(equal(self.b, self.indices[0], 0)):
                self.b.store(pointer, t, values[0])
            return
        where = [add(self.b, mul(self.b, t, size), index) for index in self.indices]
        if len(values) == 4 and self.b.is_wide(pointer):
            self.b.store_wide(pointer, where[0], values)
        else:
            for index, value in zip(where, values, strict=True):
                self.b.store(pointer, index, value)

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
        kept = [root for root in self.task.roots if root not in self.ys]
        whole = [root for root in kept if root.size == math.prod(self.task.domain)]
        store_roots(self.ctx, replace(self.task, roots=tuple(whole)), pull, self.indices)
        with self.b.when(equal(self.b, self.indices[0], 0)):
            scalars = tuple(root for root in kept if root not in whole)
            store_roots(self.ctx, replace(self.task, roots=scalars), pull, [0])
