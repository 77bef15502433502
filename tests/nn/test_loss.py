"""Losses against NumPy, their gradients, and the labels that they refuse."""

import copy
import pickle
import re

import jax
import jax.numpy as jnp
import numpy as np
import oracles
import pytest

import grilly
from grilly import DataError, ShapeError, nn

from .nets import raises

RATES = np.random.default_rng(0).random((5, 3)).astype(np.float32)
LABELS = np.array([0, 2, 1, 1, 0])
EXPECTED = "class numbers from 0 to 2 were expected, as an integer array of shape (N,)."


@pytest.fixture
def rates(place):
    return grilly.put(RATES, place)


@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.uint8])
def test_cross_entropy(rates, dtype):
    loss_fn, labels = nn.CrossEntropyLoss(), LABELS.astype(dtype)
    loss = loss_fn(rates, labels)
    assert loss.shape == ()
    assert loss.device is rates.device
    np.testing.assert_allclose(loss, oracles.cross_entropy(RATES.astype(np.float64), LABELS), rtol=1e-6)
    grad = loss_fn.backward(np.ones_like(loss), rates, labels)
    want = oracles.cross_entropy_gradient(RATES.astype(np.float64), LABELS)
    np.testing.assert_allclose(grad, want, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(loss_fn.backward(2.0, rates, labels), 2 * want, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda loss_fn: pickle.loads(pickle.dumps(loss_fn))])
def test_copies(copied, rates):
    loss_fn = nn.CrossEntropyLoss()
    loss = loss_fn(rates, LABELS)
    other = copied(loss_fn)
    assert float(other(rates, LABELS)) == float(loss)
    np.testing.assert_array_equal(other.backward(1.0, rates, LABELS), loss_fn.backward(1.0, rates, LABELS))


def test_cross_entropy_of_large_scores_stays_finite(place):
    scores = grilly.put(np.array([[1e4, 0, -1e4]], np.float32), place)
    assert float(nn.CrossEntropyLoss()(scores, np.array([1]))) == pytest.approx(1e4)


def test_mse(rates):
    loss_fn, target = nn.MSELoss(), np.random.default_rng(1).random((5, 3))
    loss = loss_fn(rates, target)
    difference = RATES.astype(np.float64) - target
    np.testing.assert_allclose(loss, np.mean(difference**2), rtol=1e-6)
    grad = loss_fn.backward(np.ones_like(loss), rates, target)
    np.testing.assert_allclose(grad, 2 * difference / 15, rtol=1e-5, atol=1e-7)


def test_spike_counts_are_inputs_too(place):
    counts = grilly.put(np.array([[1, 3]]), place)
    loss_fn = nn.MSELoss()
    assert float(loss_fn(counts, np.zeros((1, 2)))) == 5
    np.testing.assert_array_equal(loss_fn.backward(1.0, counts, np.zeros((1, 2))), [[1, 3]])


def test_labels_may_be_lists_and_jax_arrays(rates):
    loss_fn = nn.CrossEntropyLoss()
    expected = float(loss_fn(rates, LABELS))
    assert float(loss_fn(rates, LABELS.tolist())) == expected
    assert float(loss_fn(rates, jnp.asarray(LABELS))) == expected
    assert float(loss_fn(rates, grilly.put(LABELS, rates.device))) == expected


def test_a_loss_can_be_traced():
    loss_fn = nn.CrossEntropyLoss()
    grad = jax.grad(loss_fn)(RATES, LABELS)
    np.testing.assert_allclose(grad, oracles.cross_entropy_gradient(RATES.astype(np.float64), LABELS), atol=1e-6)


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ([0, 1, 2, 3, 0], f"labels[3] is 3: {EXPECTED}"),
        ([0, 1, -1, 3, 0], f"labels[2] is -1: {EXPECTED}"),
        ([0, 2**40, 0, 0, 0], f"labels[1] is 1099511627776: {EXPECTED}"),
        (jnp.array([0, 1, 2, 3, 0]), f"labels[3] is 3: {EXPECTED}"),
        ([0.0, 1.0, np.nan, 0.0, 0.0], f"labels have dtype float64, labels[2] is nan: {EXPECTED}"),
        ([0.0, 1.0, 2.0, 0.0, 0.0], f"labels have dtype float64, labels[0] is 0.0: {EXPECTED}"),
        ([True] * 5, f"labels have dtype bool, labels[0] is True: {EXPECTED}"),
        (["a"] * 5, f"labels have dtype <U1, labels[0] is a: {EXPECTED}"),
        (None, f"labels have shape (): {EXPECTED}"),
        (np.eye(5, dtype=int), f"labels have shape (5, 5): {EXPECTED}"),
    ],
)
def test_labels_that_are_none(rates, labels, said):
    labels = labels if labels is None or isinstance(labels, jax.Array) else np.array(labels)
    loss_fn = nn.CrossEntropyLoss()
    with raises(DataError, said):
        loss_fn(rates, labels)
    with raises(DataError, said):
        loss_fn.backward(1.0, rates, labels)


def test_another_number_of_labels(rates):
    said = "labels have shape (4,), logits (5, 3): one label for each of 5 rows was expected."
    with raises(ShapeError, said):
        nn.CrossEntropyLoss()(rates, LABELS[:4])


def test_a_sequence_instead_of_rates(place):
    said = "logits have shape (2, 5, 3): (N, C) was expected. Average a sequence over time first: .mean(axis=0)."
    with raises(ShapeError, said):
        nn.CrossEntropyLoss()(grilly.put(np.stack([RATES, RATES]), place), LABELS)


def test_targets_are_never_broadcast(rates):
    with raises(ShapeError, "x has shape (5, 3), target (3,): mse compares arrays of the same shape."):
        nn.MSELoss()(rates, RATES[0])


def test_a_derivative_by_the_loss_is_one_number(rates):
    said = "grad_loss has shape (5,): a 0-d array was expected, as the loss is. Give np.ones_like(loss)."
    with raises(ShapeError, said):
        nn.CrossEntropyLoss().backward(np.ones(5), rates, LABELS)
    with raises(ShapeError, "grad_loss is a NoneType: an array of numbers was expected."):
        nn.CrossEntropyLoss().backward(None, rates, LABELS)


def test_inputs_that_are_none(place):
    said = "logits has dtype complex64: floats, or spikes as booleans or integers, were expected."
    with pytest.raises(ShapeError, match=f"^{re.escape(said)}"):
        nn.CrossEntropyLoss()(RATES + 0j * np.ones((5, 3)), LABELS)
