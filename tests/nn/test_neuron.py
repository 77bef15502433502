"""The laws of every neuron in the catalogue, as a module that carries its state from call to call."""

import functools

import hypothesis.strategies as st
import jax.numpy as jnp
import numpy as np
import oracles
import pytest
from catalogue import NEURONS
from hypothesis import given, settings

import grilly
from grilly import ParameterError, ShapeError, nn
from grilly import functional as F

from .nets import dyadic, raises

# The class of each row of the catalogue, its static choices bound.
NODES = {
    "if": nn.IFNode,
    "lif": nn.LIFNode,
    "lif_decay_input": functools.partial(nn.LIFNode, decay_input=True),
    "plif": nn.ParametricLIFNode,
    "plif_decay_input": functools.partial(nn.ParametricLIFNode, decay_input=True),
}
RESETS = (0.0, -0.1, None)
STEPS, SHAPE = 10, (3, 4)
each = pytest.mark.parametrize("name", NEURONS)
each_reset = pytest.mark.parametrize("v_reset", RESETS)
seeds = st.integers(0, 2**32 - 1)


def test_every_neuron_has_its_class():
    assert NODES.keys() == NEURONS.keys()


def in_float32(name, v_reset):
    """The definition with leaves in float32, so that bits may be compared."""
    leaf = "w" if name.startswith("plif") else "tau"
    leak = {} if name == "if" else {leaf: np.float32(0.0 if leaf == "w" else 2.0)}
    v_reset = None if v_reset is None else np.float32(v_reset)
    params = NEURONS[name].params(v_threshold=np.float32(1), v_reset=v_reset, **leak)
    return NEURONS[name].oracle(params)


def at_rest(v_reset, shape=SHAPE, dtype=np.float32):
    return np.full(shape, v_reset or 0.0, np.float32).astype(dtype)


def calls(node, x_seq):
    """One call for each step, in step mode 's'."""
    return np.stack([np.asarray(node(x)) for x in x_seq])


@each_reset
@each
def test_a_sequence_is_its_definition(name, v_reset, place):
    node = NODES[name](v_reset=v_reset, step_mode="m").to(place).eval()
    x_seq = dyadic(STEPS, *SHAPE)

    spikes = node(x_seq)

    want, after, _ = in_float32(name, v_reset)(x_seq, at_rest(v_reset))
    assert want.dtype == np.float32
    assert 0.05 < want.mean() < 0.95
    np.testing.assert_array_equal(spikes, want)
    np.testing.assert_array_equal(node.v, after[-1])
    assert (spikes.dtype, spikes.shape) == (np.float32, x_seq.shape)


@each_reset
@each
def test_step_by_step_equals_the_sequence_and_reset_brings_the_start_back(name, v_reset, place):
    node = NODES[name](v_reset=v_reset).to(place).eval()
    x_seq = dyadic(STEPS, *SHAPE)
    start = node.v
    want, after, _ = in_float32(name, v_reset)(x_seq, at_rest(v_reset))

    for _ in range(2):
        np.testing.assert_array_equal(calls(node, x_seq), want)
        np.testing.assert_array_equal(node.v, after[-1])
        F.reset_net(node)
        assert node.v == start == (v_reset or 0.0)


@each
def test_cutting_a_sequence_anywhere_changes_nothing(name, place):
    node = NODES[name](v_reset=-0.1, step_mode="m").to(place).eval()
    x_seq = np.random.default_rng(1).standard_normal((4, *SHAPE)).astype(np.float32)
    whole, last = np.asarray(node(x_seq)), np.asarray(node.v)

    for cut in range(1, 4):
        F.reset_net(node)
        parts = [np.asarray(node(x_seq[:cut])), np.asarray(node(x_seq[cut:]))]
        np.testing.assert_array_equal(np.concatenate(parts), whole)
        np.testing.assert_array_equal(node.v, last)


