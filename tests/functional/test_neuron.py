"""The laws of every neuron in the catalogue."""

import functools
import re

import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from catalogue import NEURONS, SURROGATES
from hypothesis import given, settings
from strict import strict

from grilly import ParameterError, ShapeError
from grilly import functional as F

RESETS = (0.0, -0.25, None)


@functools.lru_cache(None)
def compiled(name, surrogate="atan", detach_reset=False):
    """Spikes, last v, and the gradients of everything, by one jitted function."""
    step = functools.partial(NEURONS[name].step, surrogate=SURROGATES[surrogate].kind(), detach_reset=detach_reset)

    @jax.jit
    def run(x_seq, v, params, g_spikes, g_v):
        out, back = jax.vjp(lambda *args: F.sequence(step, *args), x_seq, v, params)
        return out, back((g_spikes, g_v))

    def strictly(*args):
        with strict():
            return run(*args)

    return strictly


@functools.lru_cache(None)
def forward(name):
    return jax.jit(functools.partial(F.sequence, NEURONS[name].step))


def dyadic(rng, shape):
    """Multiples of 1/256: with tau = 2 they stay exact in float32 for twelve steps."""
    return rng.integers(-512, 513, shape).astype(np.float32) / 256


def arguments(seed, T, shape):
    rng = np.random.default_rng(seed)
    x_seq, v = dyadic(rng, (T, *shape)), dyadic(rng, shape)
    g_spikes, g_v = dyadic(rng, (T, *shape)), dyadic(rng, shape)
    return x_seq, v, g_spikes, g_v


def exact(*arrays):
    return tuple(a.astype(np.float64) for a in arrays)


few = settings(max_examples=4, deadline=None)  # each new shape compiles anew
seeds = st.integers(0, 2**32 - 1)
shapes = st.lists(st.integers(0, 5), max_size=3).map(tuple)


@pytest.mark.parametrize("v_reset", RESETS)
@pytest.mark.parametrize("name", NEURONS)
@few
@given(seed=seeds, T=st.integers(1, 12), shape=shapes)
def test_a_scan_is_its_definition(name, v_reset, seed, T, shape):
    params = NEURONS[name].params(v_reset=v_reset)
    x_seq, v, *_ = arguments(seed, T, shape)
    with strict():
        spikes, last = forward(name)(x_seq, v, params)
    want_spikes, want_v, _ = NEURONS[name].oracle(params)(*exact(x_seq, v))
    np.testing.assert_array_equal(spikes, want_spikes)
    np.testing.assert_array_equal(last, want_v[-1])
    assert spikes.dtype == last.dtype == np.float32


@pytest.mark.parametrize("tau", [1.5, 5.0])
@pytest.mark.parametrize("name", ["lif", "lif_decay_input"])
def test_a_division_that_is_not_exact_is_rounded_as_numpy_rounds_it(name, tau):
    params = F.LIFParams(tau=np.float32(tau), v_reset=np.float32(-0.25))
    x_seq, v, *g = arguments(0, 16, (1000,))
    (spikes, last), _ = compiled(name)(x_seq, v, params, *g)
    want_spikes, want_v, _ = NEURONS[name].oracle(params)(x_seq, v)
    assert want_v.dtype == np.float32
    np.testing.assert_array_equal(spikes, want_spikes)
    np.testing.assert_array_equal(last, want_v[-1])


@pytest.mark.parametrize("name", NEURONS)
@few
@given(seed=seeds, T=st.integers(2, 4), data=st.data())
def test_cutting_a_sequence_changes_nothing(name, seed, T, data):
    params = NEURONS[name].params(v_reset=-0.1)  # not exact: the same bits all the same
    rng = np.random.default_rng(seed)
    x_seq = rng.standard_normal((T, 4)).astype(np.float32)
    v = F.initial_v(x_seq[0], params)
    cut = data.draw(st.integers(1, T - 1))
    run = forward(name)
    whole, last = run(x_seq, v, params)
    first, between = run(x_seq[:cut], v, params)
    second, end = run(x_seq[cut:], between, params)
    np.testing.assert_array_equal(np.concatenate([first, second]), whole)
    np.testing.assert_array_equal(end, last)


