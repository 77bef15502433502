"""Layers against NumPy: forward, backward, what they start from and what they refuse."""

import numpy as np
import oracles
import pytest

import grilly
from grilly import ParameterError, ShapeError, nn
from grilly import functional as F

from .nets import dyadic, raises

IMAGES = dyadic(4, 2, 6, 5)
ROWS = dyadic(6, 3)


def close(got, want):
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)


def numbers(parameter):
    return np.asarray(parameter.data, np.float64)


def check(layer, oracle, x, place):
    """Forward is the oracle's; backward agrees with the oracle's slope along random directions."""
    layer.to(place)
    parameters = layer.parameters()
    args = [x.astype(np.float64), *map(numbers, parameters)]
    want = oracle(*args)
    close(layer(x), want)

    rng = np.random.default_rng(3)
    g = rng.standard_normal(want.shape).astype(np.float32)
    by = [layer.backward(g), *(p.grad for p in parameters)]
    directions = [rng.standard_normal(a.shape) for a in args]
    ours = sum(float(np.sum(np.asarray(b) * d)) for b, d in zip(by, directions, strict=True))
    theirs = oracles.directional_derivative(lambda *args: np.sum(oracle(*args) * g), args, directions)
    assert ours == pytest.approx(theirs, rel=1e-4, abs=1e-3)


# Linear, ReLU, Flatten -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(3,), (6, 3), (2, 4, 3)])
def test_linear(shape, place):
    check(nn.Linear(3, 2), oracles.linear, dyadic(*shape), place)


def test_linear_without_a_bias(place):
    check(nn.Linear(3, 2, bias=False), lambda x, w: x @ w.T, ROWS, place)


def test_relu(place):
    check(nn.ReLU(), lambda x: np.maximum(x, 0), ROWS + np.float32(0.001), place)


def test_flatten(place):
    check(nn.Flatten(), lambda x: x.reshape(4, -1), IMAGES, place)
    check(nn.Flatten(2), lambda x: x.reshape(4, 2, -1), IMAGES, place)


# Images --------------------------------------------------------------------------------------------------------------


def test_conv2d(place):
    check(nn.Conv2d(2, 3, 3), oracles.conv2d, IMAGES, place)


def test_conv2d_with_every_choice(place):
    choices = {"stride": (2, 1), "padding": (1, 2), "dilation": (1, 2), "groups": 2}
    layer = nn.Conv2d(2, 4, (3, 2), bias=False, **choices)
    check(layer, lambda x, w: oracles.conv2d(x, w, np.zeros(4), **choices), IMAGES, place)


@pytest.mark.parametrize("kind", ["max", "avg"])
def test_pooling(kind, place):
    layer = {"max": nn.MaxPool2d, "avg": nn.AvgPool2d}[kind]
    oracle = {"max": oracles.max_pool2d, "avg": oracles.avg_pool2d}[kind]
    distinct = np.random.default_rng(0).permutation(IMAGES.size).reshape(IMAGES.shape).astype(np.float32)
    check(layer(2), lambda x: oracle(x, (2, 2), (2, 2)), distinct, place)
    check(layer((3, 2), 1, (1, 0)), lambda x: oracle(x, (3, 2), (1, 1), (1, 0)), distinct, place)


# Batch normalization -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "shape"), [(nn.BatchNorm1d, (6, 3)), (nn.BatchNorm1d, (4, 3, 5)), (nn.BatchNorm2d, (4, 3, 2, 5))]
)
def test_batch_norm_in_training(make, shape, place):
    layer = make(3)
    layer.weight.data, layer.bias.data = np.array([1, 2, -1], np.float32), np.array([0, 1, 2], np.float32)
    check(layer, oracles.batch_norm, dyadic(*shape), place)


