"""Plans memory: which buffer holds each stored value, where intermediates lie in the arena, where barriers stand."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .ir import Aval, Graph, Value
from .partition import Kernel, reads
from .plan import Arena, Argument, Constant, Output, Slot

ALIGNMENT = 256  # of every buffer: enough for any vector load, and for the offsets that drivers ask for
LITTLE = 4 << 20  # bytes of a value that is worth less than kernels running side by side


@dataclass(frozen=True)
class Lifetime:
    """From the kernel that writes a value to the last that reads it; of small values, to what may run beside that."""

    first: int
    last: int

    def meets(self, other: "Lifetime") -> bool:
        return self.first <= other.last and other.first <= self.last


@dataclass(frozen=True)
class Memory:
    """A slot for every value that has a buffer; what each result is; the arena's size."""

    slots: Mapping[Value, Slot]
    results: tuple[Argument | Output | Constant, ...]
    arena_bytes: int


def planned(
    graph: Graph,
    kernels: Sequence[Kernel],
    stored: Sequence[Value],
    donated: frozenset[int],
    scratch: Mapping[Value, int],
) -> Memory:
    """Arguments, constants and results in buffers of their own; everything else in the arena.

    Args:
        graph: What is computed.
        kernels: By what.
        stored: The values that the kernels pass on.
        donated: Positions of arguments whose memory results may take over.
        scratch: Memory that one kernel alone needs, and the kernel's number.
    """
    slots: dict[Value, Slot] = {value: Constant(k) for k, value in enumerate(graph.constants)}
    slots.update((value, Argument(k)) for k, value in enumerate(graph.inputs))
    access = _Access(graph, kernels, stored)
    free = set(donated)
    for k, value in enumerate(graph.outputs):
        assert isinstance(value, Value)
        if value not in slots:
            slots[value] = _in_place(graph, access, value, free) or Output(k)
    lifetimes = access.lifetimes | {value: Lifetime(k, k) for value, k in scratch.items()}
    inner = [value for value in (*stored, *scratch) if value not in slots]
    home = _homes(access, [value for value in stored if value not in slots])
    for value in inner:
        if (first := home.get(value, value)) is not value:
            lifetimes[first] = Lifetime(lifetimes[first].first, lifetimes[value].last)
    offsets, size = arena([value for value in inner if value not in home], lifetimes)
    offsets.update((value, offsets[first]) for value, first in home.items())
    slots.update((value, Arena(offset)) for value, offset in offsets.items())
    results = tuple(slots[value] for value in graph.outputs)  # type: ignore[index]
    return Memory(slots, results, size)  # type: ignore[arg-type]


class _Access:
    """Which kernels read and write what."""

    def __init__(self, graph: Graph, kernels: Sequence[Kernel], stored: Sequence[Value]) -> None:
        known = dict.fromkeys(stored)
        self.kernels = kernels
        self.reads = [{task: reads(graph, known, task) for task in kernel.tasks} for kernel in kernels]
        self.writer = {root: k for k, kernel in enumerate(kernels) for task in kernel.tasks for root in task.roots}
        self.beside = self._beside()
        self.lifetimes = {value: self._lifetime(value) for value in stored}

    def _beside(self) -> list[Lifetime]:
        """The kernels that can run side by side with each, as none of them reads what another one writes."""
        starts, written = [0], set()
        for k, (kernel, found) in enumerate(zip(self.kernels, self.reads, strict=True)):
            if any(not written.isdisjoint(leaves) for leaves in found.values()):
                starts.append(k)
                written = set()
            written.update(root for task in kernel.tasks for root in task.roots)
        ends = (*starts[1:], len(self.kernels))
        return [Lifetime(start, end - 1) for start, end in zip(starts, ends, strict=True) for _ in range(start, end)]

    def _lifetime(self, value: Value) -> Lifetime:
        first = self.writer[value]
        readers = [k for k, found in enumerate(self.reads) if any(value in leaves for leaves in found.values())]
        last = max([first, *readers])
        if value.aval.nbytes > LITTLE:
            return Lifetime(first, last)
        return Lifetime(self.beside[first].first, self.beside[last].last)

    def updates(self, root: Value, argument: Value) -> bool:
        """Whether the task that computes `root` reads `argument`, and only at the very places it writes."""
        if root not in self.writer:
            return False
        found = self.reads[self.writer[root]]
        return any(root in task.roots and leaves.get(argument, False) for task, leaves in found.items())

    def may_overwrite(self, root: Value, argument: Value) -> bool:
        """Whether `root` may be written where `argument` lies: nobody else reads it then, or later."""
        writer = self.writer[root]
        for k, found in enumerate(self.reads):
            for task, leaves in found.items():
                if argument not in leaves or k < writer:
                    continue
                if not (k == writer and root in task.roots and leaves[argument]):
                    return False
        return True


