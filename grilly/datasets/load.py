"""A data set by its name."""

import os

from ..errors import ParameterError
from .dataset import Dataset
from .digits import digits
from .mnist import SOURCES, mnist

NAMES = ("digits", *SOURCES)


def load(name: str = "digits", data: str | os.PathLike[str] | None = None) -> Dataset:
    """Load a data set.

    Args:
        name: `"digits"` (8x8, bundled), `"mnist"` or `"fashion-mnist"` (28x28).
        data: The directory that holds the four IDX files of MNIST or Fashion-MNIST. Without it, Fashion-MNIST
            is taken from Debian's package `dataset-fashion-mnist` where that is installed; else the files
            are downloaded once, checked, and kept in the user's cache.

    Returns:
        Training, validation and test images with labels, in a split that never changes.

    Raises:
        ParameterError: Another name, or a directory for the bundled digits.
        DataError: A file is absent, corrupt or cannot be downloaded.

    Example:
        >>> from grilly import datasets
        >>> dataset = datasets.load("digits")
        >>> dataset.train.x.shape, len(dataset.validation), len(dataset.test)
        ((1257, 1, 8, 8), 180, 360)
    """
    if name not in NAMES:
        raise ParameterError(f"no data set {name!r}: expected one of {', '.join(NAMES)}.")
    if name != "digits":
        return mnist(name, data)
    if data is not None:
        raise ParameterError(f"the digits come with grilly, --data {os.fspath(data)} has no use: leave it out.")
    return digits()
