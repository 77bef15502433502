"""`grilly.profile()`: a row for each kernel, with the layer and line that asked for it, and a trace for chrome."""

import gc
import json
import os
import re
import subprocess
import sys

import jax
import numpy as np
import pytest
from jax import numpy as jnp

import grilly
from grilly import functional as F
from grilly import nn, optim
from grilly.runtime.profile import active

W = np.arange(64, dtype=np.float32).reshape(8, 8)


@pytest.fixture(params=["cpu", "vulkan"])
def place(request):
    return request.param


def forward(w, x):
    with jax.named_scope("readout"):
        return jnp.maximum(x @ w, 0)


def test_a_row_says_what_ran_how_long_and_for_whom(device, capsys):
    run = grilly.jit(forward, device="vulkan")
    run(W, W)
    with grilly.profile() as p:
        for _ in range(3):
            run(W, W)

    (row,) = p.rows
    assert (row.function, row.kernel, row.device) == ("grilly.jit(forward)", "matmul[8,8]", device.name)
    assert (row.calls, row.cost.layer) == (3, "readout")
    assert re.fullmatch(r".*test_profile\.py:\d+(:\d+)? \(forward\)", row.cost.line)
    assert (row.cost.nbytes, row.cost.operations) == (3 * 64 * 4, 2 * 8**3 + 64)
    assert 0 < row.ms < row.total < 10_000
    assert row.gb_s == pytest.approx(row.cost.nbytes / row.ms / 1e6)
    assert row.gflop_s == pytest.approx(row.cost.operations / row.ms / 1e6)
    assert row.ceiling == pytest.approx(1e9 * row.gb_s / device.copy_bandwidth)
    said = capsys.readouterr().out
    assert said == f"{p}\n"
    title, _, line = said.splitlines()
    assert re.match(r"grilly.profile: 3 calls, 3 dispatches, [\d.]+ ms; .* copies [\d.]+ GB/s: the ceiling$", title)
    assert line.endswith(f'grilly.jit(forward)  matmul[8,8]  layer "readout"  {row.cost.line}')


def test_on_the_cpu_a_row_is_a_function(capsys):
    with grilly.profile() as p:
        grilly.jit(forward, device="cpu")(W, W)

    (row,) = p.rows
    assert (row.function, row.kernel, row.calls, row.ceiling) == ("grilly.jit(forward)", "jax.jit", 1, 0)
    assert row.ms == row.total > 0
    assert re.search(r" 100\.0% +[\d.]+ +- +- +-  grilly\.jit\(forward\)  jax\.jit\n$", capsys.readouterr().out)


def test_results_are_the_same_and_donated_arguments_are_donated(place):
    update = grilly.jit(lambda v, x: v + x, device=place, donate_argnums=0)
    v = grilly.put(W, place)
    with grilly.profile():
        v = update(v, W)
        v = update(v, 1.0)
    np.testing.assert_array_equal(v, 2 * W + 1)


def test_a_training_step_names_its_layers(place):
    net = nn.Sequential(nn.Linear(8, 4), nn.LIFNode(tau=2.0), nn.Linear(4, 2), nn.LIFNode(tau=2.0)).to(place)
    F.set_step_mode(net, "m")
    step = grilly.train_step(net, nn.CrossEntropyLoss(), optim.SGD(net.parameters(), lr=0.1))
    step(np.ones((3, 2, 8), np.float32), np.array([0, 1]))  # the first makes the optimizer's state, too
    F.reset_net(net)
    with grilly.profile() as p:
        step(np.ones((3, 2, 8), np.float32), np.array([0, 1]))
    rows = p.rows
    assert {row.function for row in rows} == {"grilly.jit(step)"}
    assert {row.cost.layer for row in rows} >= ({"0", "1", "2", "3"} if place == "vulkan" else {""})


def test_the_steps_of_a_loop_are_one_row(device):
    def recurrent(w, v, x_seq):
        return jax.lax.scan(lambda v, x: (jnp.tanh(v @ w + x), v), v, x_seq)

    with grilly.profile() as p:
        grilly.jit(recurrent, device="vulkan")(W / 64, W, np.ones((5, 8, 8), np.float32))
    assert max(row.calls for row in p.rows) == 5


def test_a_trace_that_chrome_shows(place, tmp_path):
    run = grilly.jit(forward, device=place)
    with grilly.profile() as p:
        run(W, W)
        run(W, W)
    p.save(tmp_path / "trace.json")

    events = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    threads = {e["tid"]: e["args"]["name"] for e in events if e["ph"] == "M"}
    assert list(threads.values()) == ["host", run(W, W).device.name]
    spans = [e for e in events if e["ph"] == "X"]
    host, kernels = ([e for e in spans if (threads[e["tid"]] == "host") == on_host] for on_host in (True, False))
    assert [e["name"] for e in host] == ["grilly.jit(forward)"] * 2
    assert [e["name"] for e in kernels] == ["jax.jit" if place == "cpu" else "matmul[8,8]"] * 2
    assert kernels[0]["args"]["layer"] == ("" if place == "cpu" else "readout")
    assert kernels[0]["ts"] == pytest.approx(host[0]["ts"])
    assert kernels[1]["ts"] >= kernels[0]["ts"] + kernels[0]["dur"]


def test_profiles_nest_and_end_with_an_error(capsys):
    run = grilly.jit(forward, device="vulkan")

    def fails(profile):
        with profile:
            run(W, W)
            raise ZeroDivisionError

    inner = grilly.profile()
    with grilly.profile() as outer:
        with pytest.raises(ZeroDivisionError):
            fails(inner)
        run(W, W)
    assert (len(outer.calls), len(inner.calls)) == (2, 1)
    assert capsys.readouterr().out == f"{outer}\n"
    assert not active


def test_a_profile_leaves_nothing_on_the_device(device):
    run = grilly.jit(forward, device="vulkan")
    w = grilly.put(W, "vulkan")
    for _ in range(2):
        run(w, w)
    assert device.copy_bandwidth > 0  # measured once, in memory of its own
    gc.collect()  # what earlier tests left must not be freed midway
    before = device.counts()
    with grilly.profile():
        for _ in range(300):  # more than may wait to be read
            run(w, w)
    assert device.counts() == before


def test_grilly_debug_time_prints_it_when_the_process_ends():
    code = "import grilly, numpy as np; print(grilly.jit(lambda x: x + 1)(np.ones(3)))"
    for place in ("cpu", "vulkan"):
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True, text=True, check=True,
            env=os.environ | {"GRILLY_DEBUG": "time", "GRILLY_DEVICE": place, "GRILLY_VALIDATION": "0"},
        )  # fmt: skip
        assert done.stdout == "[2. 2. 2.]\n"
        assert re.match(r"grilly\.profile: 1 calls, 1 dispatches, ", done.stderr)
