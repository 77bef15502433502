"""Plans made by hand, of the shaders in assets/: they test the device half without the compiler."""

from pathlib import Path

import numpy as np

from grilly.runtime.ir import Aval
from grilly.runtime.plan import Arena, Argument, Constant, Dispatch, Output, Plan, Shader

ASSETS = Path(__file__).parent / "assets"
SIZE = 1000
FLOATS = Aval((SIZE,), np.dtype(np.float32))
GROUPS = (-(-SIZE // 64), 1, 1)
AFFINE = Shader("affine", (ASSETS / "affine.spv").read_bytes())  # 2 a + b
TOTAL = Shader("total", (ASSETS / "total.spv").read_bytes(), table=True)  # the sum of 20 arrays


def affine(a, b, result, barrier=False):
    return Dispatch(AFFINE, (a, b, result), GROUPS, barrier, "affine")


def plan(dispatches, outputs, arguments=2, donated=(), constants=(), arena_bytes=0):
    return Plan(
        arguments=(FLOATS,) * arguments,
        results=(FLOATS,) * len(outputs),
        outputs=tuple(outputs),
        donated=frozenset(donated),
        constants=tuple(constants),
        arena_bytes=arena_bytes,
        work=tuple(dispatches),
    )


# f(a, b) = 2 a + b
SIMPLE = plan([affine(Argument(0), Argument(1), Output(0))], [Output(0)])
# f(a, b) = 2 (2 a + b) + ramp, by way of the arena
RAMP = np.arange(SIZE, dtype=np.float32)
CHAIN = plan(
    [affine(Argument(0), Argument(1), Arena(256)), affine(Arena(256), Constant(0), Output(0), barrier=True)],
    [Output(0)],
    constants=[RAMP],
    arena_bytes=256 + FLOATS.nbytes,
)
# f(a, b) = 2 a + b, written over a
UPDATE = plan([affine(Argument(0), Argument(1), Argument(0))], [Argument(0)], donated=[0])
# f(x0, ..., x19) = x0 + ... + x19
SUM = plan(
    [Dispatch(TOTAL, (*(Argument(k) for k in range(20)), Output(0)), GROUPS, False, "total")],
    [Output(0)],
    arguments=20,
)
