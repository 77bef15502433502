"""One training step of README's net, 784-256-10 at T=16 and batch 32: forward, cross entropy, backward, AdamW.

Inputs are resident, as the peers' are, and not drawn anew.
"""

import itertools

import numpy as np

import grilly
from grilly import functional as F
from grilly import nn, optim

from .measure import PROFILED, compare, timed

T, N, SIZES = 16, 32, (784, 256, 10)


def net() -> nn.Sequential:
    """The net on the Vulkan device."""
    layers = []
    for width, following in itertools.pairwise(SIZES):
        layers += [nn.SeqToANNContainer(nn.Linear(width, following)), nn.LIFNode(tau=2.0, step_mode="m")]
    return nn.Sequential(*layers).to("vulkan")


def measure(title: str, x: np.ndarray) -> None:
    """Prints one row."""
    print(title)
    snn = net()
    optimizer = optim.AdamW(snn.parameters(), lr=1e-3)
    step = grilly.train_step(snn, nn.CrossEntropyLoss(), optimizer)
    device = grilly.runtime.find_device("vulkan")
    x_seq = grilly.put(x, device)
    labels = grilly.put(np.random.default_rng(1).integers(0, 10, N).astype(np.int32), device)

    def call():
        F.reset_net(snn)
        return step(x_seq, labels)[0]

    call()
    with grilly.profile():
        for _ in range(PROFILED):
            call()
    compare(timed(call, lambda loss: loss.block_until_ready()), "train_step", T, N, *SIZES)


if __name__ == "__main__":
    spikes = (np.random.default_rng(0).random((T, N, SIZES[0])) < 0.3).astype(np.float32)
    measure("784-256-10, T=16, batch 32, training step", spikes)
