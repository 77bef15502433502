"""A compiled function as text: what `Jit.lower` returns, and GRILLY_DEBUG prints."""

import re

import numpy as np
import pytest
from jax import numpy as jnp
from programs import PROGRAMS
from targets import MATRIX_GPU

import grilly
from grilly.config import Config
from grilly.runtime import compile
from grilly.runtime.ir import Aval
from grilly.runtime.lower import lower
from grilly.runtime.shader import disassembly

W = np.arange(6, dtype=np.float32).reshape(2, 3)


def mean(x):
    return jnp.sum(x * 2) / 6


def test_the_stages_are_text(device):
    stages = grilly.jit(mean, device="vulkan").lower(W)

    assert stages.jaxpr.splitlines() == [
        "inputs %0:float32[2,3]",
        "%1:float32[2,3] = mul %0 2.0:float32",
        "%2:float32[] = reduce_sum[axes=(0, 1)] %1",
        "%3:float32[] = div %2 6.0:float32",
        "outputs %3",
    ]
    assert re.fullmatch(
        r"reduction\[\]  28 bytes, 13 operations  .*test_stages\.py:\d+(:\d+)? \(mean\)", stages.kernels
    )
    assert stages.plan == (
        "arena 0 bytes, constants 0 bytes, donated []\n                1x1x1  reduction[]  a0 o0\nresults o0"
    )
    assert re.match(r"; reduction\[\], \d+ bytes\n +OpCapability Shader\n", stages.spirv)


def test_nothing_runs(device):
    before = device.submits
    assert grilly.jit(mean, device="vulkan").lower(W).spirv
    assert device.submits == before


@pytest.mark.parametrize("place", ["cpu", "vulkan"])
def test_debugging_prints_the_same_texts(place, capsys, monkeypatch):
    monkeypatch.setattr(compile, "config", Config(debug=frozenset({"jaxpr", "kernels", "spirv", "plan"})))
    run = grilly.jit(mean, device=place)
    run(W)

    stages, expected = run.lower(W), ""
    for stage in ("jaxpr", "kernels", "spirv", "plan"):
        lines = getattr(stages, stage).splitlines()
        expected += f"grilly.jit(mean): {stage}\n" + "".join(f"  {line}\n" for line in lines)
    assert capsys.readouterr().err == (expected if place == "vulkan" else "")


@pytest.mark.parametrize("name", ["net_gradient", "conv_gradients", "casts"])
def test_our_listing_has_the_instructions_of_spirv_dis(name, monkeypatch):
    stages = grilly.jit(PROGRAMS[name].function, device="cpu").lower(*PROGRAMS[name].arguments())
    shaders = [dispatch.shader.spirv for dispatch in stages.lowered.plan.dispatches]
    theirs = "\n".join(map(disassembly.disassembled, shaders))
    monkeypatch.setattr(disassembly.shutil, "which", lambda tool: None)
    ours = "\n".join(map(disassembly.disassembled, shaders))

    def named(text):
        return [re.match(r"( *%\w+ =)? *(Op\w+)", line).groups() for line in text.splitlines()]

    assert [(bool(result), name) for result, name in named(ours)] == [(bool(r), name) for r, name in named(theirs)]


def test_an_older_spirv_dis_need_not_know_all_instructions():
    avals = [Aval((1024, 1024), np.dtype(np.float32))] * 2
    dispatches = lower(lambda x, w: [x @ w], avals, target=MATRIX_GPU).plan.dispatches
    assert any("CooperativeMatrixMulAdd" in disassembly.disassembled(d.shader.spirv) for d in dispatches)
