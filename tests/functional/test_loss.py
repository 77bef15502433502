"""Losses against NumPy, on both devices; how they are written; and the labels that they refuse."""

import re

import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import oracles
import pytest
from hypothesis import given, settings
from strict import strict

import grilly
from grilly import DataError, ShapeError
from grilly import functional as F

PLACES = ["cpu", "vulkan"]
EXPECTED = "class numbers from 0 to 2 were expected, as an integer array of shape (N,)."
LABELS = np.array([0, 2, 1, 1, 0], np.int32)


def strictly(loss):
    """The loss and its gradient by the first argument."""

    def both(x, target):
        with strict():
            return jax.value_and_grad(loss)(x, target)

    return both


RUN = {(loss, place): grilly.jit(strictly(loss), device=place) for loss in (F.cross_entropy, F.mse) for place in PLACES}


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("scale", [0.1, 1, 30])
@pytest.mark.parametrize("place", PLACES)
def test_cross_entropy(place, scale):
    z = scale * normal(5, 3)
    loss, grad = RUN[F.cross_entropy, place](z, LABELS)
    assert (loss.shape, loss.dtype) == ((), np.float32)
    np.testing.assert_allclose(loss, oracles.cross_entropy(z.astype(np.float64), LABELS), rtol=2e-6)
    want = oracles.cross_entropy_gradient(z.astype(np.float64), LABELS)
    np.testing.assert_allclose(grad, want, rtol=1e-5, atol=1e-7)


@settings(max_examples=10, deadline=None)
@given(st.integers(1, 6), st.integers(1, 12), st.integers(0, 2**32 - 1))
def test_cross_entropy_of_any_number_of_rows_and_classes(N, C, seed):
    z, labels = normal(N, C, seed=seed), np.random.default_rng(seed).integers(0, C, N)
    loss, grad = jax.value_and_grad(F.cross_entropy)(z, labels)
    np.testing.assert_allclose(loss, oracles.cross_entropy(z.astype(np.float64), labels), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(grad, oracles.cross_entropy_gradient(z.astype(np.float64), labels), atol=1e-6)
    np.testing.assert_allclose(grad.sum(axis=1), 0, atol=1e-6)  # a softmax does not see what all scores share


@pytest.mark.parametrize("place", PLACES)
def test_large_scores_stay_finite(place):
    z = np.array([[1e4, 0, -1e4], [-3e38, 0, 0]], np.float32)
    loss, grad = RUN[F.cross_entropy, place](z, np.array([1, 2], np.int32))
    assert float(loss) == pytest.approx((1e4 + np.log(2)) / 2)
    np.testing.assert_allclose(grad, [[0.5, -0.5, 0], [0, 0.25, -0.25]], atol=1e-7)


@pytest.mark.parametrize("place", PLACES)
def test_a_score_that_is_no_number_is_not_hidden(place):
    loss, _ = RUN[F.cross_entropy, place](np.array([[np.nan, 0], [0, 0]], np.float32), np.array([1, 0], np.int32))
    assert np.isnan(float(loss))


@pytest.mark.parametrize("shape", [(5, 3), (7,), (2, 3, 4), ()])
@pytest.mark.parametrize("place", PLACES)
def test_mse(place, shape):
    x, target = normal(*shape), normal(*shape, seed=1)
    difference = np.subtract(x, target, dtype=np.float64)
    loss, grad = RUN[F.mse, place](x, target)
    assert loss.shape == ()
    np.testing.assert_allclose(loss, np.mean(difference**2), rtol=1e-6)
    np.testing.assert_allclose(grad, 2 * difference / difference.size, rtol=1e-6)


def test_spikes_are_inputs_and_targets_too():
    assert float(F.mse(np.array([True, False]), np.array([0, 2], np.uint8))) == 2.5
    assert float(F.cross_entropy(np.array([[1, 1]]), np.array([0]))) == pytest.approx(np.log(2))


@pytest.mark.parametrize("loss", [F.cross_entropy, F.mse])
def test_a_loss_is_written_without_gather(loss):
    target = LABELS if loss is F.cross_entropy else normal(5, 3)
    jaxpr = str(jax.make_jaxpr(jax.value_and_grad(loss))(normal(5, 3), target))
    assert "reduce_sum" in jaxpr
    assert "gather" not in jaxpr
    assert "scatter" not in jaxpr


# Labels --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "labels", [LABELS.astype(np.int64), LABELS.astype(np.uint8), LABELS.tolist(), jnp.array(LABELS)]
)
def test_labels_are_integers_of_any_kind(labels):
    z = normal(5, 3)
    assert float(F.cross_entropy(z, labels)) == float(F.cross_entropy(z, LABELS))
    assert F.check_labels(labels, classes=3).dtype == np.int32
    np.testing.assert_array_equal(F.check_labels(labels, classes=3), LABELS)


