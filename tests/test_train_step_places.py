"""`train_step` where devices change, and the faults that it names at the user's line."""

import functools
import warnings

import jax
import numpy as np
import pytest
from nn.nets import C, D, N, T, mlp, raises, spikes

import grilly
from grilly import DeviceError, StateError, nn, optim
from grilly import functional as F
from grilly.runtime.devices import find_device

LABELS = np.array([0, 1, 1])


@pytest.fixture(params=["cpu", "vulkan"])
def net(request):
    grilly.seed(0)
    return mlp().to(request.param)


def stepping(net, **choices):
    return grilly.train_step(net, nn.CrossEntropyLoss(), optim.AdamW(net.parameters(), lr=1e-2), **choices)


@pytest.mark.parametrize("places", [("cpu", "vulkan"), ("vulkan", "cpu")])
def test_a_net_that_moves_goes_on_with_the_same_draws(places):
    """Parameters, optimizer state and random key go along."""
    rates, runs = np.full((N, D), 0.5, np.float32), []
    for way in (("cpu", "cpu"), places):
        grilly.seed(0)
        net, losses = mlp(), []
        step = stepping(net, encoder=functools.partial(F.poisson, T=16))
        for place in way:
            net.to(place)
            losses += [float(step(rates, LABELS)[0]) for _ in range(2)]
        runs.append(losses)
    assert len(set(runs[0])) == 4
    np.testing.assert_allclose(runs[1], runs[0], rtol=1e-6)


@pytest.mark.parametrize("name", ["x", "labels"])
def test_a_batch_on_another_device_is_refused(net, name):
    ours, other = (
        net.compiled_calls.layout.device,
        find_device("vulkan" if net.compiled_calls.layout.device.name == "cpu" else "cpu"),
    )
    batch = {"x": spikes(T, N, D), "labels": LABELS}
    batch[name] = grilly.put(batch[name], other)
    said = f"{name} lives on {other.name}, but the net is on {ours.name}. Move one of them: {name}.to(device), or "
    with raises(DeviceError, said + "net.to(device)."):
        stepping(net)(**batch)


def test_a_step_inside_a_traced_function_is_refused(net):
    step, before = stepping(net), net.state_dict()
    said = (
        "a training step was called inside a function that JAX traces: it would keep tracers as the net's weights. "
        "Call it outside."
    )
    with raises(StateError, said):
        jax.jit(lambda x: step(x, LABELS)[0])(spikes(T, N, D))
    step(spikes(T, N, D), LABELS)
    assert net.state_dict().keys() == before.keys()


def test_a_silent_layer_is_named_at_the_line_of_the_step(net):
    net[2][0].weight.data = np.zeros((C, 5))
    step = grilly.train_step(net, nn.CrossEntropyLoss(), optim.SGD(net.parameters(), lr=0.0))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(60):
            step(spikes(T, N, D), LABELS)
    (warning,) = caught
    assert warning.category is grilly.GrillyWarning
    assert warning.filename == __file__
    assert str(warning.message) == (
        'layer "3" has not fired in the last 240 time steps of training: nothing after it can learn. Give the weights '
        "before it a wider start (init=), scale its input up, or lower its v_threshold."
    )