def _in_place(graph: Graph, access: _Access, root: Value, free: set[int]) -> Argument | None:
    """The donated argument whose memory a result takes over: one that the result is computed from, of the same type.

    (Any would do; but a parameter that stays where it is keeps the recording of a training loop valid.)
    """
    for k in sorted(free):
        argument = graph.inputs[k]
        mine = argument.aval == root.aval and argument not in graph.outputs and access.updates(root, argument)
        if mine and access.may_overwrite(root, argument):
            free.remove(k)
            return Argument(k)
    return None


def _homes(access: _Access, values: Sequence[Value]) -> dict[Value, Value]:
    """Where values lie in the place of another one, of the same size, that is read for the last time at the very places
    where they are written: the first of those that take turns there.
    """
    home: dict[Value, Value] = {}
    free = set(values)
    for root in values:
        for found in access.reads[access.writer[root]].values():
            for leaf in found:
                mine = leaf in free and leaf.aval.nbytes == root.aval.nbytes
                if mine and root not in home and access.updates(root, leaf) and access.may_overwrite(root, leaf):
                    home[root] = home.get(leaf, leaf)
                    free.remove(leaf)
    return home


def arena(values: Sequence[Value], lifetimes: Mapping[Value, Lifetime]) -> tuple[dict[Value, int], int]:
    """Offsets such that values alive together do not overlap: the largest first, each as low as it fits."""
    placed: dict[Value, int] = {}
    for value in sorted(values, key=lambda v: -v.aval.nbytes):
        taken = sorted(
            (placed[other], placed[other] + padded(other.aval))
            for other in placed
            if lifetimes[other].meets(lifetimes[value])
        )
        offset = 0
        for low, high in taken:
            if offset + padded(value.aval) <= low:
                break
            offset = max(offset, high)
        placed[value] = offset
    return placed, max((offset + padded(value.aval) for value, offset in placed.items()), default=0)


def padded(aval: Aval) -> int:
    """Bytes that a value takes in an arena."""
    return aligned(aval.nbytes)


def aligned(nbytes: int) -> int:
    """Bytes of a buffer of at least so many, and not none."""
    return -(-max(nbytes, 1) // ALIGNMENT) * ALIGNMENT


Range = tuple[object, int, int]  # a buffer, and the bytes within


def range_of(slot: Slot, value: Value) -> Range:
    if isinstance(slot, Arena):
        return ("arena", slot.offset, slot.offset + padded(value.aval))
    return (slot, 0, value.aval.nbytes)


def barriers(accesses: Sequence[tuple[set[Range], set[Range]]]) -> list[bool]:
    """Whether each kernel waits for those before it, given what each reads and writes."""
    waits: list[bool] = []
    read: set[Range] = set()
    written: set[Range] = set()
    for reading, writing in accesses:
        wait = _touch(written, reading | writing) or _touch(read, writing)
        if wait:
            read, written = set(), set()
        waits.append(wait)
        read |= reading
        written |= writing
    return waits


def _touch(some: set[Range], others: set[Range]) -> bool:
    return any(a[0] == b[0] and a[1] < b[2] and b[1] < a[2] for a in some for b in others)
