"""Fused weights, scales and intervals against their definitions in NumPy; and the steps that carry rates."""

import itertools
import re

import hypothesis.strategies as st
import numpy as np
import oracles
import pytest
from hypothesis import given, settings
from strict import strict

from grilly import DataError, ParameterError, ShapeError
from grilly import functional as F
from grilly.functional.conversion import check_batch
from grilly.functional.interval import UNIT, affine_interval, line_interval, padded_interval, relu_interval

MODES = {"max": lambda a: a.max(), "99.9%": lambda a: percentile(a, 99.9), 0.5: lambda a: a.max() / 2}
MODES |= {
    "100%": MODES["max"],
    "25%": lambda a: percentile(a, 25),
    1: MODES["max"],
    np.float32(0.25): lambda a: a.max() / 4,
}
KNOWN = "'max', a percentile such as '99.9%', or a fraction of the maximum such as 0.5 was expected."
PERCENT = "a percentile in (0, 100] was expected, such as '99.9%'."
FRACTION = "a fraction of the maximum in (0, 1] was expected. A percentile is given as text, such as '99.9%'."
WRONG_MODES = {
    "median": KNOWN,
    "MAX": KNOWN,
    "x%": KNOWN,
    None: KNOWN,
    True: KNOWN,
    "0%": PERCENT,
    "100.5%": PERCENT,
    "-1%": PERCENT,
    "nan%": PERCENT,
    0: FRACTION,
    1.5: FRACTION,
    99.9: FRACTION,
    float("nan"): FRACTION,
}
seeds = st.integers(0, 2**32 - 1)
several = settings(max_examples=20, deadline=None)


def percentile(values, q):
    """Linear between the two values around place q / 100 (n - 1) of the sorted ones."""
    ordered = np.sort(values)
    place = q / 100 * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])


def says(kind, text):
    return pytest.raises(kind, match=f"^{re.escape(text)}$")


# Fusing -----------------------------------------------------------------------------------------------------


def leaves(rng, channels):
    """Scale, shift, mean and variance."""
    return [*rng.normal(size=(3, channels)), rng.uniform(0.1, 3, channels)]


@pytest.mark.parametrize("with_bias", [True, False])
@pytest.mark.parametrize("shape", [(5, 3), (5, 3, 2, 2)], ids=["linear", "conv2d"])
@several
@given(seeds)
def test_a_fused_layer_is_both_layers(shape, with_bias, seed):
    rng = np.random.default_rng(seed)
    weight, bias = rng.normal(size=shape), rng.normal(size=5) if with_bias else None
    x = rng.normal(size=(4, 3, 4, 4)[: len(shape)])
    oracle = oracles.linear if len(shape) == 2 else oracles.conv2d
    scale, shift, mean, var = leaves(rng, 5)

    def along(leaf):
        return leaf.reshape(-1, *[1] * (len(shape) - 2))

    y = oracle(x, weight, np.zeros(5) if bias is None else bias)
    want = (y - along(mean)) / np.sqrt(along(var) + 1e-5) * along(scale) + along(shift)
    fused = F.fuse_batch_norm(weight, bias, scale, shift, mean, var)
    assert [part.dtype for part in fused] == [np.float32] * 2
    np.testing.assert_allclose(oracle(x, *fused), want, rtol=0, atol=1e-5)


def test_layers_that_cannot_be_fused():
    text = (
        "the batch normalization has 4 channels, the layer before it 5 outputs: they cannot be fused. "
        "Give both the same number."
    )
    with says(ShapeError, text):
        F.fuse_batch_norm(np.ones((5, 3)), None, *np.ones((4, 4)))


# Scales on data ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
@several
@given(seeds, st.integers(1, 200), st.integers(0, 4))
def test_a_scale_is_that_of_all_outputs_however_they_are_cut(mode, seed, count, cuts):
    rng = np.random.default_rng(seed)
    outputs = rng.uniform(0.1, 5, count)
    where = np.sort(rng.integers(0, count + 1, cuts))
    batches = [part.reshape(1, -1) for part in np.split(outputs, where) if len(part)]
    assert F.activation_scale(batches, mode) == pytest.approx(MODES[mode](outputs), rel=1e-12)


@pytest.mark.parametrize("mode", WRONG_MODES)
def test_unknown_modes(mode):
    text = f"mode is {mode!r}: {WRONG_MODES[mode]}"
    with says(ParameterError, text):
        F.activation_scale([np.ones(3)], mode)
    with says(ParameterError, text):
        F.bound_scale(UNIT, mode)


