"""Computes any value of a graph at one place, by asking its inputs at the places they are needed.

This is how everything that is not a kernel of its own is fused: views change the place that is asked for, elementwise
equations ask their operands at the same place, and what lies in a buffer is loaded.
"""

from collections.abc import Callable, Mapping
from functools import cached_property

import numpy as np

from ..ir import Atom, Equation, Literal, Value
from ..shader.builder import Builder, Ref
from ..shader.indexing import Place, add, scalar_place
from ..source import unsupported
from . import elementwise

Source = Callable[[Place], Ref]
ViewRule = Callable[["Pull", Equation, Place], Ref]
JointRule = Callable[["Pull", Equation, Value, Place], Mapping[Value, Ref]]  # also of other outputs than the wanted one
RULES: dict[str, ViewRule] = {}
JOINT: dict[str, "JointRule"] = {}
LONG = 160  # equations one behind another: looking behind more of them would take too much of Python's stack
REPEATING: set[str] = set()  # views that look at an element of an operand many times over


def view(*names: str, repeats: bool = False) -> Callable[[ViewRule], ViewRule]:
    """Registers a primitive whose elements come from other places of its operands."""

    def register(function: ViewRule) -> ViewRule:
        RULES.update(dict.fromkeys(names, function))
        REPEATING.update(names if repeats else ())
        return function

    return register


class Pull:
    """Values at places, each computed once in a scope.

    Args:
        b: The kernel being written.
        producer: The equation behind each value that has no source.
        sources: Where the other values come from: a buffer, a register, another graph.
    """

    def __init__(self, b: Builder, producer: Mapping[Value, Equation], sources: Mapping[Value, Source]) -> None:
        self.b = b
        self.producer = producer
        self.sources = dict(sources)

    def at(self, atom: Atom, place: Place) -> Ref:
        """The element of `atom` at `place`."""
        if isinstance(atom, Literal):
            return self.b.literal(atom.value)
        if not atom.size:  # in a loop of no round: nobody looks
            return self.b.const(np.zeros((), atom.dtype))
        if atom in self.sources:
            return self.sources[atom](place)
        key = ("value", self, atom, place.key)
        found = self.b.recall(key)
        if found is not None:
            return found
        eqn = self.producer[atom]
        if eqn.primitive not in JOINT:
            return self.b.known(key, self._computed(eqn, place))
        results = JOINT[eqn.primitive](self, eqn, atom, place)
        for value, ref in results.items():
            self.b.known(("value", self, value, place.reshaped(value.shape).key), ref)
        return results[atom]

    def own(self, atom: Atom, place: Place) -> Ref:
        """The element that belongs to an invocation: its own, or the one that a scalar has."""
        if atom.size == 1:
            return self.at(atom, Place(self.b, atom.shape, linear=0))
        return self.at(atom, place.reshaped(atom.shape))

    def like(self, atom: Atom, place: Place) -> Ref:
        """The element that an elementwise equation reads at `place`: axes of extent 1, and scalars, broadcast."""
        if atom.shape == place.shape:
            return self.at(atom, place)
        if not atom.shape:
            return self.at(atom, scalar_place(self.b))
        return self.at(atom, Place(self.b, atom.shape, coordinates=place.__getitem__))

    def _computed(self, eqn: Equation, place: Place) -> Ref:
        if eqn.primitive in elementwise.rules:
            if self._lengths.get(eqn.outputs[0], 0) > LONG:
                for milestone in self._milestones(eqn, place):
                    self.at(milestone, place)
            operands = [self.like(atom, place) for atom in eqn.inputs]
            return elementwise.rules[eqn.primitive](self.b, eqn, operands)
        if eqn.primitive in RULES:
            return RULES[eqn.primitive](self, eqn, place)
        raise unsupported(eqn)

    @cached_property
    def _lengths(self) -> dict[Atom, int]:
        """How many elementwise equations come before each value, one behind another, itself included."""
        lengths: dict[Atom, int] = {}
        for value, eqn in self.producer.items():  # in the order of the graph
            pointwise = eqn.primitive in elementwise.rules
            lengths[value] = 1 + max((lengths.get(atom, 0) for atom in eqn.inputs), default=0) if pointwise else 0
        return lengths

    def _milestones(self, eqn: Equation, place: Place) -> list[Value]:
        """Values now and then on the way to an equation, the first ones first.

        Who asks for them in this order never has many equations to look behind: each takes some of Python's stack.
        """
        found, seen, pending = [], set(), list(eqn.inputs)
        while pending:
            atom = pending.pop()
            known = atom in seen or atom in self.sources or atom.shape != place.shape or not self._lengths.get(atom)
            if known or self.b.recall(("value", self, atom, place.key)) is not None:
                continue
            seen.add(atom)
            below = self.producer[atom].inputs  # type: ignore[index]
            found += [atom] if self._lengths[atom] // LONG > min(self._lengths.get(a, 0) for a in below) // LONG else []
            pending += below
        return sorted(found, key=self._lengths.__getitem__)


def buffer(b: Builder, pointer: int) -> Source:
    """Elements loaded from a buffer; the neighbouring lanes of an invocation share a wide load."""

    def load(place: Place) -> Ref:
        index = place.linear
        if b.lanes == 4 and isinstance(index, Ref):
            if index.multiple % 4 == 0:
                return b.load(pointer, index, index, 0)
            if index.shift and index.shift[0].multiple % 4 == 0 and index.shift[1] < 4:
                return b.load(pointer, index, *index.shift)
            if index.offset and index.offset[0].multiple % 4 == 0:  # neighbours that begin anywhere
                root, k = index.offset
                return b.load(pointer, index, b.as_ref(add(b, root, k - k % 4)), k % 4)
        return b.load(pointer, index)

    return load