@pytest.mark.parametrize("detach_reset", [False, True])
@pytest.mark.parametrize("v_reset", RESETS)
@pytest.mark.parametrize("name", NEURONS)
def test_the_gradient_is_its_closed_form(name, v_reset, detach_reset):
    check_gradient(name, "atan", NEURONS[name].params(v_reset=v_reset), detach_reset)


@pytest.mark.parametrize("surrogate", SURROGATES)
def test_the_gradient_goes_through_every_surrogate(surrogate):
    check_gradient("lif", surrogate, F.LIFParams(v_reset=None), False)


@pytest.mark.parametrize("name", NEURONS)
def test_params_may_differ_from_feature_to_feature(name):
    of_features = {
        "v_threshold": np.array([0.5, 1.0, 2.0, 1.0], np.float32),
        "v_reset": np.full(4, -0.25, np.float32),
    }
    check_gradient(name, "atan", NEURONS[name].params(**of_features), False)


def check_gradient(name, surrogate, params, detach_reset):
    """Against the backward equations in float64; the spikes are exact, so nothing can flip."""
    x_seq, v, *g = arguments(1, 10, (3, 4))
    _, (by_x, by_v, by_params) = compiled(name, surrogate, detach_reset)(x_seq, v, params, *g)
    row = NEURONS[name]
    oracle = row.oracle(params)
    want = oracle.gradients(*exact(x_seq, v, *g), SURROGATES[surrogate].slope, detach_reset)
    close = functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-5)
    close(by_x, want["x_seq"])
    close(by_v, want["v"])
    close(by_params.v_threshold, summed(want["v_threshold"], by_params.v_threshold))
    if params.v_reset is not None:
        close(by_params.v_reset, summed(want["v_reset"], by_params.v_reset))
    if row.leak is not None:
        by_leak = by_params[row.leak]
        close(by_leak, summed(want["k"] * row.leak_slope(oracle.k), by_leak))


def summed(per_element, leaf):
    """A gradient in the shape of the leaf that was broadcast."""
    return per_element.sum(axis=tuple(range(per_element.ndim - np.ndim(leaf))))


@pytest.mark.parametrize("name", NEURONS)
@few
@given(order=st.permutations(range(6)))
def test_neurons_do_not_see_each_other(name, order):
    x_seq, v, *g = arguments(2, 8, (6,))
    args = (x_seq, v, NEURONS[name].params(), *g)
    order = np.array(order)
    (spikes, last), _ = compiled(name)(*args)
    (permuted, permuted_last), _ = compiled(name)(x_seq[:, order], v[order], args[2], *g)
    np.testing.assert_array_equal(permuted, spikes[:, order])
    np.testing.assert_array_equal(permuted_last, last[order])


def test_the_backward_pass_keeps_one_array_of_the_sequence():
    def keeps(x_seq, v):
        return jax.vjp(lambda x: F.sequence(F.lif_step, x, v, F.LIFParams())[0], x_seq)[1]

    x_seq = jnp.ones((7, 3, 2))
    back = jax.eval_shape(keeps, x_seq, x_seq[0])
    stacks = [leaf.shape for leaf in jax.tree.leaves(back) if leaf.size >= x_seq.size]
    assert stacks in ([(7, 3, 2)], [(7, 3, 2)] * 2)  # v; and x_seq itself, which the caller has already


def test_numpy_in_jax_out_as_on_the_page():
    v = np.zeros(128, dtype=np.float32)
    for t in range(3):
        x = np.random.default_rng(t).standard_normal(128).astype(np.float32)
        spike, v = F.lif_step(x, v, tau=2.0, v_threshold=1.0, v_reset=0.0)
        assert isinstance(spike, jax.Array)
        assert isinstance(v, jax.Array)
        assert 0 <= int(spike.sum()) <= 128