def test_outputs_that_no_scale_fits():
    text = (
        'layer "1" never activates on the calibration data: all its outputs are 0, so no scale fits them. Calibrate '
        "with data as the ann was trained on, scaled as it was."
    )
    with says(DataError, text):
        F.activation_scale([np.zeros((2, 3)), np.zeros((1, 3))], "99%", 'layer "1"')


@pytest.mark.parametrize("value", ["nan", "inf"])
def test_outputs_that_are_not_finite(value):
    text = (
        f'layer "1" gives {value} on finite calibration data: a weight before it is not finite, or far too large. '
        "Train the ann again, or load other weights."
    )
    with says(DataError, text):
        F.activation_scale([np.ones(3), np.array([1.0, float(value)])], "max", 'layer "1"')


def test_a_percentile_among_the_zeros():
    text = (
        "mode is '50%', but that percentile of the outputs of layer \"1\" is 0: too many of them are. Use a higher "
        "one, such as '99.9%', or 'max'."
    )
    with says(ParameterError, text):
        F.activation_scale([np.array([0.0, 0.0, 0.0, 1.0])], "50%", 'layer "1"')


def test_calibration_batches_are_looked_at():
    check_batch(np.ones((2, 3)), 0)
    check_batch(np.ones((2, 3), np.uint8), 0)
    with says(DataError, "calibration batch 3 has nan at [1, 2]: finite numbers were expected."):
        check_batch(np.array([[0, 0, 0], [0, 0, np.nan]]), 3)
    with says(DataError, "calibration batch 0 has -inf at [0]: finite numbers were expected."):
        check_batch(np.array([-np.inf]), 0)
    with says(DataError, "calibration batch 1 is empty, its shape is (0, 4): leave it out."):
        check_batch(np.ones((0, 4)), 1)


# Intervals --------------------------------------------------------------------------------------------------


def corners(low, high):
    """Every input each element of which is at one of its extremes."""
    return np.array(list(itertools.product(*zip(low, high, strict=True))))


def same(interval, outputs):
    """The interval of each channel is what the outputs `(n, C)` span."""
    np.testing.assert_allclose(interval[0], outputs.min(axis=0), rtol=0, atol=1e-12)
    np.testing.assert_allclose(interval[1], outputs.max(axis=0), rtol=0, atol=1e-12)


def ends(rng, channels):
    low = rng.normal(size=channels)
    return low, low + rng.uniform(0, 2, channels)


@several
@given(seeds)
def test_an_affine_layer_reaches_its_interval_and_never_leaves_it(seed):
    rng = np.random.default_rng(seed)
    weight, bias, interval = rng.normal(size=(4, 6)), rng.normal(size=4), ends(rng, 6)
    same(affine_interval(interval, weight, bias), corners(*interval) @ weight.T + bias)
    same(affine_interval(UNIT, weight, None), corners(np.zeros(6), np.ones(6)) @ weight.T)


def test_a_flattened_image_has_its_channels_intervals():
    rng = np.random.default_rng(0)
    weight, (low, high) = rng.normal(size=(3, 8)), ends(rng, 2)
    images = corners(np.repeat(low, 4), np.repeat(high, 4)).reshape(-1, 2, 2, 2)
    same(affine_interval((low, high), weight, None), images.reshape(-1, 8) @ weight.T)


