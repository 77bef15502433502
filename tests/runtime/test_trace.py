"""Tracing: calls disappear, known scalars are folded by JAX, and what cannot be compiled is named with its line."""

import inspect
import re
from functools import partial

import jax
import numpy as np
import pytest
from jax import numpy as jnp
from jax import random
from jax.experimental import io_callback

from grilly.errors import UnsupportedPrimitiveError
from grilly.runtime.ir import Aval, Literal
from grilly.runtime.lower import lower
from grilly.runtime.trace import trace

FLOATS = np.dtype(np.float32)
X = [Aval((4, 5), FLOATS)]


def primitives(function, avals=X):
    return [eqn.primitive for eqn in trace(function, avals).equations]


def test_calls_and_checkpoints_are_inlined():
    @jax.custom_jvp
    def twice(x):
        return jax.jit(lambda y: y + y)(x)

    twice.defjvp(lambda p, t: (twice(*p), 2 * t[0]))
    assert primitives(lambda x: [jax.checkpoint(twice)(jax.named_call(jnp.negative)(x))]) == ["neg", "add"]


def test_known_scalars_are_folded():
    graph = trace(lambda x: [x * jax.lax.exp(jnp.float32(1.5)) / jnp.sqrt(jnp.float32(2))], X)
    constants = [float(i.value) for eqn in graph.equations for i in eqn.inputs if isinstance(i, Literal)]
    expected = [np.float32(jnp.exp(jnp.float32(1.5))), np.float32(jnp.sqrt(jnp.float32(2)))]
    assert constants == expected
    assert [eqn.primitive for eqn in graph.equations] == ["mul", "div"]


def test_closed_over_arrays_are_constants_and_scans_get_them_as_inputs():
    table = np.arange(5, dtype=np.float32)
    graph = trace(lambda x: [jax.lax.scan(lambda c, x: (c + x * table, c), jnp.zeros(5), x)[0]], X)
    (constant,) = graph.constants.values()
    np.testing.assert_array_equal(constant, table)
    assert graph.equations[-1].params["scan"].consts == 1


def similar(x):
    return [jax.lax.linalg.schur(x[:, :4])[0]]


def test_what_cannot_be_compiled_is_named_with_the_users_line():
    with pytest.raises(UnsupportedPrimitiveError) as error:
        lower(similar, X)
    line = inspect.getsourcelines(similar)[1] + 1
    first, at, inside, fix = str(error.value).splitlines()
    assert first == "grilly cannot compile `schur`."
    assert re.fullmatch(rf"  at   {re.escape(__file__)}:{line}:\d+ \(similar\)", at)
    assert re.fullmatch(r"  in   float32\[4,4\] float32\[4,4\] = schur\[.*\] float32\[4,4\]", inside)
    assert fix == (
        "  fix  compute it outside grilly.jit, on device='cpu', or add a rule to grilly/runtime "
        "(docs/primitives.md lists those there are)."
    )


def test_the_layer_is_named_too():
    def readout(x):
        with jax.named_scope("readout"):
            return similar(x)

    with pytest.raises(UnsupportedPrimitiveError, match='layer "readout"'):
        lower(readout, X)


@pytest.mark.parametrize(
    ("function", "first"),
    [
        (lambda x: jax.lax.linalg.qr(x, pivoting=True)[0], "grilly cannot compile `qr` with pivoting."),
        (
            lambda x: jax.lax.complex(x, x).at[1].apply(jnp.conj).real,
            "grilly cannot compile `scatter` of complex64, by a function of the user's.",
        ),
        (
            lambda x: jax.lax.linalg.svd(x, full_matrices=False, compute_uv=False, subset_by_index=(0, 2)),
            "grilly cannot compile `svd` of a part of the singular values.",
        ),
        (
            lambda x: jax.lax.linalg.eigh(x[:, :4], subset_by_index=(0, 2))[0],
            "grilly cannot compile `eigh` of a part of the eigenvalues.",
        ),
    ],
    ids=["pivoting", "complex update", "singular values", "eigenvalues"],
)
def test_what_a_composite_cannot_do_is_named(function, first):
    with pytest.raises(UnsupportedPrimitiveError) as error:
        lower(lambda x: [function(x)], X)
    assert str(error.value).splitlines()[0] == first


@pytest.mark.parametrize("name", ["bits", "split", "gamma"])
def test_random_numbers_in_jaxs_former_order_are_refused(name):
    sample = {
        "bits": random.bits,
        "split": lambda key: random.key_data(random.split(key)),
        "gamma": partial(random.gamma, a=2),
    }
    with jax.threefry_partitionable(False), pytest.raises(UnsupportedPrimitiveError) as error:
        trace(lambda x: [sample[name](random.key(0)), x], X)
    first = str(error.value).splitlines()[0]
    assert first == f"grilly cannot compile `random_{name}` with jax_threefry_partitionable off."


def printing(x):
    jax.debug.print("{}", x.sum())
    return x


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (printing, "debug_print"),
        (lambda x: jax.lax.scan(lambda c, x: (c, printing(x)), 0.0, x), "debug_print"),
        (lambda x: (jax.debug.print("{}", 1.5), x)[1], "debug_print"),
        (lambda x: jax.lax.fori_loop(0, 3, lambda k, c: printing(c), 0), "debug_print"),
        (lambda x: (io_callback(lambda x: None, None, x), x)[1], "io_callback"),
        (lambda x: jax.new_ref(x)[...], "new_ref"),
    ],
    ids=["print", "in a scan", "a number", "in a loop of numbers", "callback", "ref"],
)
def test_what_does_more_than_compute_is_refused(function, name):
    """Nobody needs the results of a message printed: it would go unseen."""
    with pytest.raises(UnsupportedPrimitiveError, match=re.escape(f"grilly cannot compile `{name}`.")):
        trace(lambda x: jax.tree.leaves(function(x)), X)


def test_a_ref_that_a_function_closes_over_is_refused():
    total = jax.new_ref(jnp.zeros(5))

    def add(x):
        total[...] += x.sum(0)
        return [x]

    with pytest.raises(UnsupportedPrimitiveError) as error:
        trace(add, X)
    assert str(error.value) == (
        "grilly cannot compile a function that closes over a jax.Ref, of float32[5] here. "
        "Make its value an argument and a result, or run the function on device='cpu'."
    )
