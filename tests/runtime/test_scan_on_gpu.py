"""Scans as GPUs get them, on whatever device there is: they load ahead, and twins overlap their chunks."""

import functools
from dataclasses import replace

import jax
import numpy as np
import pytest
from checks import gives_jaxs_values, instructions, lowered, validate
from jax import numpy as jnp
from programs import PROGRAMS, Program
from programs_recompute import adaptive, by_everything, by_output, growing, refractory, two_layers

import grilly
from grilly.runtime.kernels import fed, scan
from grilly.runtime.passes import narrow, recompute
from grilly.runtime.target import Target

FUNCTIONS = (by_output, by_everything, adaptive, refractory, growing, two_layers)
LENGTHS = (17, 83, 131)  # one chunk; several of 16, the first of which is shorter, in one block and a part, and in two

BARRIER = 224  # OpControlBarrier


@pytest.fixture(params=["few", "many", "grouped"])
def gpu(request, device, monkeypatch):
    """The device, compiled for as if it were a GPU with few invocations or many, or with little memory for carries."""
    if request.param == "many":
        monkeypatch.setattr(fed, "FEW", 0)
        monkeypatch.setattr(recompute, "FEW", 0)
    if request.param == "grouped":
        monkeypatch.setattr(recompute, "UNGROUPED", 2)
        monkeypatch.setattr(recompute, "SAVED", 1)
        monkeypatch.setattr(recompute, "SAVED_BY_FEW", 1)
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
    gives_jaxs_values(Program(neighbourly, ((length, *shape), shape, (3,)), error=1e-6), gpu)


@pytest.mark.parametrize("function", [by_output, adaptive], ids=lambda function: function.__name__)
def test_four_neighbours_save_their_carries(function, gpu, monkeypatch):
    monkeypatch.setattr(scan, "MANY", 4)
    gives_jaxs_values(Program(function, ((131, 8), (131, 8), (8,))), gpu)


@pytest.mark.parametrize("name", [name for name in PROGRAMS if name.startswith("shallow")])
def test_four_neighbours_share_what_their_shallow_products_read(name, gpu, monkeypatch):
    monkeypatch.setattr(scan, "MANY", 4)
    gives_jaxs_values(PROGRAMS[name], gpu)


def divided(x, v, tau, other):
    """A scan that divides by two scalars."""

    def step(v, x):
        v = v - v / tau + x
        return v, (v > 1, v / other)

    return jax.lax.scan(step, v, x)


def divides_as_jax_does(gpu, *divisors):
    x, v = (np.random.default_rng(0).standard_normal((*shape, 8)).astype(np.float32) for shape in ((5,), ()))
    arguments = (x, v, *map(np.float32, divisors))
    ours, theirs = grilly.jit(divided, device=gpu)(*arguments), jax.jit(divided)(*arguments)
    jax.tree.map(np.testing.assert_array_equal, jax.tree.map(np.asarray, ours), jax.tree.map(np.asarray, theirs))


@pytest.mark.parametrize("power", [1, -2, 24, 126])
def test_scans_divide_by_powers_of_two_in_one_instruction(power, gpu, monkeypatch):
    monkeypatch.setattr(scan, "MANY", 4)
    # Its other way to divide takes fused multiply-adds, and lavapipe has none.
    monkeypatch.setattr(gpu, "target", replace(gpu.target, exact_division=False))
    divides_as_jax_does(gpu, 2.0**power, 2.0)


@pytest.mark.parametrize("tau", [1.5, 3.0, -2.0, np.inf, 0.0])
def test_scans_divide_by_other_numbers(tau, gpu, monkeypatch):
    monkeypatch.setattr(scan, "MANY", 4)
    divides_as_jax_does(gpu, tau, 2.0)
    divides_as_jax_does(gpu, 2.0, tau)


def read_in_windows(x, v, fold, windows, pad=0):
    """A scan that puts out booleans, which are read in windows, and numbers, which are not."""

    def step(v, x):
        v = v / 3 + x
        return v, ((v > 0).astype(x.dtype), v * x)

    v, (y, u) = jax.lax.scan(step, v, x)
    beside = (1, 1, *windows)
    images = y.reshape(-1, *y.shape[2:])
    around = ((0, 0), (0, 0), (pad, pad), (pad, pad))
    start, fold = {"max": (-jnp.inf, jax.lax.max), "min": (jnp.inf, jax.lax.min), "sum": (0.0, jax.lax.add)}[fold]
    return v, u, jax.lax.reduce_window(images, start, fold, beside, beside, around)


@pytest.mark.parametrize("fold", ["max", "min", "sum"])
@pytest.mark.parametrize("windows", [(2, 2), (1, 4), (3, 1), (4, 2)], ids=str)
def test_scans_fold_the_windows_that_alone_read_them(windows, fold, gpu, monkeypatch):
    monkeypatch.setattr(scan, "MANY", 4)
    function = functools.partial(read_in_windows, fold=fold, windows=windows)
    program = Program(function, ((5, 2, 3, 12, 8), (2, 3, 12, 8)))
    gives_jaxs_values(program, gpu)
    assert [dispatch.label for dispatch in lowered(program, gpu.target).plan.dispatches] == ["scan[2,3,12,8]"]


