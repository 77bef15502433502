"""The 8x8 handwritten digits that come with grilly: 1797 images, 0 to 16, ten classes.

The test set of "Optical Recognition of Handwritten Digits" by E. Alpaydin and C. Kaynak, UCI Machine
Learning Repository (1998), https://doi.org/10.24432/C50P49, under CC BY 4.0; stored as NumPy arrays,
otherwise unchanged.
"""

from importlib import resources

import numpy as np

from .dataset import Dataset, Split, shuffled

FILE = resources.files("grilly.datasets").joinpath("digits.npz")
TRAIN, VALIDATION = 1257, 180  # and the other 360 are the test set: 70, 10 and 20 per cent


def digits() -> Dataset:
    """The digits in their fixed three parts: 1257 to train on, 180 to validate, 360 to test."""
    with FILE.open("rb") as file, np.load(file) as arrays:
        whole = Split(arrays["images"], arrays["labels"].astype(np.int32), peak=16)
    train, validation, test = np.split(shuffled(len(whole)), [TRAIN, TRAIN + VALIDATION])
    return Dataset("digits", whole.take(train), whole.take(validation), whole.take(test))