@pytest.mark.parametrize("dtype", [np.float64, bool, np.uint8, np.int64])
def test_spikes_of_any_dtype_become_float32(dtype):
    spike, v = F.if_step(np.array([0, 1], dtype), np.zeros(2))
    assert (spike.dtype, v.dtype) == (np.float32, np.float32)
    assert spike.tolist() == [0.0, 1.0]


def test_half_precision_stays_half():
    spike, v = F.lif_step(jnp.ones(2, jnp.bfloat16), jnp.zeros(2, jnp.bfloat16), tau=np.float32(2.0))
    assert (spike.dtype, v.dtype) == (jnp.bfloat16, jnp.bfloat16)


def test_a_neuron_fires_at_the_threshold_and_nan_never_fires():
    spike, v = F.if_step(np.array([1.0, np.nan]), np.zeros(2))
    assert spike.tolist() == [1.0, 0.0]
    assert np.isnan(v).tolist() == [False, True]


def test_changing_a_leaf_does_not_recompile_and_dropping_the_reset_does():
    traced = []

    @jax.jit
    def run(x, v, params):
        traced.append(params)
        return F.lif_step(x, v, params)

    x = np.ones(3, np.float32)
    for tau in (2.0, 3.0):
        run(x, x, F.LIFParams(tau=tau))
    assert len(traced) == 1
    run(x, x, F.LIFParams(v_reset=None))
    assert len(traced) == 2


@pytest.mark.parametrize("init_tau", [1.5, 2.0, 7.0, np.array([1.5, 3.0])])
def test_plif_reads_back_its_time_constant(init_tau):
    np.testing.assert_allclose(F.PLIFParams.from_tau(init_tau).tau, init_tau, rtol=1e-6)


def test_params_come_back_from_jax_unchecked():
    """A gradient or an optimizer's zeros live in the same class, and are no time constants."""
    assert jax.tree.map(lambda leaf: 0.0 * leaf, F.LIFParams()).tau == 0.0
    assert isinstance(jax.tree.map(lambda leaf: object(), F.LIFParams()), F.LIFParams)
    with pytest.raises(ParameterError):
        F.LIFParams().replace(tau=0.0)


RULE = "a membrane time constant counts time steps and must be > 1. For a neuron without leak, use IF."


@pytest.mark.parametrize(
    ("tau", "said"),
    [
        (1.0, "tau is 1"),
        (-2, "tau is -2"),
        (float("nan"), "tau is nan"),
        ("2", "tau is '2'"),
        (None, "tau is None"),
        ([2.0, 3.0], "tau is a list"),
        (np.array([2.0, 0.5]), "tau[1] is 0.5"),
        (jnp.array(0.25), "tau is 0.25"),
    ],
)
def test_a_time_constant_of_one_step_is_refused(tau, said):
    with pytest.raises(ParameterError, match=f"^{re.escape(f'{said}: {RULE}')}$"):
        F.lif_step(np.ones(2), np.ones(2), tau=tau)


@pytest.mark.parametrize("step", [F.if_step, F.lif_step, F.plif_step])
@pytest.mark.parametrize(
    ("leaves", "said"),
    [
        ({"v_threshold": float("nan")}, "v_threshold is nan: a firing threshold must be a number."),
        ({"v_threshold": "1"}, "v_threshold is '1': a firing threshold must be a number."),
        ({"v_threshold": None}, "v_threshold is None: a firing threshold must be a number."),
        (
            {"v_reset": "0"},
            "v_reset is '0': the membrane potential after a spike must be finite, or None for a soft reset.",
        ),
        (
            {"v_reset": np.array([0.0, np.inf])},
            "v_reset[1] is inf: the membrane potential after a spike must be finite, or None for a soft reset.",
        ),
    ],
)
def test_potentials_that_no_neuron_has_are_refused(step, leaves, said):
    with pytest.raises(ParameterError, match=f"^{re.escape(said)}$"):
        step(np.ones(2), np.ones(2), **leaves)


