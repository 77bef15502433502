"""A plan: what a device needs to know to run a compiled function. Shaders, where their buffers lie, and barriers.

A plan names no device and holds no handle. The same function for the same target gives the same plan anywhere.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from .ir import Aval


@dataclass(frozen=True)
class Binding:
    """A storage buffer as a shader sees it: how many bytes it has, and whether the shader writes to it."""

    nbytes: int
    written: bool


@dataclass(frozen=True)
class Shader:
    """One compute shader. Its entry point is `main`, its workgroup size is baked in.

    It reads its buffer addresses (uint64, in the order of `Dispatch.slots`) from push constants at offset 0, or,
    where `table` is true, from an array of uint64 in device memory whose address is the single push constant.
    Where there are `bindings`, it reads no addresses: its buffers are bound to descriptor set 0, and push constants
    hold, as uint32, how many bytes before its buffer each binding begins.
    """

    name: str
    spirv: bytes
    table: bool = False
    bindings: tuple[Binding, ...] = ()


@dataclass(frozen=True)
class Argument:
    """The buffer of the call's `index`-th flat argument, from a byte on."""

    index: int
    offset: int = 0


@dataclass(frozen=True)
class Output:
    """The buffer of the call's `index`-th flat output, allocated anew for each call, from a byte on."""

    index: int
    offset: int = 0


@dataclass(frozen=True)
class Constant:
    """The `index`-th array of `Plan.constants`, uploaded once, from a byte on."""

    index: int
    offset: int = 0


@dataclass(frozen=True)
class Arena:
    """Bytes from `offset` on in the arena, the one allocation that intermediates share."""

    offset: int


Slot = Argument | Output | Constant | Arena


@dataclass(frozen=True)
class Cost:
    """What the compiler predicts of a dispatch, and where the user asked for it; for people.

    Attributes:
        nbytes: Bytes of the buffers that it reads and writes, each counted once.
        operations: Arithmetic operations: one an element, two for each multiplication of a matrix product.
        layer: The layer, by `jax.named_scope`; empty where there is none.
        line: The user's line, as `model.py:41 (forward)`; empty where it is none of theirs.
    """

    nbytes: int = 0
    operations: int = 0
    layer: str = ""
    line: str = ""


@dataclass(frozen=True)
class Dispatch:
    """One run of a shader over `groups` workgroups; `barrier` says whether it waits for those before it."""

    shader: Shader
    slots: tuple[Slot, ...]
    groups: tuple[int, int, int]
    barrier: bool
    label: str  # for people: kernel kind and shape
    cost: Cost = Cost()


@dataclass(frozen=True)
class Turn:
    """What a `Repeat` does in a turn: `condition` tells whether the turn is taken, `body` takes it."""

    condition: tuple["Work", ...]
    body: tuple["Work", ...]


@dataclass(frozen=True)
class Repeat:
    """Turns that are taken until a bool in memory, written by their conditions, is False: the host looks.

    Attributes:
        flag: Where the bool lies.
        turns: In turn one and the other: each finds what is carried where the other has put it.
        back: Brings what is carried from where the first one puts it to where the second one does.
    """

    flag: Arena
    turns: tuple[Turn, Turn]
    back: tuple["Work", ...]


Work = Dispatch | Repeat


def moved(work: Work, place: Callable[[Slot], Slot]) -> Work:
    """The same work at other places."""
    if isinstance(work, Dispatch):
        return replace(work, slots=tuple(map(place, work.slots)))
    flag = place(work.flag)
    assert isinstance(flag, Arena)
    first, second = (
        Turn(tuple(moved(w, place) for w in turn.condition), tuple(moved(w, place) for w in turn.body))
        for turn in work.turns
    )
    return Repeat(flag, (first, second), tuple(moved(w, place) for w in work.back))


def waiting(work: Iterable[Work], wait: bool = True) -> tuple[Work, ...]:
    """The same work; if its first part is a dispatch, `wait` says whether that waits for those before it."""
    items = list(work)
    if items and isinstance(items[0], Dispatch):
        items[0] = replace(items[0], barrier=wait)
    return tuple(items)


def dispatches(work: Iterable[Work]) -> Iterator[Dispatch]:
    """Every dispatch; of turns, the first one's."""
    for item in work:
        if isinstance(item, Dispatch):
            yield item
        else:
            yield from dispatches((*item.turns[0].condition, *item.turns[0].body, *item.back))


@dataclass(frozen=True)
class Preparation:
    """What is computed once for some arguments, by number: the results are further arguments of the plan's work."""

    plan: "Plan"
    arguments: tuple[int, ...]


@dataclass(frozen=True)
class Plan:
    """A compiled function.

    `outputs[i]` is `Output(i)` for a buffer of its own, `Argument(j)` where the result is that argument (unchanged,
    or updated in place because it was donated), `Output(j)` with j < i where it is the same array as an earlier result,
    or `Constant(j)`.
    An output that is an argument reshaped shares that argument's buffer: only the Aval differs.
    """

    arguments: tuple[Aval, ...]
    results: tuple[Aval, ...]
    outputs: tuple[Argument | Output | Constant, ...]
    donated: frozenset[int]
    constants: tuple[np.ndarray, ...]
    arena_bytes: int
    work: tuple[Work, ...]
    preparation: Preparation | None = None

    @cached_property
    def dispatches(self) -> tuple[Dispatch, ...]:
        """The work without its order: what may be repeated is there once."""
        return tuple(dispatches(self.work))
