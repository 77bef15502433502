"""The functions that people call most: a scan, the page's loop, training steps."""

import functools

import jax
import numpy as np

import grilly
from grilly import functional as F
from grilly import nn, optim

N = 32


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


CALLED = {  # and how many dispatches the one compiled function of it may take
    "scan_forward": (scan_forward, 1),
    "scan_both_ways": (scan_both_ways, 2),
    "loop": (loop_of_the_page, None),
    "train_step": (train_step_of_the_page, 20),
    "conv_train_step": (train_step_of_a_conv_net, 32),
}
