"""The picture of kernels under their ceilings: it is drawn from what a profile prints."""

import numpy as np
import pytest

import grilly
from benchmarks import roofline

PRINTED = """\
a net, T=4, batch 8, training step, float32
grilly.profile: 50 calls, 100 dispatches, 3.000 ms; a GPU copies 4000.5 GB/s: the ceiling
  calls        ms  share   ms each     GB/s   GFLOP/s ceiling  kernel, layer, line
     50     2.000  66.7%    0.0400    100.0    5000.0    2.5%  grilly.jit(step)  tensor[8,4]  layer "0.0"
     50     1.000  33.3%    0.0200   2000.0    1000.0   50.0%  grilly.jit(step)  map[8,4]+reduction[8]  m.py:3:1 (f)
     50     0.000   0.0%    0.0000        -         -       -  grilly.jit(step)  map[]
  grilly                     23.7387 ms waited    22.9449 ms pipelined
"""


def test_kernels_are_read_with_their_net_and_the_devices_bandwidth():
    kernels, copies = roofline.read(PRINTED.splitlines())
    assert copies == 4000.5
    net = "a net, T=4, batch 8, training step, float32"
    assert kernels == [
        (net, "tensor[8,4]", "0.0", 66.7, 50.0, 5000.0),
        (net, "map[8,4]+reduction[8]", "", 33.3, 0.5, 1000.0),
    ]
    assert [kernel.kind for kernel in kernels] == ["tensor", "map"]


def test_a_profile_prints_what_is_read(device, capsys):
    x = grilly.put(np.ones(1 << 22, np.float32), device)
    double = grilly.jit(lambda x: x * 2 + 1)
    double(x)
    with grilly.profile() as profile:
        double(x)
    (kernel,), copies = roofline.read(capsys.readouterr().out.splitlines())
    (row,) = profile.rows
    assert (kernel.label, kernel.share) == (row.kernel, 100)
    assert kernel.intensity == pytest.approx(round(row.gflop_s, 1) / round(row.gb_s, 1))  # one decimal is printed
    assert copies == pytest.approx(device.copy_bandwidth / 1e9, abs=0.1)


def test_a_picture_is_drawn(tmp_path):
    kernels, copies = roofline.read(PRINTED.splitlines())
    for name in ("a.svg", "b.svg"):
        roofline.draw(tmp_path / name, kernels, copies)
    drawn = (tmp_path / "a.svg").read_text()
    assert "<svg" in drawn
    assert drawn == (tmp_path / "b.svg").read_text()


def test_files_without_a_profile_are_refused(tmp_path, capsys, monkeypatch):
    (tmp_path / "a.txt").write_text("nothing\n")
    monkeypatch.setattr("sys.argv", ["roofline", str(tmp_path / "a.txt"), str(tmp_path / "b.svg")])
    with pytest.raises(SystemExit):
        roofline.main()
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.endswith(
        "error: these files hold no profile of a Vulkan device. Give what benchmarks.train_step or .conv printed."
    )
    assert not (tmp_path / "b.svg").exists()
