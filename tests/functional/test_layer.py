"""The laws of every layer in the catalogue, on both devices."""

import functools

import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import oracles
import pytest
from catalogue import LAYERS
from hypothesis import given, settings
from strict import strict

import grilly
from grilly import functional as F

PLACES = ["cpu", "vulkan"]


@functools.lru_cache(None)
def compiled(function, place):
    """A layer's output, and the gradients of everything that it takes, by one compiled function."""

    def both_ways(g, *args):
        with strict():
            out, back = jax.vjp(function, *args)
            return out, back(g)

    return grilly.jit(both_ways, device=place)


def dyadic(seed, *shapes):
    """Multiples of 1/16 in [-2, 2]: sums of their products are exact in float32."""
    rng = np.random.default_rng(seed)
    return [rng.integers(-32, 33, shape).astype(np.float32) / 16 for shape in shapes]


def normal(seed, *shapes):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape).astype(np.float32) for shape in shapes]


def exact(arrays):
    return [a.astype(np.float64) for a in arrays]


def out_shape(row):
    return row.oracle(*map(np.ones, row.shapes)).shape


def near(got, want, tolerance):
    """Relative to the array's largest element."""
    want = np.asarray(want)
    np.testing.assert_allclose(got, want, rtol=0, atol=tolerance * np.abs(want).max(initial=0))


def leaves(out_and_gradients):
    out, gradients = out_and_gradients
    return [np.asarray(leaf) for leaf in (out, *gradients)]


# Every layer ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_is_its_definition(name, place):
    row = LAYERS[name]
    run = compiled(row.function, place)
    (g,) = normal(0, out_shape(row))
    for seed in range(3):
        args = normal(seed, *row.shapes)
        out, _ = run(g, *args)
        assert out.dtype == np.float32
        near(out, row.oracle(*exact(args)), 1e-6)
        args = dyadic(seed, *row.shapes)
        out, _ = run(g, *args)
        near(out, row.oracle(*exact(args)), 0 if row.exact else 1e-6)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", LAYERS)
def test_the_gradient_is_the_slope_of_the_definition(name, place):
    row = LAYERS[name]
    for seed in range(3):
        g, *args = normal(seed, out_shape(row), *row.shapes)
        _, gradients = compiled(row.function, place)(g, *args)
        directions = exact(normal(seed + 100, *row.shapes))
        terms = [np.asarray(by) * d for by, d in zip(gradients, directions, strict=True)]
        slope = oracles.directional_derivative(
            lambda *args, g=g: np.sum(row.oracle(*args) * g), exact(args), directions
        )
        rounding = 1e-6 * sum(np.abs(term).sum() for term in terms)
        assert sum(term.sum() for term in terms) == pytest.approx(slope, rel=1e-6, abs=rounding)


@pytest.mark.parametrize("name", LAYERS)
def test_devices_agree(name):
    row = LAYERS[name]
    for seed in range(3):
        for make, tolerance in ((normal, 1e-6), (dyadic, 0 if row.exact else 1e-6)):
            arrays = make(seed, out_shape(row), *row.shapes)
            cpu, vulkan = (leaves(compiled(row.function, place)(*arrays)) for place in PLACES)
            for ours, theirs in zip(vulkan, cpu, strict=True):
                near(ours, theirs, tolerance)


@pytest.mark.parametrize("name", [name for name, row in LAYERS.items() if row.pointwise])
def test_devices_agree_in_every_bit_of_pointwise_work(name):
    """What sums over nothing: the output, and the gradient by the input."""
    row = LAYERS[name]
    for seed in range(3):
        arrays = normal(seed, out_shape(row), *row.shapes)
        cpu, vulkan = (leaves(compiled(row.function, place)(*arrays)) for place in PLACES)
        for ours, theirs in zip(vulkan[:2], cpu[:2], strict=True):
            np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("dtype", [np.float64, bool, np.uint8, np.int64])
