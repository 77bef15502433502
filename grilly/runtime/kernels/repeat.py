"""Whiles and scans that are no kernel: what they give is computed wherever it is needed, in steps of others, too.

A while that works on each element by itself is a loop in registers: an invocation goes on with its own for as long as
that one will. Of a scan without a carry, each step is on its own: there is no loop at all.
"""

from collections.abc import Mapping

from ..ir import Equation, ScanParams, Value, WhileParams
from ..rewrite import live_while
from ..shader.builder import Ref
from ..shader.indexing import Place
from .pull import JOINT, Pull, Source


def repeated(pull: Pull, eqn: Equation, wanted: Value, place: Place) -> Mapping[Value, Ref]:
    """The element at `place` of each output that is as large as the wanted one."""
    alike = {value for value in eqn.outputs if value.size == wanted.size}
    eqn = live_while(eqn, alike)
    consts = eqn.params["while"].consts
    for const in eqn.inputs[:consts]:  # computed once, before the loop
        if const.size in (1, wanted.size):
            pull.own(const, place)
    loop = _Loop(pull, eqn, place)
    last = pull.b.repeat([pull.own(atom, place) for atom in eqn.inputs[consts:]], loop.going, loop.step)
    return {value: ref for value, ref in zip(eqn.outputs, last, strict=True) if value in alike}


def alone(pull: Pull, eqn: Equation, wanted: Value, place: Place) -> Mapping[Value, Ref]:
    """What a scan without a carry puts out, at the step and the element that `place` names."""
    scan: ScanParams = eqn.params["scan"]
    t, *rest = place.coordinates()
    sources: dict[Value, Source] = {}
    for k, (value, operand) in enumerate(zip(scan.body.inputs, eqn.inputs, strict=True)):
        if k < scan.consts:
            sources[value] = lambda place, operand=operand: pull.at(operand, place)
        else:
            sources[value] = lambda place, operand=operand: pull.at(
                operand, place.at(operand.shape, [t, *place.coordinates()])
            )
    atom = scan.body.outputs[eqn.outputs.index(wanted)]
    return {wanted: Pull(pull.b, scan.body.producer, sources).at(atom, place.at(atom.shape, rest))}


class _Loop:
    """The loop of one invocation, for the element at `place`."""

    def __init__(self, outer: Pull, eqn: Equation, place: Place) -> None:
        self.outer, self.eqn, self.place = outer, eqn, place
        self.params: WhileParams = eqn.params["while"]

    def going(self, carry: list[Ref]) -> Ref:
        """Whether there is a step to take; what that needs is at hand in the step, too."""
        body, consts = self.params.body, self.params.consts
        sources: dict[Value, Source] = {}
        for value, const in zip(body.inputs[:consts], self.eqn.inputs[:consts], strict=True):
            sources[value] = lambda place, const=const: self.outer.at(const, place)
        for value, ref in zip(body.inputs[consts:], carry, strict=True):
            sources[value] = lambda _, ref=ref: ref
        self.inside = Pull(self.outer.b, body.producer, sources)
        return self.inside.own(self.params.going, self.place)

    def step(self, _: list[Ref]) -> list[Ref]:
        return [self.inside.own(atom, self.place) for atom in self.params.body.outputs[:-1]]


JOINT.update({"while": repeated, "scan": alone})
