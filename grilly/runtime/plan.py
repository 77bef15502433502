"""A plan: what a device needs to know to run a compiled function. Shaders, where their buffers lie, and barriers.

A plan names no device and holds no handle. The same function for the same target gives the same plan anywhere.
"""

from dataclasses import dataclass

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
class Work:
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
    work: Work = Work()


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
    dispatches: tuple[Dispatch, ...]
