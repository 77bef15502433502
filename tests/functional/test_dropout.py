"""Dropout: the rate of its zeros, the mean that stays, its gradient."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from strict import strict

import grilly
from grilly import ParameterError
from grilly import functional as F

X = np.random.default_rng(0).random((100, 100)).astype(np.float32)


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_the_mean_stays(p):
    y = np.asarray(F.dropout(X, jax.random.key(0), p, True))
    assert abs(np.mean(y == 0) - p) < 4 * np.sqrt(p * (1 - p) / X.size)
    assert abs(y.mean() - X.mean()) < 4 * np.sqrt(p / (1 - p) * np.mean(X.astype(np.float64) ** 2) / X.size)
    np.testing.assert_allclose(y[y != 0], X[y != 0] / (1 - p), rtol=1e-6)


@pytest.mark.parametrize(("p", "training"), [(0.0, True), (0.9, False)])
def test_nothing_is_dropped_at_zero_and_in_evaluation(p, training):
    np.testing.assert_array_equal(F.dropout(X, jax.random.key(0), p, training), X)


def test_the_key_decides():
    first, same, other = (np.asarray(F.dropout(X, jax.random.key(k), 0.5, True)) for k in (0, 0, 1))
    np.testing.assert_array_equal(first, same)
    assert 0.4 < np.mean((first == 0) != (other == 0)) < 0.6


def test_spikes_and_half_precision():
    assert F.dropout(X > 0.5, jax.random.key(0), 0.5, True).dtype == np.float32
    assert F.dropout(jnp.asarray(X, jnp.bfloat16), jax.random.key(0), 0.5, True).dtype == jnp.bfloat16


def test_both_devices_drop_the_same_and_pass_the_gradient_where_they_do_not(device):
    def both_ways(key, x, g):
        with strict():
            dropped = functools.partial(F.dropout, p=0.3, training=True, key=jax.random.wrap_key_data(key))
            out, back = jax.vjp(dropped, x)
            return out, *back(g)

    key, g = np.array([1, 2], np.uint32), X[::-1].copy()
    cpu, vulkan = (grilly.jit(both_ways, device=place)(key, X, g) for place in ("cpu", device))
    for ours, theirs in zip(vulkan, cpu, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    y, by_x = map(np.asarray, cpu)
    np.testing.assert_array_equal((by_x != 0), (y != 0) & (g != 0))
    np.testing.assert_allclose(by_x[y != 0], g[y != 0] / 0.7, rtol=1e-6)


@pytest.mark.parametrize("p", [1.0, -0.1, 1.5, float("nan")])
@pytest.mark.parametrize("training", [False, True])
def test_a_probability_outside_is_refused(p, training):
    said = f"p is {p:g}: the probability of dropping an element lies in [0, 1)."
    with pytest.raises(ParameterError, match=f"^{re.escape(said)}$"):
        F.dropout(X, jax.random.key(0), p, training)


def test_keys_of_both_kinds_of_jax_are_taken():
    typed, old = (F.dropout(X, key, 0.5, True) for key in (jax.random.key(3), jax.random.PRNGKey(3)))
    np.testing.assert_array_equal(typed, old)


def test_a_key_that_is_not_used_is_not_looked_at():
    np.testing.assert_array_equal(F.dropout(X, None, 0.5, False), X)
