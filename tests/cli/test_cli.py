"""The command line: a run from start to picture, stopped and resumed. What it says when it cannot: test_refusals."""

import os
import re
import signal
import subprocess
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from commands import PIPES, SHORT, TESTED, grilly, run
from matplotlib.image import imread

from grilly import checkpoint
from grilly.cli import measure
from grilly.cli.main import main


def test_a_run_says_what_it_does(trained):
    out, printed, bar = trained
    lines = printed.splitlines()
    assert lines[0].startswith("device  cpu")
    assert lines[1] == "data    digits: 1257 training, 180 validation and 360 test images of 8x8"
    assert lines[3] == f"saves   in {out}"
    number = r"\d\.\d+"
    for epoch, line in enumerate(lines[4:7], start=1):
        assert re.fullmatch(
            rf"epoch +{epoch}: loss {number}, accuracy {number}, firing rate {number}, "
            rf"validation accuracy {number}",
            line,
        )
    assert re.fullmatch(rf"test accuracy {number} with the best weights, {number} with the last", lines[7])
    assert lines[8] == f"saved best.safetensors, last.safetensors and training.png in {out}"
    for shown in "loss=", "accuracy=", "firing_rate=", "samples/s":
        assert shown in bar


def test_a_run_learns_and_leaves_three_files(trained):
    out, _, _ = trained
    assert sorted(path.name for path in out.iterdir()) == [
        "best.safetensors",
        "last.safetensors",
        "training.png",
    ]
    history = progress(out / "last.safetensors")["history"]
    assert [entry["epoch"] for entry in history] == [1, 2, 3]
    assert history[-1]["validation_accuracy"] > 0.7
    assert 0.02 < history[-1]["firing_rate"] < 0.5
    assert imread(out / "training.png").shape == (432, 1440, 4)


def test_the_same_seed_gives_the_same_weights_and_another_others(trained, tmp_path):
    out, _, _ = trained
    assert run(*SHORT, "--out", tmp_path / "same") == 0
    assert run(*SHORT, "--out", tmp_path / "other", "--seed", 1) == 0
    first, same, other = (weights(path / "last.safetensors") for path in (out, tmp_path / "same", tmp_path / "other"))
    for name, value in first.items():
        np.testing.assert_array_equal(same[name], value)
    assert any((other[name] != value).any() for name, value in first.items())


def progress(path):
    return checkpoint.load(path).about["progress"]


def weights(path):
    return {name: value for name, value in safetensors.numpy.load_file(path).items() if name.startswith("net.")}


@pytest.fixture
def stops(monkeypatch):
    """The steps of a run, to be filled in, after which Ctrl-C is pressed. Resumed, it goes on counting."""
    watch, after, taken = measure.Watch.__call__, set(), []

    def interrupted(self, *arguments):
        watch(self, *arguments)
        taken.append(1)
        if len(taken) in after:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(measure.Watch, "__call__", interrupted)
    yield after
    assert all(step <= len(taken) for step in after)


def test_a_run_stopped_anywhere_goes_on_as_if_it_had_not_been(trained, tmp_path, stops, capsys):
    """In its first epoch, of 39 steps; at the end of that; twice in the second one. All it leaves is the same."""
    out, printed, _ = trained
    stops |= {20, 39, 51, 52}
    assert run(*SHORT, "--out", tmp_path) == 130
    go_on = ("train", "--device", "cpu", "--resume", tmp_path / "last.safetensors")
    assert [run(*go_on) for _ in stops] == [130, 130, 130, 0]
    measured = [line for line in capsys.readouterr().out.splitlines() if line.startswith(("epoch", "test accuracy"))]
    assert measured == printed.splitlines()[4:8]
    for file in "best.safetensors", "last.safetensors", "training.png":
        assert (tmp_path / file).read_bytes() == (out / file).read_bytes(), file


def test_a_stopped_run_says_what_there_is(tmp_path, stops, capsys):
    stops |= {20, 51}
    assert run(*SHORT, "--out", tmp_path) == 130
    go_on = f"To go on: grilly train --resume {tmp_path}/last.safetensors"
    assert capsys.readouterr().out.splitlines()[-2:] == [
        "Stopped. There are no best weights yet: they are chosen after each epoch, and the first is not over.",
        go_on,
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["last.safetensors"]

    assert run("train", "--device", "cpu", "--resume", tmp_path / "last.safetensors") == 130
    best = progress(tmp_path / "best.safetensors")["history"][0]["validation_accuracy"]
    assert capsys.readouterr().out.splitlines()[-2:] == [
        f"Stopped. The best weights so far (validation accuracy {best:.4f}) are in {tmp_path}/best.safetensors.",
        go_on,
    ]


def test_ctrl_c_ends_the_process_cleanly(tmp_path):
    command = grilly("train", "--device", "cpu", "--epochs", 100000, "--out", tmp_path / "run")
    with subprocess.Popen(command, **PIPES) as process:
        while not (tmp_path / "run" / "last.safetensors").exists():
            assert process.poll() is None, process.communicate()
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        printed, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert f"To go on: grilly train --resume {tmp_path}/run/last.safetensors" in printed
    checkpoint.load(tmp_path / "run" / "best.safetensors")


def test_evaluate_finds_the_accuracy_that_training_printed(trained, capsys):
    out, printed, _ = trained
    best, last = re.search(TESTED, printed).groups()
    for name, accuracy in ("best", best), ("last", last):
        assert run("evaluate", out / f"{name}.safetensors", "--device", "cpu") == 0
        line = capsys.readouterr().out.splitlines()[-1]
        assert line == f"test accuracy {accuracy} on the 360 test images of digits"


@pytest.mark.parametrize("neuron", ["if", "plif"])
def test_other_neurons_learn(tmp_path, neuron):
    assert run(*SHORT, "--neuron", neuron, "--out", tmp_path) == 0
    history = progress(tmp_path / "last.safetensors")["history"]
    assert history[-1]["validation_accuracy"] > 0.6


def test_the_convolutional_model_learns(tmp_path):
    assert run("train", "--device", "cpu", "--model", "conv", "--epochs", 3, "--out", tmp_path) == 0
    history = progress(tmp_path / "last.safetensors")["history"]
    assert history[-1]["validation_accuracy"] > 0.4


def test_no_options_reach_95_percent_in_90_seconds(tmp_path):
    start = time.monotonic()
    environment = os.environ | {"PYTHONPATH": str(Path.cwd())}
    command = grilly("train", "--device", "cpu")
    process = subprocess.run(command, check=False, cwd=tmp_path, env=environment, **PIPES)
    assert process.returncode == 0, process.stderr
    assert time.monotonic() - start < 90
    best, last = re.search(TESTED, process.stdout).groups()
    assert float(best) >= 0.95
    assert float(last) >= 0.95
    (out,) = (tmp_path / "runs").iterdir()
    assert out.name.startswith("digits-mlp-")


def test_devices_lists_what_there_is_and_why(capsys):
    assert run("devices") == 0
    lines = capsys.readouterr().out.splitlines()
    assert re.match(r"[* ] cpu: ", lines[0])
    assert sum(line.startswith("* ") for line in lines[:-1]) == 1
    assert lines[-1] == "* is used unless --device or GRILLY_DEVICE names another."


def test_the_version_is_the_packages(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["--version"])
    assert capsys.readouterr().out == f"grilly {version('grilly')}\n"
