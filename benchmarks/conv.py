"""A training step and inference of a convolutional net on 28 x 28 pixels.

The net is 1-128C3-BN-LIF-P2-128C3-BN-LIF-P2-2048-LIF-10-LIF.
"""

import argparse

import numpy as np

from grilly import nn

from .train_step import inference, measure, training

CHANNELS = 128


def conv_net(channels: int = CHANNELS, device: str = "vulkan") -> nn.Sequential:
    """The net on a device."""

    def lif() -> nn.LIFNode:
        return nn.LIFNode(tau=2.0, step_mode="m")

    def stage(given: int) -> list[nn.Module]:
        conv = nn.Conv2d(given, channels, 3, padding=1, bias=False)
        return [nn.SeqToANNContainer(conv, nn.BatchNorm2d(channels)), lif(), nn.SeqToANNContainer(nn.MaxPool2d(2, 2))]

    return nn.Sequential(
        *stage(1),
        *stage(channels),
        nn.SeqToANNContainer(nn.Flatten(), nn.Linear(49 * channels, 16 * channels, bias=False)),
        lif(),
        nn.SeqToANNContainer(nn.Linear(16 * channels, 10, bias=False)),
        lif(),
    ).to(device)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sizes", nargs="*", type=int, default=[4, 128, 8, 128], help="T batch, T batch ...")
    parser.add_argument("--precision", default="float32", help="float32, tf32 or bf16")
    given = parser.parse_args()
    for steps, batch in zip(given.sizes[::2], given.sizes[1::2], strict=True):
        print(f"convolutional net, T={steps}, batch {batch}, training step, {given.precision}")
        x = np.random.default_rng(0).random((steps, batch, 1, 28, 28), np.float32)
        measure(training(conv_net(), x, given.precision), "conv", steps, batch)
        if given.precision == "float32":
            print(f"convolutional net, T={steps}, batch {batch}, inference")
            measure(inference(conv_net(), x), "conv_inference", steps, batch)
