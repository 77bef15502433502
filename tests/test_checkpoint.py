"""Checkpoints come back as they went in, and a write that fails leaves the last one whole."""

import json
import re
from pathlib import Path

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


def test_a_write_that_fails_leaves_the_last_checkpoint(tmp_path):
    path = tmp_path / "last.safetensors"
    checkpoint.save(path, ARRAYS, ABOUT)
    with pytest.raises(TypeError, match="not JSON serializable"):
        checkpoint.save(path, ARRAYS, {"epoch": object()})
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
