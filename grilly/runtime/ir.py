"""The compiler's own program: values, equations, graphs. Printable, and free of JAX and of Vulkan.

`trace` writes it, `simplify` rewrites it, `partition` cuts it into kernels, `kernels` turns those into shaders.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
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

    def __str__(self) -> str:
        return "\n".join(_lines(self))


@dataclass(frozen=True)
class ScanParams:
    """What a `scan` equation does: inputs are consts, carry, xs; outputs are carry, ys, each along axis 0."""

    body: Graph  # (consts, carry, x) -> (carry, y)
    length: int
    reverse: bool
    consts: int
    carries: int


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
        shown = {k: v for k, v in eqn.params.items() if not isinstance(v, ScanParams)}
        params = f"[{' '.join(f'{k}={v}' for k, v in shown.items())}]" if shown else ""
        outputs, inputs = " ".join(map(typed, eqn.outputs)), " ".join(map(name, eqn.inputs))
        yield f"{indent}{outputs} = {eqn.primitive}{params} {inputs}"
        for inner in eqn.params.values():
            if isinstance(inner, ScanParams):
                yield f"{indent}  length {inner.length}{' reverse' if inner.reverse else ''}"
                yield from _lines(inner.body, indent + "  ", names)
    yield f"{indent}outputs {' '.join(map(name, graph.outputs))}"
