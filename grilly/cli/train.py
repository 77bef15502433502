"""Train a spiking classifier, and keep its best weights."""

import argparse
import os
import sys
import tempfile
import time
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from tqdm import tqdm

from .. import datasets, plot
from ..errors import DataError, ParameterError
from .devices import chosen_device
from .interrupt import INTERRUPTED, StopRequest
from .measure import accuracy, raster
from .saved import BEST, LAST, Saved
from .settings import CHOICES, Settings
from .trainer import Trainer

PICTURE = "training.png"
SHOWN = 4  # the test image in the picture: not one of the easy ones, so that several outputs fire
LINE = (
    "epoch {epoch:3}: loss {loss:.4f}, accuracy {accuracy:.4f}, firing rate {firing_rate:.3f}, "
    "validation accuracy {validation_accuracy:.4f}"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dataset", choices=CHOICES["dataset"], help="what to learn (digits)")
    parser.add_argument(
        "--data", type=Path, metavar="DIR", help="directory of MNIST's four IDX files (found, or downloaded)"
    )
    parser.add_argument("--model", choices=CHOICES["model"], help="a hidden layer, or two convolutions and one (mlp)")
    parser.add_argument("--neuron", choices=CHOICES["neuron"], help="the neuron (lif)")
    parser.add_argument("--T", type=int, help="time steps an image is shown (16; conv 4)")
    parser.add_argument("--epochs", type=int, help="passes over the training images (digits 30, others 10)")
    parser.add_argument("--batch-size", type=int, metavar="N", help="images a training step (digits 32, others 64)")
    parser.add_argument("--lr", type=float, help="AdamW's learning rate at the start of its cosine (0.002)")
    parser.add_argument("--seed", type=int, help="of weights and of the order of images (0)")
    parser.add_argument("--device", help="cpu, vulkan, vulkan:1, a kind, or part of a name (the first GPU, else cpu)")
    parser.add_argument("--out", type=Path, metavar="DIR", help="where to save (runs/DATASET-MODEL-TIME)")
    parser.add_argument("--resume", type=Path, metavar="CHECKPOINT", help=f"go on from a run's {LAST}, where it lies")


def run(arguments: argparse.Namespace) -> int:
    """`grilly train`: the whole run. Returns the exit status."""
    trainer = _resumed(arguments) if arguments.resume else _new(arguments)
    _check_writable(trainer.out)
    with StopRequest() as stop:
        _train(trainer, stop)
    if trainer.complete:
        _report(trainer)
        return 0
    print(f"Stopped. {_best(trainer)}")
    print(f"To go on: grilly train --resume {trainer.out / LAST}")
    return INTERRUPTED


def _new(arguments: argparse.Namespace) -> Trainer:
    settings = Settings.chosen(_given(arguments))
    out = arguments.out or Path("runs", f"{settings.dataset}-{settings.model}-{time.strftime('%Y%m%d-%H%M%S')}")
    if os.path.exists(out / LAST):  # Path.exists raises where it may not look
        raise ParameterError(f"--out {out} holds a run already: choose another, or --resume {out / LAST}.")
    dataset = datasets.load(settings.dataset, arguments.data)
    return Trainer(settings, dataset, chosen_device(arguments.device), out)


def _resumed(arguments: argparse.Namespace) -> Trainer:
    path = arguments.resume
    if arguments.out not in (None, path.parent):
        raise ParameterError(f"--out {arguments.out} does not go with --resume: a run stays in {path.parent}.")
    saved = Saved.read(path)
    settings = saved.settings.resumed(_given(arguments))
    dataset = datasets.load(settings.dataset, arguments.data)
    _check_images(dataset, saved)
    trainer = Trainer(settings, dataset, chosen_device(arguments.device), path.parent)
    trainer.restore(saved)
    if trainer.complete:
        raise ParameterError(f"the run of {path} is complete: give more --epochs than {settings.epochs}.")
    return trainer


def _check_writable(out: Path) -> None:
    """Makes the directory. Before the first epoch, which would be lost where it cannot be saved."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=out).close()
    except OSError as error:
        raise DataError(
            f"cannot save in {out}: {error.strerror}. Give a directory that can be written to as --out, "
            "or resume a copy of the run in one."
        ) from error


def _check_images(dataset: datasets.Dataset, saved: Saved) -> None:
    """With more images or fewer, an epoch would have other steps, and a step other images."""
    if len(dataset.train) != saved.train_images:
        raise DataError(
            f"{dataset.name} has {len(dataset.train)} training images here, and the run of {saved.path} has "
            f"{saved.train_images}. Give the --data that it began with."
        )


def _given(arguments: argparse.Namespace) -> dict[str, Any]:
    return {field.name: getattr(arguments, field.name) for field in fields(Settings)}


def _train(trainer: Trainer, stop: StopRequest) -> None:
    """Epoch after epoch, with one progress bar for all of them and a line for each whole one."""
    settings, size = trainer.settings, trainer.settings.batch_size
    print(f"data    {trainer.dataset}")
    print("run     " + ", ".join(f"{name} {value}" for name, value in asdict(settings).items()))
    print(f"saves   in {trainer.out}")
    start, end = trainer.progress.steps * size, trainer.total * size
    with tqdm(total=end, initial=start, unit=" samples", unit_scale=True, dynamic_ncols=True) as bar:
        while not (trainer.complete or stop.asked):
            measured = trainer.epoch(stop, bar)
            if measured:
                bar.write(LINE.format(**measured))
                sys.stdout.flush()  # for those who watch through a pipe


def _best(trainer: Trainer) -> str:
    if not trainer.progress.history:
        return "There are no best weights yet: they are chosen after each epoch, and the first is not over."
    best = trainer.progress.best_accuracy
    return f"The best weights so far (validation accuracy {best:.4f}) are in {trainer.out / BEST}."


def _report(trainer: Trainer) -> None:
    """Test accuracies of the last and the best weights, and the picture of the run."""
    net, test, out = trainer.net, trainer.dataset.test, trainer.out
    last = accuracy(net, test)
    Saved.read(out / BEST).restore(net)
    best = accuracy(net, test)
    settings = trainer.settings
    title = f"{settings.dataset}, {settings.model} of {settings.neuron.upper()} neurons: {best:.1%} test accuracy"
    image, label = test.images[SHOWN], int(test.labels[SHOWN])
    plot.training_figure(out / PICTURE, trainer.progress.history, image, raster(net, test, SHOWN), label, title)
    print(f"test accuracy {best:.4f} with the best weights, {last:.4f} with the last")
    print(f"saved {BEST}, {LAST} and {PICTURE} in {out}")
