"""What is always 0 or 1 takes a byte between kernels."""

import jax
import numpy as np
import pytest
from jax import lax
from jax import numpy as jnp
from programs import lif

import grilly
from grilly.runtime.ir import Aval
from grilly.runtime.lower import lower
from grilly.runtime.passes import narrow
from grilly.runtime.target import Target

F32 = np.dtype(np.float32)
SHAPE = (5, 3, 8, 12)


@pytest.fixture(autouse=True)
def small_sequences_are_large(monkeypatch):
    monkeypatch.setattr(narrow, "LARGE", 1)


def spikes(x):
    step = lambda v, x: (v / 2 + x, (v / 2 + x > 1).astype(F32))  # noqa: E731
    return lax.scan(step, jnp.zeros(x.shape[1:]), x)[1]


def pooled(x):
    return lax.reduce_window(spikes(x), -jnp.inf, lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")


def kernels(function, *shapes):
    return str(lower(function, [Aval(shape, F32) for shape in shapes], target=Target()).graph)


def test_spikes_that_another_kernel_reads_are_bytes(device):
    x = np.random.default_rng(0).standard_normal(SHAPE).astype(F32)
    assert "bool[5,3,8,12] = scan" in kernels(lambda x: [pooled(x)], SHAPE)
    np.testing.assert_array_equal(np.asarray(grilly.jit(pooled, device=device)(x)), jax.jit(pooled)(x))


def test_spikes_that_are_a_result_stay_numbers():
    assert "float32[5,3,8,12] = scan" in kernels(lambda x: [spikes(x), pooled(x)], SHAPE)


def test_spikes_that_a_product_reads_many_times_stay_numbers():
    assert "float32[5,3,8,12] = scan" in kernels(lambda x, w: [spikes(x) @ w], SHAPE, (12, 200))


def test_spikes_that_a_product_reads_once_are_bytes(device):
    """The last layer's spikes, with as few columns as there are classes."""
    x, w, g = (
        np.random.default_rng(k).standard_normal(s).astype(F32) for k, s in enumerate((SHAPE, (12, 7), (5, 3, 8, 7)))
    )
    products = lambda x, w, g: [(s := spikes(x)) @ w, jnp.einsum("tijk,tijn->kn", s, g)]  # noqa: E731
    assert "bool[5,3,8,12] = scan" in kernels(products, SHAPE, (12, 7), (5, 3, 8, 7))
    for ours, theirs in zip(grilly.jit(products, device=device)(x, w, g), products(x, w, g), strict=True):
        np.testing.assert_allclose(np.asarray(ours), theirs, rtol=1e-5, atol=1e-5)


def test_small_sequences_stay_numbers(monkeypatch):
    monkeypatch.setattr(narrow, "LARGE", 1 << 20)
    assert "float32[5,3,8,12] = scan" in kernels(lambda x: [pooled(x)], SHAPE)


def test_spikes_whose_steps_are_computed_again_are_bytes_too(device):
    def both(x, g):
        def net(x):
            s = lax.scan(jax.checkpoint(lif), jnp.zeros(x.shape[1:]), x)[1]
            return lax.reduce_window(s, -jnp.inf, lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")

        y, vjp = jax.vjp(net, x)
        return [y, *vjp(g)]

    x, g = (
        np.random.default_rng(k).standard_normal(shape).astype(F32) for k, shape in enumerate((SHAPE, (5, 3, 4, 6)))
    )
    assert "bool[5,3,8,12] " in kernels(both, SHAPE, (5, 3, 4, 6))
    for ours, theirs in zip(grilly.jit(both, device=device)(x, g), jax.jit(both)(x, g), strict=True):
        np.testing.assert_allclose(np.asarray(ours), theirs, rtol=1e-6, atol=1e-6)
