"""What a data set is: images and labels in three parts. Where they come from is in the other files."""

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True, eq=False)
class Split:
    """Images and their labels.

    Args:
        images: `(count, height, width)`, uint8, 0 to `peak`.
        labels: `(count,)`, int32, from 0.
        peak: The largest value that a pixel may have.
    """

    images: np.ndarray = field(repr=False)
    labels: np.ndarray = field(repr=False)
    peak: int

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, which: np.ndarray | slice) -> "Split":
        """The chosen images and labels, by index or slice."""
        return Split(self.images[which], self.labels[which], self.peak)

    @property
    def x(self) -> np.ndarray:
        """The images as input: `(count, 1, height, width)`, float32, 0 to 1."""
        return self.images[:, None].astype(np.float32) / np.float32(self.peak)


@dataclass(frozen=True, eq=False)
class Dataset:
    """A classification task: train on `train`, choose on `validation`, report `test`.

    Args:
        name: As `load` takes it.
        train, validation, test: The three parts; no image is in two of them.
        classes: The number of classes; labels lie in `[0, classes)`.
    """

    name: str
    train: Split
    validation: Split
    test: Split
    classes: int = 10

    def __str__(self) -> str:
        _, height, width = self.image_shape
        parts = f"{len(self.train)} training, {len(self.validation)} validation and {len(self.test)} test images"
        return f"{self.name}: {parts} of {height}x{width}"

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """One image's shape as input: `(1, height, width)`."""
        return (1, *self.train.images.shape[1:])


def shuffled(count: int) -> np.ndarray:
    """The one order of `count` images from which parts are cut: the same in every run, whatever its seed."""
    return np.random.default_rng(0).permutation(count)