@each
def test_a_module_is_its_function(name, place):
    leaf = {"plif": {"init_tau": 3.0}}.get(name.split("_")[0], {} if name == "if" else {"tau": 3.0})
    node = NODES[name](v_reset=-0.1, step_mode="m", **leaf).to(place).eval()
    x_seq = np.random.default_rng(2).standard_normal((STEPS, 50)).astype(np.float32)
    function = grilly.jit(functools.partial(F.sequence, NEURONS[name].step), device="cpu")

    spikes, v = function(x_seq, at_rest(-0.1, (50,)), node.params)

    np.testing.assert_array_equal(node(x_seq), spikes)
    np.testing.assert_array_equal(node.v, v)


# Gradients ----------------------------------------------------------------------------------------------------


def wanted_gradients(name, v_reset, x_seq, g_spikes, detach_reset=False):
    """Of sum(spikes * g_spikes), in float64: by x_seq, and by w where there is one."""
    params = NEURONS[name].params(v_reset=None if v_reset is None else float(np.float32(v_reset)))
    oracle = NEURONS[name].oracle(params)
    x_seq, g_spikes = x_seq.astype(np.float64), g_spikes.astype(np.float64)
    start, none = at_rest(v_reset, x_seq.shape[1:], np.float64), np.zeros(x_seq.shape[1:])
    by = oracle.gradients(x_seq, start, g_spikes, none, oracles.atan_slope, detach_reset)
    return by["x_seq"], np.sum(by["k"] * NEURONS[name].leak_slope(oracle.k))


def close(got, want):
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("detach_reset", [False, True])
@each_reset
@each
def test_the_gradient_is_its_closed_form(name, v_reset, detach_reset, place):
    node = NODES[name](v_reset=v_reset, detach_reset=detach_reset, step_mode="m").to(place)
    x_seq, g_spikes = dyadic(STEPS, *SHAPE), dyadic(STEPS, *SHAPE, seed=1)
    want_x, want_w = wanted_gradients(name, v_reset, x_seq, g_spikes, detach_reset)

    node(x_seq)
    close(node.backward(g_spikes), want_x)
    for parameter in node.parameters():
        close(parameter.grad, want_w)


@each
def test_single_steps_have_the_gradient_of_the_sequence(name, place):
    node = NODES[name]().to(place)
    x_seq, g_spikes = dyadic(4, *SHAPE), dyadic(4, *SHAPE, seed=1)
    want_x, want_w = wanted_gradients(name, 0.0, x_seq, g_spikes)

    calls(node, x_seq)
    close(node.backward(g_spikes), want_x)
    for parameter in node.parameters():
        close(parameter.grad, want_w)


@pytest.mark.parametrize("step_mode", ["s", "m"])
def test_a_gradient_by_the_mean_over_time_is_shared_by_the_steps(step_mode, place):
    node = nn.ParametricLIFNode(step_mode=step_mode).to(place)
    x_seq, g_mean = dyadic(4, *SHAPE), dyadic(*SHAPE, seed=1)
    want_x, want_w = wanted_gradients("plif", 0.0, x_seq, np.broadcast_to(g_mean / 4, x_seq.shape))

    node(x_seq) if step_mode == "m" else calls(node, x_seq)
    close(node.backward(g_mean), want_x)
    close(node.w.grad, want_w)


def test_gradients_add_up_over_calls_of_backward(place):
    node = nn.ParametricLIFNode(step_mode="m").to(place)
    want = 0.0
    for seed in range(2):
        x_seq, g_spikes = dyadic(4, *SHAPE, seed=seed), dyadic(4, *SHAPE, seed=seed + 5)
        F.reset_net(node)
        node(x_seq)
        node.backward(g_spikes)
        want += wanted_gradients("plif", 0.0, x_seq, g_spikes)[1]
        close(node.w.grad, want)
    node.zero_grad()
    assert node.w.grad is None