def test_an_infinite_threshold_is_never_reached():
    assert not F.lif_step(np.full(2, 9e9, np.float32), np.ones(2, np.float32), v_threshold=float("inf"))[0].any()


def test_an_initial_time_constant_of_one_step_is_refused():
    with pytest.raises(ParameterError, match=f"^{re.escape(f'init_tau is 1: {RULE}')}$"):
        F.PLIFParams.from_tau(1.0)


@pytest.mark.parametrize("step", [F.if_step, F.lif_step, F.plif_step])
def test_an_input_of_another_shape_is_refused(step):
    said = (
        "x has shape (3,), v has shape (2, 3): one step takes both in one shape, (N, *features). "
        "If x is one step of a sequence, that sequence should have the shape (T, N, *features)."
    )
    with pytest.raises(ShapeError, match=f"^{re.escape(said)}$"):
        step(np.ones(3), np.ones((2, 3)))


def test_an_input_of_another_dtype_is_refused():
    said = "x has dtype float16, v has dtype float32: one step takes both in one dtype."
    with pytest.raises(ShapeError, match=f"^{re.escape(said)}$"):
        F.if_step(np.ones(3, np.float16), np.ones(3))
    said = "x has dtype complex64: floats, or spikes as booleans or integers, were expected."
    with pytest.raises(ShapeError, match=f"^{re.escape(said)}$"):
        F.if_step(np.ones(3, np.complex64), np.ones(3))


@pytest.mark.parametrize("name", ["tau", "v_threshold", "v_reset"])
def test_a_leaf_that_does_not_broadcast_is_refused(name):
    said = (
        f"{name} has shape (2,), the input of one step (4, 3): "
        f"give {name} as a number, or in a shape that broadcasts to the input's."
    )
    with pytest.raises(ShapeError, match=f"^{re.escape(said)}$"):
        F.lif_step(np.ones((4, 3)), np.ones((4, 3)), **{name: np.full(2, 2.0)})


def test_params_and_leaves_together_are_refused():
    with pytest.raises(TypeError, match=r"^pass params, or tau by keyword, not both$"):
        F.lif_step(np.ones(2), np.ones(2), F.LIFParams(), tau=2.0)


def test_leaves_are_given_by_keyword_or_in_order():
    assert F.LIFParams(3.0, 0.5) == F.LIFParams(tau=3.0, v_threshold=0.5) == F.LIFParams(3.0, v_threshold=0.5)
    assert F.IFParams(0.5, None) == F.IFParams(v_threshold=0.5, v_reset=None)


NO_LEAVES = {
    "unknown": (
        lambda: F.lif_step(np.ones(2), np.ones(2), v_thresold=2.0),
        "LIFParams has no leaf v_thresold: it has tau, v_threshold, v_reset.",
    ),
    "of_another_neuron": (lambda: F.IFParams(tau=2.0), "IFParams has no leaf tau: it has v_threshold, v_reset."),
    "too_many": (
        lambda: F.IFParams(1.0, 0.0, 2.0),
        "IFParams was given 3 leaves in order: it has 2, v_threshold, v_reset.",
    ),
    "twice": (lambda: F.LIFParams(2.0, tau=3.0), "LIFParams was given tau twice: in order and by keyword."),
    "a_number": (
        lambda: F.lif_step(np.ones(2), np.ones(2), 2.0),
        "params is a float: a LIFParams was expected. Or pass its leaves by keyword: tau, v_threshold, v_reset.",
    ),
    "params_of_another_neuron": (
        lambda: F.plif_step(np.ones(2), np.ones(2), F.LIFParams()),
        "params is a LIFParams: a PLIFParams was expected. Or pass its leaves by keyword: w, v_threshold, v_reset.",
    ),
}


@pytest.mark.parametrize("name", NO_LEAVES)
def test_what_has_not_the_leaves_is_refused(name):
    call, said = NO_LEAVES[name]
    with pytest.raises(TypeError, match=f"^{re.escape(said)}$"):
        call()