@pytest.mark.parametrize("name", LAYERS)
def test_spikes_of_any_dtype_become_float32(name, dtype):
    row = LAYERS[name]
    rng = np.random.default_rng(0)
    x, *rest = [rng.integers(0, 2, row.shapes[0]), *dyadic(1, *row.shapes[1:])]
    out = row.function(x.astype(dtype), *rest)
    np.testing.assert_array_equal(out, row.function(x.astype(np.float32), *rest))


# Shapes that nobody chose --------------------------------------------------------------------------------------------

few = settings(max_examples=8, deadline=None)  # each new shape compiles anew
pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))


@st.composite
def convolutions(draw):
    groups = draw(st.integers(1, 2))
    kernel, dilation = draw(pairs), draw(pairs)
    padding = draw(st.tuples(st.integers(0, 2), st.integers(0, 2)))
    size = [d * (k - 1) + 1 + draw(st.integers(0, 3)) for d, k in zip(dilation, kernel, strict=True)]
    channels, outs = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    shapes = (draw(st.integers(1, 3)), groups * channels, *size), (groups * outs, channels, *kernel), (groups * outs,)
    return shapes, {"stride": draw(pairs), "padding": padding, "dilation": dilation, "groups": groups}


@pytest.mark.parametrize("place", PLACES)
@few
@given(convolutions())
def test_a_convolution_of_any_shape(place, drawn):
    shapes, choices = drawn
    args = dyadic(0, *shapes)
    run = grilly.jit(functools.partial(F.conv2d, **choices), device=place)
    np.testing.assert_array_equal(run(*args), oracles.conv2d(*exact(args), **choices))


