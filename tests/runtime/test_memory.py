"""The plan of memory: nothing alive is overwritten, donated arguments stay where they are, barriers where needed."""

import math

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jax import lax
from jax import numpy as jnp
from programs import PROGRAMS, lif, sgd

from grilly.runtime.ir import Aval, Value
from grilly.runtime.lower import lower
from grilly.runtime.memory import Lifetime, arena, barriers
from grilly.runtime.plan import Arena, Argument, Output
from grilly.runtime.target import Target

FLOATS = np.dtype(np.float32)
lives = st.tuples(st.integers(0, 300), st.integers(0, 9), st.integers(0, 5))


@given(st.lists(lives, max_size=30))
def test_values_alive_together_never_overlap(lives):
    values = {Value(Aval((size,), FLOATS)): Lifetime(first, first + more) for size, first, more in lives}
    offsets, total = arena(list(values), values)

    taken: dict[int, Value] = {}
    for value, life in values.items():
        assert offsets[value] + value.aval.nbytes <= total
        for kernel in range(life.first, life.last + 1):
            for byte in range(offsets[value], offsets[value] + value.aval.nbytes, 4):
                assert taken.setdefault((kernel, byte), value) is value


@given(st.lists(lives, min_size=1, max_size=30))
def test_the_arena_is_no_larger_than_all_values_together(lives):
    values = {Value(Aval((size,), FLOATS)): Lifetime(first, first + more) for size, first, more in lives}
    _, total = arena(list(values), values)
    assert total <= sum(-(-max(value.aval.nbytes, 1) // 256) * 256 for value in values)


def test_a_kernel_waits_for_what_it_reads_or_overwrites():
    a, b, c = ("arena", 0, 256), ("arena", 256, 512), ("x", 0, 64)
    accesses = [
        ({c}, {a}),  # the first: nothing to wait for
        ({c}, {b}),  # beside it
        ({a}, {("y", 0, 64)}),  # reads a
        ({b}, {("z", 0, 64)}),  # reads b, which that barrier has covered
        (set(), {("arena", 128, 384)}),  # overwrites a and b, which are being read
        ({c}, {c}),  # c was read before the last barrier
    ]
    assert barriers(accesses) == [False, False, True, False, True, False]


def test_donated_state_is_updated_where_it_lies():
    avals = [Aval((50, 3), FLOATS)] * 3
    plan = lower(lambda *args: list(sgd(*args)), avals, frozenset({0, 1})).plan
    assert plan.outputs == (Argument(0), Argument(1))
    assert plan.arena_bytes == 0


def test_a_donated_argument_that_others_read_elsewhere_is_not_overwritten():
    avals = [Aval((6, 6), FLOATS)]
    for function in (lambda w: [w.T + 1], lambda w: [w + w.sum()], lambda w: [w[::-1] * 2]):
        assert lower(function, avals, frozenset({0})).plan.outputs == (Output(0),)


def test_a_value_takes_the_place_of_one_that_is_read_where_it_is_written_and_never_again():
    def arena_bytes(seen):
        """Of two products, and what is computed from the first for the second."""

        def products(x, w):
            y = x @ w
            return [jnp.sin(seen(y) - y.max()) @ w]

        return lower(products, [Aval((256, 256), FLOATS)] * 2).plan.arena_bytes

    assert arena_bytes(lambda y: y) < 2 * 4 * 256**2 <= arena_bytes(jnp.transpose)


@pytest.mark.parametrize("name", ["net_gradient", "conv_gradients"])
def test_programs_reuse_the_arena(name):
    program = PROGRAMS[name]
    avals = [Aval(a.shape, a.dtype) for a in program.arguments()]
    plan = lower(lambda *args: jax.tree.leaves(program.function(*args)), avals).plan
    ranges = {slot.offset for dispatch in plan.dispatches for slot in dispatch.slots if isinstance(slot, Arena)}
    assert all(offset < plan.arena_bytes for offset in ranges)


def test_results_that_are_arguments_views_or_equal_take_no_memory():
    def function(x):
        y = x * 2
        return [x, y, y.reshape(-1), jnp.asarray(x)]

    plan = lower(function, [Aval((4, 5), FLOATS)]).plan
    assert plan.outputs == (Argument(0), Output(1), Output(1), Argument(0))


@pytest.mark.parametrize(("size", "waits"), [(8, [2, 4]), (2048, [2, 3, 4])])
def test_kernels_run_side_by_side_where_that_takes_little_memory(size, waits):
    def function(a, b):
        c, d = a @ a, a @ b
        e, f = c @ c, d @ d  # f has room where c lies, once e is computed
        return [e @ f]

    dispatches = lower(function, [Aval((size, size), FLOATS)] * 2).plan.dispatches
    assert [k for k, dispatch in enumerate(dispatches) if dispatch.barrier] == waits


@pytest.mark.parametrize("software", [True, False], ids=["cpu", "gpu"])
def test_memory_beside_arguments_and_results_grows_with_the_root_of_time(software):
    """Of a LIF layer, forward and backward, with a loss between them: on a GPU at every T on the way, too."""

    def both(x, v):
        return [jax.grad(lambda x: jnp.square(v + lax.scan(jax.checkpoint(lif, prevent_cse=False), v, x)[0]).sum())(x)]

    def arena_bytes(length):
        avals = [Aval((length, 1 << 16), FLOATS), Aval((1 << 16,), FLOATS)]
        return lower(both, avals, target=Target(software=software)).plan.arena_bytes

    for length in [4096] if software else [128, 256, 512, 1024, 2048, 4096]:
        assert arena_bytes(length) <= math.sqrt(length / 64) * arena_bytes(64)
