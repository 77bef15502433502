"""Random programs give JAX's values: `python -m pytest tests/runtime/test_random_programs.py --programs 2000 --seed 0`."""

import jax
import numpy as np
from hypothesis import HealthCheck, Phase, given, seed, settings
from noise import granted
from random_operations import OPERATIONS
from random_programs import RandomProgram, random_programs

import grilly
from grilly.runtime.devices import validation_messages

EACH = 50  # programs between two lines of progress


def test_random_programs_give_jaxs_values(request, capsys, device):
    programs, start = (request.config.getoption(name) for name in ("--programs", "--seed"))
    done = 0

    @seed(start)
    @settings(max_examples=programs, deadline=None, database=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate, Phase.shrink])
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
    """Runs a program twice, with other numbers, and compares each result with JAX's."""
    function, arguments = program.functions()
    ours = grilly.jit(function, device=device, static_argnums=program.static, donate_argnums=program.donated)
    theirs = jax.jit(function, static_argnums=program.static)
    for start in range(2):
        given = arguments(start)
        want = [np.asarray(result) for result in theirs(*given)]
        got = [np.asarray(result) for result in ours(*given)]
        compare(program, function, given, got, want)
    said = validation_messages()
    assert not said, said[0].text


def compare(program: RandomProgram, function, given: list, got: list[np.ndarray], want: list[np.ndarray]) -> None:
    for mine, other in zip(got, want, strict=True):
        assert (mine.shape, mine.dtype) == (other.shape, other.dtype)
    if all(map(_equal, got, want)):
        return
    free = [k for k in range(len(given)) if k not in program.static]

    def of_arrays(*arrays):
        whole = list(given)
        for k, array in zip(free, arrays, strict=True):
            whole[k] = array
        return function(*whole)

    for k, (low, high) in enumerate(granted(of_arrays, [given[k] for k in free], want)):
        mine, other = (np.asarray(x, np.float64) for x in (got[k], want[k]))
        within = (mine == other) | (np.isnan(mine) & np.isnan(other)) | ((low <= mine) & (mine <= high))
        within |= (low == -np.inf) & (high == np.inf)
        wrong = np.flatnonzero(~within)
        assert not wrong.size, (
            f"result {k} differs at {wrong.size} of {mine.size} elements: the first is {mine.flat[wrong[0]]!r}, where "
            f"{other.flat[wrong[0]]!r} was expected, from {low.flat[wrong[0]]!r} to {high.flat[wrong[0]]!r}"
        )


def _equal(mine: np.ndarray, other: np.ndarray) -> bool:
    mine, other = (x.astype(np.float32) if x.dtype.kind == "V" else x for x in (mine, other))
    return np.array_equal(mine, other, equal_nan=mine.dtype.kind == "f")