@st.composite
def pools(draw):
    kernel = draw(pairs)
    choices = {"kernel": kernel, "stride": draw(pairs), "padding": tuple(draw(st.integers(0, k // 2)) for k in kernel)}
    size = [k + draw(st.integers(0, 4)) for k in kernel]
    return (draw(st.integers(1, 2)), draw(st.integers(1, 3)), *size), choices


def binary(shape):
    return np.random.default_rng(3).integers(0, 2, shape).astype(np.float32)


@pytest.mark.parametrize("place", PLACES)
@few
@given(pools())
def test_of_equal_pixels_the_first_gets_the_gradient(place, drawn):
    """Spikes are: of a window's pixels, most are equal."""
    shape, choices = drawn
    x, want = binary(shape), oracles.max_pool2d(binary(shape), **choices)
    (g,) = dyadic(4, want.shape)
    out, (by_x,) = compiled(functools.partial(F.max_pool2d, **choices), place)(g, x)
    np.testing.assert_array_equal(out, want)
    np.testing.assert_array_equal(by_x, oracles.max_pool2d_gradient(x, g, **choices))


# What they say about themselves --------------------------------------------------------------------------------------


def test_numbers_stand_for_height_and_width():
    x, weight = dyadic(0, (2, 3, 7, 6), (4, 3, 3, 3))
    both = {"stride": (2, 2), "padding": (1, 1), "dilation": (2, 2)}
    short = {"stride": 2, "padding": 1, "dilation": 2}
    np.testing.assert_array_equal(F.conv2d(x, weight, **short), F.conv2d(x, weight, **both))
    for pool in (F.max_pool2d, F.avg_pool2d):
        np.testing.assert_array_equal(pool(x, 3, padding=1), pool(x, (3, 3), (3, 3), (1, 1)))


def test_the_gradient_of_relu_at_zero_is_zero_and_nan_stays():
    out, back = jax.vjp(F.relu, jnp.array([-0.0, 0.0, np.nan]))
    assert np.isnan(out).tolist() == [False, False, True]
    assert back(jnp.ones(3))[0][:2].tolist() == [0.0, 0.0]


@pytest.mark.parametrize("name", ["max_pool2d", "max_pool2d_overlapping"])
def test_the_largest_of_a_window_with_nan_is_nan(name, device):
    x = np.zeros((2, 3, 7, 6), np.float32)
    x[0, 0, 0, 0] = np.nan
    function = LAYERS[name].function
    want = LAYERS[name].oracle(x)
    assert np.isnan(want).any()
    np.testing.assert_array_equal(function(x), want)
    np.testing.assert_array_equal(grilly.jit(function, device=device)(x), want)


@pytest.mark.parametrize(("start", "shape"), [(0, (120,)), (1, (2, 60)), (2, (2, 3, 20)), (3, (2, 3, 4, 5))])
def test_flatten_keeps_the_axes_before(start, shape):
    x = np.arange(120).reshape(2, 3, 4, 5)
    np.testing.assert_array_equal(F.flatten(x, start), x.reshape(shape))


def test_half_precision_stays_half():
    x = jnp.ones((1, 2, 4, 4), jnp.bfloat16)
    (weight,) = dyadic(0, (3, 2, 3, 3))
    for y in (
        F.conv2d(x, weight, np.zeros(3)),
        F.max_pool2d(x, 2),
        F.avg_pool2d(x, 2),
        F.relu(x),
        F.linear(x, np.ones((3, 4))),
    ):
        assert y.dtype == jnp.bfloat16


def test_linear_keeps_nothing_but_what_it_was_given():
    """Above all no transposed weight."""
    kept = jax.make_jaxpr(lambda *args: jax.tree.leaves(jax.vjp(F.linear, *args)[1]))
    jaxpr = kept(*dyadic(0, (5, 7), (4, 7), (4,))).jaxpr
    assert set(jaxpr.outvars) == set(jaxpr.invars[:2])


# Batch normalization -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(("shape", "axis"), [((6, 3), 1), ((4, 3, 5, 5), 1), ((4, 5, 3), 2)])
def test_the_running_statistics(shape, axis, place):
    """As in PyTorch: the running variance takes the unbiased one of the batch."""
    x, scale, bias, mean, var = *dyadic(0, shape, (3,)), np.ones(3), np.zeros(3), np.full(3, 2.0)
    scale, bias, mean, var = (leaf.astype(np.float32) for leaf in (scale, bias, mean, var))
    run = grilly.jit(functools.partial(F.batch_norm, training=True, momentum=0.25, axis=axis), device=place)
    others = tuple(i for i in range(len(shape)) if i != axis)
    _, next_mean, next_var = run(x, scale, bias, mean, var)
    near(next_mean, 0.75 * mean + 0.25 * x.astype(np.float64).mean(others), 1e-6)
    near(next_var, 0.75 * var + 0.25 * x.astype(np.float64).var(others, ddof=1), 1e-6)


@pytest.mark.parametrize("training", [False, True])
def test_no_gradient_flows_through_the_next_statistics(training):
    x, leaf = dyadic(0, (6, 3), (3,))

    def statistics(x, scale, bias):
        _, mean, var = F.batch_norm(x, scale, bias, leaf, np.ones(3), training=training)
        return (mean + var).sum()

    for by in jax.grad(statistics, argnums=(0, 1, 2))(x, leaf, leaf):
        np.testing.assert_array_equal(by, np.zeros_like(by))


def test_evaluation_leaves_the_statistics_as_they_are():
    x, scale, bias, mean = dyadic(0, (6, 3), (3,), (3,), (3,))
    _, next_mean, next_var = F.batch_norm(x, scale, bias, mean, np.full(3, 2.0), training=False)
    np.testing.assert_array_equal(next_mean, mean)
    np.testing.assert_array_equal(next_var, np.full(3, 2.0))


def test_a_channel_that_never_changes_becomes_its_bias():
    y, _, var = F.batch_norm(
        np.full((4, 2), 3.0), np.ones(2), np.array([0.5, -1]), np.zeros(2), np.ones(2), training=True
    )
    np.testing.assert_array_equal(y, np.tile([0.5, -1], (4, 1)))
    np.testing.assert_allclose(var, 0.9)