def test_running_statistics(place):
    layer = nn.BatchNorm2d(2, momentum=0.25).to(place)
    mean, var = np.zeros(2), np.ones(2)
    for seed in range(3):
        x = dyadic(4, 2, 3, 3, seed=seed)
        layer(x)
        mean = 0.75 * mean + 0.25 * x.mean((0, 2, 3))
        var = 0.75 * var + 0.25 * x.var((0, 2, 3), ddof=1)
    close(layer.running_mean.data, mean)
    close(layer.running_var.data, var)
    assert int(np.asarray(layer.num_batches_tracked.data)) == 3

    x = dyadic(4, 2, 3, 3, seed=9)
    along = (slice(None), None, None)
    for _ in range(2):
        close(layer.eval()(x), (x - mean[along]) / np.sqrt(var[along] + 1e-5))
    close(layer.running_mean.data, mean)
    assert int(np.asarray(layer.num_batches_tracked.data)) == 3


def test_batch_norm_of_another_number_of_dimensions(place):
    hint = "Wrap it in nn.SeqToANNContainer if x is a sequence."
    with raises(ShapeError, f"x has shape (4, 3, 2, 2): BatchNorm1d takes (N, C) or (N, C, L). {hint}"):
        nn.BatchNorm1d(3).to(place)(np.zeros((4, 3, 2, 2)))
    with raises(ShapeError, f"x has shape (4, 3): BatchNorm2d takes images (N, C, H, W). {hint}"):
        nn.BatchNorm2d(3).to(place)(np.zeros((4, 3)))


# Dropout -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("p", [0.2, 0.5])
def test_dropout_drops_at_its_rate_and_keeps_the_mean(p, place):
    layer, ones = nn.Dropout(p).to(place), np.ones((100, 100), np.float32)
    y = np.asarray(layer(ones))
    assert set(np.unique(y)) == {0.0, np.float32(1 / (1 - p))}
    assert np.mean(y == 0) == pytest.approx(p, abs=0.02)  # four standard deviations
    np.testing.assert_array_equal(layer.backward(ones), y)


def test_dropout_is_off_in_evaluation_and_at_zero(place):
    np.testing.assert_array_equal(nn.Dropout(0.9).to(place).eval()(ROWS), ROWS)
    np.testing.assert_array_equal(nn.Dropout(0.0).to(place)(ROWS), ROWS)


@pytest.mark.parametrize(
    ("p", "shown"), [(1.0, "1"), (-0.1, "-0.1"), (float("nan"), "nan"), (None, "None"), ("0.5", "'0.5'")]
)
def test_a_probability_outside(p, shown):
    with raises(ParameterError, f"p is {shown}: the probability of dropping an element lies in [0, 1)."):
        nn.Dropout(p)


# Initial weights -----------------------------------------------------------------------------------------------------


def test_weights_start_with_a_deviation_of_two_over_the_root_of_their_inputs():
    for layer, inputs in ((nn.Linear(400, 300), 400), (nn.Conv2d(16, 64, (5, 3), groups=2), 8 * 15)):
        weight = numbers(layer.weight)
        assert weight.std() == pytest.approx(2 / np.sqrt(inputs), rel=0.02)
        assert abs(weight.mean()) < 0.02 * 2 / np.sqrt(inputs)
        np.testing.assert_array_equal(layer.bias.data, np.zeros(len(weight)))


def test_an_initializer_of_your_own():
    layer = nn.Linear(3, 2, init=lambda key, shape: np.arange(6).reshape(shape))
    np.testing.assert_array_equal(layer.weight.data, [[0, 1, 2], [3, 4, 5]])
    with raises(ShapeError, "init gave an array of shape (3, 2): (2, 3) was asked of it."):
        nn.Linear(3, 2, init=lambda key, shape: np.zeros(shape[::-1]))


