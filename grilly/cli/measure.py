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
    """Moves a progress bar through an epoch of `steps`; shows and averages the measurements of up to LOOKS of them.

    `sums`, which it adds to, are those of the steps looked at: with the sums of the `taken` first steps, it goes on
    as the watch that saw them would have.
    """

    def __init__(self, bar: tqdm, steps: int, taken: int, sums: dict[str, float]) -> None:
        self._bar, self._every, self._taken, self._sums = bar, math.ceil(steps / LOOKS), taken, sums

    def __call__(self, loss: Any, rate: Any, labels: np.ndarray) -> None:
        if self._taken % self._every == 0:
            self._look(loss, np.asarray(rate), labels)
            self._bar.set_postfix({name: f"{value:.3f}" for name, value in self.means().items()}, refresh=False)
        self._taken += 1
        self._bar.update(len(labels))

    def _look(self, loss: Any, rates: np.ndarray, labels: np.ndarray) -> None:
        hits = rates.argmax(axis=1) == labels
        seen = {"loss": float(loss), "accuracy": float(hits.mean()), "firing_rate": float(rates.mean()), "looks": 1}
        for name, value in seen.items():
            self._sums[name] = self._sums.get(name, 0) + value

    def means(self) -> dict[str, float]:
        """`loss`, `accuracy` and `firing_rate`, each its mean over the steps that were looked at."""
        return {name: self._sums[name] / self._sums["looks"] for name in ("loss", "accuracy", "firing_rate")}


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