def test_calls_in_a_row_are_one_sequence_to_backward(place):
    """In mode 'm' too: the gradient by the last output reaches the parameters through the first call's state."""
    node = nn.ParametricLIFNode(step_mode="m").to(place)
    x_seq, g_last = dyadic(6, *SHAPE), dyadic(3, *SHAPE, seed=1)
    want_x, want_w = wanted_gradients("plif", 0.0, x_seq, np.concatenate([np.zeros_like(g_last), g_last]))

    node(x_seq[:3])
    node(x_seq[3:])
    close(node.backward(g_last), want_x[3:])
    close(node.w.grad, want_w)


def test_detach_cuts_backpropagation_and_keeps_the_state(place):
    node = nn.ParametricLIFNode(step_mode="m").to(place)
    oracle = NEURONS["plif"].oracle(F.PLIFParams())
    x_seq, g = dyadic(6, *SHAPE), dyadic(6, *SHAPE, seed=1)
    v, want_w = np.zeros(SHAPE), 0.0

    for part in (slice(0, 3), slice(3, 6)):
        F.detach_net(node)
        np.testing.assert_array_equal(np.broadcast_to(node.v, SHAPE), v)
        spikes, after, _ = oracle(x_seq[part].astype(np.float64), v)
        np.testing.assert_array_equal(node(x_seq[part]), spikes)
        by = oracle.gradients(x_seq[part].astype(np.float64), v, g[part], np.zeros(SHAPE), oracles.atan_slope)
        close(node.backward(g[part]), by["x_seq"])
        want_w += np.sum(by["k"] * 0.25)  # k = sigmoid(0), so k (1 - k) = 1/4
        close(node.w.grad, want_w)
        v = after[-1]


def test_a_parametric_neuron_learns_its_time_constant(place):
    node = nn.ParametricLIFNode(init_tau=3.0, step_mode="m").to(place)
    assert node.tau == pytest.approx(3.0, rel=1e-6)
    assert [name for name, _ in node.named_parameters()] == ["w"]
    optimizer = grilly.optim.SGD(node.parameters(), lr=0.1)
    node(dyadic(STEPS, *SHAPE))
    node.backward(np.ones(SHAPE, np.float32))
    grad, w = float(np.asarray(node.w.grad)), float(np.asarray(node.w.data))

    optimizer.step()

    assert grad != 0
    assert float(np.asarray(node.w.data)) == pytest.approx(w - 0.1 * grad, rel=1e-6)
    assert node.tau == pytest.approx(1 + np.exp(0.1 * grad - w), rel=1e-6)


# What is refused -----------------------------------------------------------------------------------------------

FUNCTION = "a spike function was expected, such as F.ATan(), or one of your own that takes v - v_threshold."
TAU = "a membrane time constant counts time steps and must be > 1. For a neuron without leak, use IF."


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: nn.LIFNode(tau=None), f"tau is None: {TAU}"),
        (lambda: nn.ParametricLIFNode("2"), f"init_tau is '2': {TAU}"),
        (lambda: nn.IFNode(v_threshold=None), "v_threshold is None: a firing threshold must be a number."),
        (
            lambda: nn.LIFNode(surrogate_function=nn.ATan),
            "surrogate_function is the class ATan: a spike function was expected, such as ATan(). Call the class.",
        ),
        (lambda: nn.IFNode(surrogate_function="atan"), f"surrogate_function is 'atan': {FUNCTION}"),
        (lambda: nn.ParametricLIFNode(surrogate_function=None), f"surrogate_function is None: {FUNCTION}"),
    ],
)
def test_what_makes_no_neuron(make, said):
    with raises(ParameterError, said):
        make()


# Setting what a neuron was made with -----------------------------------------------------------------------------


@each
def test_what_a_neuron_was_made_with_may_be_set(name, place):
    """Then it is the neuron that was made so, after it was called too."""
    leak = {"if": {}, "lif": {"tau": 3.0}, "plif": {"init_tau": 3.0}}[name.split("_")[0]]
    node, want = NODES[name](step_mode="m"), NODES[name](v_threshold=0.5, v_reset=None, step_mode="m", **leak)
    x_seq = dyadic(4, *SHAPE)
    node.to(place)(x_seq), want.to(place)
    F.reset_net(node)

    node.v_threshold, node.v_reset = 0.5, None
    if leak:
        node.tau = 3.0

    np.testing.assert_array_equal(node(x_seq), want(x_seq))
    np.testing.assert_array_equal(node.v, want.v)
    assert repr(node) == repr(want)


