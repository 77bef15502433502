"""What a training loop in steps costs a Vulkan device: one submit a call, and nothing new from the second on."""

import contextlib

import numpy as np
import pytest

import grilly
from grilly import functional as F
from grilly import nn
from grilly.runtime import compile as compiling

from .nets import C, D, N, mlp, spikes

LABELS = np.array([0, 1, 1])


def conv(node=nn.LIFNode):
    return nn.Sequential(
        nn.SeqToANNContainer(nn.Conv2d(1, 2, 3, padding=1), nn.BatchNorm2d(2)), node(step_mode="m"),
        nn.SeqToANNContainer(nn.MaxPool2d(2), nn.Flatten(), nn.Linear(8, C)), node(step_mode="m"),
    )  # fmt: skip


@contextlib.contextmanager
def counted(device, submits):
    """Expects so many submits, no allocation, and nothing compiled."""
    before = device.submits, device.allocations, len(device._pipelines)
    yield
    assert device.submits - before[0] == submits
    assert device.allocations == before[1]
    assert len(device._pipelines) == before[2]


@pytest.fixture
def traces(monkeypatch):
    """The functions that were compiled, as a live list."""
    found = []

    class Watched(compiling.Compiled):
        def __init__(self, jitted, *others):
            found.append(repr(jitted))
            super().__init__(jitted, *others)

    monkeypatch.setattr(compiling, "Compiled", Watched)
    return found


CASES = {
    "mlp": (mlp, lambda T: (T, N, D)),
    "plif": (lambda: mlp(nn.ParametricLIFNode), lambda T: (T, N, D)),
    "dropout": (lambda: nn.Sequential(nn.SeqToANNContainer(nn.Dropout(0.5)), mlp()), lambda T: (T, N, D)),
    "conv": (conv, lambda T: (T, N, 1, 4, 4)),
}


@pytest.mark.parametrize("T", [2, 9])
@pytest.mark.parametrize("name", CASES)
def test_forward_backward_and_step_are_one_submit_each(name, T, device, traces):
    make, shape = CASES[name]
    net, loss_fn = make().to(device), nn.CrossEntropyLoss()
    optimizer = grilly.optim.AdamW(net.parameters(), lr=1e-3)

    def batch(x, checked):
        F.reset_net(net)
        with checked(1):
            spikes_out = net(x)
        with checked(1):
            rate = spikes_out.mean(axis=0)
        with checked(1):
            loss = loss_fn(rate, LABELS)
        with checked(2):
            grad = loss_fn.backward(np.ones_like(loss), rate, LABELS)
        net.zero_grad()
        with checked(1):
            net.backward(grad)
        with checked(1):
            optimizer.step()

    for seed in range(6):  # until every buffer has its address: then nothing is recorded anew
        batch(spikes(*shape(T), seed=seed), lambda _: contextlib.nullcontext())
    traces.clear()
    for seed in range(3):
        batch(spikes(*shape(T), seed=seed), lambda n: counted(device, n))
    assert traces == []


def test_a_forward_in_evaluation_is_one_submit(device, traces):
    net = mlp().to(device).eval()
    x = spikes(4, N, D)
    for _ in range(3):
        F.reset_net(net)
        net(x)
    traces.clear()
    F.reset_net(net)
    with counted(device, 1):
        net(x)
    assert traces == []


def test_a_gradient_from_numpy_travels_in_the_same_submit(device):
    net = mlp().to(device)
    for repeat in range(4):
        F.reset_net(net)
        net.zero_grad()
        net(spikes(4, N, D))
        with counted(device, 1) if repeat == 3 else contextlib.nullcontext():
            net.backward(np.ones((N, C), np.float32))


def test_changing_a_value_retraces_nothing(device, traces):
    net = nn.LIFNode(step_mode="m").to(device).eval()
    x = spikes(4, N, D)
    net(x), net(x)  # from rest, and from a state
    traces.clear()
    net.params = F.LIFParams(tau=3.0, v_threshold=0.5)
    net.surrogate_function = F.ATan(alpha=3.0)
    F.reset_net(net)
    net(x), net(x)
    assert traces == []
    net.params = F.LIFParams(v_reset=None)  # another structure
    F.reset_net(net)
    net(x)
    assert len(traces) == 1


def test_parameters_stay_where_they_are(device):
    """The optimizer updates them in place: nothing that backward keeps holds their memory."""
    net = mlp().to(device)
    optimizer = grilly.optim.SGD(net.parameters(), lr=0.1)
    addresses = []
    for seed in range(4):
        F.reset_net(net)
        net.zero_grad()
        net(spikes(4, N, D, seed=seed))
        net.backward(np.ones((N, C), np.float32))
        optimizer.step()
        addresses.append([p.data.storage.address for p in net.parameters()])
    assert addresses == addresses[:1] * 4
