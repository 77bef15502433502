"""Scans whose steps mix elements (a recurrent product, say): the plan of one step, written down once for each step.

Steps differ in addresses alone, and shaders take addresses as arguments: what a step reads of a sequence lies one step
further, and carries go back and forth between two places. A carry that the scan also puts out as it was before each
step (the residual of its reverse twin) needs no such places: it lies where it is put out.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from .dtypes import U8
from .ir import Aval, Equation, Graph, ScanParams, Value
from .kernels.views import behind_reshapes
from .memory import padded
from .plan import Arena, Argument, Output, Plan, Slot, Work, moved, waiting

Compile = Callable[[Graph], Plan]  # which has a place of its own for each output: see `separated`


def loop(eqn: Equation, compiled: Compile) -> "Loop":
    """A scan as a loop; `compiled` makes plans of graphs."""
    scan: ScanParams = eqn.params["scan"]
    before = scan.body.inputs[scan.consts : scan.consts + scan.carries]
    stacks: dict[int, int] = {}
    for k, atom in enumerate(scan.body.outputs):
        if k >= scan.carries and atom in before:
            stacks.setdefault(before.index(atom), k)  # type: ignore[arg-type]
    computed = [k for k in range(len(scan.body.outputs)) if k not in stacks.values()]
    step = compiled(replace(scan.body, outputs=tuple(scan.body.outputs[k] for k in computed)))
    copies = {carry: compiled(_copy(before[carry].aval)) for carry in stacks}
    return Loop(eqn, step, tuple(computed), stacks, copies)


def separated(graph: Graph) -> Graph:
    """With every output computed, and none twice: each is stored at a place of its own. The last pass over a graph."""
    equations, outputs, seen = list(graph.equations), [], set()
    for atom in graph.outputs:
        base = behind_reshapes(graph.producer, atom)
        if base not in graph.producer or base in seen:
            value = Value(atom.aval)
            equations.append(Equation("copy", (atom,), (value,)))
            atom = value
        seen.add(base)
        outputs.append(atom)
    return replace(graph, equations=tuple(equations), outputs=tuple(outputs))


def _copy(aval: Aval) -> Graph:
    source, target = Value(aval), Value(aval)
    return Graph((source,), (Equation("copy", (source,), (target,)),), (target,))


class Repeated(ABC):
    """An equation whose steps are recorded, and the memory that they need."""

    eqn: Equation

    @cached_property
    @abstractmethod
    def scratch(self) -> Value:
        """Memory that the steps need."""

    @cached_property
    def values(self) -> tuple[Value, ...]:
        """What is read or written."""
        read = tuple(atom for atom in self.eqn.inputs if isinstance(atom, Value))
        return (*read, *self.eqn.outputs, self.scratch)


@dataclass(frozen=True)
class Loop(Repeated):
    """A scan, and the plan of its step.

    Attributes:
        eqn: The scan.
        plan: Of one step.
        computed: Which of the scan's outputs a step computes.
        stacks: Carries that lie where they are put out, and the number of that output.
        copies: For each of them, the plan that puts its first value there.
    """

    eqn: Equation
    plan: Plan
    computed: tuple[int, ...]
    stacks: Mapping[int, int]
    copies: Mapping[int, Plan]

    @property
    def scan(self) -> ScanParams:
        return self.eqn.params["scan"]

    @cached_property
    def scratch(self) -> Value:
        """Memory that the steps need: two places for each carry, and the arena of a step."""
        return Value(Aval((self._starts[-1] + self.plan.arena_bytes,), U8))

    @cached_property
    def _starts(self) -> list[int]:
        starts = [0]
        for aval in self.plan.arguments[self.scan.consts :][: self.scan.carries]:
            starts += [starts[-1] + padded(aval), starts[-1] + 2 * padded(aval)]
        return starts

    def work(self, slots: Mapping[Value, Slot], wait: bool) -> Iterator[Work]:
        """That of all steps, where values lie in these slots; `wait` says whether its first dispatch waits."""
        for carry, plan in self.copies.items():
            ends = {Argument(0): slots[self._initial(carry)], Output(0): self._carry(carry, 0, slots)}
            yield from waiting((moved(item, ends.__getitem__) for item in plan.work), wait)  # type: ignore[arg-type]
        for t in range(self.scan.length):
            step = [moved(item, lambda slot, t=t: self._moved(slot, t, slots)) for item in self.plan.work]
            yield from waiting(step, wait or t > 0 or bool(self.copies))

    def _moved(self, slot: Slot, t: int, slots: Mapping[Value, Slot]) -> Slot:
        """Where a slot of the step's plan lies in step number `t`."""
        consts, carries = self.scan.consts, self.scan.carries
        match slot:
            case Argument(k, offset) if k < consts:
                return shifted(slots[self.eqn.inputs[k]], offset)  # type: ignore[index]
            case Argument(k, offset) if k < consts + carries:
                return shifted(self._carry(k - consts, t, slots), offset)
            case Argument(k, offset):
                sequence = slots[self.eqn.inputs[k]]  # type: ignore[index]
                return shifted(sequence, offset + self._place(t) * self.plan.arguments[k].nbytes)
            case Output(k, offset) if self.computed[k] < carries:
                return shifted(self._carry(self.computed[k], t + 1, slots), offset)
            case Output(k, offset):
                stack = slots[self.eqn.outputs[self.computed[k]]]
                return shifted(stack, offset + self._place(t) * self.plan.results[k].nbytes)
            case Arena(offset):
                return shifted(slots[self.scratch], self._starts[-1] + offset)
        raise AssertionError("the body of a scan has no constants of its own")

    def _carry(self, k: int, t: int, slots: Mapping[Value, Slot]) -> Slot:
        """Where carry number `k` lies before step number `t`, or after the last."""
        scan = self.scan
        if t == scan.length and self.eqn.outputs[k] in slots:
            return slots[self.eqn.outputs[k]]
        if k in self.stacks and t < scan.length:
            stack = slots[self.eqn.outputs[self.stacks[k]]]
            return shifted(stack, self._place(t) * self.plan.arguments[scan.consts + k].nbytes)
        if t == 0:
            return slots[self._initial(k)]
        return shifted(slots[self.scratch], self._starts[2 * k + t % 2])

    def _initial(self, carry: int) -> Value:
        atom = self.eqn.inputs[self.scan.consts + carry]
        assert isinstance(atom, Value)
        return atom

    def _place(self, t: int) -> int:
        """Which element of a sequence belongs to step number `t`."""
        return self.scan.length - 1 - t if self.scan.reverse else t


def shifted(slot: Slot, nbytes: int) -> Slot:
    return replace(slot, offset=slot.offset + nbytes)