@each
def test_what_is_set_is_checked(name):
    node = NODES[name]()
    before = repr(node)
    with raises(ParameterError, "v_threshold is None: a firing threshold must be a number."):
        node.v_threshold = None
    rule = "the membrane potential after a spike must be finite, or None for a soft reset."
    with raises(ParameterError, f"v_reset is inf: {rule}"):
        node.v_reset = float("inf")
    if name != "if":
        with raises(ParameterError, f"tau is 1: {TAU}"):
            node.tau = 1.0
    assert repr(node) == before


@pytest.mark.parametrize("make", [nn.IFNode, nn.LIFNode, nn.ParametricLIFNode])
def test_the_membrane_is_left_by_calls_and_not_set(make):
    said = (
        f"the v of a {make.__name__} cannot be set: it is the state that the last call left. To start anew call "
        "F.reset_net(net); to start from a state of your own, nn.functional_call(net, {}, x, state)."
    )
    with raises(ParameterError, said):
        make().v = 0.0


def test_each_neuron_may_learn_a_time_constant_of_its_own(place):
    init_tau = np.array([1.5, 2.0, 3.0, 6.0])
    node = nn.ParametricLIFNode(init_tau, step_mode="m").to(place)
    alone = nn.ParametricLIFNode(3.0, step_mode="m").to(place)
    x_seq = dyadic(STEPS, *SHAPE)

    np.testing.assert_allclose(node.tau, init_tau, rtol=1e-6)
    assert repr(node) == (
        "ParametricLIFNode(tau=array([1.5, 2. , 3. , 6. ], dtype=float32), decay_input=False, v_threshold=1.0, "
        "v_reset=0.0, step_mode='m')"
    )
    np.testing.assert_array_equal(np.asarray(node(x_seq))[..., 2], np.asarray(alone(x_seq))[..., 2])
    node.backward(np.ones(SHAPE, np.float32))
    assert node.w.grad.shape == (4,)
    node.tau = init_tau + 1
    np.testing.assert_allclose(node.tau, init_tau + 1, rtol=1e-6)


# For any data ------------------------------------------------------------------------------------------------


@functools.lru_cache(None)
def kept(name, place):
    """One node for many examples: a new one would compile anew."""
    return NODES[name](v_reset=-0.1, step_mode="m").to(place).eval()


def ran(name, place, x_seq):
    node = kept(name, place)
    F.reset_net(node)
    return np.asarray(node(x_seq))


