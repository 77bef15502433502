"""Recomputing instead of keeping: what a scan stacks for its reverse twin alone is never stored.

The scan saves its carry now and then; the twin computes a few steps again (a chunk), in registers, and
then goes back through them. The stack shrinks by the length of a chunk, and so does its traffic. Where all steps
are one chunk and the twin waits for nothing that the scan puts out, the twin does the scan's work, too.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from ..ir import Aval, Chunks, Equation, Graph, Replay, ScanParams, Value
from ..kernels import scan as scans
from ..kernels.fed import BLOCK, FEW, block_of
from ..kernels.steps import Operands, moves
from ..rewrite import Editor, live_scan
from ..target import Target
from .min_cut import finding_fewest

REGISTERS = 64  # of an invocation, for the carries of a single chunk
SHORT = 16  # steps of a single chunk: the twin's code grows with them
REGISTERS_OF_ALL = 1 << 22  # of a large GPU, for what all invocations hold of a chunk
SAVED, SAVED_BY_FEW = 1 << 21, 1 << 23  # as many values may be saved by all of them, however large T
LONGEST_ON_CPU = 4  # a CPU has few registers, and compiles slowly
UNGROUPED = 32  # of the longest chunks need no groups, which cost another run through the steps

Stacks = Mapping[Equation, Sequence[Value]]


def recomputed(graph: Graph, target: Target) -> Graph:
    """Every stack that only reverse twins read is computed again by them."""
    seen: set[Value] = set()
    while True:
        stacks = {eqn: found for eqn in graph.equations if (found := _stacks(graph, eqn))}
        stack = next((found[0] for found in stacks.values() if found[0] not in seen), None)
        if stack is None:
            return graph
        seen.add(stack)
        graph = _without_stacks(graph, graph.producer[stack], stacks, target)


def _stacks(graph: Graph, eqn: Equation) -> list[Value]:
    """The sequences that a scan reads of another scan over the same elements, which runs the other way round.

    A scan that carries nothing has no chunks to go through: it is no twin.
    """
    if eqn.primitive != "scan" or eqn.params["scan"].replay or scans.scan_kind(eqn) != "scan":
        return []
    scan: ScanParams = eqn.params["scan"]
    found: dict[Equation, list[Value]] = {}
    for operand in dict.fromkeys(eqn.inputs[scan.consts + scan.carries :]):
        source = graph.producer.get(operand) if isinstance(operand, Value) else None
        if source is not None and source.primitive == "scan" and _is_twin(scan, source.params["scan"]):
            found.setdefault(source, []).append(operand)  # type: ignore[arg-type]
    return next(iter(found.values()), [])


def _is_twin(scan: ScanParams, other: ScanParams) -> bool:
    """Whether a scan may compute the steps of the other one again: that is no twin itself."""
    opposite = scan.length == other.length and scan.reverse != other.reverse and not other.replay
    return opposite and scans.is_pointwise(other) and scans.size_of(scan) == scans.size_of(other)


def _without_stacks(graph: Graph, source: Equation, stacks: Stacks, target: Target) -> Graph:
    """The graph where no stack of `source` is stored that only twins read."""
    twins = {eqn: mine for eqn, found in stacks.items() if (mine := [v for v in found if v in source.outputs])}
    kept = list(dict.fromkeys(v for found in twins.values() for v in found))
    if any(stack in graph.outputs or set(graph.consumers[stack]) - set(twins) for stack in kept):
        return graph
    replayed = _Replayed(source, kept, target)
    replayed.cut(max(_words(graph, replayed.twin(twin)) for twin in twins))
    editor = Editor(graph)
    if len(twins) == 1 and not replayed.chunks.count and (later := _later(graph, source, next(iter(twins)), kept)):
        return replayed.alone(editor, next(iter(twins)), later)
    for eqn in graph.equations:
        replaced = replayed.saving() if eqn is source else replayed.twin(eqn) if eqn in twins else eqn
        if replaced.outputs:  # a scan that carries nothing, for its twins alone, saves nothing
            editor.keep(replaced)
    return editor.done()


def _later(graph: Graph, source: Equation, twin: Equation, stacks: Sequence[Value]) -> set[Equation] | None:
    """What depends on a scan, its twin aside; None where the twin waits for some of it."""
    waiting = graph.computed_from(set(source.outputs) - set(stacks))
    later = {eqn for eqn in graph.equations if not waiting.isdisjoint(eqn.outputs)}
    return None if twin in later else {source, *later}


def _words(graph: Graph, twin: Equation) -> int:
    """How many elements a step back finds, or reads of sequences."""
    scan: ScanParams = twin.params["scan"]
    xs = [x for x in Operands(scan, twin.inputs).xs if moves(x, graph.producer)]
    return sum(x.size == scan.length * scans.size_of(scan) for x in xs) + scan.replay.found  # type: ignore[union-attr]


class _Replayed:
    """A scan, and those of its stacks that its twins compute again: all at once, until it is cut into chunks."""

    def __init__(self, eqn: Equation, stacks: Sequence[Value], target: Target) -> None:
        self.eqn, self.stacks, self.target = eqn, stacks, target
        self.scan: ScanParams = eqn.params["scan"]
        self.others = [k for k in range(len(eqn.outputs)) if eqn.outputs[k] not in stacks]
        self.needed = live_scan(eqn, set(stacks))  # the scan that only makes the stacks
        steps: ScanParams = self.needed.params["scan"]
        self.carried = steps.body.inputs[steps.consts : steps.consts + steps.carries]
        self.chunks, self.saved = Chunks(self.scan.length, max(1, self.scan.length)), list[Value]()

    def cut(self, words: int) -> None:
        """Into chunks, where a step back finds and reads so many words."""
        size = max(1, scans.size_of(self.scan))
        own = all(value.size == scans.size_of(self.scan) for value in self.carried)
        held = _held(len(self.carried), self.needed.params["scan"].sequences, words, size, self.target)
        self.chunks = _chunks(self.scan.length, *held, size, own, self.target)
        rows = self.chunks.rows
        self.saved = [Value(Aval((rows, *v.shape), v.dtype)) for v in self.carried] if rows else []

    def saving(self) -> Equation:
        """The scan without the stacks; it saves carries instead."""
        body, carried = self.scan.body, self.carried if self.saved else ()
        body = replace(body, outputs=(*(body.outputs[k] for k in self.others), *carried))
        chunks = self.chunks if self.saved else None
        scan = replace(self.scan, body=body, saved=len(self.saved), chunks=chunks)
        outputs = (*(self.eqn.outputs[k] for k in self.others), *self.saved)
        return replace(self.eqn, outputs=outputs, params={"scan": scan})

    def twin(self, twin: Equation) -> Equation:
        """The twin, which computes the stacks again."""
        return self._replaying(twin, self.needed, [])

    def alone(self, editor: Editor, twin: Equation, later: set[Equation]) -> Graph:
        """The graph where the twin does the scan's work, too; what depends on the scan comes after it."""
        others = [self.eqn.outputs[k] for k in self.others]
        for eqn in editor.graph.equations:
            if eqn is twin:
                merged = self._replaying(twin, self.eqn, others[self.scan.carries :])
                editor.keep(replace(merged, outputs=(*twin.outputs, *others)))
            elif eqn not in later:
                editor.keep(eqn)
        for eqn in editor.graph.equations:
            if eqn in later and eqn is not self.eqn:
                editor.keep(eqn)
        return editor.done()

    def _replaying(self, twin: Equation, source: Equation, ys: Sequence[Value]) -> Equation:
        """The twin with the steps of a scan in it, `source`: they find what it reads of stacks, and put out `ys`."""
        scan, steps = twin.params["scan"], source.params["scan"]
        numbers = [k for k, operand in enumerate(twin.inputs) if operand in self.stacks]
        kept = [k for k in range(len(twin.inputs)) if k not in numbers]
        wanted = [source.outputs.index(value) for value in (*(twin.inputs[k] for k in numbers), *ys)]
        outputs = (*steps.body.outputs[: steps.carries], *(steps.body.outputs[k] for k in wanted))
        body = replace(steps.body, outputs=outputs)
        replay = Replay(body, steps.consts, steps.carries, len(numbers), self.chunks)
        inputs = tuple(scan.body.inputs[k] for k in (*kept, *numbers))
        held = steps.consts + steps.carries
        operands = (*(twin.inputs[k] for k in kept), *source.inputs[:held], *self.saved, *source.inputs[held:])
        scan = replace(scan, body=replace(scan.body, inputs=inputs), replay=replay)
        return finding_fewest(replace(twin, inputs=operands, params={"scan": scan}))


