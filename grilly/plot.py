"""The picture of a training run, drawn by matplotlib on no screen. Measuring is the caller's business."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import ArrayLike

from .errors import DataError, ShapeError
from .files import replacing

LAYOUT: Any = [["loss", "accuracy", "image", "spikes"], ["rate", "accuracy", "image", "spikes"]]
WIDTHS = [1.2, 1.5, 0.8, 1.7]


def training_figure(
    path: str | os.PathLike[str],
    history: Sequence[Mapping[str, float]],
    image: ArrayLike,
    spikes: ArrayLike,
    label: int,
    title: str = "",
) -> None:
    """Draw a run's curves, one image and its output spikes into a PNG.

    Args:
        path: The file to write; its directory is made.
        history: One entry an epoch, in order: `epoch`, `loss`, `accuracy` and `firing_rate` of training, and
            `validation_accuracy`; all rates from 0 to 1.
        image: `(height, width)`, the larger the brighter.
        spikes: `(T, classes)`, 0 or 1: what the net answers to the image.
        label: The image's true class.
        title: A line above it all.

    Raises:
        ShapeError: `image` or `spikes` has not two axes.
        DataError: The file cannot be written.
    """
    image, spikes = np.asarray(image), np.asarray(spikes)
    if image.ndim != 2:
        raise ShapeError(f"the image has shape {image.shape}, expected (height, width): pass one image.")
    if spikes.ndim != 2:
        raise ShapeError(f"spikes have shape {spikes.shape}, expected (T, classes): pass those of one image.")
    figure = Figure(figsize=(12, 3.6), layout="constrained")
    figure.suptitle(title)
    axes = figure.subplot_mosaic(LAYOUT, width_ratios=WIDTHS)
    _curves(axes["loss"], history, {"loss": "training"}, "loss (nats)")
    _curves(axes["rate"], history, {"firing_rate": "training"}, "firing rate (output spikes per step)")
    _curves(axes["accuracy"], history, {"accuracy": "training", "validation_accuracy": "validation"}, "accuracy")
    axes["accuracy"].yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes["accuracy"].legend(loc="lower right")
    axes["image"].imshow(image, cmap="gray_r")
    axes["image"].set(title=f"test image, class {label}", xticks=[], yticks=[])
    _raster(axes["spikes"], spikes, label)
    for each in axes.values():
        each.title.set_fontsize("medium")
    try:
        with replacing(path) as beside:
            figure.savefig(beside, dpi=120)
    except OSError as error:
        raise DataError(
            f"cannot write {os.fspath(path)}: {error}. Choose a directory that can be written to."
        ) from error


def _curves(axes: Axes, history: Sequence[Mapping[str, float]], names: Mapping[str, str], title: str) -> None:
    epochs = [entry["epoch"] for entry in history]
    for key, name in names.items():
        axes.plot(epochs, [entry[key] for entry in history], ".-", markersize=4, label=name)
    axes.set(title=title, xlabel="epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)


def _raster(axes: Axes, spikes: np.ndarray, label: int) -> None:
    """One row a class, one tick a spike; the true class's row is shaded."""
    axes.axhspan(label - 0.45, label + 0.45, color="tab:green", alpha=0.2)
    axes.eventplot([np.flatnonzero(row) for row in spikes.T], linelengths=0.7, linewidths=2, colors="black")
    axes.set(
        title=f"its output spikes (shaded: class {label})",
        xlabel="time step",
        ylabel="output neuron",
        xlim=(-0.5, len(spikes) - 0.5),
        ylim=(-0.5, spikes.shape[1] - 0.5),
        yticks=range(spikes.shape[1]),
    )
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
