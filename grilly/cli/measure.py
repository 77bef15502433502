"""What is measured of a net: means while it trains, its accuracy, the spikes of one image."""

import math
from typing import Any

import numpy as np
from tqdm import tqdm

from .. import functional as F
from .. import nn
from ..datasets import Split

AT_ONCE = 500  # images evaluated in one call
LOOKS = 100  # at loss and rates in an epoch, at most: a look waits for the device


class Watch:
    """Moves a progress bar through an epoch of `steps`; shows and averages the measurements of up to LOOKS of them."""

    def __init__(self, bar: tqdm, steps: int) -> None:
        self._bar, self._every, self._steps = bar, math.ceil(steps / LOOKS), 0
        self._seen: list[dict[str, float]] = []

    def __call__(self, loss: Any, rate: Any, labels: np.ndarray) -> None:
        if self._steps % self._every == 0:
            rates = np.asarray(rate)
            hits = rates.argmax(axis=1) == labels
            seen = {"loss": float(loss), "accuracy": float(hits.mean()), "firing_rate": float(rates.mean())}
            self._seen.append(seen)
            self._bar.set_postfix({name: f"{value:.3f}" for name, value in self.means().items()}, refresh=False)
        self._steps += 1
        self._bar.update(len(labels))

    def means(self) -> dict[str, float]:
        """`loss`, `accuracy` and `firing_rate`, each its mean over the steps that were looked at."""
        return {name: float(np.mean([seen[name] for seen in self._seen])) for name in self._seen[0]}


def accuracy(net: nn.Module, split: Split) -> float:
    """The share of the images whose most active output is their label. Leaves `net` in evaluation mode."""
    net.eval()
    hits = 0
    for start in range(0, len(split), AT_ONCE):
        part = split.take(slice(start, start + AT_ONCE))
        rates = np.asarray(_spikes(net, part).mean(axis=0))
        hits += int((rates.argmax(axis=1) == part.labels).sum())
    return hits / len(split)


def raster(net: nn.Module, split: Split, index: int) -> np.ndarray:
    """The output spikes `(T, 10)` of one image. Leaves `net` in evaluation mode."""
    net.eval()
    return np.asarray(_spikes(net, split.take(slice(index, index + 1))))[:, 0]


def _spikes(net: nn.Module, part: Split) -> Any:
    F.reset_net(net)
    return net(part.x)
