"""Checkpoints: named arrays and a description, in one safetensors file. Their meaning is the caller's."""

import json
import os
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import safetensors
import safetensors.numpy
from numpy.typing import ArrayLike

from .errors import DataError
from .files import replacing

KEY = "grilly"  # of safetensors' metadata: a checkpoint is a file that has it
DTYPES = (  # that safetensors reads back into NumPy; it would write others, such as float8
    *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("float16", "bfloat16", "float32", "float64", "complex64"),
)


class Checkpoint(NamedTuple):
    """What a checkpoint holds: `arrays` by name, and `about`, a description that JSON can write."""

    arrays: dict[str, np.ndarray]
    about: dict[str, Any]

    def part(self, name: str) -> dict[str, np.ndarray]:
        """The arrays whose names start with `name` and a dot, without it."""
        return {key.removeprefix(f"{name}."): value for key, value in self.arrays.items() if key.startswith(f"{name}.")}


def save(path: str | os.PathLike[str], arrays: Mapping[str, ArrayLike], about: Mapping[str, Any]) -> None:
    """Write a checkpoint; until it is whole, the file that `path` names stays as it was.

    Args:
        path: The file to write, by custom with the suffix `.safetensors`; its directory is made.
        arrays: Arrays by name, on any device.
        about: Whatever JSON can write: settings, epoch, accuracy.

    Raises:
        DataError: The file cannot be written, an array holds no numbers of `DTYPES`, or JSON cannot write `about`.

    Example:
        >>> import tempfile, numpy as np
        >>> with tempfile.TemporaryDirectory() as directory:
        ...     save(f"{directory}/best.safetensors", {"net.weight": np.ones(3, np.float32)}, {"epoch": 7})
        ...     checkpoint = load(f"{directory}/best.safetensors")
        >>> checkpoint.about, checkpoint.part("net")
        ({'epoch': 7}, {'weight': array([1., 1., 1.], dtype=float32)})
    """
    stored = {name: _storable(name, array) for name, array in arrays.items()}
    content = safetensors.numpy.save(stored, {KEY: _written(about)})
    try:
        with replacing(path) as beside:
            beside.write_bytes(content)
    except OSError as error:
        raise DataError(
            f"cannot write {os.fspath(path)}: {error}. Choose a directory that can be written to."
        ) from error


def load(path: str | os.PathLike[str]) -> Checkpoint:
    """Read what `save` wrote.

    Raises:
        DataError: The file is absent, truncated or corrupt, or was not written by grilly.
    """
    try:
        with safetensors.safe_open(os.fspath(path), framework="numpy") as file:
            about = _about(file.metadata() or {}, path)  # first: a foreign file may hold types that NumPy lacks
            return Checkpoint({name: file.get_tensor(name) for name in file.keys()}, about)  # noqa: SIM118 (no mapping)
    except (OSError, safetensors.SafetensorError) as error:
        raise DataError(
            f"cannot read {os.fspath(path)}: {error}. Expected a checkpoint that grilly saved; "
            "check the path, or use another checkpoint of that run."
        ) from error


def _storable(name: str, array: ArrayLike) -> np.ndarray:
    contiguous = np.ascontiguousarray(array)
    if contiguous.dtype.name not in DTYPES:
        raise DataError(
            f"the array {name!r} has dtype {contiguous.dtype.name}, expected one of {', '.join(DTYPES)}. "
            "Convert it; texts go into `about`."
        )
    return contiguous.reshape(np.shape(array))  # scalars stay 0-d


def _written(about: Mapping[str, Any]) -> str:
    for key, value in about.items():  # one by one, so that an error names the key
        try:
            json.dumps({key: value})
        except (TypeError, ValueError) as error:
            raise DataError(
                f"JSON cannot write the entry {key!r} of `about`: {error}. "
                "Give numbers, texts, and lists and dicts of them; arrays go into `arrays`."
            ) from error
    return json.dumps(dict(about))


def _about(metadata: Mapping[str, str], path: str | os.PathLike[str]) -> dict[str, Any]:
    try:
        return json.loads(metadata[KEY])
    except (KeyError, json.JSONDecodeError) as error:
        raise DataError(
            f"{os.fspath(path)} is a safetensors file, but no checkpoint of grilly's: its metadata has "
            f"no valid {KEY!r} entry. Use a file that grilly.checkpoint.save or `grilly train` wrote."
        ) from error
