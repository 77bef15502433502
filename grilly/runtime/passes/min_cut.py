"""What the steps of a scan leave in registers for the way back (see `recompute`): as few values as can be.

A step's way forth and its way back have values in common: a LIF neuron's way back needs `h`, which the way forth makes
of the state and x. A minimum cut picks the fewest values to keep in registers from which the way back can compute the
rest: it then neither computes them from the start nor reads x again.

References:
    J. Edmonds and R. M. Karp, "Theoretical improvements in algorithmic efficiency for network flow problems" (1972).
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..ir import Atom, Equation, Graph, Literal, Replay, ScanParams, Value
from ..kernels import elementwise
from ..kernels.steps import Operands
from ..rewrite import common, live

WEIGHT, WEIGHT_OF_BOOL = 2, 3  # a bool takes a register like any number, and instructions into it and out again
ALL = 1 << 30  # more than any cut
Flow = defaultdict[Any, defaultdict[Any, int]]  # from node to node: how much more may flow
SOURCE, SINK = "source", "sink"


def finding_fewest(twin: Equation) -> Equation:
    """The twin with as few values as can be that its steps back find."""
    scan, replay = twin.params["scan"], twin.params["scan"].replay
    same = _same(scan, Operands(scan, twin.inputs))
    moving = [value for value in scan.body.inputs[scan.consts + scan.carries :] if value in same]
    shared = list(_shared(scan.body, same))
    cut = _least_cut(_network(scan.body, shared, moving))
    read = set(scan.body.inputs[: len(scan.body.inputs) - replay.found])  # what is read again is not held
    values = [value for value in (*moving, *_made(shared)) if value in cut - read]
    forth = _putting_out(replay, shared, same, values)
    replay = replace(replay, body=forth, found=len(values))
    return _reading(twin, replay, values)


def _same(scan: ScanParams, operands: Operands) -> dict[Value, Atom]:
    """What a step back takes and the other way knows, too: the same consts, sequences, and what was found so far."""
    replay, back = scan.replay, scan.body.inputs
    assert replay
    forth, held = replay.body, replay.consts + replay.carries
    there = dict(zip(operands.replay_consts, forth.inputs, strict=False))
    there |= dict(zip(operands.replay_xs, forth.inputs[held:], strict=True))
    taken = [*operands.consts, *[None] * scan.carries, *operands.xs]
    same = {value: there[atom] for value, atom in zip(back, taken, strict=False) if atom in there}
    return same | dict(zip(back[len(taken) :], forth.outputs[replay.carries :], strict=False))


def _reading(twin: Equation, replay: Replay, values: Sequence[Value]) -> Equation:
    """The twin whose steps find `values`; sequences that nobody reads any more are gone."""
    scan: ScanParams = twin.params["scan"]
    body = replace(scan.body, equations=tuple(e for e in scan.body.equations if e.outputs[0] not in values))
    body, first = live(body), scan.consts + scan.carries
    read = {atom for eqn in body.equations for atom in eqn.inputs} | set(body.outputs)
    xs = [k for k in range(first, first + scan.sequences) if body.inputs[k] in read]
    body = replace(body, inputs=(*body.inputs[:first], *(body.inputs[k] for k in xs), *values))
    inputs = (*twin.inputs[:first], *(twin.inputs[k] for k in xs), *twin.inputs[first + scan.sequences :])
    return replace(twin, inputs=inputs, params={"scan": replace(scan, body=body, replay=replay)})


def _shared(back: Graph, same: Mapping[Value, Atom]) -> Iterator[Equation]:
    """The equations of a step back that the other way could compute: element by element, from what both know."""
    known = set(same)
    for eqn in back.equations:
        whole = {atom.shape for atom in (*eqn.inputs, *eqn.outputs) if isinstance(atom, Value) and atom.size > 1}
        own = eqn.primitive in elementwise.rules and len(whole) == 1 and eqn.outputs[0].shape in whole
        if own and all(isinstance(atom, Literal) or atom in known for atom in eqn.inputs):
            known.update(eqn.outputs)
            yield eqn


def _made(equations: list[Equation]) -> list[Value]:
    return [value for eqn in equations for value in eqn.outputs]


def _network(back: Graph, shared: list[Equation], moving: list[Value]) -> Flow:
    """What flows from what moves, through values, to those that only a step back reads: a value passes its weight."""
    flow: Flow = defaultdict(lambda: defaultdict(int))
    last, ours = set(back.outputs), set(shared)
    last.update(atom for eqn in back.equations if eqn not in ours for atom in eqn.inputs)
    for value in (*moving, *_made(shared)):
        flow["into", value]["from", value] = WEIGHT_OF_BOOL if value.dtype == np.bool_ else WEIGHT
        if value in moving:
            flow[SOURCE]["into", value] = ALL
        if value in last:
            flow["from", value][SINK] = ALL
    for eqn in shared:
        for atom in eqn.inputs:
            if ("into", atom) in flow:
                flow["from", atom]["into", eqn.outputs[0]] = ALL
    return flow


def _least_cut(flow: Flow) -> set[Value]:
    """The values through which the most flows, of all least cuts the one nearest to the sink."""
    while path := _path(flow):
        least = min(flow[a][b] for a, b in path)
        for a, b in path:
            flow[a][b] -= least
            flow[b][a] += least
    reaches: set[Any] = {SINK}
    todo: list[Any] = [SINK]
    while todo:
        node = todo.pop()
        before = [other for other in flow if other not in reaches and flow[other].get(node, 0)]
        reaches.update(before)
        todo += before
    return {node[1] for node in reaches if node[0] == "from" and ("into", node[1]) not in reaches}


def _path(flow: Flow) -> list[tuple[Any, Any]]:
    """The shortest way by which more may flow; empty where there is none."""
    came, todo = {SOURCE: SOURCE}, [SOURCE]
    for node in todo:
        for following, more in flow[node].items():
            if more and following not in came:
                came[following] = node
                todo.append(following)
    if SINK not in came:
        return []
    path, node = [], SINK
    while node != SOURCE:
        path.append((came[node], node))
        node = came[node]
    return path


def _putting_out(
    replay: Replay, shared: Sequence[Equation], same: Mapping[Value, Atom], values: Sequence[Value]
) -> Graph:
    """A step of the other scan that finds these values of a step back."""
    there: dict[Any, Atom] = dict(same)
    equations = []
    for eqn in shared:
        there.update((value, Value(value.aval)) for value in eqn.outputs)
        inputs = tuple(there.get(atom, atom) for atom in eqn.inputs)
        equations.append(replace(eqn, inputs=inputs, outputs=tuple(there[value] for value in eqn.outputs)))
    body, carried = replay.body, replay.carries
    ys = body.outputs[carried + replay.found :]
    outputs = (*body.outputs[:carried], *(there[value] for value in values), *ys)
    return live(common(replace(body, equations=(*body.equations, *equations), outputs=outputs)))
