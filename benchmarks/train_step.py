"""A training step of a net of linear layers and LIF neurons: forward, cross entropy, backward, AdamW. And inference.

README's net unless sizes are given. Inputs are resident, as the peers' are, and not drawn anew.
"""

import argparse
import gc
import itertools
from collections.abc import Callable

import numpy as np

import grilly
from grilly import functional as F
from grilly import nn, optim

from .measure import PROFILED, compare, timed, warm_up

T, N, SIZES = 16, 32, (784, 256, 10)


def net(widths: tuple[int, ...] = SIZES, device: str = "vulkan") -> nn.Sequential:
    """The net on a device."""
    layers = []
    for width, following in itertools.pairwise(widths):
        layers += [nn.SeqToANNContainer(nn.Linear(width, following)), nn.LIFNode(tau=2.0, step_mode="m")]
    return nn.Sequential(*layers).to(device)


def training(
    snn: nn.Module, x: np.ndarray, precision: str = "float32", device: str = "vulkan"
) -> Callable[[], grilly.Array]:
    """A call that is one training step, and gives its loss."""
    optimizer = optim.AdamW(snn.parameters(), lr=1e-3)
    step = grilly.train_step(snn, nn.CrossEntropyLoss(), optimizer, precision=precision)
    place = grilly.runtime.find_device(device)
    x_seq = grilly.put(x, place)
    labels = grilly.put(np.random.default_rng(1).integers(0, 10, x.shape[1]).astype(np.int32), place)

    def call() -> grilly.Array:
        F.reset_net(snn)
        return step(x_seq, labels)[0]

    return call


def inference(snn: nn.Module, x: np.ndarray, device: str = "vulkan") -> Callable[[], grilly.Array]:
    """A call that gives the net's mean output."""
    x_seq = grilly.put(x, grilly.runtime.find_device(device))
    snn.eval()

    def call() -> grilly.Array:
        F.reset_net(snn)
        return snn(x_seq).mean(axis=0)

    return call


def measure(call: Callable[[], grilly.Array], work: str, *sizes: int) -> None:
    """Prints the row of a call beside the peers'."""
    warm_up(call, grilly.Array.block_until_ready)
    with grilly.profile():
        for _ in range(PROFILED):
            call()
    gc.collect()  # of nets that were measured before
    print(f"  {grilly.runtime.find_device('vulkan').heap.used >> 20} MiB of the device's memory in use")
    compare(timed(call, grilly.Array.block_until_ready), work, *sizes)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sizes", nargs="*", type=int, default=[T, N, *SIZES], help="T, batch, and the layers' widths")
    parser.add_argument("--precision", default="float32", help="float32, tf32 or bf16; the peers' is then tf32, too")
    given = parser.parse_args()
    steps, batch, *widths = given.sizes
    spikes = (np.random.default_rng(0).random((steps, batch, widths[0]), np.float32) < 0.3).astype(np.float32)
    coarse = int(given.precision != "float32")
    title = f"{'-'.join(map(str, widths))}, T={steps}, batch {batch}"
    print(f"{title}, training step, {given.precision}")
    call = training(net(tuple(widths)), spikes, given.precision)
    measure(call, "train_step", coarse, steps, batch, *widths)
    if not coarse:
        print(f"{title}, inference")
        measure(inference(net(tuple(widths)), spikes), "inference", steps, batch, *widths)


if __name__ == "__main__":
    main()