def _chunks(length: int, single: int, every: int, size: int, own: bool, target: Target) -> Chunks:
    """About a root of T of steps a chunk, if registers hold so many.

    Where T is large, chunks are grouped, so that memory grows with sqrt(T): only of carries that each invocation has of
    its own, since it alone reads again what it wrote.
    """
    if length <= single:
        return Chunks(length, single)
    every = min(every, max(8, _power_of_two(2 * math.isqrt(length - 1))))
    longest, saved = (LONGEST_ON_CPU if target.software else BLOCK), (SAVED_BY_FEW if size <= FEW else SAVED)
    grouped = own and length > max(UNGROUPED * longest, every * (saved // size))
    return Chunks(length, every, math.isqrt(length // every) if grouped else 1)


def _held(carries: int, sequences: int, words: int, size: int, target: Target) -> tuple[int, int]:
    """The most steps of a single chunk, and of one among others: the fewer invocations, the more registers each has.

    Where elements are few, what a step back finds and reads, so many words, is handed over in workgroup memory.
    """
    single = max(2, min(LONGEST_ON_CPU if target.software else SHORT, REGISTERS // max(1, carries)))
    if target.software:
        return single, single
    registers = max(32, min(128, REGISTERS_OF_ALL // size))
    alone = _power_of_two(max(2, min(BLOCK, registers // max(1, carries + sequences))))
    every = block_of(size, words, target) or alone
    return max(single, every), every


def _power_of_two(n: int) -> int:
    """The largest that is at most n."""
    return 1 << n.bit_length() - 1