@pytest.mark.parametrize("fold", ["max", "min", "sum"])
def test_windows_of_booleans_are_folded(fold, gpu, monkeypatch):
    """Which nought and one are between kernels, where they are many; but not their sums."""
    monkeypatch.setattr(scan, "MANY", 4)
    monkeypatch.setattr(narrow, "LARGE", 4)
    function = functools.partial(read_in_windows, fold=fold, windows=(2, 2))
    gives_jaxs_values(Program(function, ((5, 2, 3, 12, 8), (2, 3, 12, 8))), gpu)


def convolved(x, w, c, windows, spatial="HW"):
    """A convolution, a scan that alone reads it, and windows over what that puts out."""
    numbers = (f"NC{spatial}", f"OI{spatial}", f"NC{spatial}")
    y = jax.lax.conv_general_dilated(
        x.reshape(-1, *x.shape[2:]), w, (1,) * len(spatial), "SAME", dimension_numbers=numbers
    )
    y = y.reshape(*x.shape[:2], *y.shape[1:]) + c.reshape(-1, *[1] * len(spatial))
    v, y = jax.lax.scan(lambda v, x: (v / 3 + x, (v + x > 0).astype(x.dtype)), jnp.zeros(y.shape[1:]), y)
    y = y.reshape(-1, *y.shape[2:])
    return v, jax.lax.reduce_window(y, -jnp.inf, jax.lax.max, windows, windows, "VALID")


@pytest.mark.parametrize(
    ("shape", "taps", "windows"),
    [((6, 8), (3, 3), (1, 1, 2, 2)), ((8, 4), (3, 3), (1, 1, 4, 1)), ((8,), (5,), (1, 2, 2)), ((12,), (5,), (1, 1, 4))],
    ids=str,
)
def test_windows_of_convolutions_are_folded(shape, taps, windows, gpu, monkeypatch):
    """Two features at a time, where windows are of one feature."""
    monkeypatch.setattr(scan, "MANY", 4)
    function = functools.partial(convolved, windows=windows, spatial="HW"[-len(shape) :])
    program = Program(function, ((3, 2, 1, *shape), (4, 1, *taps), (4,)), error=1e-6)
    gives_jaxs_values(program, gpu)
    assert lowered(program, gpu.target).plan.dispatches[-1].label == f"scan[2,4,{','.join(map(str, shape))}]"


@pytest.mark.parametrize(
    ("windows", "pad", "width"), [((2, 2), 0, 6), ((2, 3), 0, 12), ((6, 2), 0, 8), ((2, 2), 1, 8)], ids=str
)
def test_other_windows_have_a_kernel_of_their_own(windows, pad, width, gpu, monkeypatch):
    """Where rows of four neighbours do not hold whole ones, or zeros lie around."""
    monkeypatch.setattr(scan, "MANY", 4)
    function = functools.partial(read_in_windows, fold="max", windows=windows, pad=pad)
    program = Program(function, ((5, 2, 3, 12, width), (2, 3, 12, width)))
    gives_jaxs_values(program, gpu)
    assert len(lowered(program, gpu.target).plan.dispatches) == 2


def has_barriers(program):
    """Whether some kernel's invocations wait for each other, on a GPU."""
    shaders = [d.shader for d in lowered(program, replace(Target(), software=False)).plan.dispatches]
    return any(BARRIER in (opcode for opcode, _ in instructions(shader.spirv)) for shader in shaders)


@pytest.mark.parametrize("length", [131, 160], ids=["rest", "whole"])
@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.__name__)
def test_roles_of_a_workgroup_give_jaxs_values(function, length, device, monkeypatch, tmp_path):
    """Of several chunks and whole workgroups: some compute chunks again, one goes back, also through what is left."""
    monkeypatch.setattr(device, "target", replace(device.target, software=False))
    program = Program(function, ((length, 64), (length, 64), (64,)))
    gives_jaxs_values(program, device)
    assert has_barriers(program)
    for dispatch in lowered(program, replace(Target(), software=False)).plan.dispatches:
        validate(dispatch.shader.spirv, tmp_path)


@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
def test_roles_hand_over_what_steps_read_of_any_dtype(reverse, device, monkeypatch):
    """Of several sequences, some of them the same at all steps, or for all elements."""

    def scan(x, y, scales, v):
        def step(carry, x):
            v, count = carry
            number, fires, integer, half, still, scale = x
            v = jax.numpy.where(fires, v / 2, v) + number * half + still * scale
            return (v, count + integer), (v > 1, count)

        still = jax.numpy.broadcast_to(v, x.shape)
        xs = x, x > y, (4 * y).astype(np.int32), y.astype(np.float16), still, scales
        return jax.lax.scan(step, (v, v.astype(np.int32)), xs, reverse=reverse)

    monkeypatch.setattr(device, "target", replace(device.target, software=False))
    program = Program(scan, ((133, 64), (133, 64), (133,), (64,)))
    gives_jaxs_values(program, device)
    assert has_barriers(program)


@pytest.mark.parametrize("size", [6, 64], ids=["alone", "roles"])
@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
@pytest.mark.parametrize("length", [1, 16, 64, 129])
def test_scans_give_jaxs_values(length, reverse, size, gpu):
    """Of as many steps as are loaded ahead, fewer, or some more."""

    def scan(x, v):
        return jax.lax.scan(lambda v, x: (v / 3 + x, v * x), v, x, reverse=reverse)

    gives_jaxs_values(Program(scan, ((length, size), (size,))), gpu)
