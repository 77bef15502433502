"""Scans as GPUs get them, on whatever device there is: they load ahead, and twins overlap their chunks."""

from dataclasses import replace

import jax
import pytest
from programs import PROGRAMS, Program
from programs_recompute import adaptive, by_everything, by_output, growing, refractory, two_layers
from test_programs import gives_jaxs_values, instructions, lowered, validate

from grilly.runtime import recompute
from grilly.runtime.kernels import halves, scan, task
from grilly.runtime.target import Target

FUNCTIONS = (by_output, by_everything, adaptive, refractory, growing, two_layers)
LENGTHS = (17, 83, 131)  # one chunk; several of 16, the first of which is shorter, in one block and a part, and in two

BARRIER = 224  # OpControlBarrier


@pytest.fixture(params=["few", "many", "grouped"])
def gpu(request, device, monkeypatch):
    """The device, compiled for as if it were a GPU with few invocations or many, or with little memory for carries."""
    if request.param == "many":
        monkeypatch.setattr(halves, "FEW", 0)
        monkeypatch.setattr(recompute, "FEW", 0)
    if request.param == "grouped":
        monkeypatch.setattr(recompute, "UNGROUPED", 2)
        monkeypatch.setattr(recompute, "SAVED", 1)
    monkeypatch.setattr(device, "target", replace(device.target, software=False))
    return device


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.__name__)
def test_twins_give_jaxs_values(function, length, gpu, tmp_path):
    program = Program(function, ((length, 6), (length, 6), (6,)))
    gives_jaxs_values(program, gpu)
    for dispatch in lowered(program, replace(Target(), software=False)).plan.dispatches:
        validate(dispatch.shader.spirv, tmp_path)


def neighbourly(x, v, scale):
    """A scan of two carries that puts out numbers, booleans and a scalar, and what is elementwise in its last carry."""

    def step(carry, x):
        v, count = carry
        v = v / 3 + x * scale.mean()
        return (v, count + 1), (v * x, v > 0, count)

    (v, count), out = jax.lax.scan(step, (v, jax.numpy.float32(0)), x)
    return v * 2, count * 3, v, out


@pytest.mark.parametrize("length", [1, 4, 9])
@pytest.mark.parametrize("shape", [(8,), (3, 4), (6,)], ids=str)
def test_invocations_that_own_four_neighbours_give_jaxs_values(shape, length, gpu, monkeypatch):
    """Or one each, where four do not divide them."""
    monkeypatch.setattr(scan, "MANY", 4)
    monkeypatch.setattr(task, "WIDE", 4)
    gives_jaxs_values(Program(neighbourly, ((length, *shape), shape, (3,)), error=1e-6), gpu)


@pytest.mark.parametrize("function", [by_output, adaptive], ids=lambda function: function.__name__)
def test_four_neighbours_save_their_carries(function, gpu, monkeypatch):
    monkeypatch.setattr(scan, "MANY", 4)
    monkeypatch.setattr(task, "WIDE", 4)
    gives_jaxs_values(Program(function, ((131, 8), (131, 8), (8,))), gpu)


@pytest.mark.parametrize("name", [name for name in PROGRAMS if name.startswith("shallow")])
def test_four_neighbours_share_what_their_shallow_products_read(name, gpu, monkeypatch):
    monkeypatch.setattr(scan, "MANY", 4)
    monkeypatch.setattr(task, "WIDE", 4)
    gives_jaxs_values(PROGRAMS[name], gpu)


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.__name__)
def test_halves_of_a_workgroup_give_jaxs_values(function, device, monkeypatch, tmp_path):
    """Of three chunks or more and whole workgroups: one computes chunks again, the other goes back."""
    monkeypatch.setattr(device, "target", replace(device.target, software=False))
    program = Program(function, ((131, 64), (131, 64), (64,)))
    gives_jaxs_values(program, device)
    shaders = [d.shader for d in lowered(program, replace(Target(), software=False)).plan.dispatches]
    assert any(BARRIER in (opcode for opcode, _ in instructions(shader.spirv)) for shader in shaders)
    for shader in shaders:
        validate(shader.spirv, tmp_path)


@pytest.mark.parametrize("size", [6, 64], ids=["whole", "halves"])
@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
@pytest.mark.parametrize("length", [1, 16, 64, 129])
def test_scans_give_jaxs_values(length, reverse, size, gpu):
    """Of as many steps as are loaded ahead, fewer, or some more."""

    def scan(x, v):
        return jax.lax.scan(lambda v, x: (v / 3 + x, v * x), v, x, reverse=reverse)

    gives_jaxs_values(Program(scan, ((length, size), (size,))), gpu)
