"""Writes a random function as Python source, one statement after another, knowing the shape and dtype of every name.

Values are nobody's concern here: `noise` says how near two runs of one program must come.
"""

import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from hypothesis import strategies as st
from jax import numpy as jnp

from grilly.runtime.ir import Aval

from .program import NAMES

LARGEST = 1 << 18  # elements of a variable
DEEPEST = 2  # functions in functions
EXTENTS = (3, 1, 2, 4, 5, 7, 0, 8, 13, 17, 33)
LONG = (65537, 1 << 16, 4099, 1000, 257)
DTYPES = (
    *(("float32",) * 8),
    *("int32", "int32", "uint32", "bool", "float16", "bfloat16", "int8", "uint8", "int16", "uint16"),
)


@dataclass(frozen=True)
class Variable(Aval):
    """A name in a program, and what it holds. As text it is its name."""

    name: str = ""

    def __str__(self) -> str:
        return self.name

    @property
    def kind(self) -> str:
        return "f" if self.dtype.kind == "V" else self.dtype.kind

    @property
    def rank(self) -> int:
        return len(self.shape)

    @property
    def aval(self) -> tuple[tuple[int, ...], np.dtype]:
        return self.shape, self.dtype


class Writer:
    """One function under construction; functions inside it have writers of their own.

    Args:
        draw: Hypothesis's.
        themes: The operations to draw from: each writes one statement.
        outer: The function around it.
        smooth: Whether only what has a gradient may be used.
    """

    def __init__(
        self, draw: Callable, themes: Sequence[Sequence[Callable]], outer: "Writer | None" = None, smooth=False
    ):
        self.draw, self.themes, self.outer = draw, themes, outer
        self.smooth = smooth or bool(outer and outer.smooth)
        self.top: Writer = outer.top if outer else self
        self.depth: int = outer.depth + 1 if outer else 0
        self.written: list[tuple[list[Variable], list[str]]] = []  # of each statement, what it names, and its lines
        self.parameters: list[Variable] = []
        self.own: list[Variable] = []
        if not outer:
            self.known: dict[str, Any] = {}  # of every name, what it stands for while the program is written
            self.arguments: list[str] = []
            self.static: list[str] = []

    # Choices --------------------------------------------------------------------------------------------------

    def one_of(self, choices: Sequence) -> Any:
        return self.draw(st.sampled_from(choices))

    def number(self, low: int, high: int) -> int:
        return self.draw(st.integers(low, high))

    def chance(self, one_in: int) -> bool:
        return self.draw(st.integers(0, one_in - 1)) == one_in - 1

    def axis(self, x: Variable) -> int:
        return self.number(0, x.rank - 1)

    def axes(self, x: Variable) -> tuple[int, ...]:
        return tuple(axis for axis in range(x.rank) if self.draw(st.booleans()))

    def order(self, rank: int) -> tuple[int, ...]:
        return tuple(self.draw(st.permutations(range(rank))))

    def dtype(self, kinds: str = "fiub") -> np.dtype:
        return np.dtype(self.one_of([d for d in map(jnp.dtype, DTYPES) if _kind(d) in kinds]))

    def shape(self, low: int = 0, high: int = 3, most: int = LARGEST) -> tuple[int, ...]:
        """Of `low` to `high` axes, and of at most so many elements."""
        if low <= 1 <= high and self.chance(16):
            return (self.one_of([extent for extent in LONG if extent <= most]),)
        shape = tuple(self.one_of(EXTENTS) for _ in range(self.number(low, high)))
        return shape if math.prod(shape) <= min(most, 1 << 14) else (3,) * low

    # Variables ------------------------------------------------------------------------------------------------

    @property
    def visible(self) -> list[Variable]:
        """The newest first."""
        return [*reversed(self.own), *(self.outer.visible if self.outer else ())]

    def pick(self, kinds: str = "fiub", rank: int = 0, most: int = LARGEST) -> Variable:
        """A variable of these kinds of dtype, of at least this rank; at times, or if there is none, an argument."""
        found = [v for v in self.visible if v.kind in kinds and v.rank >= rank and v.size <= most]
        if not found or self.chance(8):
            return self.argument(self.shape(rank, max(rank, 3), most), self.dtype(kinds))
        return self.one_of(found)

    def alike(self, shape: tuple[int, ...], dtype: np.dtype) -> str:
        """An expression of this shape and dtype."""
        same = [v.name for v in self.visible if v.aval == (shape, dtype)]
        near = [self.fitted(v, shape, dtype) for v in self.visible[:4] if v.aval != (shape, dtype)]
        constant = f"jnp.full({shape}, {self.one_of((1, 0, 2, 3))}, jnp.{dtype})"
        if self.chance(4):
            return self.argument(shape, dtype).name
        return self.one_of([*same, constant, *near])

    def fitted(self, x: Variable, shape: tuple[int, ...], dtype: np.dtype) -> str:
        """`x`, made to have a shape and dtype: broadcast where it can be, else its sum is."""
        text = x.name if x.dtype == dtype else f"{x}.astype(jnp.{dtype})"
        if x.shape == shape:
            return text
        if not _broadcasts(x.shape, shape):
            text = f"{text}.sum().astype(jnp.{dtype})"
        return f"jnp.broadcast_to({text}, {shape})"

    def argument(self, shape: tuple[int, ...], dtype: np.dtype) -> Variable:
        """A new argument of the program."""
        variable = Variable(tuple(shape), dtype, f"x{len(self.top.known)}")
        self.top.arguments.append(f"{variable} = {self._numbers(variable)}")
        self.top.known[variable.name] = jax.ShapeDtypeStruct(variable.shape, dtype)
        self.top.own.append(variable)
        return variable

    def static_number(self, low: int, high: int) -> str:
        """A number that the program knows when it is traced; now and then, a static argument."""
        number = self.number(low, high)
        if not self.chance(4):
            return str(number)
        name = f"x{len(self.top.known)}"
        self.top.known[name] = number
        self.top.arguments.append(f"{name} = {number}")
        self.top.static.append(name)
        return name

    def _numbers(self, x: Variable) -> str:
        if x.kind == "b":
            return f"random.integers(0, 2, {x.shape}).astype(bool)"
        if x.kind == "f":
            drawn = self.one_of([f"random.integers(-8, 9, {x.shape}) / 4", f"random.normal(size={x.shape})"])
            if self.chance(16):
                drawn = f"random.choice([0.0, -0.0, 1.0, -2.5, np.inf, -np.inf, np.nan], {x.shape})"
            return f"np.asarray({drawn}).astype(jnp.{x.dtype})"
        info = np.iinfo(x.dtype)
        low, high = (info.min, info.max) if self.chance(4) else (-9 if info.min else 0, 9)
        return f"random.integers({low}, {high}, {x.shape}, np.{x.dtype}, endpoint=True)"

    # Statements -----------------------------------------------------------------------------------------------

    def write(self, expression: str, functions: Sequence[str] = ()) -> None:
        """Names the result of an expression, or its results; drops a statement of too large ones."""
        lines = [line for function in functions for line in function.splitlines()]
        code = "\n".join([*lines, f"result = {expression}"])

        def run(known: dict[str, Any]) -> Any:
            names = {**NAMES, **static, **known}
            exec(code, names)
            return names["result"]

        static = {name: value for name, value in self.top.known.items() if isinstance(value, int)}
        arrays = {name: value for name, value in self.top.known.items() if name not in static}
        leaves, tree = jax.tree.flatten(jax.eval_shape(run, arrays))
        if any(math.prod(leaf.shape) > LARGEST for leaf in leaves) or not leaves:
            return
        variables = [self.name(leaf.shape, leaf.dtype) for leaf in leaves]
        statement = f"{variables[0]} = {expression}"
        if not jax.tree_util.treedef_is_leaf(tree):
            statement = f"[{', '.join(map(str, variables))}] = jax.tree.leaves(({expression}))"
        self.written.append((variables, [*lines, statement]))
        self.own += variables

    def name(self, shape: Sequence[int], dtype: Any) -> Variable:
        """A new name for what has this shape and dtype."""
        variable = Variable(tuple(shape), np.dtype(dtype), f"x{len(self.top.known)}")
        self.top.known[variable.name] = jax.ShapeDtypeStruct(shape, dtype)
        return variable

    def statements(self, most: int) -> None:
        for _ in range(self.number(1, most)):
            self.one_of(self.one_of(self.themes))(self)

    def results(self, most: int) -> list[Variable]:
        """What no statement reads, the newest first, and at times others, which may be the same again."""
        text = "\n".join(line for _, lines in self.written for line in lines)
        times = Counter(re.findall(r"\w+", text))
        unread = [v for v in reversed(self.own) if times[v.name] == 1]
        others = [self.one_of(self.visible) for _ in range(self.number(0 if unread else 1, 2))]
        return [*unread[:most], *others]

    def inner(self, parameters: Sequence[tuple[Sequence[int], Any]], smooth: bool = False, most: int = 3) -> "Writer":
        """A function of such parameters inside this one, with a few statements; `defined` gives its text."""
        writer = Writer(self.draw, self.themes, self, smooth)
        writer.parameters = [self.name(shape, dtype) for shape, dtype in parameters]
        writer.own = [*writer.parameters]
        writer.statements(most)
        return writer

    def defined(self, name: str, result: str) -> str:
        """The text of this function, which returns `result`; without what that does not need."""
        body, needed = [f"return {result}"], result
        for variables, lines in reversed(self.written):
            if {v.name for v in variables} & set(re.findall(r"\w+", needed)):
                body[:0] = lines
                needed += "\n".join(["", *lines])
        head = f"def {name}({', '.join(p.name for p in self.parameters)}):"
        return "\n".join([head, *(f"    {line}" for line in body)])


def _broadcasts(shape: tuple[int, ...], to: tuple[int, ...]) -> bool:
    pairs = zip(reversed(shape), reversed(to), strict=False)
    return len(shape) <= len(to) and all(extent in (1, wanted) for extent, wanted in pairs)


def _kind(dtype: np.dtype) -> str:
    return "f" if dtype.kind == "V" else dtype.kind
