"""The page that asked for grilly, `page.txt`: its blocks run as they are, in one namespace, on both devices."""

import dataclasses
import importlib
import re
from pathlib import Path

import jax
import numpy as np
import pytest

import grilly
from grilly import functional as F
from grilly import nn, optim
from grilly.errors import StateError

devices = importlib.import_module("grilly.runtime.devices")  # the name is also that of a function

BLOCKS = re.findall(r"```python\n(.*?)```", (Path(__file__).parent / "page.txt").read_text(), re.DOTALL)
T, N, D = 16, 32, 784


@pytest.fixture(params=["cpu", "vulkan"])
def default(request, monkeypatch, no_default):
    """The default device, as GRILLY_DEVICE would choose it."""
    monkeypatch.setattr(devices, "config", dataclasses.replace(devices.config, device=request.param))
    grilly.seed(0)
    np.random.seed(0)
    return devices.find_device(request.param)


def test_every_block_runs_as_printed(default, capsys):
    space = {"np": np, "nn": nn, "F": F, "optim": optim}
    printed = []
    for number, block in enumerate(BLOCKS):
        exec(compile(block, f"page.txt, block {number}", "exec"), space)
        printed.append(capsys.readouterr().out)
        if "temporal_pool" in block:
            assert space["temporal_pool"](np.ones((3, 2, 4, 8, 6), np.float32)).shape == (3, 2, 4, 4, 3)
    training, manual = (lines for lines in printed if lines)

    assert re.fullmatch(r"(Epoch +\d+: loss=\d\.\d{4} avg_fire_rate=0\.\d{3}\n){10}", training)
    assert re.fullmatch(r"(t=\d: \d+ spikes\n){10}", manual)
    assert 0.05 < float(training.split("avg_fire_rate=")[1][:5]) < 0.5
    assert space["spikes_out"].shape == (T, N, 10)
    for name in ("spikes_out", "firing_rate", "loss", "grad"):
        assert isinstance(space[name], grilly.Array)
        assert space[name].device is default
    assert space["snn"][0][0].weight.data.device is default
    assert isinstance(space["spike"], jax.Array)  # of F.lif_step outside of grilly.jit: plain JAX
    assert isinstance(space["snn_model"], nn.Module)
    assert any(isinstance(module, nn.VoltageScaler) for module in space["snn_model"].modules())


def page_net():
    snn = nn.Sequential(
        nn.SeqToANNContainer(nn.Linear(D, 256)),
        nn.LIFNode(tau=2.0, step_mode="m"),
        nn.SeqToANNContainer(nn.Linear(256, 10)),
        nn.LIFNode(tau=2.0, step_mode="m"),
    )
    return snn, optim.AdamW(snn.parameters(), lr=1e-3), nn.CrossEntropyLoss()


def trained(snn, optimizer, loss_fn, x_seq, labels):
    """The body of the page's loop, without its reset."""
    firing_rate = snn(x_seq).mean(axis=0)
    loss = loss_fn(firing_rate, labels)
    grad = loss_fn.backward(np.ones_like(loss), firing_rate, labels)
    snn.zero_grad()
    snn.backward(grad)
    optimizer.step()
    return loss


def batch():
    rates = np.random.rand(N, D).astype(np.float32)
    return (np.random.rand(T, N, D) < rates).astype(np.float32), np.random.randint(0, 10, N).astype(np.int64)


def test_one_batch_is_learned_by_heart(default):
    """Cross entropy of ten rates in [0, 1] cannot fall below 1.461."""
    (snn, *rest), (x_seq, labels) = page_net(), batch()
    for _ in range(100):
        F.reset_net(snn)
        loss = trained(snn, *rest, x_seq, labels)
        if float(loss) < 1.5:
            break
    assert 1.461 < float(loss) < 1.5


def test_a_net_left_unreset_between_two_training_steps_raises(default):
    (snn, *rest), (x_seq, labels) = page_net(), batch()
    trained(snn, *rest, x_seq, labels)
    with pytest.raises(StateError) as error:
        trained(snn, *rest, x_seq, labels)
    assert str(error.value) == (
        'the state of layer "1" (LIFNode) was already used by backward: another forward in training would start '
        "from it. Call F.reset_net(net) before a new sequence; or, to go on from this state without its gradient "
        "(truncated backpropagation), F.detach_net(net)."
    )


def test_the_net_fires_from_its_first_step_on(default):
    """Whatever its weights start as: 0.05 to 0.5 in the first epoch."""
    for seed in range(5):
        grilly.seed(seed)
        snn, *_ = page_net()
        assert 0.05 < float(snn(batch()[0]).mean()) < 0.5
