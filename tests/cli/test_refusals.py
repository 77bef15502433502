"""What the command line says when it cannot: whole messages, exit status 2, and nothing left behind."""

import dataclasses
import re
import signal
import tempfile
from pathlib import Path

import numpy as np
import pytest
import safetensors
from commands import SHORT, run

from grilly import checkpoint, datasets, devices

OPTIONS = {
    ("--epochs", "0"): "--epochs is 0: expected at least 1.",
    ("--T", "-3"): "--T is -3: expected at least 1.",
    ("--batch-size", "0"): "--batch-size is 0: expected at least 1.",
    ("--batch-size", "1258"): "--batch-size is 1258: expected at most the 1257 training images of digits.",
    ("--lr", "0"): "--lr is 0.0: expected a learning rate between 0 and 1, such as 0.002.",
    ("--lr", "nan"): "--lr is nan: expected a learning rate between 0 and 1, such as 0.002.",
    ("--seed", "-1"): "--seed is -1: expected from 0 to 4294967295.",
    ("--data", "somewhere"): "the digits come with grilly, --data somewhere has no use: leave it out.",
    ("--dataset", "mnist", "--data", "/nowhere"): (
        "/nowhere lacks train-images-idx3-ubyte.gz, train-labels-idx1-ubyte.gz, t10k-images-idx3-ubyte.gz, "
        "t10k-labels-idx1-ubyte.gz of the data set 'mnist'. Give the directory that holds "
        "train-images-idx3-ubyte.gz, train-labels-idx1-ubyte.gz, t10k-images-idx3-ubyte.gz, "
        "t10k-labels-idx1-ubyte.gz, gzipped or not, as --data, or leave --data out: grilly then finds or downloads "
        "them."
    ),
}


@pytest.mark.parametrize("options", OPTIONS, ids=" ".join)
def test_wrong_options(options, tmp_path, capsys):
    assert run("train", *options, "--out", tmp_path / "run") == 2
    assert capsys.readouterr().err == f"grilly: {OPTIONS[options]}\n"
    assert not (tmp_path / "run").exists()


def test_a_run_is_never_overwritten(trained, capsys):
    out, _, _ = trained
    assert run(*SHORT, "--out", out) == 2
    last = out / "last.safetensors"
    assert capsys.readouterr().err == (
        f"grilly: --out {out} holds a run already: choose another, or --resume {last}.\n"
    )


def test_what_cannot_be_resumed(trained, tmp_path, capsys):
    out, _, _ = trained
    best, last, foreign = out / "best.safetensors", out / "last.safetensors", tmp_path / "a.safetensors"
    checkpoint.save(foreign, {}, {"made by": "hand"})
    cases = {
        (last,): f"the run of {last} is complete: give more --epochs than 3.",
        (best,): f"{best} holds weights, and not where its run stood. Resume from last.safetensors beside it.",
        (last, "--T", 7): (
            "--T 7 differs from the run to resume, which has 6. Leave --T out, or start a new run without --resume."
        ),
        (last, "--out", tmp_path): f"--out {tmp_path} does not go with --resume: a run stays in {out}.",
        (foreign,): (
            f"{foreign} does not describe a run (KeyError: 'settings'). Use a checkpoint that `grilly train` wrote."
        ),
    }
    for arguments, message in cases.items():
        assert run("train", "--resume", *arguments) == 2
        assert capsys.readouterr().err == f"grilly: {message}\n"


def test_a_run_does_not_go_on_with_other_images(trained, monkeypatch, capsys):
    last = trained[0] / "last.safetensors"
    digits = datasets.load()
    fewer = dataclasses.replace(digits, train=digits.train.take(slice(1000)))
    monkeypatch.setattr(datasets, "load", lambda name, data: fewer)
    assert run("train", "--resume", last, "--epochs", 4) == 2
    assert capsys.readouterr().err == (
        f"grilly: digits has 1000 training images here, and the run of {last} has 1257. "
        "Give the --data that it began with.\n"
    )


def test_what_cannot_be_evaluated(trained, tmp_path, capsys):
    out, _, _ = trained
    broken, odd, mixed = (tmp_path / f"{name}.safetensors" for name in ("broken", "odd", "mixed"))
    arrays, about = checkpoint.load(out / "best.safetensors")
    broken.write_bytes((out / "best.safetensors").read_bytes()[:1000])
    with pytest.raises(safetensors.SafetensorError) as why:
        safetensors.safe_open(broken, framework="numpy")
    checkpoint.save(odd, arrays, about | {"settings": about["settings"] | {"neuron": "hodgkin"}})
    del arrays["net.1.bias"]
    checkpoint.save(mixed, arrays, about)
    cases = {
        broken: (
            f"cannot read {broken}: {why.value}. Expected a checkpoint that grilly saved; "
            "check the path, or use another checkpoint of that run."
        ),
        odd: (
            f"{odd} does not describe a run (ParameterError: --neuron is hodgkin: expected one of if, lif, plif.). "
            "Use a checkpoint that `grilly train` wrote."
        ),
        mixed: (
            f"{mixed} does not fit its own settings: this state dict does not fit the net; missing: 1.bias. "
            "Load one that was saved from the same structure."
        ),
    }
    for path, message in cases.items():
        assert run("evaluate", path, "--device", "cpu") == 2
        assert capsys.readouterr().err == f"grilly: {message}\n"


