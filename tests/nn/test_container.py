"""Containers: several modules each, with and without time, and what they refuse."""

import numpy as np
import pytest

from grilly import ParameterError, nn
from grilly import functional as F

from .nets import C, D, N, T, dyadic, mlp, raises

X = dyadic(T, N, D)


class Double(nn.Module):
    def forward(self, x):
        return 2 * x


def weight(layer):
    return np.asarray(layer.weight.data, np.float64)


def close(got, want):
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)


# Sequential --------------------------------------------------------------------------------------------------------


def test_sequential_runs_one_after_another(place):
    net = nn.Sequential(nn.Linear(D, 5, bias=False), nn.ReLU(), nn.Linear(5, C, bias=False)).to(place)
    hidden = np.maximum(X[0] @ weight(net[0]).T, 0)
    close(net(X[0]), hidden @ weight(net[2]).T)
    assert len(net) == 3
    assert [type(module).__name__ for module in net] == ["Linear", "ReLU", "Linear"]
    assert net[-1] is net[2]
    with pytest.raises(IndexError):
        net[3]


def test_an_empty_sequential_changes_nothing(place):
    np.testing.assert_array_equal(nn.Sequential().to(place)(X), X)


@pytest.mark.parametrize("surrogate", ["ATan", "Sigmoid", "FastSigmoid"])
def test_a_surrogate_is_no_layer(surrogate):
    said = (
        f"element 1 of Sequential is a {surrogate}, a surrogate: it gives a neuron's spike its derivative and is no "
        f"layer. Pass it to a neuron, as nn.LIFNode(surrogate_function=nn.{surrogate}()); for the activation use "
        "nn.ReLU(), or a module of your own whose forward calls jax.nn.sigmoid."
    )
    with raises(ParameterError, said):
        nn.Sequential(nn.Linear(2, 2), getattr(nn, surrogate)())


@pytest.mark.parametrize("container", [nn.Sequential, nn.SeqToANNContainer, nn.MultiStepContainer])
def test_an_element_that_is_no_module(container):
    with raises(ParameterError, f"element 0 of {container.__name__} is a function: a grilly.nn.Module was expected."):
        container(F.relu)
    with raises(ParameterError, f"element 0 of {container.__name__} is a type: a grilly.nn.Module was expected."):
        container(nn.ReLU)


def test_elements_that_differ_in_step_mode(place):
    net = nn.Sequential(nn.SeqToANNContainer(nn.Linear(D, C)), nn.LIFNode()).to(place)
    said = (
        "the elements of a Sequential differ in step mode (0 'm', 1 's'): some take a sequence (T, N, *), and some a "
        "single step (N, *). Call F.set_step_mode(net, 'm'), or 's'."
    )
    with raises(ParameterError, said):
        net(X)
    outer = nn.Sequential(nn.Flatten(2), net).to(place)
    with raises(ParameterError, said, layer=f'"1": {net._line()}'):
        outer(X)
    F.set_step_mode(net, "m")
    assert net(X).shape == (T, N, C)


# SeqToANNContainer -------------------------------------------------------------------------------------------------


def test_layers_without_time_take_all_steps_as_one_batch(place):
    net = nn.SeqToANNContainer(nn.Linear(D, 5, bias=False), nn.BatchNorm1d(5), nn.ReLU()).to(place)
    h = X @ weight(net[0]).T
    normal = (h - h.mean((0, 1))) / np.sqrt(h.var((0, 1)) + 1e-5)  # over time and batch together

    close(net(X), np.maximum(normal, 0))
    assert net.backward(np.ones((T, N, 5))).shape == X.shape
    assert int(np.asarray(net[1].num_batches_tracked.data)) == 1


@pytest.mark.parametrize("container", [nn.SeqToANNContainer, nn.MultiStepContainer])
def test_in_single_steps_a_container_is_not_there(container, place):
    layer = nn.Linear(D, C).to(place)
    net = container(layer, Double(), step_mode="s").to(place)
    np.testing.assert_array_equal(net(X[0]), 2 * np.asarray(layer(X[0])))


def test_a_neuron_would_take_steps_for_a_batch():
    said = (
        "element 1 of SeqToANNContainer has a LIFNode, which knows time: merged with the batch, the steps would be "
        "lost on it. Put it beside the container."
    )
    with raises(ParameterError, said):
        nn.SeqToANNContainer(nn.Linear(2, 2), nn.LIFNode())
    with raises(ParameterError, said):
        nn.SeqToANNContainer(nn.Linear(2, 2), nn.Sequential(nn.LIFNode(step_mode="m")))


# MultiStepContainer ------------------------------------------------------------------------------------------------


def test_steps_without_a_state_are_independent(place):
    images = dyadic(T, N, 2, 4, 4)
    net = nn.MultiStepContainer(nn.MaxPool2d(2, 2), nn.Flatten(), Double()).to(place)
    pooled = images.reshape(T, N, 2, 2, 2, 2, 2).max(axis=(4, 6))
    np.testing.assert_array_equal(net(images), 2 * pooled.reshape(T, N, 8))


def test_a_neuron_inside_carries_its_state_from_step_to_step(place):
    inside = nn.MultiStepContainer(nn.Linear(D, C), nn.ParametricLIFNode(v_reset=None)).to(place)
    beside = nn.Sequential(nn.SeqToANNContainer(inside[0]), nn.ParametricLIFNode(v_reset=None, step_mode="m")).to(place)
    g = dyadic(T, N, C, seed=1)

    np.testing.assert_array_equal(inside(X), beside(X))
    close(inside[1].v, beside[1].v)
    close(inside.backward(g), beside.backward(g))
    close(inside[1].w.grad, beside[1].w.grad)
    F.detach_net(inside), F.detach_net(beside)
    np.testing.assert_array_equal(inside(X), beside(X))  # the second half of a sequence
    F.reset_net(inside)
    assert inside[1].v == 0


