"""Checkpoints come back as they went in, and a write that fails leaves the last one whole."""

import json
import re
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy

from grilly import checkpoint
from grilly.errors import DataError

ARRAYS = {
    "net.0.weight": np.arange(6, dtype=np.float32).reshape(2, 3).T,  # not contiguous
    "net.0.bias": np.zeros(0, np.float32),
    "optimizer.count": np.array(7, np.int32),
    "seed": np.array([1, 2], np.uint32),
}
ABOUT = {
    "model": "mlp",
    "neuron": "lif",
    "T": 16,
    "epoch": 3,
    "best_accuracy": 0.9512345678901234,
    "history": [],
}


def test_a_checkpoint_comes_back_as_it_went_in(tmp_path):
    path = tmp_path / "run" / "last.safetensors"
    checkpoint.save(path, ARRAYS, ABOUT)
    arrays, about = checkpoint.load(path)
    assert about == ABOUT
    assert arrays.keys() == ARRAYS.keys()
    for name, want in ARRAYS.items():
        assert arrays[name].dtype == want.dtype
        np.testing.assert_array_equal(arrays[name], want, strict=True)
    assert [entry.name for entry in path.parent.iterdir()] == ["last.safetensors"]


def test_other_programs_can_read_it(tmp_path):
    checkpoint.save(tmp_path / "a.safetensors", ARRAYS, ABOUT)
    np.testing.assert_array_equal(
        safetensors.numpy.load_file(tmp_path / "a.safetensors")["net.0.weight"], ARRAYS["net.0.weight"]
    )


def test_part_takes_the_arrays_of_one_prefix(tmp_path):
    checkpoint.save(tmp_path / "a.safetensors", {**ARRAYS, "network": np.zeros(1)}, ABOUT)
    assert checkpoint.load(tmp_path / "a.safetensors").part("net").keys() == {"0.weight", "0.bias"}


DTYPES = (
    "bool, int8, int16, int32, int64, uint8, uint16, uint32, uint64, float16, bfloat16, float32, float64, complex64"
)
OUTSIDE = {
    "text": np.array(["lif"]),
    "object": np.array([None]),
    "complex128": np.zeros(2, complex),
    "float8": np.zeros(2, jnp.float8_e4m3fn),  # safetensors writes it, and cannot read it
}


@pytest.mark.parametrize("name", OUTSIDE)
def test_an_array_of_other_than_numbers_is_named(tmp_path, name):
    path = tmp_path / "last.safetensors"
    checkpoint.save(path, ARRAYS, ABOUT)
    with pytest.raises(DataError) as error:
        checkpoint.save(path, ARRAYS | {name: OUTSIDE[name]}, ABOUT)
    assert str(error.value) == (
        f"the array {name!r} has dtype {OUTSIDE[name].dtype.name}, expected one of {DTYPES}. "
        "Convert it; texts go into `about`."
    )
    assert checkpoint.load(path).arrays.keys() == ARRAYS.keys()
    assert [entry.name for entry in tmp_path.iterdir()] == ["last.safetensors"]


@pytest.mark.parametrize("dtype", DTYPES.split(", "))
def test_every_dtype_that_is_offered_comes_back(tmp_path, dtype):
    want = np.arange(3).astype(jnp.dtype(dtype))
    checkpoint.save(tmp_path / "a.safetensors", {"x": want}, {})
    np.testing.assert_array_equal(checkpoint.load(tmp_path / "a.safetensors").arrays["x"], want, strict=True)


UNWRITABLE = {
    "weights": (np.zeros(2), "Object of type ndarray is not JSON serializable"),
    "loss": (np.float32(1), "Object of type float32 is not JSON serializable"),
    ("a", "pair"): (1, "keys must be str, int, float, bool or None, not tuple"),
}


@pytest.mark.parametrize("key", UNWRITABLE)
def test_what_json_cannot_write_is_named(tmp_path, key):
    path = tmp_path / "last.safetensors"
    checkpoint.save(path, ARRAYS, ABOUT)
    value, why = UNWRITABLE[key]
    with pytest.raises(DataError) as error:
        checkpoint.save(path, ARRAYS, {"epoch": 4, key: value})
    assert str(error.value) == (
        f"JSON cannot write the entry {key!r} of `about`: {why}. "
        "Give numbers, texts, and lists and dicts of them; arrays go into `arrays`."
    )
    assert checkpoint.load(path).about == ABOUT
    assert [entry.name for entry in tmp_path.iterdir()] == ["last.safetensors"]


def test_a_full_disk_leaves_the_last_checkpoint(tmp_path, monkeypatch):
    path = tmp_path / "last.safetensors"
    checkpoint.save(path, ARRAYS, ABOUT)

    def full(beside, content):
        beside.touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(DataError) as error:
        checkpoint.save(path, ARRAYS, {"epoch": 4})
    assert str(error.value) == (
        f"cannot write {path}: [Errno 28] No space left on device. Choose a directory that can be written to."
    )
    assert checkpoint.load(path).about == ABOUT
    assert [entry.name for entry in tmp_path.iterdir()] == ["last.safetensors"]


def test_a_place_that_cannot_be_written_to(tmp_path):
    (tmp_path / "file").write_text("in the way")
    path = tmp_path / "file" / "last.safetensors"
    with pytest.raises(DataError) as error:
        checkpoint.save(path, ARRAYS, ABOUT)
    assert str(error.value) == (
        f"cannot write {path}: [Errno 17] File exists: '{path.parent}'. Choose a directory that can be written to."
    )


def refused(path):
    with pytest.raises(DataError) as error:
        checkpoint.load(path)
    return str(error.value)


def test_absent(tmp_path):
    path = tmp_path / "best.safetensors"
    assert re.fullmatch(
        rf"cannot read {re.escape(str(path))}: No such file or directory.*\. Expected a checkpoint that "
        "grilly saved; check the path, or use another checkpoint of that run\\.",
        refused(path),
    )


@pytest.mark.parametrize("keep", [0, 4, 100, -1])
def test_truncated(tmp_path, keep):
    path = tmp_path / "best.safetensors"
    checkpoint.save(path, ARRAYS, ABOUT)
    path.write_bytes(path.read_bytes()[:keep])
    text = refused(path)
    assert text.startswith(f"cannot read {path}: ")
    assert text.endswith(
        "Expected a checkpoint that grilly saved; check the path, or use another checkpoint of that run."
    )


def test_a_directory_or_a_picture(tmp_path):
    picture = tmp_path / "training.png"
    picture.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    assert refused(picture).startswith(f"cannot read {picture}: ")
    assert refused(tmp_path).startswith(f"cannot read {tmp_path}: ")


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}, {"grilly": "{"}])
def test_foreign(tmp_path, metadata):
    path = tmp_path / "torch.safetensors"
    safetensors.numpy.save_file({"weight": np.zeros(3)}, path, metadata)
    assert refused(path) == (
        f"{path} is a safetensors file, but no checkpoint of grilly's: its metadata has no valid "
        "'grilly' entry. Use a file that grilly.checkpoint.save or `grilly train` wrote."
    )


def test_about_is_plain_json(tmp_path):
    checkpoint.save(tmp_path / "a.safetensors", ARRAYS, ABOUT)
    with safetensors.safe_open(tmp_path / "a.safetensors", "numpy") as file:
        assert json.loads(file.metadata()["grilly"]) == ABOUT
