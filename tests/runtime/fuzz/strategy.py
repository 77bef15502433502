"""Hypothesis's strategy: statements drawn one after another from a table of operations."""

from collections.abc import Callable, Sequence

import numpy as np
from hypothesis import strategies as st

from .program import RandomProgram
from .writer import Variable, Writer


@st.composite
def random_programs(draw: Callable, themes: Sequence[Sequence[Callable]], most: int = 10) -> RandomProgram:
    """Programs of up to so many statements: of each, first its theme is drawn, and then one of that's operations."""
    writer = Writer(draw, themes)
    writer.statements(most)
    if not writer.visible:
        writer.pick()
    results = ", ".join(v.name for v in writer.results(8))
    arguments = [line.split(" = ")[0] for line in writer.arguments]
    writer.parameters = [Variable((), np.dtype(bool), name) for name in arguments]
    static = tuple(arguments.index(name) for name in writer.static)
    donated = tuple(k for k in range(len(arguments)) if k not in static and writer.chance(6))
    lines = [
        writer.defined("program", f"({results},)"),
        "\n",
        "def arguments(seed):",
        "    random = np.random.default_rng(seed)",
        *(f"    {line}" for line in (*writer.arguments, f"return [{', '.join(arguments)}]")),
        "\n",
    ]
    return RandomProgram("\n".join(lines), static, donated, small=writer.chance(3))
