"""A training run: the net, its optimizer, where it stands and how it is saved. Commands do the printing."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from .. import checkpoint, nn, optim
from .. import functional as F
from ..datasets import Dataset
from ..errors import DataError, ParameterError
from ..train_step import train_step
from .interrupt import StopRequest
from .measure import Watch, accuracy
from .model import build
from .saved import BEST, LAST, Progress, Saved, described
from .settings import Settings

LOGIT_SCALE = 6.0  # why, and why not the spike count: docs/decisions/0001-training-defaults.md


class Trainer:
    """Trains the network of `settings` on `dataset`, and saves into the directory `out`.

    A run is decided by its settings: the images of a step depend on the seed and the step's number alone.
    So one that was stopped anywhere goes on, from its last checkpoint, as if it had not been.
    """

    def __init__(self, settings: Settings, dataset: Dataset, device: Any, out: Path) -> None:
        if settings.batch_size > len(dataset.train):
            raise ParameterError(
                f"--batch-size is {settings.batch_size}: expected at most the {len(dataset.train)} "
                f"training images of {dataset.name}."
            )
        nn.seed(settings.seed)
        self.settings, self.dataset, self.out = settings, dataset, out
        self.progress = Progress()
        self.per_epoch = len(dataset.train) // settings.batch_size
        self.total = settings.epochs * self.per_epoch
        self.net = build(settings, dataset.image_shape).to(device)
        self.optimizer = optim.AdamW(self.net.parameters(), lr=optim.cosine(settings.lr, self.total))
        self.step = train_step(self.net, scaled_cross_entropy, self.optimizer)

    @property
    def complete(self) -> bool:
        return self.progress.steps >= self.total

    def epoch(self, stop: StopRequest, bar: tqdm) -> dict[str, float] | None:
        """Train to the end of the epoch; validate; save what is last, and best if it is.

        Stopped within the epoch, it saves where it stands, and neither validates nor chooses: a run that is not
        stopped does so after whole epochs only.

        Returns: The measurements, as `plot.training_figure` takes them; None within an epoch.
        """
        means = self._train(stop, bar)
        number, within = divmod(self.progress.steps, self.per_epoch)
        measured = None
        if not within:
            measured = {"epoch": number, **means, "validation_accuracy": accuracy(self.net, self.dataset.validation)}
            self.progress.history.append(measured)
            self.progress.sums = {}
            self._save_if_best(measured["validation_accuracy"])
        self._save_last()
        return measured

    def _train(self, stop: StopRequest, bar: tqdm) -> dict[str, float]:
        number, first = divmod(self.progress.steps, self.per_epoch)
        size, train = self.settings.batch_size, self.dataset.train
        order = np.random.default_rng([self.settings.seed, number]).permutation(len(train))
        watch = Watch(bar, self.per_epoch, first, self.progress.sums)
        self.net.train()
        for batch in range(first, self.per_epoch):
            part = train.take(order[batch * size : (batch + 1) * size])
            loss, rate = self.step(part.x, part.labels)
            self.progress.steps += 1
            watch(loss, rate, part.labels)
            if stop.asked:
                break
        return watch.means()

    def _save_if_best(self, validation_accuracy: float) -> None:
        if validation_accuracy >= self.progress.best_accuracy:
            self.progress.best_accuracy = validation_accuracy
            checkpoint.save(self.out / BEST, prefixed("net", self.net.state_dict()), self._described())

    def _save_last(self) -> None:
        weights, state = self.net.state_dict(), self.optimizer.state_dict()
        checkpoint.save(self.out / LAST, prefixed("net", weights) | prefixed("optimizer", state), self._described())

    def _described(self) -> dict[str, Any]:
        return described(self.settings, self.dataset, self.progress)

    def restore(self, saved: Saved) -> None:
        """Stand where the run stood that saved this.

        Raises:
            DataError: It holds weights alone, or not this run's.
        """
        if not saved.checkpoint.part("optimizer"):
            raise DataError(f"{saved.path} holds weights, and not where its run stood. Resume from {LAST} beside it.")
        saved.restore(self.net, self.optimizer)
        self.progress = saved.progress


def scaled_cross_entropy(rate, labels):
    """The loss: cross entropy of the output rates `(N, 10)`, scaled up to logits."""
    return F.cross_entropy(LOGIT_SCALE * rate, labels)


def prefixed(name: str, arrays: Mapping[str, Any]) -> dict[str, Any]:
    return {f"{name}.{key}": value for key, value in arrays.items()}
