"""The compiler from end to end: a function and its argument types in, a plan out. It opens no device."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .emit import Emitted, emitted
from .ir import Atom, Aval, Equation, Graph, Literal, Value
from .memory import Memory, barriers, planned, range_of
from .partition import SAME_PLACE, Partition, partition
from .plan import Dispatch, Plan
from .simplify import simplify
from .target import Target
from .trace import trace


@dataclass(frozen=True)
class Lowered:
    """A compiled function at every stage, for people to look at."""

    graph: Graph
    partition: Partition
    plan: Plan


def lower(
    function: Callable[..., Sequence[Any]],
    avals: Sequence[Aval],
    donated: frozenset[int] = frozenset(),
    target: Target = Target(),
) -> Lowered:
    """Compiles a function of flat arrays.

    Args:
        function: Takes arrays, returns a flat list of arrays; traced once.
        avals: The shape and dtype of each argument.
        donated: Positions of arguments whose memory the results may take over.
        target: What to generate code for.

    Raises:
        UnsupportedPrimitiveError: Where something cannot be compiled, with the user's line.
    """
    simple = simplify(trace(function, avals))
    graph = with_buffers(simple)
    parts = partition(graph, target)
    memory = planned(graph, parts.kernels, parts.stored, donated)
    shaders = [emitted(graph, kernel, parts.stored, target) for kernel in parts.kernels]
    return Lowered(graph, parts, _plan(graph, parts, memory, shaders, donated, simple.outputs))


def with_buffers(graph: Graph) -> Graph:
    """Every output becomes a value that can have a buffer: of a reshape, what it reshapes; a literal is broadcast."""
    equations, outputs = list(graph.equations), []
    for atom in graph.outputs:
        while isinstance(atom, Value) and (eqn := graph.producer.get(atom)) and eqn.primitive in SAME_PLACE:
            atom = eqn.inputs[0]
        if isinstance(atom, Literal):
            value = Value(atom.aval)
            params = {"shape": (), "broadcast_dimensions": ()}
            equations.append(Equation("broadcast_in_dim", (atom,), (value,), params))
            atom = value
        outputs.append(atom)
    return replace(graph, equations=tuple(equations), outputs=tuple(outputs))


def _plan(
    graph: Graph,
    parts: Partition,
    memory: Memory,
    shaders: Sequence[Emitted],
    donated: frozenset[int],
    results: Sequence[Atom],
) -> Plan:
    slots = memory.slots
    accesses = []
    for kernel, shader in zip(parts.kernels, shaders, strict=True):
        written = {root for task in kernel.tasks for root in task.roots}
        ranges = {v: range_of(slots[v], v) for v in shader.values}
        accesses.append(({ranges[v] for v in shader.values if v not in written}, {ranges[v] for v in written}))
    dispatches = tuple(
        Dispatch(s.shader, tuple(slots[v] for v in s.values), s.groups, wait, s.shader.name)
        for s, wait in zip(shaders, barriers(accesses), strict=True)
    )
    return Plan(
        arguments=tuple(value.aval for value in graph.inputs),
        results=tuple(atom.aval for atom in results),
        outputs=memory.results,
        donated=donated,
        constants=tuple(np.asarray(array) for array in graph.constants.values()),
        arena_bytes=memory.arena_bytes,
        dispatches=dispatches,
    )
