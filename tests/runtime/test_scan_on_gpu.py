"""Scans as GPUs get them, on whatever device there is: they load ahead, and twins overlap their chunks."""

from dataclasses import replace

import jax
import pytest
from programs import Program
from programs_recompute import adaptive, by_everything, by_output, growing, refractory, two_layers
from test_programs import gives_jaxs_values, lowered, validate

from grilly.runtime import recompute
from grilly.runtime.kernels import back
from grilly.runtime.target import Target

FUNCTIONS = (by_output, by_everything, adaptive, refractory, growing, two_layers)
LENGTHS = (17, 131)  # one chunk, and several of 16, the first of which is shorter


@pytest.fixture(params=["few", "many", "grouped"])
def gpu(request, device, monkeypatch):
    """The device, compiled for as if it were a GPU with few invocations or many, or with little memory for carries."""
    if request.param == "many":
        monkeypatch.setattr(back, "FEW", 0)
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


@pytest.mark.parametrize("length", [1, 16, 64, 129])
def test_scans_give_jaxs_values(length, gpu):
    """Of as many steps as are loaded ahead, fewer, or some more."""
    gives_jaxs_values(
        Program(lambda x, v: jax.lax.scan(lambda v, x: (v / 3 + x, v * x), v, x), ((length, 6), (6,))), gpu
    )
