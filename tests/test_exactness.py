"""Pointwise work is bit for bit what jitted JAX computes on the CPU, over a million values of each kind."""

import functools

import jax
import numpy as np
import pytest
from catalogue import NEURONS, SURROGATES
from jax import lax
from jax import numpy as jnp

import grilly
from grilly import functional as F
from grilly.runtime.composites.exponential import exp

T, N = 8, 1 << 17
# What a leaf may be, beside values at which division or products happen to be exact.
LEAVES = {
    "if": [{"v_reset": None}, {"v_threshold": 0.7, "v_reset": -0.1}],
    "lif": [{"tau": 1.5}, {"tau": 5.0, "v_reset": None}, {"tau": 3.0, "v_reset": -0.1}],
    "lif_decay_input": [{"tau": 1.5, "v_reset": None}, {"tau": 5.0}],
    "plif": [{"w": -0.3}, {"w": 1.2, "v_reset": None}],
    "plif_decay_input": [{"w": 0.4, "v_reset": -0.1}],
}
CASES = [(name, leaves) for name, cases in LEAVES.items() for leaves in cases]


@functools.cache
def exp_is_jaxs():
    """Whether JAX's exponential is the one that ours follows: from 0.11 on it has another, 1 ulp away in places."""
    x = np.random.default_rng(4).uniform(-87, 88, T * N).astype(np.float32)
    return np.array_equal(jax.jit(jnp.exp)(x), jax.jit(exp)(x))


EXPONENTIAL = {"exp", "sigmoid"}  # functions, and a surrogate, that are made of it


def same(name, got, want):
    """Equal bits; or, of a function of JAX's other exponential, within 2 ulp of the largest value."""
    if name not in EXPONENTIAL or exp_is_jaxs():
        same_bits(got, want)
        return
    for ours, theirs in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        np.testing.assert_allclose(
            ours, theirs, rtol=2.4e-7, atol=2.4e-7 * float(np.abs(theirs).max()) * (name != "exp")
        )


def same_bits(got, want):
    for ours, theirs in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        ours, theirs = np.asarray(ours), np.asarray(theirs)
        different = np.flatnonzero((ours != theirs) & ~(np.isnan(ours) & np.isnan(theirs)))
        assert not different.size, f"{different.size} of {ours.size} differ: {ours.flat[different[0]]!r} first"


@pytest.mark.parametrize("surrogate", SURROGATES)
@pytest.mark.parametrize(("name", "leaves"), CASES, ids=str)
def test_spikes_membranes_and_their_gradients(name, leaves, surrogate, device):
    """The gradients by x and v; those by a leaf that all neurons share are sums, whose order differs."""
    row = NEURONS[name]
    step = functools.partial(row.step, surrogate=SURROGATES[surrogate].kind())
    params = jax.tree.map(np.float32, row.params(**leaves))

    def both_ways(x_seq, v, g_spikes, g_v, params):
        out, vjp = jax.vjp(lambda x_seq, v: F.sequence(step, x_seq, v, params), x_seq, v)
        return out, vjp((g_spikes, g_v))

    random = np.random.default_rng(0)
    x_seq, g_spikes = random.standard_normal((2, T, N)).astype(np.float32)
    v, g_v = random.standard_normal((2, N)).astype(np.float32)
    arguments = x_seq * 1.5, v, g_spikes, g_v, params
    same(surrogate, grilly.jit(both_ways, device=device)(*arguments), jax.jit(both_ways)(*arguments))


FUNCTIONS = {
    "add, multiply": (lambda x, y: (x + y, x - y, x * y, x * y + x), (-1e3, 1e3)),
    "divide": (lambda x, y: (x / y, 1 / x, x / 1.5), (-1e3, 1e3)),
    "square root": (lambda x, y: (jnp.sqrt(abs(x)), 1 / jnp.sqrt(abs(y) + 1e-5)), (-1e3, 1e3)),
    "compare": (lambda x, y: (jnp.maximum(x, y), jnp.clip(x, -1, y), jnp.where(x < y, x, y)), (-2.0, 2.0)),
    "exp": (lambda x, y: jnp.exp(x), (-87.0, 88.0)),
    "log": (lambda x, y: jnp.log(abs(x)), (-50.0, 50.0)),
    "log1p": (lambda x, y: jnp.log1p(x), (-0.999, 20.0)),
    "tanh": (lambda x, y: jnp.tanh(x), (-12.0, 12.0)),
    "sigmoid": (lambda x, y: jax.nn.sigmoid(x), (-30.0, 30.0)),
    "floor": (lambda x, y: (jnp.floor(x), jnp.ceil(y), x.astype(jnp.int32)), (-1e6, 1e6)),
    "integer powers": (lambda x, y: (x**2, x**3, lax.integer_pow(y, -2)), (-9.0, 9.0)),
    "random numbers": (lambda x, y: jax.random.uniform(jax.random.key(7), x.shape), (0.0, 1.0)),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions(name, device):
    function, (low, high) = FUNCTIONS[name]
    random = np.random.default_rng(1)
    x, y = random.uniform(low, high, (2, T * N)).astype(np.float32)
    same(name, grilly.jit(function, device=device)(x, y), jax.jit(function)(x, y))


def test_dividing_exponents_far_apart(device):
    """Where a GPU's own division would over- or underflow on the way."""
    random = np.random.default_rng(2)
    x, y = (random.uniform(1, 2, (2, T * N)) * 2.0 ** random.integers(-120, 120, (2, T * N))).astype(np.float32)
    with np.errstate(over="ignore", under="ignore"):
        want = x / y
    normal = (np.abs(want) > 1e-37) | (want == 0)
    got = np.asarray(grilly.jit(lax.div, device=device)(x, y))
    same_bits(got[normal], want[normal])


def test_the_oracle_divides_exactly():
    """A canary: without conftest's XLA_FLAGS, jitted JAX multiplies by the reciprocal of a constant."""
    x = np.random.default_rng(3).standard_normal(T * N).astype(np.float32)
    same_bits(jax.jit(lambda x: x / np.float32(1.5))(x), x / np.float32(1.5))


def test_reciprocals_of_every_mantissa(device):
    """The slopes of surrogates are reciprocals."""
    exponents = np.random.default_rng(4).integers(127 - 120, 127 + 120, 1 << 23, dtype=np.uint32)
    y = (np.arange(1 << 23, dtype=np.uint32) | exponents << 23).view(np.float32)
    same_bits(np.asarray(grilly.jit(lambda y: 1 / y, device=device)(y)), np.float32(1) / y)
