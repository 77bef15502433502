"""A net as a pure function: under jax.grad it is what backward is, and the net stays as it is."""

import jax
import numpy as np
import pytest

import grilly
from grilly import ParameterError, nn
from grilly import functional as F

from .nets import C, D, N, T, dyadic, mlp, raises, spikes

X, GRAD = spikes(T, N, D), dyadic(T, N, C)


def close(got, want):
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)


def weights_of(net):
    return {name: np.asarray(p.data) for name, p in net.named_parameters()}


@pytest.mark.parametrize("node", [nn.LIFNode, nn.ParametricLIFNode])
def test_its_gradient_is_that_of_backward(node, place):
    net = mlp(node).to(place)

    def loss(weights, x):
        return (nn.functional_call(net, weights, x)[0] * GRAD).sum()

    by_weights, by_x = jax.grad(loss, argnums=(0, 1))(weights_of(net), X)

    net(X)
    close(net.backward(GRAD), by_x)
    assert by_weights.keys() == dict(net.named_parameters()).keys()
    for name, parameter in net.named_parameters():
        close(parameter.grad, by_weights[name])


@pytest.mark.parametrize("compiled", [jax.jit, grilly.jit])
def test_state_goes_from_call_to_call(compiled, place):
    net = mlp(step_mode="s").to(place).eval()
    run = compiled(lambda weights, x, state: nn.functional_call(net, weights, x, state))
    rest = nn.functional_call(net, {}, X[0])[1].keys()
    assert list(rest) == ["1", "3"]
    expected = [np.asarray(net(x)) for x in X]
    F.reset_net(net)

    state, outs = None, []
    for x in X:
        out, state = run(weights_of(net), x, state)
        outs.append(np.asarray(out))
    np.testing.assert_array_equal(outs, expected)
    assert all(node._state is None for node in (net[1], net[3]))


def test_what_batch_normalization_changes_is_returned_and_not_kept(place):
    net = nn.Sequential(nn.Linear(D, 4), nn.BatchNorm1d(4), nn.Dropout(0.5)).to(place)
    before = net.state_dict()
    key = jax.random.key(0)

    out, state = nn.functional_call(net, {}, X[0], key=key)
    again, second = nn.functional_call(net, {}, X[0], state, key=key)

    np.testing.assert_array_equal(out, again)  # the same key
    assert (int(state["1.num_batches_tracked"]), int(second["1.num_batches_tracked"])) == (1, 2)
    for name, array in net.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


def test_a_net_that_draws_takes_a_key():
    net, x = nn.Sequential(nn.Linear(D, 4), nn.Dropout(0.5)), X[0]
    said = (
        "the net draws random numbers in training and has no key: pass key=jax.random.key(seed), or call net.eval() "
        "first."
    )
    with raises(ParameterError, said):
        nn.functional_call(net, {}, x)
    with raises(ParameterError, "key is 3: a random key was expected. Pass jax.random.key(seed)."):
        nn.functional_call(net, {}, x, key=3)
    typed, old = (nn.functional_call(net, {}, x, key=key)[0] for key in (jax.random.key(3), jax.random.PRNGKey(3)))
    np.testing.assert_array_equal(typed, old)
    close(nn.functional_call(net.eval(), {}, x)[0], net[0](x))


def test_parameters_left_out_are_the_nets_own(place):
    net = nn.Linear(D, C).to(place)
    out, _ = nn.functional_call(net, {"bias": np.ones(C, np.float32)}, X)
    close(out, X @ np.asarray(net.weight.data).T + 1)


def test_names_that_the_net_does_not_have():
    net = mlp()
    said = "the net has nothing named 5, weight: its names are 0.0.weight, 0.0.bias, 2.0.weight, 2.0.bias, 1, 3."
    with raises(ParameterError, said):
        nn.functional_call(net, {"weight": np.zeros(1)}, X, {"5": np.zeros(1)})


def test_an_error_inside_names_the_layer():
    said = (
        "x has shape (12, 5), weight (5, 6): "
        "linear takes x of shape (*, in) and a weight of shape (out, in) with the same number of inputs."
    )
    with raises(ValueError, said, layer='"0.0": Linear(6, 5)'):
        nn.functional_call(mlp(), {}, X[..., 1:])
