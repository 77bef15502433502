"""Encodings: the statistics of spike trains, their keys, and what is no rate."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from strict import strict

import grilly
from grilly import DataError, ParameterError, ShapeError
from grilly import functional as F

RATES = np.linspace(0, 1, 11).astype(np.float32)
SPIKES = np.asarray(F.poisson(jax.random.key(0), np.tile(RATES, (500, 1)), T=40))  # (T, N, rates)


def deviation(rate, count):
    """Of the mean of so many spikes."""
    return np.sqrt(rate * (1 - rate) / count)


def test_a_train_fires_at_its_rate():
    off = np.abs(SPIKES.mean(axis=(0, 1)) - RATES)
    assert (off <= 4 * deviation(RATES, SPIKES[..., 0].size)).all()
    assert set(np.unique(SPIKES)) == {0, 1}
    assert SPIKES.dtype == np.float32


def test_a_rate_of_zero_never_fires_and_of_one_always():
    assert not SPIKES[..., 0].any()
    assert SPIKES[..., -1].all()


def test_spikes_know_nothing_of_each_other():
    """Not of the next step, nor of the next neuron; and each step's count varies as a binomial one does."""
    trains, rates = SPIKES[..., 1:-1], RATES[1:-1].astype(np.float64)
    normal = (trains - rates) / np.sqrt(rates * (1 - rates))
    for product in (normal[1:] * normal[:-1], normal[:, 1:] * normal[:, :-1], normal[..., 1:] * normal[..., :-1]):
        assert abs(product.mean()) < 4 / np.sqrt(product.size)
    variance = trains.sum(axis=0).var(axis=0)
    np.testing.assert_allclose(variance, len(trains) * rates * (1 - rates), rtol=0.3)  # 4 deviations: 0.25


def test_the_key_decides():
    rates = np.full((4, 5), 0.5)
    first, same, other = (np.asarray(F.poisson(jax.random.key(k), rates, T=8)) for k in (0, 0, 1))
    np.testing.assert_array_equal(first, same)
    assert 0.3 < np.mean(first != other) < 0.7


def test_both_devices_draw_the_same_spikes(device):
    def encoded(key, rates):
        return F.poisson(jax.random.wrap_key_data(key), rates, T=8)

    key, rates = np.array([1, 2], np.uint32), np.random.default_rng(0).random((4, 5)).astype(np.float32)
    np.testing.assert_array_equal(grilly.jit(encoded, device=device)(key, rates), jax.jit(encoded)(key, rates))


@pytest.mark.parametrize("rates", [[0, 1], [False, True], np.array([0, 1], np.uint8), jnp.array([0, 1], jnp.bfloat16)])
def test_rates_of_any_dtype(rates):
    spikes = F.poisson(jax.random.key(0), rates, T=2)
    assert spikes.dtype == np.float32
    assert spikes.tolist() == [[0, 1], [0, 1]]


def test_direct_repeats_its_input():
    x = np.random.default_rng(0).random((3, 4)).astype(np.float32)
    with strict():
        x_seq = F.direct(x, T=5)
    np.testing.assert_array_equal(x_seq, np.stack([x] * 5))
    np.testing.assert_array_equal(jax.grad(lambda x: F.direct(x, T=5).sum())(x), np.full((3, 4), 5))
    assert F.direct(np.array([True, False]), T=np.int64(1)).tolist() == [[1, 0]]
    assert F.direct(x.astype(jnp.bfloat16), T=2).dtype == jnp.bfloat16


RULE = "a rate is the probability of a spike in one step, 0 to 1. Scale the data first."
WRONG = {
    "pixels": (np.array([[0, 1], [255, 3]], np.uint8), f"rates[1, 0] is 255: {RULE}"),
    "negative": (np.array([0.5, -0.25]), f"rates[1] is -0.25: {RULE}"),
    "not_a_number": (np.array([0.5, np.nan], np.float32), f"rates[1] is nan: {RULE}"),
    "number": (1.5, f"rates is 1.5: {RULE}"),
    "list": ([0.5, 2.0], f"rates[1] is 2: {RULE}"),
    "of_jax": (jnp.array([0.5, 2.0]), f"rates[1] is 2: {RULE}"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_rate_is_refused(name):
    rates, said = WRONG[name]
    with pytest.raises(DataError, match=f"^{re.escape(said)}$"):
        F.poisson(jax.random.key(0), rates, T=2)


def test_rates_that_a_compiled_function_knows_are_looked_at():
    with pytest.raises(DataError) as error:
        jax.jit(lambda key: F.poisson(key, np.full(3, 2.0), T=2))(jax.random.key(0))
    assert str(error.value) == f"rates[0] is 2: {RULE}"


def test_an_array_on_a_device_is_looked_at(device):
    with pytest.raises(DataError, match=f"^{re.escape(f'rates[1] is 2: {RULE}')}$"):
        F.poisson(jax.random.key(0), grilly.put(np.array([0.5, 2.0]), device), T=2)


def test_what_is_no_array_of_rates_is_refused():
    said = "rates has dtype complex64: floats, or spikes as booleans or integers, were expected."
    with pytest.raises(ShapeError, match=f"^{re.escape(said)}$"):
        F.poisson(jax.random.key(0), np.array([1j]), T=2)
    with pytest.raises(ShapeError, match=r"^rates is a NoneType: an array was expected\.$"):
        F.poisson(jax.random.key(0), None, T=2)


@pytest.mark.parametrize("T", [0, -1, 2.0, True, None, "8"])
def test_a_number_of_steps_that_is_none_is_refused(T):
    said = f"T is {T!r}: a number of time steps of at least 1 was expected."
    for call in (lambda: F.direct(np.ones(2), T), lambda: F.poisson(jax.random.key(0), np.ones(2), T)):
        with pytest.raises(ParameterError, match=f"^{re.escape(said)}$"):
            call()


def test_keys_of_both_kinds_of_jax_are_taken():
    typed, old = (F.poisson(key, np.full(99, 0.5), T=2) for key in (jax.random.key(3), jax.random.PRNGKey(3)))
    np.testing.assert_array_equal(typed, old)
