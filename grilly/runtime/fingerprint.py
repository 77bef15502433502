"""What a compiled program depends on, as one short text: equal for equal programs, in any process and on any machine.

Every bit counts that the plan could depend on: equations, types, the bits of literals and constants, what is donated
and what is steady, the target, and the compiler's own sources. The user's lines count too: a profile names them.
"""

import dataclasses
import enum
import hashlib
import importlib.resources
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import numpy as np

from .ir import Atom, Equation, Graph, Literal, Value
from .source import locate
from .target import Target


class _Unknown(Exception):  # noqa: N818  # never leaves this file
    """A parameter of a kind that has no text of its own."""


def fingerprint(
    graph: Graph, donated: frozenset[int], target: Target, steady: frozenset[int] = frozenset()
) -> str | None:
    """A text that no other program has; None where some parameter cannot be told from another."""
    sha = hashlib.sha256(COMPILER)
    try:
        for line in _Writer().graph(graph):
            sha.update(line.encode())
    except _Unknown:
        return None
    sha.update(f"{sorted(donated)}{sorted(steady)}{target}".encode())
    return sha.hexdigest()


class _Writer:
    """Writes graphs down; values are numbered in the order in which they appear."""

    def __init__(self) -> None:
        self._numbers: dict[Value, int] = {}

    def graph(self, graph: Graph) -> Iterator[str]:
        yield f"graph {' '.join(map(self._new, graph.inputs))}\n"
        for value, array in graph.constants.items():
            raw = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
            yield f"constant {self._new(value)} {hashlib.sha256(raw.data).hexdigest()}\n"
        for eqn in graph.equations:
            yield self._equation(eqn)
        yield f"results {' '.join(map(self._read, graph.outputs))}\n"

    def _equation(self, eqn: Equation) -> str:
        inputs = " ".join(map(self._read, eqn.inputs))
        outputs = " ".join(map(self._new, eqn.outputs))
        return f"{eqn.primitive} {self._text(eqn.params)} {inputs} {outputs} {locate(eqn.source)}\n"

    def _new(self, value: Value) -> str:
        self._numbers[value] = len(self._numbers)
        return str(value.aval)

    def _read(self, atom: Atom) -> str:
        if isinstance(atom, Literal):
            return f"{atom.dtype.name}:{atom.value.tobytes().hex()}"
        return f"%{self._numbers[atom]}"

    def _text(self, thing: Any) -> str:
        """A parameter: its kind, and all that is in it."""
        if thing is None or isinstance(thing, bool | int | float | str):
            return repr(thing)
        if isinstance(thing, tuple | list):
            return f"{type(thing).__name__}({','.join(map(self._text, thing))})"
        if isinstance(thing, Mapping):
            return f"{{{','.join(f'{key}:{self._text(thing[key])}' for key in sorted(thing))}}}"
        if isinstance(thing, np.dtype):
            return thing.name
        if isinstance(thing, np.ndarray | np.generic):
            return f"{thing.dtype.name}{thing.shape}{thing.tobytes().hex()}"
        if isinstance(thing, enum.Enum):
            return str(thing)
        if isinstance(thing, Graph):
            return "".join(self.graph(thing))
        if dataclasses.is_dataclass(thing):
            fields = {field.name: getattr(thing, field.name) for field in dataclasses.fields(thing)}
            return type(thing).__name__ + self._text(fields)
        raise _Unknown


def _compiler() -> bytes:
    """What identifies the compiler: its sources, and the version of JAX."""
    sha = hashlib.sha256(jax.__version__.encode())
    for name, content in _files(importlib.resources.files("grilly.runtime")):
        sha.update(f"{name} {len(content)} ".encode() + content)
    return sha.digest()


def _files(folder: Any) -> Iterator[tuple[str, bytes]]:
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if entry.is_file():
            yield entry.name, entry.read_bytes()
        elif entry.name != "__pycache__":
            yield from _files(entry)


COMPILER = _compiler()  # at import: the files may change while this process runs, but not what it runs
