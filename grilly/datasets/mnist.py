"""MNIST and Fashion-MNIST: 60000 and 10000 images of 28x28, from a directory or downloaded and checked.

References: Y. LeCun, C. Cortes, C. Burges, The MNIST database of handwritten digits (1998). H. Xiao,
K. Rasul, R. Vollgraf, Fashion-MNIST, arXiv:1708.07747 (2017), MIT licence.
"""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import platformdirs
import pooch
import requests

from ..errors import DataError
from .dataset import Dataset, Split, shuffled
from .idx import read_idx

VALIDATION = 12  # one image in twelve of the training set is for validation: 5000 of 60000


@dataclass(frozen=True)
class Source:
    """Where a data set is found: a directory of the system's, else a server, and the files' SHA-256."""

    system: Path | None
    url: str
    sha256: dict[str, str]


SOURCES = {
    "mnist": Source(
        None,
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        {
            "train-images-idx3-ubyte.gz": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
            "train-labels-idx1-ubyte.gz": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
            "t10k-images-idx3-ubyte.gz": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
            "t10k-labels-idx1-ubyte.gz": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
        },
    ),
    "fashion-mnist": Source(
        Path("/usr/share/datasets/fashion-mnist"),  # Debian's package dataset-fashion-mnist
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        {
            "train-images-idx3-ubyte.gz": "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
            "train-labels-idx1-ubyte.gz": "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
            "t10k-images-idx3-ubyte.gz": "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
            "t10k-labels-idx1-ubyte.gz": "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
        },
    ),
}


def mnist(name: str, data: str | os.PathLike[str] | None = None) -> Dataset:
    """The data set `name` of `SOURCES`, from the directory `data`, else the system's, else downloaded."""
    directory = _directory(name, data)
    train = _pair(directory, "train")
    order = shuffled(len(train))
    held_back = len(train) // VALIDATION
    test = _pair(directory, "t10k")
    return Dataset(name, train.take(order[held_back:]), train.take(order[:held_back]), test)


def _directory(name: str, data: str | os.PathLike[str] | None) -> Path:
    source = SOURCES[name]
    if data is None:
        return source.system if source.system and source.system.is_dir() else _downloaded(name, source)
    absent = [file for file in source.sha256 if not _present(Path(data, file)).is_file()]
    if absent:
        raise DataError(
            f"{os.fspath(data)} lacks {', '.join(absent)} of the data set {name!r}. "
            f"Give the directory that holds {', '.join(source.sha256)}, gzipped or not, as --data, "
            "or leave --data out: grilly then finds or downloads them."
        )
    return Path(data)


def _downloaded(name: str, source: Source) -> Path:
    """The cache's directory, with every file there and checked."""
    cache = platformdirs.user_cache_path("grilly") / name
    for file, sha256 in source.sha256.items():
        try:
            pooch.retrieve(source.url + file, f"sha256:{sha256}", file, cache, progressbar=True)
        except (requests.RequestException, OSError, ValueError) as error:  # ValueError: another checksum
            raise DataError(
                f"cannot download {source.url}{file} to {cache}: {error}. Get the files "
                f"{', '.join(source.sha256)} by other means and give their directory as --data."
            ) from error
    return cache


def _present(path: Path) -> Path:
    """The gzipped file `path`, or the plain one that lies there instead."""
    return path if path.is_file() else path.with_suffix("")


def _pair(directory: Path, part: str) -> Split:
    """The images and labels of one part, `train` or `t10k`, that fit each other."""
    image_file = _present(directory / f"{part}-images-idx3-ubyte.gz")
    label_file = _present(directory / f"{part}-labels-idx1-ubyte.gz")
    images, labels = read_idx(image_file), read_idx(label_file)
    if images.shape[1:] != (28, 28) or len(images) < VALIDATION:
        raise DataError(
            f"{image_file} holds an array of shape {images.shape}, expected (count, 28, 28) with at least "
            f"{VALIDATION} images. Give another directory as --data."
        )
    if labels.shape != images.shape[:1] or labels.max() > 9:
        raise DataError(
            f"{label_file} holds labels of shape {labels.shape} up to {labels.max(initial=0)}, expected "
            f"{images.shape[:1]} labels from 0 to 9, one for each image. Give another directory as --data."
        )
    return Split(images, labels.astype(np.int32), peak=255)
