"""What runs on a device, written down in `golden/plans`: every dispatch of the functions that people call most.

The plans are those for the null target, so they are the same on every machine. After a change that is meant:
`pytest tests/test_plans.py --update-golden`, and read the difference.
"""

import contextlib
import functools
import pathlib
from dataclasses import replace

import jax
import numpy as np
import pytest

import grilly
from grilly import functional as F
from grilly import nn, optim
from grilly.runtime import Jit, debug
from grilly.runtime.kernels.pull import RULES

GOLDEN = pathlib.Path(__file__).parent / "golden" / "plans"
N = 32


@contextlib.contextmanager
def lowered_calls(monkeypatch):
    """All functions of arguments that are compiled meanwhile, lowered for the null target."""
    found, compiled = [], Jit.compiled

    def lowering(self, call):
        if call.leaves:  # an optimizer's first state, which has none, is made once
            found.append(self.stages(call))
        return compiled(self, call)

    with monkeypatch.context() as patch:
        patch.setattr(Jit, "compiled", lowering)
        yield found


def page_net():
    return nn.Sequential(
        nn.SeqToANNContainer(nn.Linear(784, 256)),
        nn.LIFNode(tau=2.0, step_mode="m"),
        nn.SeqToANNContainer(nn.Linear(256, 10)),
        nn.LIFNode(tau=2.0, step_mode="m"),
    ).to("cpu")


def conv_net():
    return nn.Sequential(
        nn.SeqToANNContainer(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4)),
        nn.LIFNode(tau=2.0, step_mode="m"),
        nn.SeqToANNContainer(nn.MaxPool2d(2, 2), nn.Flatten(), nn.Linear(4 * 36, 10)),
        nn.LIFNode(tau=2.0, step_mode="m"),
    ).to("cpu")


def lif(x_seq, v):
    return F.sequence(F.lif_step, x_seq, v, F.LIFParams())


def lif_both_ways(x_seq, v, g_spikes, g_v):
    out, vjp = jax.vjp(lif, x_seq, v)
    return out, vjp((g_spikes, g_v))


def scan_forward(T):
    grilly.jit(lif, device="cpu")(np.ones((T, N, 8), np.float32), np.zeros((N, 8), np.float32))


def scan_both_ways(T):
    x, v = np.ones((T, N, 8), np.float32), np.zeros((N, 8), np.float32)
    grilly.jit(lif_both_ways, device="cpu")(x, v, x, v)


def loop_of_the_page(T):
    snn, loss_fn = page_net(), nn.CrossEntropyLoss()
    optimizer = optim.AdamW(snn.parameters(), lr=1e-3)
    firing_rate = snn(np.ones((T, N, 784), np.float32)).mean(axis=0)
    snn.backward(loss_fn.backward(np.float32(1), firing_rate, np.zeros(N, np.int64)))
    optimizer.step()


def train_step_of_the_page(T, place="cpu"):
    snn = page_net().to(place)
    step = grilly.train_step(
        snn, nn.CrossEntropyLoss(), optim.AdamW(snn.parameters(), lr=1e-3),
        encoder=functools.partial(F.poisson, T=T),
    )  # fmt: skip
    step(x := np.full((N, 784), 0.5, np.float32), labels := np.zeros(N, np.int64))
    return functools.partial(step, x, labels)


def train_step_of_a_conv_net(T, place="cpu"):
    net = conv_net().to(place)
    step = grilly.train_step(net, nn.CrossEntropyLoss(), optim.AdamW(net.parameters(), lr=1e-3))
    step(x := np.ones((T, N, 1, 12, 12), np.float32), labels := np.zeros(N, np.int64))
    return functools.partial(step, x, labels)


PROGRAMS = {  # and how many dispatches the one compiled function of it may take
    "scan_forward": (scan_forward, 1),
    "scan_both_ways": (scan_both_ways, 2),
    "loop": (loop_of_the_page, None),
    "train_step": (train_step_of_the_page, 20),
    "conv_train_step": (train_step_of_a_conv_net, 32),
}


def plans(name, T, monkeypatch):
    grilly.seed(0)
    with lowered_calls(monkeypatch) as found:
        PROGRAMS[name][0](T)
    return found


def written(found, capsys):
    """What GRILLY_DEBUG=plan prints."""
    for number, each in enumerate(found):
        debug.show(replace(each, name=f"function {number}"), {"plan"})
    return capsys.readouterr().err


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_dispatches_are_those_written_down(name, monkeypatch, capsys, request):
    text, path = written(plans(name, 16, monkeypatch), capsys), GOLDEN / f"{name}.txt"
    if request.config.getoption("--update-golden"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    assert text == path.read_text()


@pytest.mark.parametrize("T", [1, 16, 200])
@pytest.mark.parametrize("name", ["scan_forward", "scan_both_ways", "train_step", "conv_train_step"])
def test_they_are_few_whatever_the_number_of_steps(name, T, monkeypatch):
    (stages,) = plans(name, T, monkeypatch)
    assert len(stages.lowered.plan.dispatches) <= PROGRAMS[name][1]


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_view_is_never_a_dispatch(name, monkeypatch):
    """No kernel's whole work is to store what an array shows in another shape or order."""
    for stages in plans(name, 4, monkeypatch):
        lowered = stages.lowered
        for kernel in lowered.partition.kernels:
            producers = [lowered.graph.producer.get(root) for task in kernel.tasks for root in task.roots]
            assert not all(eqn and eqn.primitive in RULES and eqn.inputs[0].shape for eqn in producers), kernel


@pytest.mark.parametrize("T", [4, 16])
@pytest.mark.parametrize("train", [train_step_of_the_page, train_step_of_a_conv_net])
def test_a_training_step_is_one_submit(train, T, device):
    step = train(T, device)
    step(), step()  # a recording for each upload slot; each sends its table of addresses once
    before = device.submits
    step(), step()
    assert device.submits == before + 2