@pytest.mark.parametrize("command", [("evaluate",), ("train", "--resume")])
def test_a_directory_in_place_of_a_checkpoint(command, trained, capsys):
    out, _, _ = trained
    assert run(*command, out) == 2
    assert capsys.readouterr().err == (
        f"grilly: {out} is a directory. Give a file in it: {out}/last.safetensors to resume, "
        f"{out}/best.safetensors to evaluate.\n"
    )


def test_images_of_another_shape(trained, tmp_path, monkeypatch, capsys):
    best = trained[0] / "best.safetensors"
    images = datasets.Split(np.zeros((12, 28, 28), np.uint8), np.zeros(12, np.int32), 255)
    monkeypatch.setattr(datasets, "load", lambda name, data: datasets.Dataset(name, images, images, images))
    assert run("evaluate", best, "--dataset", "mnist") == 2
    assert capsys.readouterr().err == (
        f"grilly: mnist has images of shape (1, 28, 28), and {best} was trained on digits, whose images have "
        "shape (1, 8, 8). Choose a --dataset of that shape.\n"
    )


CANNOT_SAVE = (
    "grilly: cannot save in {}: {}. Give a directory that can be written to as --out, "
    "or resume a copy of the run in one.\n"
)
BLOCKED = {"file": "File exists", "file/run": "Not a directory", "x" * 300: "File name too long"}


@pytest.mark.parametrize("place", BLOCKED, ids=BLOCKED.values())
def test_a_place_that_cannot_be_written_to_is_found_before_training(place, tmp_path, capsys):
    (tmp_path / "file").write_text("in the way")
    assert run(*SHORT, "--out", tmp_path / place) == 2
    printed, errors = capsys.readouterr()
    assert errors == CANNOT_SAVE.format(tmp_path / place, BLOCKED[place])
    assert re.fullmatch(r"device  cpu .*\n", printed)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "in the way"


def test_a_directory_that_lets_nobody_write_is_found_before_training(trained, tmp_path, monkeypatch, capsys):
    def refused(dir):  # by hand: root, who may run the tests, may write everywhere
        raise PermissionError(13, "Permission denied", f"{dir}/tmp123")

    monkeypatch.setattr(tempfile, "TemporaryFile", refused)
    out, _, _ = trained
    assert run("train", "--device", "cpu", "--resume", out / "last.safetensors", "--epochs", 4) == 2
    assert capsys.readouterr().err == CANNOT_SAVE.format(out, "Permission denied")
    assert run(*SHORT, "--out", tmp_path) == 2
    assert capsys.readouterr().err == CANNOT_SAVE.format(tmp_path, "Permission denied")


def test_a_device_that_is_not_there(tmp_path, capsys):
    assert run("train", "--device", "quantum", "--out", tmp_path / "run") == 2
    found = [
        f"vulkan:{device.index} ({device.name}, {device.kind})" for device in devices() if device.index is not None
    ]
    assert capsys.readouterr().err == (
        f"grilly: there is no device 'quantum'. There are: {', '.join(['cpu', *found])}. "
        "Give one of these, a kind, or a part of a name.\n"
    )
    assert not (tmp_path / "run").exists()


@pytest.fixture
def listening():
    """As in a terminal: a shell has what it runs in the background ignore Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_ctrl_c_before_training_ends_with_a_word(tmp_path, monkeypatch, capsys, listening):
    def interrupted(*arguments):
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(datasets, "load", interrupted)
    assert run(*SHORT, "--out", tmp_path / "run") == 130
    assert capsys.readouterr().err == "grilly: stopped\n"
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("times", "files"), [(1, ["best.safetensors", "last.safetensors"]), (2, [])])
def test_ctrl_c_while_saving_leaves_nothing_half_written(times, files, tmp_path, monkeypatch):
    """Once: the epoch is saved whole. Twice: at once, and what was being written is gone."""
    write, asked = Path.write_bytes, []

    def interrupted(path, content):
        write(path, content[:100])
        if not asked:
            asked.append(path)
            for _ in range(times):
                signal.raise_signal(signal.SIGINT)
        return write(path, content)

    monkeypatch.setattr(Path, "write_bytes", interrupted)
    assert run(*SHORT, "--out", tmp_path / "run") == 130
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == files
    for file in files:
        checkpoint.load(tmp_path / "run" / file)
