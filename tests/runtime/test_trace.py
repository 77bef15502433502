"""Tracing: calls disappear, known scalars are folded by JAX, and what cannot be compiled is named with its line."""

import inspect
import re

import jax
import numpy as np
import pytest
from jax import numpy as jnp

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


def singular(x):
    return [jax.lax.linalg.svd(x, compute_uv=False)[0]]


def test_what_cannot_be_compiled_is_named_with_the_users_line():
    with pytest.raises(UnsupportedPrimitiveError) as error:
        lower(singular, X)
    line = inspect.getsourcelines(singular)[1] + 1
    first, at, inside, fix = str(error.value).splitlines()
    assert first == "grilly cannot compile `svd`."
    assert re.fullmatch(rf"  at   {re.escape(__file__)}:{line}:\d+ \(singular\)", at)
    assert re.fullmatch(r"  in   float32\[4\] = svd\[.*\] float32\[4,5\]", inside)
    assert fix == (
        "  fix  compute it outside grilly.jit, on device='cpu', or add a rule to grilly/runtime "
        "(docs/primitives.md lists those there are)."
    )


def test_the_layer_is_named_too():
    def readout(x):
        with jax.named_scope("readout"):
            return singular(x)

    with pytest.raises(UnsupportedPrimitiveError, match='layer "readout"'):
        lower(readout, X)