def test_batch_normalization_inside_sees_the_steps_one_by_one(place):
    net = nn.MultiStepContainer(nn.BatchNorm1d(D)).to(place)
    mean, var = np.zeros(D), np.ones(D)
    for x in X.astype(np.float64):
        mean, var = 0.9 * mean + 0.1 * x.mean(0), 0.9 * var + 0.1 * x.var(0, ddof=1)

    close(net(X), (X - X.mean(1, keepdims=True)) / np.sqrt(X.var(1, keepdims=True) + 1e-5))
    close(net[0].running_mean.data, mean)
    close(net[0].running_var.data, var)
    assert int(np.asarray(net[0].num_batches_tracked.data)) == T
    close(net.eval()(X), (X - mean) / np.sqrt(var + 1e-5))


def test_dropout_inside_has_another_mask_in_each_step(place):
    net = nn.MultiStepContainer(nn.Dropout(0.5)).to(place)
    ones = np.ones((T, 4, 50), np.float32)
    dropped = np.asarray(net(ones))
    assert set(np.unique(dropped)) == {0.0, 2.0}
    assert all(np.any(dropped[0] != dropped[t]) for t in range(1, T))
    np.testing.assert_array_equal(net.backward(ones), dropped)
    np.testing.assert_array_equal(net.eval()(ones), ones)


def test_containers_nest(place):
    inner = nn.Sequential(nn.Linear(D, C), nn.LIFNode())
    net = nn.Sequential(nn.MultiStepContainer(nn.Sequential(inner), nn.Dropout(0.0)), nn.IFNode(step_mode="m")).to(
        place
    )
    expected = np.stack([np.asarray(inner.to(place)(x)) for x in X])
    F.reset_net(inner)
    np.testing.assert_array_equal(net(X), np.asarray(nn.IFNode(step_mode="m").to(place)(expected)))


def test_a_module_inside_has_to_take_single_steps():
    said = (
        "element 0 of MultiStepContainer has a IFNode in step mode 'm', but the container gives it single steps. "
        "Make it with step_mode='s', or put it beside the container."
    )
    with raises(ParameterError, said):
        nn.MultiStepContainer(nn.Sequential(nn.IFNode(step_mode="m")))


def test_an_error_inside_names_the_layer_from_outside(place):
    net = nn.Sequential(nn.MultiStepContainer(nn.Linear(D, C), nn.LIFNode(), nn.Linear(5, 5))).to(place)
    with pytest.raises(ValueError, match="linear takes x of shape") as caught:
        net(X)
    assert caught.value.__notes__[0] == 'in layer "0.2": Linear(5, 5)'


def test_a_slice_is_a_net_of_the_same_layers(place):
    net = nn.Sequential(nn.Linear(D, 5), nn.Linear(5, C), nn.LIFNode()).to(place).eval()
    part = net[:2]
    assert type(part) is nn.Sequential
    assert list(part) == [net[0], net[1]]
    np.testing.assert_array_equal(part(X[0]), net[1](net[0](X[0])))
    assert part.training is False  # nothing is recorded of it either
    assert net[-1:](np.zeros((N, 2), np.float32)).device is net(X[0]).device  # it has no parameter to be found by


def test_a_slice_of_a_container_keeps_its_place_in_time():
    layers = nn.Linear(D, D), nn.Linear(D, C)
    for kind in (nn.SeqToANNContainer, nn.MultiStepContainer):
        for step_mode, x in (("m", X), ("s", X[0])):
            part = kind(*layers, step_mode=step_mode)[1:]
            assert (type(part), part.step_mode, list(part)) == (kind, step_mode, [layers[1]])
            assert part(x).shape == (*x.shape[:-1], C)


# Step modes --------------------------------------------------------------------------------------------------------


def test_set_step_mode_reaches_all_but_the_inside_of_a_multi_step_container():
    net = nn.Sequential(nn.MultiStepContainer(nn.Linear(D, D), nn.LIFNode()), mlp(step_mode="s"))
    modes = {name: m.step_mode for name, m in net.named_modules() if hasattr(m, "step_mode")}
    assert modes == {"0": "m", "0.1": "s", "1.0": "s", "1.1": "s", "1.2": "s", "1.3": "s"}
    F.set_step_mode(net, "m")
    modes = {name: m.step_mode for name, m in net.named_modules() if hasattr(m, "step_mode")}
    assert modes == {"0": "m", "0.1": "s", "1.0": "m", "1.1": "m", "1.2": "m", "1.3": "m"}
    F.set_step_mode(net, "s")
    assert {m.step_mode for m in net.modules() if hasattr(m, "step_mode")} == {"s"}


def test_a_net_in_single_steps_is_the_net_in_one_call(place):
    net = mlp().to(place)
    g = dyadic(T, N, C, seed=1)
    whole = np.asarray(net(X))
    by_x = np.asarray(net.backward(g))
    by_weights = [np.asarray(p.grad) for p in net.parameters()]

    F.reset_net(net), net.zero_grad(), F.set_step_mode(net, "s")
    np.testing.assert_array_equal([np.asarray(net(x)) for x in X], whole)
    close(net.backward(g), by_x)
    for parameter, want in zip(net.parameters(), by_weights, strict=True):
        close(parameter.grad, want)