@pytest.mark.parametrize("groups", [1, 2])
def test_a_convolution_reaches_its_interval(groups):
    rng = np.random.default_rng(0)
    weight, bias, (low, high) = rng.normal(size=(4, 4 // groups, 1, 2)), rng.normal(size=4), ends(rng, 4)
    images = corners(np.repeat(low, 2), np.repeat(high, 2)).reshape(-1, 4, 1, 2)
    outputs = oracles.conv2d(images, weight, bias, groups=groups)[:, :, 0, 0]
    same(affine_interval((low, high), weight, bias, groups), outputs)


def test_inputs_of_unknown_channels_have_the_widest_interval():
    interval = affine_interval((np.array([-1.0, 0.0]), np.array([1.0, 3.0])), np.array([[1.0, 2.0, -1.0]]), None)
    assert [end.tolist() for end in interval] == [[-6.0], [10.0]]


@pytest.mark.parametrize("interval", [UNIT, (np.array([-1.0, 0.5]), np.array([0.0, 2.0]))])
def test_a_line_pads_and_relus(interval):
    factor, offset = np.array([2.0, -3.0]), np.array([0.5, 1.0])
    same(line_interval(interval, factor, offset), np.stack([end * factor + offset for end in interval]))
    outside = np.array([1.0, -2.0]), np.array([2.0, -1.0])
    assert [end.tolist() for end in padded_interval(outside, (0, 1))] == [[0.0, -2.0], [2.0, 0.0]]
    assert padded_interval(outside, (0, 0)) is outside
    assert [end.tolist() for end in relu_interval(outside)] == [[1.0, 0.0], [2.0, 0.0]]


@pytest.mark.parametrize(("mode", "scale"), [("max", 4.0), (0.25, 1.0)])
def test_a_scale_of_weights_is_the_bound_or_a_part_of_it(mode, scale):
    assert F.bound_scale((np.array([-9.0, 0.0]), np.array([-1.0, 4.0])), mode) == scale


def test_a_percentile_needs_data():
    text = (
        "mode is '99.9%': a percentile is one of outputs on data, and there is none. Give calibration data, as "
        "Converter(ann, mode, dataloader=batches) or convert(data); or use mode='max'."
    )
    with says(ParameterError, text):
        F.bound_scale(UNIT, "99.9%")


def test_bounds_that_no_scale_fits():
    text = (
        'layer "1" never activates for inputs from 0 to 1, so no scale fits its outputs. Scale the inputs so; or '
        "calibrate with your own: convert(data)."
    )
    with says(ParameterError, text):
        F.bound_scale((-np.ones(2), np.zeros(2)), "max", 'layer "1"')
    text = (
        'the largest output that layer "1" can have is nan: a weight before it is not finite, or far too large. '
        "Train the ann again, or load other weights."
    )
    with says(ParameterError, text):
        F.bound_scale((np.zeros(2), np.array([1.0, np.nan])), "max", 'layer "1"')


# Rates ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("threshold", [1.0, 2.0])
def test_started_halfway_a_count_of_spikes_is_rounded(threshold):
    T, x = 16, np.arange(257, dtype=np.float32)[None] / 256 * np.float32(threshold)  # dyadic: the sums are exact
    params = F.IFParams(v_threshold=threshold, v_reset=None)

    def count(v):
        return np.asarray(F.sequence(F.if_step, F.direct(x, T), v, params)[0]).sum(axis=0)

    with strict():
        halfway, from_zero = count(F.halfway_v(x, params)), count(F.initial_v(x, params))
    np.testing.assert_array_equal(halfway, np.floor(T * x / threshold + 0.5))
    np.testing.assert_array_equal(from_zero, np.floor(T * x / threshold))


def test_a_change_undoes_a_total():
    x_seq = np.random.default_rng(0).integers(-512, 513, (7, 2, 3)).astype(np.float32) / 256
    zeros = np.zeros((2, 3), np.float32)
    with strict():
        totals, last = F.sequence(F.total_step, x_seq, zeros)
        changes, _ = F.sequence(F.change_step, totals, zeros)
    np.testing.assert_array_equal(totals, np.cumsum(x_seq, axis=0))
    np.testing.assert_array_equal(last, x_seq.sum(axis=0))
    np.testing.assert_array_equal(changes, x_seq)


@pytest.mark.parametrize("step", [F.total_step, F.change_step])
def test_a_state_of_another_shape(step):
    text = (
        "x has shape (2, 3), v has shape (3,): one step takes both in one shape, (N, *features). "
        "If x is one step of a sequence, that sequence should have the shape (T, N, *features)."
    )
    with says(ShapeError, text):
        step(np.ones((2, 3)), np.zeros(3))


def test_a_scale_for_each_channel_and_one_that_does_not_fit():
    with strict():
        scaled = F.scale_voltage(np.ones((2, 3), np.uint8), np.array([1.0, 2.0, 3.0]))
    assert np.asarray(scaled).tolist() == [[1.0, 2.0, 3.0]] * 2
    text = (
        "scale has shape (2,), the input of one step (2, 3): give scale as a number, or in a shape that broadcasts "
        "to the input's."
    )
    with says(ShapeError, text):
        F.scale_voltage(np.ones((2, 3)), np.ones(2))
