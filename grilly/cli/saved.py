"""The checkpoints of a run: what they say besides their arrays, read and checked. The format is `checkpoint`'s."""

import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ..checkpoint import Checkpoint, load
from ..datasets import Dataset
from ..errors import DataError, ParameterError
from ..nn import Module
from ..optim import Optimizer
from .settings import Settings

BEST, LAST = "best.safetensors", "last.safetensors"


@dataclass
class Progress:
    """Where a run stands.

    Attributes:
        steps: Training steps taken.
        best_accuracy: The best validation accuracy after a whole epoch.
        history: An entry for each whole epoch.
        sums: What `Watch` has summed up of an epoch that is not over.
    """

    steps: int = 0
    best_accuracy: float = 0.0
    history: list[dict[str, float]] = field(default_factory=list)
    sums: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Saved:
    """A checkpoint of `grilly train`: the weights of BEST; weights and the optimizer's state of LAST."""

    path: Path
    settings: Settings
    image_shape: tuple[int, int, int]
    train_images: int
    progress: Progress
    checkpoint: Checkpoint

    @classmethod
    def read(cls, path: Path) -> "Saved":
        """The checkpoint at `path`.

        Raises:
            DataError: The file is absent, corrupt, a directory, or no checkpoint of `grilly train`.
        """
        if os.path.isdir(path):
            raise DataError(
                f"{path} is a directory. Give a file in it: {path / LAST} to resume, {path / BEST} to evaluate."
            )
        checkpoint = load(path)
        about = checkpoint.about
        try:
            settings, progress = Settings(**about["settings"]), Progress(**about["progress"])
            shape, count = tuple(about["image_shape"]), about["train_images"]
            return cls(path, settings, shape, count, progress, checkpoint)
        except (KeyError, TypeError, ParameterError) as error:
            raise DataError(
                f"{path} does not describe a run ({type(error).__name__}: {error}). "
                "Use a checkpoint that `grilly train` wrote."
            ) from error

    def restore(self, net: Module, optimizer: Optimizer | None = None) -> None:
        """Give `net` the weights, and `optimizer`, if there is one, its state.

        Raises:
            DataError: The arrays are not those of this net and this optimizer.
        """
        try:
            net.load_state_dict(self.checkpoint.part("net"))
            if optimizer is not None:
                optimizer.load_state_dict(self.checkpoint.part("optimizer"))
        except DataError as error:
            raise DataError(f"{self.path} does not fit its own settings: {error}") from error


def described(settings: Settings, dataset: Dataset, progress: Progress) -> dict[str, Any]:
    """What `Saved.read` reads besides the arrays."""
    return {
        "settings": asdict(settings),
        "image_shape": dataset.image_shape,
        "train_images": len(dataset.train),
        "progress": asdict(progress),
    }
