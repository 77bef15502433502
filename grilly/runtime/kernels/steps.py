"""One step of a scan for the element of one invocation: its body's graph, fed from buffers and registers."""

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from itertools import islice

from ..ir import Atom, Equation, Graph, ScanParams, Value
from ..shader.builder import Index, Ref
from ..shader.indexing import Place, joined
from .pull import Pull, Source


def domain(scan: ScanParams) -> tuple[int, ...]:
    """The shape that a scan's invocations are spread over: the largest that a step takes or gives."""
    held = scan.body.inputs[scan.consts :]
    shapes = [value.shape for value in held] + [atom.shape for atom in scan.body.outputs]
    return max(shapes, key=math.prod, default=())


def size_of(scan: ScanParams) -> int:
    """Elements of the domain."""
    return math.prod(domain(scan))


def parts_of(refs: Sequence[Ref], sizes: Sequence[int]) -> Iterator[list[Ref]]:
    """Neighbours, so many a part."""
    rest = iter(refs)
    return (list(islice(rest, size)) for size in sizes)


def moves(x: Atom, producer: Mapping[Value, Equation]) -> bool:
    """Whether a sequence is another array at each step: one that was broadcast over time needs no loads ahead."""
    eqn = producer.get(x) if isinstance(x, Value) else None
    return eqn is None or eqn.primitive != "broadcast_in_dim" or 0 in eqn.params["broadcast_dimensions"]


class Operands:
    """The operands of a scan equation, by what they are for."""

    def __init__(self, scan: ScanParams, operands: Sequence[Atom]) -> None:
        replay, rest = scan.replay, list(operands)

        def take(count: int) -> list[Atom]:
            taken = rest[:count]
            del rest[:count]
            return taken

        self.consts, self.initial, self.xs = take(scan.consts), take(scan.carries), take(scan.sequences)
        self.replay_consts = take(replay.consts if replay else 0)
        self.replay_initial = take(replay.carries if replay else 0)
        self.saved = take(replay.carries if replay and replay.chunks.count else 0)
        self.replay_xs = rest


class Steps:
    """The steps of a scan, for the elements at some neighbouring places of its domain.

    Lists of registers hold, of each value, the elements of all neighbours side by side.

    Args:
        outer: What the scan is fed from.
        places: Whose elements.
        body: (consts, carry, x, found) -> outputs.
        consts: Of the scan, outside.
        xs: Sequences, outside: of shape (T, *).
    """

    def __init__(
        self, outer: Pull, places: Sequence[Place], body: Graph, consts: Sequence[Atom], xs: Sequence[Atom]
    ) -> None:
        self.outer, self.b, self.places, self.body = outer, outer.b, places, body
        self.consts, self.xs = consts, xs

    def load(self, times: Sequence[Index]) -> list[Ref]:
        """What steps read of sequences, loaded together so that the loads are in flight together."""
        return [self._element(x, place) for x, place in self._elements_at(times)]

    def hold(self, times: Sequence[Index], loaded: Sequence[Ref]) -> None:
        """Steps find what `load` gave, here and in the scopes within."""
        for (x, place), ref in zip(self._elements_at(times), loaded, strict=True):
            self.b.known(("held", self.outer, x, place.key), ref)

    def _elements_at(self, times: Sequence[Index]) -> list[tuple[Atom, Place]]:
        """The elements of sequences that belong to this invocation."""
        return [(x, self._at_time(x.shape, t, place.linear)) for t in times for x in self.own for place in self.places]

    @cached_property
    def own(self) -> list[Atom]:
        """The sequences of which each invocation loads an element of its own at each step."""
        size = math.prod(self.places[0].shape)
        return [x for x in self.xs if math.prod(x.shape[1:]) == size and moves(x, self.outer.producer)]

    def _element(self, x: Atom, place: Place) -> Ref:
        return self.b.recall(("held", self.outer, x, place.key)) or self.outer.at(x, place)

    def run(self, t: Index, carried: Sequence[Ref], found: Sequence[Ref] = ()) -> list[Ref]:
        """What one step puts out."""
        many, each = len(self.places), []
        for nth, place in enumerate(self.places):
            pull = self._pull(t, carried[nth::many], found[nth::many])
            each.append([pull.own(atom, place) for atom in self.body.outputs])
        return [ref for neighbours in zip(*each, strict=True) for ref in neighbours]

    def owned(self, atoms: Sequence[Atom]) -> list[Ref]:
        """This invocation's elements of arrays."""
        return [self.outer.own(atom, place) for atom in atoms for place in self.places]

    def owned_at(self, sequences: Sequence[Atom], t: Index) -> list[Ref]:
        """This invocation's elements of one element of sequences."""
        own = [(x, place.linear if math.prod(x.shape[1:]) > 1 else 0) for x in sequences for place in self.places]
        return [self.outer.at(x, self._at_time(x.shape, t, i)) for x, i in own]

    def _at_time(self, shape: Sequence[int], t: Index, linear: Index) -> Place:
        """The place of one step's element in a sequence of shape (T, *)."""
        return Place(self.b, shape, linear=joined(self.b, t, math.prod(shape[1:]), linear))

    def _pull(self, t: Index, carried: Sequence[Ref], found: Sequence[Ref]) -> Pull:
        """The body's graph for one step: consts and xs come from outside, the rest from registers."""
        values, consts = self.body.inputs, len(self.consts)
        sources: dict[Value, Source] = {}
        for value, const in zip(values, self.consts, strict=False):
            sources[value] = lambda place, const=const: self.outer.at(const, place)
        for value, x in zip(values[consts + len(carried) :], self.xs, strict=False):
            sources[value] = lambda place, x=x: self._element(x, self._at_time(x.shape, t, place.linear))
        held = [*values[consts : consts + len(carried)], *values[len(values) - len(found) :]]
        for value, ref in zip(held, (*carried, *found), strict=True):
            sources[value] = lambda _, ref=ref: ref
        return Pull(self.b, self.body.producer, sources)
