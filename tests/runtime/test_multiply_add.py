"""Instructions that GPUs have for two or more operations: the same bits as NumPy's."""

from dataclasses import replace

import numpy as np
import pytest
from checks import instructions, lowered
from jax import numpy as jnp
from programs import Program

import grilly
from grilly.runtime.target import Target

EXTENDED, FMA = 12, 50  # OpExtInst, and its number of the fused multiply-add
STRANGE = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0], np.float32)


@pytest.fixture
def gpu(device, monkeypatch):
    """The device, compiled for as if it were a GPU."""
    monkeypatch.setattr(device, "target", replace(device.target, software=False))
    return device


def numbers() -> tuple[np.ndarray, np.ndarray]:
    """Of many sizes, each strange one with each."""
    random = np.random.default_rng(0)
    x, y = (random.standard_normal(500).astype(np.float32) * np.exp2(random.integers(-60, 60, 500)) for _ in range(2))
    return tuple(
        np.concatenate([a, b.ravel()]).astype(np.float32)
        for a, b in zip((x, y), np.meshgrid(STRANGE, STRANGE), strict=True)
    )


def sums(x, y):
    half, none = np.float32(0.5), np.float32(0)
    return x - half * x, half * x + y, y - x / 4, x / 8 - y, -(x / 2) + y, y + half * -x, none * x + y, y - none * x


def others(x, y):
    """Products that are not exact, or may overflow."""
    return 3 * x + y, x * y + x, 2 * x - y, np.float32(0.3) * x + y


def same(ours, theirs) -> None:
    np.testing.assert_array_equal(ours, theirs)
    known = ~np.isnan(theirs)
    np.testing.assert_array_equal(np.signbit(ours)[known], np.signbit(theirs)[known])


def fused(function, target: Target) -> int:
    (dispatch,) = lowered(Program(function, ((8,), (8,))), target).plan.dispatches
    return sum(opcode == EXTENDED and operands[3] == FMA for opcode, operands in instructions(dispatch.shader.spirv))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # NumPy's, of infinity
def test_exact_products_are_added_in_one_instruction(gpu):
    x, y = numbers()
    for ours, theirs in zip(grilly.jit(sums, device=gpu)(x, y), sums(x, y), strict=True):
        same(np.asarray(ours), theirs)
    assert fused(sums, replace(Target(), software=False)) == 7  # two of them are the same


def test_no_other_product_is(gpu):
    assert fused(others, replace(Target(), software=False)) == fused(sums, Target()) == 0


def test_no_number_stays_where_a_constant_bounds_it(device):
    x = np.array([np.nan, np.inf, -np.inf, 0.5, 2.0, -2.0], np.float32)

    def bounded(numpy, x):
        return numpy.maximum(x, 0.25), numpy.minimum(x, 0.25), numpy.maximum(0.25, x)

    results = grilly.jit(lambda x: bounded(jnp, x), device=device)(x)
    for ours, theirs in zip(results, bounded(np, x), strict=True):
        np.testing.assert_array_equal(ours, theirs)
