"""The warning that names a layer which stays silent in training: once, and only then."""

import warnings

import numpy as np
import pytest

import grilly
from grilly import functional as F
from grilly import nn

T, N = 16, 2
SAID = (
    'layer "{name}" has not fired in the last {steps} time steps of training: nothing after it can learn. Give the '
    "weights before it a wider start (init=), scale its input up, or lower its v_threshold."
)


def net_of(place):
    """Whose second neurons never reach their threshold."""
    return nn.Sequential(nn.IFNode(step_mode="m"), nn.IFNode(v_threshold=1e6, step_mode="m")).to(place)


def warned(net, calls, steps=T):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(calls):
            F.reset_net(net)
            net(np.ones((steps, N, 3), np.float32))
    assert all(warning.category is grilly.GrillyWarning for warning in caught)
    return caught


def test_a_silent_layer_is_named_once(place):
    net = net_of(place)
    assert warned(net, 19) == []
    (warning,) = warned(net, 1)
    assert str(warning.message) == SAID.format(name="1", steps=20 * T)
    assert warning.filename == __file__  # the line that called the net
    assert warned(net, 200) == []


def test_few_steps_are_no_silence(place):
    net = net_of(place)
    assert warned(net, 20, steps=7) == []  # 140 steps
    (warning,) = warned(net, 40, steps=7)
    assert str(warning.message) == SAID.format(name="1", steps=60 * 7)


def test_a_layer_that_fires_now_and_then_is_not_silent(place):
    net = nn.LIFNode(step_mode="m").to(place)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for k in range(60):
            F.reset_net(net)
            net(np.full((T, N, 3), 2.0 if k % 5 == 0 else 0.0, np.float32))


def test_evaluation_does_not_count(place):
    assert warned(net_of(place).eval(), 60) == []


def test_layers_inside_a_multi_step_container_are_counted(place):
    net = nn.Sequential(nn.MultiStepContainer(nn.ReLU(), nn.IFNode(v_threshold=1e6))).to(place)
    (warning,) = warned(net, 20)
    assert str(warning.message) == SAID.format(name="0.1", steps=20 * T)


def test_single_steps_are_counted_as_steps(place):
    net = nn.IFNode(v_threshold=1e6).to(place)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(200):
            F.detach_net(net)
            net(np.ones((N, 3), np.float32))
    assert [str(warning.message) for warning in caught] == [SAID.format(name="", steps=200)]


def test_the_count_goes_along_to_another_device(device):
    net = net_of("cpu")
    assert warned(net, 10) == []
    net.to(device)
    (warning,) = warned(net, 10)
    assert str(warning.message) == SAID.format(name="1", steps=20 * T)


def test_the_warning_can_be_an_error(place):
    net = net_of(place)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(19):
            F.detach_net(net)
            net(np.ones((T, N, 3), np.float32))
        with pytest.raises(grilly.GrillyWarning):
            net(np.ones((T, N, 3), np.float32))
