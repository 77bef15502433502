"""The picture of a training run: that it is drawn, whole, and from spikes of one image."""

import numpy as np
import pytest
from matplotlib.image import imread

from grilly import plot
from grilly.errors import DataError, ShapeError

HISTORY = [
    {"epoch": e, "loss": 2 / e, "accuracy": 0.5, "firing_rate": 0.1, "validation_accuracy": 0.4} for e in (1, 2, 3)
]
IMAGE = np.arange(64).reshape(8, 8)


def test_a_png_is_drawn_and_nothing_else_is_left(tmp_path):
    spikes = np.random.default_rng(0).integers(0, 2, (16, 10)).astype(np.float32)
    spikes[:, 4] = 0  # a class that stays silent
    plot.training_figure(tmp_path / "run" / "training.png", HISTORY, IMAGE, spikes, 3, "digits")
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["training.png"]
    picture = imread(tmp_path / "run" / "training.png")
    assert picture.shape == (432, 1440, 4)
    assert picture.std() > 0.05


def test_spikes_of_a_batch_are_refused(tmp_path):
    with pytest.raises(ShapeError) as error:
        plot.training_figure(tmp_path / "a.png", HISTORY, IMAGE, np.zeros((16, 1, 10)), 3)
    assert str(error.value) == "spikes have shape (16, 1, 10), expected (T, classes): pass those of one image."
    assert list(tmp_path.iterdir()) == []


def test_images_of_a_batch_are_refused(tmp_path):
    with pytest.raises(ShapeError) as error:
        plot.training_figure(tmp_path / "a.png", HISTORY, IMAGE[None], np.zeros((16, 10)), 3)
    assert str(error.value) == "the image has shape (1, 8, 8), expected (height, width): pass one image."
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_to(tmp_path):
    (tmp_path / "file").write_text("in the way")
    path = tmp_path / "file" / "a.png"
    with pytest.raises(DataError) as error:
        plot.training_figure(path, HISTORY, IMAGE, np.zeros((16, 10)), 3)
    assert str(error.value) == (
        f"cannot write {path}: [Errno 17] File exists: '{path.parent}'. Choose a directory that can be written to."
    )
