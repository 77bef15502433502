"""The networks that `grilly train` offers. Images go in as a constant current, output spikes come out."""

import functools
from collections.abc import Callable

from .. import functional as F
from .. import nn
from .settings import Settings

NEURONS: dict[str, Callable[[], nn.Module]] = {
    "if": lambda: nn.IFNode(step_mode="m"),
    "lif": lambda: nn.LIFNode(tau=2.0, step_mode="m"),
    "plif": lambda: nn.ParametricLIFNode(init_tau=2.0, step_mode="m"),
}
HIDDEN, CHANNELS, CONV_HIDDEN, CLASSES = 256, 32, 128, 10
# Of the convolutional net's large layer: many pooled spikes arrive at once, so the default start would be too wide.
NARROW = functools.partial(nn.scaled_normal, gain=1.0)


class Constant(nn.Module):
    """Repeats a current over T time steps, `(N, *)` to `(T, N, *)`: what stands before it runs only once."""

    def __init__(self, T: int) -> None:
        super().__init__()
        self.T = T

    def forward(self, x):
        return F.direct(x, self.T)


def build(settings: Settings, image_shape: tuple[int, int, int]) -> nn.Module:
    """The network of these settings: images `(N, 1, height, width)` to spikes `(T, N, 10)`."""
    return {"mlp": _mlp, "conv": _conv}[settings.model](settings, image_shape)


def _mlp(settings: Settings, image_shape: tuple[int, int, int]) -> nn.Module:
    channels, height, width = image_shape
    spiking = NEURONS[settings.neuron]
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(channels * height * width, HIDDEN),
        Constant(settings.T),
        spiking(),
        nn.SeqToANNContainer(nn.Linear(HIDDEN, CLASSES)),
        spiking(),
    )


def _conv(settings: Settings, image_shape: tuple[int, int, int]) -> nn.Module:
    channels, height, width = image_shape
    spiking = NEURONS[settings.neuron]
    return nn.Sequential(
        nn.Conv2d(channels, CHANNELS, 3, padding=1),
        nn.BatchNorm2d(CHANNELS),
        Constant(settings.T),
        spiking(),
        nn.SeqToANNContainer(nn.MaxPool2d(2, 2), nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1), nn.BatchNorm2d(CHANNELS)),
        spiking(),
        nn.SeqToANNContainer(
            nn.MaxPool2d(2, 2),
            nn.Flatten(),
            nn.Linear(CHANNELS * (height // 4) * (width // 4), CONV_HIDDEN, init=NARROW),
        ),
        spiking(),
        nn.SeqToANNContainer(nn.Linear(CONV_HIDDEN, CLASSES)),
        spiking(),
    )