def normal(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@each
@settings(max_examples=10, deadline=None)
@given(seed=seeds, order=st.permutations(range(6)), T=st.sampled_from([1, 2, 7]))
@pytest.mark.parametrize("device_name", ["cpu", "vulkan"])
def test_neurons_do_not_see_each_other(name, device_name, seed, order, T):
    x_seq, order = normal(seed, T, 2, 6), np.array(order)

    whole = ran(name, device_name, x_seq)

    np.testing.assert_array_equal(ran(name, device_name, x_seq[..., order]), whole[..., order])
    np.testing.assert_array_equal(ran(name, device_name, x_seq[:, ::-1]), whole[:, ::-1])


@each
@settings(max_examples=10, deadline=None)
@given(seed=seeds, T=st.sampled_from([1, 2]))
@pytest.mark.parametrize("device_name", ["cpu", "vulkan"])
def test_the_past_does_not_depend_on_the_future(name, device_name, seed, T):
    x_seq = normal(seed, 7, 2, 6)

    np.testing.assert_array_equal(ran(name, device_name, x_seq[:T]), ran(name, device_name, x_seq)[:T])


@settings(max_examples=10, deadline=None)
@given(seed=seeds)
@pytest.mark.parametrize("device_name", ["cpu", "vulkan"])
def test_elements_of_a_batch_do_not_see_each_other(device_name, seed):
    x_seq = normal(seed, 2, 2, 6)

    alone = [ran("lif", device_name, x_seq[:, k : k + 1]) for k in range(2)]

    np.testing.assert_array_equal(np.concatenate(alone, axis=1), ran("lif", device_name, x_seq))


# A neuron of the user's ---------------------------------------------------------------------------------------


class Adaptive(nn.StatefulModule):
    """A LIF neuron whose threshold rises by 1/2 with each spike and halves with each step: two arrays of state."""

    def __init__(self, step_mode="s"):
        super().__init__(step_mode)
        self.surrogate_function = F.ATan()

    def initial_state(self, x):
        return {"v": 0 * x, "a": 0 * x}

    def step(self, x, state, params):
        h = state["v"] / 2 + x
        s = self.surrogate_function(h - 1 - state["a"])
        return s, {"v": h - s, "a": state["a"] / 2 + s / 2}


def adaptive_oracle(x_seq):
    v, a, spikes = np.zeros(x_seq.shape[1:]), np.zeros(x_seq.shape[1:]), []
    for x in x_seq.astype(np.float64):
        h = v / 2 + x
        s = (h >= 1 + a).astype(float)
        v, a = h - s, a / 2 + s / 2
        spikes.append(s)
    return np.stack(spikes), v, a


@pytest.mark.parametrize("step_mode", ["s", "m"])
def test_a_neuron_of_your_own_may_have_any_state(step_mode, place):
    node = Adaptive(step_mode).to(place)
    x_seq = dyadic(6, *SHAPE)
    want, v, a = adaptive_oracle(x_seq)

    for _ in range(2):
        F.reset_net(node)
        out = node(x_seq) if step_mode == "m" else calls(node, x_seq)
        np.testing.assert_array_equal(out, want)
        np.testing.assert_array_equal(node._state["v"], v)
        np.testing.assert_array_equal(node._state["a"], a)
    assert node.backward(np.ones_like(want)).shape == want.shape


class Leaky(nn.StatefulModule):
    """It calls no `super().__init__()`."""

    def __init__(self):
        self.params = F.LIFParams()

    def initial_state(self, x):
        return jnp.zeros_like(x)

    def step(self, x, state, params):
        return F.lif_step(x, state, params)


class Forgetful(Leaky):
    def step(self, x, state, params):
        return F.lif_step(x, state, params)[0]


class Halved(Leaky):
    def step(self, x, state, params):
        return x, state.astype(jnp.float16)


def test_a_neuron_of_your_own_need_not_call_super(place):
    node, lif = Leaky().to(place), nn.LIFNode().to(place)
    x_seq = dyadic(4, *SHAPE)
    assert node.step_mode == "s"
    np.testing.assert_array_equal(calls(node, x_seq), calls(lif, x_seq))
    for net in (node, lif):
        F.set_step_mode(net, "m"), F.reset_net(net)
    np.testing.assert_array_equal(node(x_seq), lif(x_seq))


@pytest.mark.parametrize("step_mode", ["s", "m"])
def test_a_step_that_loses_the_state_is_refused(step_mode):
    """For a batch of two, a step's spikes could be taken apart into an output and a state."""
    x = np.ones((2, 3), np.float32) if step_mode == "s" else np.ones((4, 2, 3), np.float32)
    said = (
        "Forgetful.step returned an array of shape (2, 3): a pair was expected, (out, state), the state being that "
        "after the step."
    )
    node = Forgetful()
    F.set_step_mode(node, step_mode)
    with raises(ShapeError, said):
        node(x)
    said = (
        "Halved.step was given a state of (2, 3) float32 and returned one of (2, 3) float16: a step keeps its state's "
        "structure, shapes and dtypes. Return it in the given form, or start from a state in the returned one."
    )
    node = Halved()
    F.set_step_mode(node, step_mode)
    with raises(ShapeError, said):
        node(x)
