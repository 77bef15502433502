"""Random programs give JAX's values.

Some of them, always the same. `python -m pytest tests/runtime/test_random_programs.py --programs 2000 --seed 1` runs
others; a program that fails is made small, and printed as Python that runs.
"""

import itertools
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import jax
import numpy as np
from fuzz import SMALL, THEMES, RandomProgram, granted, noisy, random_programs
from hypothesis import HealthCheck, Phase, given, seed, settings
from stale import stale_memory

import grilly
from grilly.runtime.devices import validation_messages
from grilly.runtime.primitives import rows

ALL = [list(theme.values()) for theme in THEMES.values()]
EACH = 50  # programs that hypothesis draws from one seed
FEW, MANY = 12, 300  # runs with noise: many where few leave a doubt, by chance or where the noise is wild
SETTINGS = settings(
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.generate, Phase.shrink],
)
# Primitives that no operation makes, and why.
NOT_DRAWN = {
    **dict.fromkeys(("pjit", "core_call", "checkpoint", "remat2", "custom_vjp_call_jaxpr"), "a call's name elsewhere"),
    **dict.fromkeys(("custom_lin", "empty", "empty2"), "only seen while JAX differentiates"),
    **dict.fromkeys(("eq_to", "lt_to", "le_to"), "only seen in comparisons of JAX's own"),
    **dict.fromkeys(
        (
            *("composite", "custom_vmap_call", "eval_jaxpr", "linear_call", "remat_opt"),
            *("psum", "pmax", "pmin", "sharding_constraint"),
        ),
        "rows in programs_found",
    ),
    **dict.fromkeys(
        ("log2", "one_minus_square", "polynomial", "call_hi_primitive", "xla_metadata_call"),
        "not in every release of JAX",
    ),
    **dict.fromkeys(("copy_p", "closed_call"), "made by nothing in jax.numpy or jax.lax"),
    **dict.fromkeys(
        (name for name, _, _ in rows() if name.startswith("complex_")), "complex numbers have rows in programs_complex"
    ),
    **dict.fromkeys(
        (
            *("cholesky", "lu", "lu_pivots_to_permutation", "qr", "geqrf", "householder_product", "eigh", "svd"),
            *("triangular_solve", "tridiagonal_solve", "custom_linear_solve"),
        ),
        "ill-conditioned by nature: rows in programs_linear",
    ),
    **dict.fromkeys(
        ("igamma", "igammac", "igamma_grad_a", "random_gamma", "regularized_incomplete_beta"),
        "compared with SciPy, since JAX's own are less accurate",
    ),
    "device_put": "only seen in linear algebra of JAX's own",
    "iota_2x32_shape": "only seen in random numbers of JAX's own",
    "expand_dims": "jax.lax makes it a broadcast",
    "resized_bits": "what grilly calls a bitcast between widths",
    "threefry2x32": "hidden in random_bits",
    "random_clone": "keys that move have a row in programs_found",
    **dict.fromkeys((name for name, _, _ in rows() if name.startswith("keys_")), "rows in programs_found"),
}


def test_random_programs_give_jaxs_values(request, capsys, device):
    programs, start = (request.config.getoption(name) for name in ("--programs", "--seed"))
    checked: set[str] = set()

    @settings(SETTINGS, max_examples=EACH)
    @given(random_programs(ALL))
    def agrees(program: RandomProgram) -> None:
        if program.source not in checked and len(checked) < programs:
            check(program, device)
            checked.add(program.source)

    for piece in itertools.count(start):
        if len(checked) >= programs:
            return
        seed(piece)(agrees)()
        jax.clear_caches()
        with capsys.disabled():
            print(f"\r{len(checked)} of {programs} random programs", end="", flush=True)


def test_every_primitive_is_drawn():
    """Some programs of each operation, and the primitives in them."""
    found: set[str] = set()

    def collect(program: RandomProgram) -> None:
        function, arguments = program.functions()
        found.update(_names(jax.make_jaxpr(function, static_argnums=program.static)(*arguments(0))))

    for operation in (operation for theme in ALL for operation in theme):
        drawn = given(random_programs([[operation]], most=2))
        seed(0)(settings(SETTINGS, max_examples=4, phases=[Phase.generate])(drawn(collect)))()
    missing = {name for name, _, _ in rows()} - found
    assert missing <= NOT_DRAWN.keys()


def _names(jaxpr: Any) -> Iterator[str]:
    for eqn in getattr(jaxpr, "jaxpr", jaxpr).eqns:
        yield eqn.primitive.name
        for value in eqn.params.values():
            for inner in value if isinstance(value, tuple) else (value,):
                if hasattr(inner, "eqns") or hasattr(inner, "jaxpr"):
                    yield from _names(inner)


def check(program: RandomProgram, device) -> None:
    """Runs a program twice, with other numbers, of NumPy and then on the device, and compares results with JAX's."""
    function, arguments = program.functions()
    ours = grilly.jit(function, device=device, static_argnums=program.static, donate_argnums=program.donated)
    target = replace(device.target, **SMALL) if program.small else device.target
    theirs = jax.jit(function, static_argnums=program.static)
    near = noisy(lambda *arrays: function(*program.whole(arrays, arguments(0))))
    for start in range(2):
        given = arguments(start)
        want = [np.asarray(result) for result in theirs(*given)]
        placed = [grilly.put(x, device) if start and k not in program.static else x for k, x in enumerate(given)]
        with patch.object(device, "target", target), stale_memory(device):
            got = [np.asarray(result) for result in ours(*placed)]
        assert [(x.shape, x.dtype) for x in got] == [(x.shape, x.dtype) for x in want]
        if not all(map(_equal, got, want)):
            arrays = [x for k, x in enumerate(given) if k not in program.static]
            outside = _outside(got, want, granted(near, arrays, want, FEW))
            outside = outside and _outside(got, want, granted(near, arrays, want, MANY))
            assert not outside, outside
    said = validation_messages()
    assert not said, said[0].text


def _outside(got: list[np.ndarray], want: list[np.ndarray], ranges: list[tuple[np.ndarray, np.ndarray]]) -> str:
    """Which element of which result is neither the expected one nor in its range; nothing where there is none."""
    for k, (mine, other, (low, high)) in enumerate(zip(got, want, ranges, strict=True)):
        tiny = np.finfo(np.float32).tiny if mine.dtype.kind in "fV" else 0  # denormals may be 0
        mine, other = (x.astype(np.float64) for x in (mine, other))
        same = (mine == other) | (np.isnan(mine) & np.isnan(other))
        free = (low == -np.inf) & (high == np.inf)
        free |= (np.abs(mine) < tiny) & (np.abs(other) < tiny)
        wrong = np.flatnonzero(~(same | free | ((low <= mine) & (mine <= high))))
        if wrong.size:
            return (
                f"result {k} differs at {wrong.size} of {mine.size} elements: the first is {mine.flat[wrong[0]]}, "
                f"where {other.flat[wrong[0]]} was expected, or from {low.flat[wrong[0]]} to {high.flat[wrong[0]]}"
            )
    return ""


def _equal(mine: np.ndarray, other: np.ndarray) -> bool:
    mine, other = (x.astype(np.float32) if x.dtype.kind == "V" else x for x in (mine, other))
    return np.array_equal(mine, other, equal_nan=mine.dtype.kind == "f")
