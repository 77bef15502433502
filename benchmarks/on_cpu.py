"""The table of the CPU, for small sizes: `cpu` and lavapipe beside NumPy, JAX and PyTorch.

Cores are shared with whatever else runs, so contestants take turns; quote ratios of one run only.
"""

import argparse
import sys
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np

import grilly

from . import by_hand, lif, peers, train_step, turns
from .conv import conv_net

ON_CPU = {"CUDA_VISIBLE_DEVICES": "", "JAX_PLATFORMS": "cpu", "GRILLY_VALIDATION": "0"}
FIRST = "grilly cpu"  # what the others are compared with
NET = 16, 32, *train_step.SIZES  # T, batch, widths


def our_lif(device: str, steps: int, neurons: int) -> peers.Work:
    return lif.layer(steps, neurons, device), grilly.Array.block_until_ready


def our_train_step(device: str, steps: int, batch: int, *widths: int) -> peers.Work:
    x = _spikes(steps, batch, widths[0])
    return train_step.training(train_step.net(widths, device), x, device=device), grilly.Array.block_until_ready


def our_inference(device: str, steps: int, batch: int, *widths: int) -> peers.Work:
    x = _spikes(steps, batch, widths[0])
    return train_step.inference(train_step.net(widths, device), x, device=device), grilly.Array.block_until_ready


def our_conv(device: str, steps: int, batch: int, channels: int) -> peers.Work:
    x = np.random.default_rng(0).random((steps, batch, 1, 28, 28), np.float32)
    return train_step.training(conv_net(channels, device), x, device=device), grilly.Array.block_until_ready


def _spikes(*shape: int) -> np.ndarray:
    return (np.random.default_rng(0).random(shape, np.float32) < 0.3).astype(np.float32)


class Row(NamedTuple):
    title: str
    sizes: tuple[int, ...]
    contestants: dict[str, Callable[..., peers.Work]]


TABLE = {
    "train_step": Row(
        "784-256-10, T=16, batch 32, training step",
        NET,
        {
            FIRST: partial(our_train_step, "cpu"),
            "grilly vulkan": partial(our_train_step, "vulkan"),
            "jax, product hoisted": partial(peers.jax_train_step, 0),
            "numpy, in place": by_hand.numpy_train_step,
            "torch.compile": by_hand.compiled_train_step,
            "spikingjelly": partial(peers.spikingjelly_train_step, 0),
        },
    ),
    "inference": Row(
        "784-256-10, T=16, batch 32, inference",
        NET,
        {
            FIRST: partial(our_inference, "cpu"),
            "grilly vulkan": partial(our_inference, "vulkan"),
            "jax, product hoisted": peers.jax_inference,
            "numpy, in place": by_hand.numpy_inference,
            "torch.compile": by_hand.compiled_inference,
            "spikingjelly": peers.spikingjelly_inference,
        },
    ),
    "lif": Row(
        "LIF forward + backward, T=64, N=262144",
        (64, 1 << 18),
        {
            FIRST: partial(our_lif, "cpu"),
            "grilly vulkan": partial(our_lif, "vulkan"),
            "jax": peers.jax_lif,
            "numpy": by_hand.numpy_lif,
            "numpy, in place": by_hand.numpy_lif_in_place,
            "spikingjelly": peers.spikingjelly_lif,
        },
    ),
    "conv": Row(
        "convolutional net of 8 channels, T=4, batch 16, training step",
        (4, 16, 8),
        {
            FIRST: partial(our_conv, "cpu"),
            "grilly vulkan": partial(our_conv, "vulkan"),
            "spikingjelly": partial(peers.spikingjelly_conv, 0),
        },
    ),
}


def measure(work: str) -> None:
    """Prints the rows of one piece of work."""
    print(TABLE[work].title)
    command = [sys.executable, "-m", "benchmarks.on_cpu", work]
    contestants = TABLE[work].contestants
    turns.show(turns.compare({name: [*command, "--here", name] for name in contestants}, ON_CPU), FIRST)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("works", nargs="*", default=list(TABLE), help=f"of {', '.join(TABLE)}")
    parser.add_argument("--here", metavar="NAME", help="be this contestant, and take turns when told to")
    given = parser.parse_args()
    for work in given.works:
        if given.here:
            turns.serve(*TABLE[work].contestants[given.here](*TABLE[work].sizes))
        else:
            measure(work)
