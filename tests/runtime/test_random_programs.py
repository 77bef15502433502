"""Random programs give JAX's values.

Some of them, always the same. `python -m pytest tests/runtime/test_random_programs.py --programs 2000 --seed 1` runs
others; a program that fails is made small, and printed as Python that runs.
"""

import jax
import numpy as np
from fuzz import OPERATIONS, RandomProgram, granted, noisy, random_programs
from hypothesis import HealthCheck, Phase, given, seed, settings

import grilly
from grilly.runtime.devices import validation_messages

EACH = 50  # programs between two lines of progress


def test_random_programs_give_jaxs_values(request, capsys, device):
    programs, start = (request.config.getoption(name) for name in ("--programs", "--seed"))
    done = 0

    @seed(start)
    @settings(
        max_examples=programs,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, Phase.shrink],
    )
    @given(random_programs(list(OPERATIONS.values())))
    def agrees(program: RandomProgram) -> None:
        nonlocal done
        check(program, device)
        done += 1
        if done % EACH == 0:
            jax.clear_caches()
            with capsys.disabled():
                print(f"\r{done} of {programs} random programs", end="", flush=True)

    agrees()


def check(program: RandomProgram, device) -> None:
    """Runs a program twice, with other numbers, of NumPy and then on the device, and compares results with JAX's."""
    function, arguments = program.functions()
    ours = grilly.jit(function, device=device, static_argnums=program.static, donate_argnums=program.donated)
    theirs = jax.jit(function, static_argnums=program.static)
    near = noisy(lambda *arrays: function(*program.whole(arrays, arguments(0))))
    for start in range(2):
        given = arguments(start)
        want = [np.asarray(result) for result in theirs(*given)]
        placed = [grilly.put(x, device) if start and k not in program.static else x for k, x in enumerate(given)]
        got = [np.asarray(result) for result in ours(*placed)]
        assert [(x.shape, x.dtype) for x in got] == [(x.shape, x.dtype) for x in want]
        if not all(map(_equal, got, want)):
            ranges = granted(near, [x for k, x in enumerate(given) if k not in program.static], want)
            for k in range(len(want)):
                _assert_within(k, got[k], want[k], *ranges[k])
    said = validation_messages()
    assert not said, said[0].text


def _assert_within(k: int, got: np.ndarray, want: np.ndarray, low: np.ndarray, high: np.ndarray) -> None:
    """Every element of result `k` is the expected one, or in its range."""
    mine, other = (x.astype(np.float64) for x in (got, want))
    same = (mine == other) | (np.isnan(mine) & np.isnan(other))
    free = (low == -np.inf) & (high == np.inf)
    wrong = np.flatnonzero(~(same | free | ((low <= mine) & (mine <= high))))
    assert not wrong.size, (
        f"result {k} differs at {wrong.size} of {mine.size} elements: the first is {mine.flat[wrong[0]]}, where "
        f"{other.flat[wrong[0]]} was expected, or from {low.flat[wrong[0]]} to {high.flat[wrong[0]]}"
    )


def _equal(mine: np.ndarray, other: np.ndarray) -> bool:
    mine, other = (x.astype(np.float32) if x.dtype.kind == "V" else x for x in (mine, other))
    return np.array_equal(mine, other, equal_nan=mine.dtype.kind == "f")
