"""The table of operations that random programs are made of; each writes one statement with the newest variables.

A row says what users write. Which primitives that makes is JAX's business: a test sees to it that all those of
docs/primitives.md are among them.
"""

from collections.abc import Callable
from functools import partial

from .writer import DEEPEST, Writer

THEMES: dict[str, dict[str, Callable[[Writer], None]]] = {}  # of each file, its operations by name


def operation(*names: str, smooth: bool = True, nests: bool = False) -> Callable[[Callable], Callable]:
    """Registers what writes statements: it gives an expression (an empty one where none fits), or writes by itself.

    Args:
        names: Of the rows. Where there are several, the function is told which.
        smooth: Whether JAX has a gradient of it.
        nests: Whether it writes functions of its own.
    """

    def register(function: Callable) -> Callable:
        for name in names:
            write = partial(function, name=name) if len(names) > 1 else function
            theme = THEMES.setdefault(function.__module__, {})
            theme[name] = partial(_run, write, smooth, nests)
        return function

    return register


def _run(write: Callable, smooth: bool, nests: bool, writer: Writer) -> None:
    if (smooth or not writer.smooth) and (not nests or writer.depth < DEEPEST):
        expression = write(writer)
        if expression:
            writer.write(expression)
