"""Measure the test accuracy of a checkpoint."""

import argparse
from pathlib import Path

from .. import datasets
from ..errors import DataError
from .devices import chosen_device
from .measure import accuracy
from .model import build
from .saved import Saved
from .settings import CHOICES


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("checkpoint", type=Path, metavar="CHECKPOINT", help="what `grilly train` saved")
    parser.add_argument("--dataset", choices=CHOICES["dataset"], help="another data set than it was trained on")
    parser.add_argument("--data", type=Path, metavar="DIR", help="directory of MNIST's four IDX files")
    parser.add_argument("--device", help="as for `grilly train`")


def run(arguments: argparse.Namespace) -> int:
    """`grilly evaluate`. Returns the exit status."""
    saved = Saved.read(arguments.checkpoint)
    settings = saved.settings
    dataset = datasets.load(arguments.dataset or settings.dataset, arguments.data)
    if dataset.image_shape != saved.image_shape:
        raise DataError(
            f"{dataset.name} has images of shape {dataset.image_shape}, and {arguments.checkpoint} was "
            f"trained on {settings.dataset}, whose images have shape {saved.image_shape}. "
            "Choose a --dataset of that shape."
        )
    net = build(settings, dataset.image_shape).to(chosen_device(arguments.device))
    saved.restore(net)
    tested = accuracy(net, dataset.test)
    print(f"test accuracy {tested:.4f} on the {len(dataset.test)} test images of {dataset.name}")
    return 0
