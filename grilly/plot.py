"""Pictures of a training run, drawn by matplotlib on no screen. Measuring is the caller's business."""

import os
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from .errors import DataError, ShapeError
from .files import replacing


def training_figure(
    path: str | os.PathLike[str],
    history: Sequence[Mapping[str, float]],
    spikes: ArrayLike,
    label: int,
    title: str = "",
) -> None:
    """Draw a run's curves and the output spikes of one image into a PNG.

    Args:
        path: The file to write; its directory is made.
        history: One entry an epoch, in order: `epoch`, `loss`, `accuracy` and `firing_rate` of training, and
            `validation_accuracy`; all rates from 0 to 1.
        spikes: `(T, classes)`, 0 or 1.
        label: The image's true class.
        title: A line above it all.

    Raises:
        ShapeError: `spikes` has not two axes.
        DataError: The file cannot be written.
    """
    spikes = np.asarray(spikes)
    if spikes.ndim != 2:
        raise ShapeError(f"spikes have shape {spikes.shape}, expected (T, classes): pass those of one image.")
    figure = Figure(figsize=(12, 3.6), layout="constrained")
    figure.suptitle(title)
    loss, accuracy, output = figure.subplots(1, 3)
    _curves(loss, history, {"loss": "loss"}, "training loss")
    names = {"accuracy": "training", "validation_accuracy": "validation", "firing_rate": "firing rate"}
    _curves(accuracy, history, names, "accuracy and firing rate")
    accuracy.set_ylim(0, 1.02)
    accuracy.legend(loc="center right")
    _raster(output, spikes, label)
    try:
        with replacing(path) as beside:
            figure.savefig(beside, dpi=150)
    except OSError as error:
        raise DataError(
            f"cannot write {os.fspath(path)}: {error}. Choose a directory that can be written to."
        ) from error


def _curves(axes: Axes, history: Sequence[Mapping[str, float]], names: Mapping[str, str], title: str) -> None:
    epochs = [entry["epoch"] for entry in history]
    for key, name in names.items():
        axes.plot(epochs, [entry[key] for entry in history], ".-", label=name)
    axes.set(title=title, xlabel="epoch")
    axes.grid(alpha=0.3)


def _raster(axes: Axes, spikes: np.ndarray, label: int) -> None:
    """One row a class, one tick a spike; the true class's row is shaded."""
    axes.axhspan(label - 0.4, label + 0.4, color="tab:green", alpha=0.2)
    axes.eventplot([np.flatnonzero(row) for row in spikes.T], linelengths=0.7, colors="black")
    axes.set(
        title=f"output spikes of one test image of class {label}",
        xlabel="time step",
        ylabel="class",
        xlim=(-0.5, len(spikes) - 0.5),
        yticks=range(spikes.shape[1]),
    )
