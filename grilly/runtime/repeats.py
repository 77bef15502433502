"""Whiles whose steps mix elements: the plans of a step and of its condition, and a host that asks after each step.

The carry goes back and forth between two places: the results' own, and scratch.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate

from .dtypes import U8
from .ir import Atom, Aval, Equation, Graph, Value, WhileParams
from .loops import Compile, Repeated, shifted
from .memory import ALIGNMENT, padded
from .plan import Arena, Argument, Output, Plan, Repeat, Slot, Turn, Work, moved, waiting
from .rewrite import live


def repeated(eqn: Equation, compiled: Compile) -> "While":
    """A while as such plans; `compiled` makes plans of graphs."""
    params = _with_one_end(eqn.params["while"])
    *carries, going = params.body.outputs
    step = compiled(live(replace(params.body, outputs=tuple(carries))))
    condition = compiled(live(replace(params.body, outputs=(going,))))
    return While(eqn, condition, step, compiled(_copies([value.aval for value in eqn.outputs])))


def _with_one_end(params: WhileParams) -> WhileParams:
    """Where parts of the carry end at steps of their own: they stay as they are, until the last of them ends."""
    body, going = params.body, params.going
    if not going.shape:
        return params
    equations, outputs = list(body.equations), []

    def made(primitive: str, inputs: tuple[Atom, ...], aval: Aval, **made_with: object) -> Value:
        equations.append(Equation(primitive, inputs, (Value(aval),), made_with))
        return equations[-1].outputs[0]

    axes = tuple(range(len(going.shape)))
    for before, after in zip(body.inputs[params.consts :], body.outputs, strict=False):
        aval = replace(before.aval, dtype=going.dtype)
        chosen = made("broadcast_in_dim", (going,), aval, shape=before.shape, broadcast_dimensions=axes)
        outputs.append(made("select_n", (chosen, before, after), before.aval))
    outputs.append(made("reduce_or", (going,), Aval((), going.dtype), axes=axes))
    return replace(params, body=replace(body, equations=tuple(equations), outputs=tuple(outputs)))


def _copies(avals: list[Aval]) -> Graph:
    sources, targets = ([Value(aval) for aval in avals] for _ in range(2))
    equations = [Equation("copy", (a,), (b,)) for a, b in zip(sources, targets, strict=True)]
    return Graph(tuple(sources), tuple(equations), tuple(targets))


@dataclass(frozen=True)
class While(Repeated):
    """A while, and its plans.

    Attributes:
        eqn: The while.
        condition: Tells whether there is a step to take.
        step: Takes it.
        copy: Brings a carry from one place to another.
    """

    eqn: Equation
    condition: Plan
    step: Plan
    copy: Plan

    @property
    def consts(self) -> int:
        return self.eqn.params["while"].consts

    @cached_property
    def scratch(self) -> Value:
        """Memory that the steps need: the flag, two places for each carry, the arenas of step and condition."""
        return Value(Aval((self._starts[-1],), U8))

    @cached_property
    def _starts(self) -> list[int]:
        carries = [padded(value.aval) for value in self.eqn.outputs for _ in range(2)]
        return list(accumulate([0, ALIGNMENT, *carries, self.condition.arena_bytes, self.step.arena_bytes]))

    def work(self, slots: Mapping[Value, Slot], wait: bool) -> Iterator[Work]:
        """All of it, where values lie in these slots; `wait` says whether its first dispatch waits."""
        initial = [slots[atom] for atom in self.eqn.inputs[self.consts :]]  # type: ignore[index]
        first, second = ([self._carry(k, turn, slots) for k in range(len(initial))] for turn in range(2))
        yield from waiting(self._copied(initial, first), wait)
        yield Repeat(
            self._scratch(0, slots),
            (self._turn(first, second, slots), self._turn(second, first, slots)),
            waiting(self._copied(second, first)),
        )

    def _turn(self, before: list[Slot], after: list[Slot], slots: Mapping[Value, Slot]) -> Turn:
        """A turn whose carry lies at `before`, and goes to `after`."""
        condition = self._placed(self.condition, -3, before, [self._scratch(0, slots)], slots)
        return Turn(condition, self._placed(self.step, -2, before, after, slots))

    def _placed(
        self, plan: Plan, arena: int, carry: list[Slot], results: list[Slot], slots: Mapping[Value, Slot]
    ) -> tuple[Work, ...]:
        """The work of a plan of consts and a carry; `arena` is which part of the scratch its own is."""

        def place(slot: Slot) -> Slot:
            match slot:
                case Argument(k, offset) if k < self.consts:
                    return shifted(slots[self.eqn.inputs[k]], offset)  # type: ignore[index]
                case Argument(k, offset):
                    return shifted(carry[k - self.consts], offset)
                case Output(k, offset):
                    return shifted(results[k], offset)
                case Arena(offset):
                    return self._scratch(arena, slots, offset)
            raise AssertionError("the body of a while has no constants of its own")

        return waiting(moved(item, place) for item in plan.work)

    def _copied(self, sources: list[Slot], targets: list[Slot]) -> list[Work]:
        ends = {Argument(k): slot for k, slot in enumerate(sources)} | {Output(k): s for k, s in enumerate(targets)}
        return [moved(item, ends.__getitem__) for item in self.copy.work]  # type: ignore[arg-type]

    def _carry(self, k: int, turn: int, slots: Mapping[Value, Slot]) -> Slot:
        """Where carry number `k` lies before a turn of that kind; before the first one, and after the last, turn 0."""
        if turn == 0 and self.eqn.outputs[k] in slots:
            return slots[self.eqn.outputs[k]]
        return self._scratch(1 + 2 * k + turn, slots)

    def _scratch(self, part: int, slots: Mapping[Value, Slot], offset: int = 0) -> Arena:
        slot = slots[self.scratch]
        assert isinstance(slot, Arena)
        return Arena(slot.offset + self._starts[part] + offset)