def test_the_pages_net_fires_from_the_first_step(place):
    """784-256-10, T = 16, Poisson spikes of uniform rates: in 99 of 100 draws the output fires at 0.05 to 0.35."""
    net = nn.Sequential(
        nn.SeqToANNContainer(nn.Linear(784, 256)), nn.LIFNode(tau=2.0, step_mode="m"),
        nn.SeqToANNContainer(nn.Linear(256, 10)), nn.LIFNode(tau=2.0, step_mode="m"),
    ).to(place).eval()  # fmt: skip
    rng = np.random.default_rng(0)
    fired = []
    for seed in range(20):
        grilly.seed(seed)
        for layer in (net[0][0], net[2][0]):
            layer.weight.data = nn.scaled_normal(nn.random_key(), layer.weight.shape)
        F.reset_net(net)
        x_seq = (rng.random((16, 8, 784)) < rng.random((8, 784))).astype(np.float32)
        fired.append(float(net(x_seq).mean()))
    assert sum(0.05 <= rate <= 0.35 for rate in fired) >= 18, fired
    assert min(fired) > 0


# What is refused -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: nn.Linear(0, 2), "in_features is 0: an integer of at least 1 was expected."),
        (lambda: nn.Linear(2, 2.5), "out_features is 2.5: an integer of at least 1 was expected."),
        (lambda: nn.Conv2d("3", 2, 3), "in_channels is '3': an integer of at least 1 was expected."),
        (lambda: nn.Conv2d(3, True, 3), "out_channels is True: an integer of at least 1 was expected."),
        (
            lambda: nn.Conv2d(3, 4, 3, groups=2),
            "groups is 2: it has to divide both in_channels, 3, and out_channels, 4.",
        ),
        (lambda: nn.Conv2d(3, 4, 0), "kernel_size is 0: an integer of at least 1 was expected, or a pair of them."),
        (
            lambda: nn.Conv2d(3, 4, 3, padding=(1, -1)),
            "padding is (1, -1): an integer of at least 0 was expected, or a pair of them.",
        ),
        (
            lambda: nn.MaxPool2d((2, 2, 2)),
            "kernel_size is (2, 2, 2): an integer of at least 1 was expected, or a pair of them.",
        ),
        (lambda: nn.BatchNorm1d(-1), "num_features is -1: an integer of at least 1 was expected."),
        (lambda: nn.BatchNorm1d(2, eps=-1), "eps is -1: what is added to the variance must be finite and >= 0."),
        (
            lambda: nn.BatchNorm2d(2, eps=np.inf),
            "eps is inf: what is added to the variance must be finite and >= 0.",
        ),
        (lambda: nn.BatchNorm2d(2, eps="a"), "eps is 'a': what is added to the variance must be finite and >= 0."),
        (
            lambda: nn.BatchNorm1d(2, momentum=2),
            "momentum is 2: the weight of a batch in the running mean and variance lies in [0, 1].",
        ),
        (
            lambda: nn.BatchNorm2d(2, momentum=None),
            "momentum is None: the weight of a batch in the running mean and variance lies in [0, 1].",
        ),
        (lambda: nn.VoltageScaler(None), "scale is None: a factor that is finite and > 0 was expected."),
    ],
)
def test_a_size_out_of_range(make, said):
    with raises(ParameterError, said):
        make()


def test_images_without_a_batch(place):
    said = "x has shape (2, 6, 5): conv2d takes images of shape (N, C, H, W)."
    with raises(ShapeError, said):
        nn.Conv2d(2, 3, 3).to(place)(IMAGES[0])
    said = (
        "x has shape (1, 4, 2, 6, 5): max_pool2d takes images of shape (N, C, H, W). "
        "Wrap the layer in nn.SeqToANNContainer, which merges T and N."
    )
    with raises(ShapeError, said):
        nn.MaxPool2d(2).to(place)(IMAGES[None])


def test_a_batch_of_one_value_has_no_variance(place):
    said = "x has shape (1, 3): in training batch_norm needs at least 2 values of each channel."
    layer = nn.BatchNorm1d(3).to(place)
    with raises(ShapeError, said):
        layer(ROWS[:1])
    assert layer.eval()(ROWS[:1]).shape == (1, 3)
