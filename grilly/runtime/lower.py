"""The compiler from end to end: a function and its argument types in, a plan out. It opens no device."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .emit import Emitted, emitted
from .ir import Atom, Aval, Equation, Graph, Value
from .kernels.kind import kind_of
from .kernels.views import behind_reshapes
from .loops import Loop, loop, separated
from .memory import Memory, barriers, planned, range_of
from .partition import Kernel, Partition, partition
from .passes.multiply_add import multiply_adds
from .passes.narrow import narrowed
from .passes.pooled import pooled
from .passes.prepare import prepared
from .passes.products import products
from .passes.recompute import recomputed
from .passes.shallow import shallow
from .passes.simplify import simplify
from .plan import Output, Plan, Preparation
from .repeats import While, repeated
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
    steady: frozenset[int] = frozenset(),
) -> Lowered:
    """Compiles a function of flat arrays.

    Args:
        function: Takes arrays, returns a flat list of arrays; traced once.
        avals: The shape and dtype of each argument.
        donated: Positions of arguments whose memory the results may take over.
        target: What to generate code for.
        steady: Positions of arguments that seldom change: what depends on them alone may be computed once.

    Raises:
        UnsupportedPrimitiveError: Where something cannot be compiled, with the user's line.
    """
    return lower_graph(simplify(trace(function, avals)), donated, target, steady)


def lower_graph(
    simple: Graph, donated: frozenset[int], target: Target, steady: frozenset[int] = frozenset()
) -> Lowered:
    """Compiles a simplified graph."""
    suited = _suited(simple, target)
    parts = prepared(suited, steady - donated)
    if parts is None:
        return _lower_suited(suited, donated, target)
    first, arguments, rest = parts
    found = _lower_suited(rest, donated, target)
    preparation = Preparation(_lower_suited(first, frozenset(), target).plan, arguments)
    return replace(found, plan=replace(found.plan, preparation=preparation))


def _suited(simple: Graph, target: Target) -> Graph:
    """The graph as suits the target."""
    return narrowed(pooled(shallow(recomputed(multiply_adds(products(simple, target), target), target))))


def _lower_suited(suited: Graph, donated: frozenset[int], target: Target) -> Lowered:
    graph = with_buffers(suited)
    parts = partition(graph, target)
    works = [_work(graph, parts, kernel, target) for kernel in parts.kernels]
    scratch = {work.scratch: k for k, work in enumerate(works) if work.scratch}
    memory = planned(graph, parts.kernels, parts.stored, donated, scratch)
    return Lowered(graph, parts, _plan(graph, parts, memory, works, donated, suited.outputs))


def _work(graph: Graph, parts: Partition, kernel: Kernel, target: Target) -> Emitted | Loop | While:
    """What a kernel of the partition becomes: shaders, or the plans of a loop."""
    task = kernel.tasks[0]
    if task.kind != "loop":
        return emitted(graph, kernel, parts.stored, target)
    make = loop if task.anchors[0].primitive == "scan" else repeated
    return make(task.anchors[0], lambda body: _step(body, target))


def _step(body: Graph, target: Target) -> Plan:
    """The body of a loop, compiled by itself, like any other graph; but each of its results has a place of its own."""
    plan = _lower_suited(separated(_suited(body, target)), frozenset(), target).plan
    assert plan.outputs == tuple(map(Output, range(len(plan.outputs))))
    return plan


def with_buffers(graph: Graph) -> Graph:
    """Every output, and what a loop reads, becomes a value that can have a buffer: of a reshape, what it reshapes; a
    literal is broadcast.
    """
    equations: list[Equation] = []

    def with_buffer(atom: Atom) -> Value:
        atom = behind_reshapes(graph.producer, atom)
        if isinstance(atom, Value):
            return atom
        value = Value(atom.aval)
        params = {"shape": (), "broadcast_dimensions": ()}
        equations.append(Equation("broadcast_in_dim", (atom,), (value,), params))
        return value

    for eqn in graph.equations:
        equations.append(eqn.reading(map(with_buffer, eqn.inputs)) if kind_of(eqn) == "loop" else eqn)
    outputs = tuple(map(with_buffer, graph.outputs))
    return replace(graph, equations=tuple(equations), outputs=outputs)


def _plan(
    graph: Graph,
    parts: Partition,
    memory: Memory,
    works: Sequence[Emitted | Loop | While],
    donated: frozenset[int],
    results: Sequence[Atom],
) -> Plan:
    slots = memory.slots
    accesses = []
    for kernel, work in zip(parts.kernels, works, strict=True):
        written = {root for task in kernel.tasks for root in task.roots}
        written |= {work.scratch} if work.scratch else set()
        ranges = {v: range_of(slots[v], v) for v in work.values if v in slots}
        accesses.append(({r for v, r in ranges.items() if v not in written}, {ranges[v] for v in written}))
    items = [item for work, wait in zip(works, barriers(accesses), strict=True) for item in work.work(slots, wait)]
    return Plan(
        arguments=tuple(value.aval for value in graph.inputs),
        results=tuple(atom.aval for atom in results),
        outputs=memory.results,
        donated=donated,
        constants=tuple(np.asarray(array) for array in graph.constants.values()),
        arena_bytes=memory.arena_bytes,
        work=tuple(items),
    )