def test_there_may_be_more_classes_than_a_byte_counts():
    labels = np.array([0, 255], np.uint8)
    np.testing.assert_array_equal(F.check_labels(labels, classes=1000), labels)


def test_no_label_is_no_fault():
    assert F.check_labels(np.zeros(0, np.int64), classes=3).shape == (0,)


WRONG = {
    "too_large": ([0, 1, 2, 3, 0], f"labels[3] is 3: {EXPECTED}"),
    "negative": ([0, 1, -1, 3, 0], f"labels[2] is -1: {EXPECTED}"),
    "of_64_bits": ([0, 2**40, 0, 0, 0], f"labels[1] is 1099511627776: {EXPECTED}"),
    "of_jax": (jnp.array([0, 1, 2, 3, 0]), f"labels[3] is 3: {EXPECTED}"),
    "not_a_number": (np.array([0, 1, np.nan, 0, 0]), f"labels have dtype float64, labels[2] is nan: {EXPECTED}"),
    "floats": (np.array([0, 1, 2, 0, 0], np.float32), f"labels have dtype float32, labels[0] is 0.0: {EXPECTED}"),
    "booleans": ([True] * 5, f"labels have dtype bool, labels[0] is True: {EXPECTED}"),
    "words": (["a"] * 5, f"labels have dtype <U1, labels[0] is a: {EXPECTED}"),
    "nothing": (None, f"labels have shape (): {EXPECTED}"),
    "no_floats": (np.zeros(0), f"labels have dtype float64: {EXPECTED}"),
    "one_hot": (np.eye(5, dtype=int), f"labels have shape (5, 5): {EXPECTED}"),
}


@pytest.mark.parametrize("name", WRONG)
def test_labels_that_are_none_are_refused(name):
    labels, said = WRONG[name]
    with pytest.raises(DataError, match=f"^{re.escape(said)}$"):
        F.check_labels(labels, classes=3)
    with pytest.raises(DataError, match=f"^{re.escape(said)}$"):
        F.cross_entropy(normal(5, 3), labels)


def test_traced_labels_are_refused_by_their_dtype():
    with pytest.raises(DataError) as error:
        jax.jit(F.cross_entropy)(normal(5, 3), np.zeros(5, np.float32))
    assert str(error.value) == "labels have dtype float32: integer class numbers of shape (N,) were expected."


# Shapes --------------------------------------------------------------------------------------------------------------

SEQUENCE = "(N, C) was expected. Average a sequence over time first: .mean(axis=0)."
SHAPES = {
    "sequence": (lambda: F.cross_entropy(normal(4, 5, 3), LABELS), f"logits have shape (4, 5, 3): {SEQUENCE}"),
    "one_row": (lambda: F.cross_entropy(normal(3), LABELS[:1]), f"logits have shape (3,): {SEQUENCE}"),
    "few_labels": (
        lambda: F.cross_entropy(normal(5, 3), LABELS[:4]),
        "labels have shape (4,), logits (5, 3): one label for each of 5 rows was expected.",
    ),
    "logits": (
        lambda: F.cross_entropy(normal(5, 3) + 1j, LABELS),
        "logits has dtype complex64: floats, or spikes as booleans or integers, were expected.",
    ),
    "broadcast": (
        lambda: F.mse(normal(5, 3), normal(3)),
        "x has shape (5, 3), target (3,): mse compares arrays of the same shape.",
    ),
}


@pytest.mark.parametrize("name", SHAPES)
def test_shapes_that_do_not_fit_are_refused(name):
    call, said = SHAPES[name]
    with pytest.raises(ShapeError, match=f"^{re.escape(said)}$"):
        call()


def test_the_mean_over_an_empty_batch_is_refused():
    for call, subject in (
        (lambda: F.cross_entropy(np.zeros((0, 3)), np.zeros(0, int)), "logits have shape (0, 3)"),
        (lambda: F.mse(np.zeros((0, 3)), np.zeros((0, 3))), "x has shape (0, 3)"),
    ):
        said = f"{subject}: a mean needs at least one element. Leave out empty batches."
        with pytest.raises(ShapeError, match=f"^{re.escape(said)}$"):
            call()
