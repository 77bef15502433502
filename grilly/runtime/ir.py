"""The compiler's own program: values, equations, graphs. Printable, and free of JAX and of Vulkan.

`trace` writes it, `simplify` rewrites it, `partition` cuts it into kernels, `kernels` turns those into shaders.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Aval:
    """What is known of an array before it exists: its shape and dtype."""

    shape: tuple[int, ...]
    dtype: np.dtype

    @cached_property
    def size(self) -> int:
        return math.prod(self.shape)

    @cached_property
    def nbytes(self) -> int:
        """Bytes in device memory, where a bool takes one."""
        return self.size * self.dtype.itemsize

    def __str__(self) -> str:
        return f"{self.dtype.name}[{','.join(map(str, self.shape))}]"


@dataclass(frozen=True, eq=False)
class Value:
    """One array of the program. Two values are the same only if they are the same object."""

    aval: Aval

    @property
    def shape(self) -> tuple[int, ...]:
        return self.aval.shape

    @property
    def dtype(self) -> np.dtype:
        return self.aval.dtype

    @property
    def size(self) -> int:
        return self.aval.size


@dataclass(frozen=True, eq=False)
class Literal:
    """A scalar known at trace time."""

    value: np.ndarray  # 0-d

    @cached_property
    def aval(self) -> Aval:
        return Aval((), self.value.dtype)

    @property
    def shape(self) -> tuple[int, ...]:
        return ()

    @property
    def dtype(self) -> np.dtype:
        return self.value.dtype

    @property
    def size(self) -> int:
        return 1


Atom = Value | Literal


@dataclass(frozen=True, eq=False)
class Equation:
    """`outputs = primitive[params] inputs`. `source` is where the user wrote it: opaque, read by `trace.locate`."""

    primitive: str
    inputs: tuple[Atom, ...]
    outputs: tuple[Value, ...]
    params: Mapping[str, Any] = field(default_factory=dict)
    source: tuple[Any, ...] = ()

    def reading(self, inputs: Iterable[Atom]) -> "Equation":
        """The same equation of other inputs."""
        return Equation(self.primitive, tuple(inputs), self.outputs, self.params, self.source)


@dataclass(frozen=True, eq=False)
class Graph:
    """Equations in an order that runs; `constants` are arrays captured by the traced function."""

    inputs: tuple[Value, ...]
    equations: tuple[Equation, ...]
    outputs: tuple[Atom, ...]
    constants: Mapping[Value, np.ndarray] = field(default_factory=dict)

    @cached_property
    def producer(self) -> dict[Value, Equation]:
        """The equation that makes each value; inputs and constants have none."""
        return {value: eqn for eqn in self.equations for value in eqn.outputs}

    @cached_property
    def consumers(self) -> dict[Value, list[Equation]]:
        """The equations that read each value, in order."""
        readers: dict[Value, list[Equation]] = {}
        for eqn in self.equations:
            for atom in dict.fromkeys(eqn.inputs):
                if isinstance(atom, Value):
                    readers.setdefault(atom, []).append(eqn)
        return readers

    def computed_from(self, values: Iterable[Value]) -> set[Atom]:
        """These values, and all that is computed from them."""
        found: set[Atom] = set(values)
        for eqn in self.equations:
            if not found.isdisjoint(eqn.inputs):
                found.update(eqn.outputs)
        return found

    def __str__(self) -> str:
        return "\n".join(_lines(self))


@dataclass(frozen=True)
class Chunks:
    """How a scan's steps are cut, in the order they run: `every` steps a chunk, of which the first may be shorter.

    Carries are saved before every `group`-th of the later chunks; those between are computed again group by group.
    """

    length: int
    every: int
    group: int = 1

    @property
    def count(self) -> int:
        """Chunks after the first."""
        return max(0, -(-self.length // self.every) - 1)

    @property
    def first(self) -> int:
        """Steps of the first chunk."""
        return self.length - self.count * self.every

    @property
    def groups(self) -> int:
        """How often carries are saved."""
        return -(-self.count // self.group)

    @property
    def last(self) -> int:
        """Chunks of the last group."""
        return self.count - (self.groups - 1) * self.group

    @property
    def rows(self) -> int:
        """Places for carries: those saved, and those of one group while it is computed again."""
        return self.groups + (self.group if self.group > 1 else 0)


@dataclass(frozen=True)
class Replay:
    """The steps of a scan, computed again by its reverse twin from the carries that it saved (see `recompute`).

    Where the scan runs nowhere else, its outputs (carry, ys) follow those of the twin.
    """

    body: Graph  # (consts, carry, x) -> (carry, found, y)
    consts: int
    carries: int
    found: int  # how many values a step finds for the twin: the last inputs of its body
    chunks: Chunks


@dataclass(frozen=True)
class Window:
    """What is folded of one output of each step: every so many rows and columns of its last two axes to one element."""

    output: int  # its number among the body's outputs
    fold: str  # reduce_max, reduce_min or reduce_sum
    rows: int
    columns: int


@dataclass(frozen=True)
class ScanParams:
    """What a `scan` equation does: inputs are consts, carry, xs; outputs are carry, ys, each along axis 0.

    Where it replays another scan, that one's consts, initial carry, saved carries, and xs follow. Where it is replayed,
    its last `saved` outputs are those carries. Elements that lie `patch_stride` places from each other read the same
    patch, of a product that the scan computes itself (see `shallow`); 0 says nothing. Of one output, each step puts out
    what a `window` folds (see `pooled`).
    """

    body: Graph  # (consts, carry, x, found) -> (carry, y)
    length: int
    reverse: bool
    consts: int
    carries: int
    replay: Replay | None = None
    saved: int = 0
    chunks: Chunks | None = None
    patch_stride: int = 0
    window: Window | None = None

    @property
    def sequences(self) -> int:
        """How many xs there are."""
        return len(self.body.inputs) - self.consts - self.carries - (self.replay.found if self.replay else 0)


@dataclass(frozen=True)
class WhileParams:
    """What a `while` equation does: inputs are consts and carry; outputs are the carry after the last step.

    Where `going` is an array, the carry has its axes in front, and each of its elements is about its part of the carry
    alone: that part stays as it is from the first False on.
    """

    body: Graph  # (consts, carry) -> (carry after a step, going: whether the step is taken)
    consts: int

    @property
    def going(self) -> Atom:
        return self.body.outputs[-1]

    @cached_property
    def step(self) -> ScanParams:
        """One step as that of a scan, which puts out whether it is taken."""
        return ScanParams(self.body, 1, False, self.consts, len(self.body.outputs) - 1)


INNER = (ScanParams, WhileParams)  # parameters with a graph of their own, their `body`


def with_body(eqn: Equation, change: Callable[[Graph], Graph]) -> Equation:
    """A scan or a while with another body; other equations as they are."""
    if not any(isinstance(param, INNER) for param in eqn.params.values()):
        return eqn
    params = {k: replace(p, body=change(p.body)) if isinstance(p, INNER) else p for k, p in eqn.params.items()}
    return replace(eqn, params=params)


def _lines(graph: Graph, indent: str = "", names: dict[Value, str] | None = None) -> Iterator[str]:
    names = {} if names is None else names

    def name(atom: Atom) -> str:
        if isinstance(atom, Literal):
            return f"{atom.value.item()}:{atom.dtype.name}"
        return names.setdefault(atom, f"%{len(names)}")

    def typed(atom: Atom) -> str:
        return f"{name(atom)}:{atom.aval}"

    yield f"{indent}inputs {' '.join(map(typed, graph.inputs))}"
    for value, array in graph.constants.items():
        yield f"{indent}constant {typed(value)} {array.nbytes} bytes"
    for eqn in graph.equations:
        shown = {k: v for k, v in eqn.params.items() if not isinstance(v, INNER)}
        params = f"[{' '.join(f'{k}={v}' for k, v in shown.items())}]" if shown else ""
        outputs, inputs = " ".join(map(typed, eqn.outputs)), " ".join(map(name, eqn.inputs))
        yield f"{indent}{outputs} = {eqn.primitive}{params} {inputs}"
        for inner in eqn.params.values():
            if isinstance(inner, ScanParams):
                saved = f", saves {inner.saved} every {inner.chunks.every * inner.chunks.group}" if inner.chunks else ""
                yield f"{indent}  length {inner.length}{' reverse' if inner.reverse else ''}{saved}"
            if isinstance(inner, INNER):
                yield from _lines(inner.body, indent + "  ", names)
                if isinstance(inner, ScanParams) and inner.replay:
                    yield f"{indent}  replays every {inner.replay.chunks.every}"
                    yield from _lines(inner.replay.body, indent + "  ", names)
    yield f"{indent}outputs {' '.join(map(name, graph.outputs))}"
