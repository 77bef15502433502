"""One step of a scan for the elements of one invocation: its body's graph, fed from buffers and registers."""

import math
from collections.abc import Sequence

from ..builder import Index, Ref
from ..indexing import Place, add, mul
from ..ir import Atom, Graph, Value
from .pull import Pull, Source


class Steps:
    """The steps of a scan, for the elements at `places` (its lanes).

    Args:
        outer: What the scan is fed from.
        places: One for each lane, in the scan's domain.
        body: (consts, carry, x, found) -> (carry, y).
        consts: Of the scan, outside.
        carries: How many.
        xs: Sequences, outside: of shape (T, *).
    """

    def __init__(
        self,
        outer: Pull,
        places: Sequence[Place],
        body: Graph,
        consts: Sequence[Atom],
        carries: int,
        xs: Sequence[Atom],
    ) -> None:
        self.outer, self.b, self.places, self.body = outer, outer.b, places, body
        self.consts, self.carries, self.xs = consts, carries, xs

    def load(self, times: Sequence[Index]) -> None:
        """Loads what steps read of sequences, so that the loads are in flight together."""
        for t in times:
            for place in self.places:
                for x in self.xs:
                    if math.prod(x.shape[1:]) == math.prod(place.shape):
                        self.outer.at(x, self._at_time(x.shape, t, place))

    def run(self, t: Index, carried: Sequence[Ref], found: Sequence[Sequence[Ref]] = ()) -> tuple[list[Ref], list]:
        """One step: the next carries of all lanes in turn, and what each lane puts out."""
        each, following, outputs = self.carries, [], []
        for lane, place in enumerate(self.places):
            mine = carried[lane * each : (lane + 1) * each]
            pull = self._pull(t, mine, found[lane] if found else ())
            following += [self._own(pull, atom, place) for atom in self.body.outputs[:each]]
            outputs.append([self._own(pull, atom, place) for atom in self.body.outputs[each:]])
        return following, outputs

    def owned(self, pull: Pull, atoms: Sequence[Atom], t: Index | None = None) -> list[Ref]:
        """The elements of all lanes in turn, of arrays or of one element of sequences."""
        if t is None:
            return [self._own(pull, atom, place) for place in self.places for atom in atoms]
        return [pull.at(atom, self._at_time(atom.shape, t, place)) for place in self.places for atom in atoms]

    def _own(self, pull: Pull, atom: Atom, place: Place) -> Ref:
        """The element that belongs to a lane: its own, or the one that a scalar has."""
        if atom.size == 1:
            return pull.at(atom, Place(self.b, atom.shape, linear=0))
        return pull.at(atom, place.reshaped(atom.shape))

    def _at_time(self, shape: Sequence[int], t: Index, place: Place) -> Place:
        """The place of one step's element in a sequence of shape (T, *)."""
        size = math.prod(shape[1:])
        own = place.linear if size == math.prod(place.shape) else 0
        return Place(self.b, shape, linear=add(self.b, mul(self.b, t, size), own))

    def _pull(self, t: Index, carried: Sequence[Ref], found: Sequence[Ref]) -> Pull:
        """The body's graph for one lane and step: consts and xs come from outside, the rest from registers."""
        values, consts = self.body.inputs, len(self.consts)
        sources: dict[Value, Source] = {}
        for value, const in zip(values, self.consts, strict=False):
            sources[value] = lambda place, const=const: self.outer.at(const, place)
        for value, x in zip(values[consts + self.carries :], self.xs, strict=False):
            sources[value] = lambda place, x=x: self.outer.at(x, self._at_time(x.shape, t, place))
        held = [*values[consts : consts + self.carries], *values[len(values) - len(found) :]]
        for value, ref in zip(held, (*carried, *found), strict=True):
            sources[value] = lambda _, ref=ref: ref
        return Pull(self.b, self.body.producer, sources)
