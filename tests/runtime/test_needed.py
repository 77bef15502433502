"""What is needed only if a value says so is not computed otherwise."""

import jax
import numpy as np
import pytest
from jax import numpy as jnp
from targets import MATRIX_GPU

from grilly.runtime.gpu.executable import Executable
from grilly.runtime.ir import Aval, Equation, Graph, Value
from grilly.runtime.kernels import spread
from grilly.runtime.lower import lower, lower_graph
from grilly.runtime.needed import asked

F32, BOOL = np.dtype(np.float32), np.dtype(np.bool_)


def result_over(primitive, shape, result, **params):
    """A kernel whose result may take over its argument's memory: where it does not run, the argument stays."""
    x, flag = Value(Aval(shape, F32)), Value(Aval((), BOOL))
    seen, y = Value(x.aval), Value(Aval(result, F32))
    equations = (Equation("if_needed", (x, flag), (seen,), {}), Equation(primitive, (seen,), (y,), params))
    return Graph((x, flag), equations, (y,), {})


@pytest.mark.parametrize("needed", [True, False])
def test_a_kernel_runs_only_if_its_value_is_needed(needed, device):
    x = np.random.default_rng(0).standard_normal((50, 70)).astype(F32)
    plan = lower_graph(result_over("neg", x.shape, x.shape), frozenset({0}), device.target).plan
    (buffer,) = Executable(device, plan)([x, np.bool_(needed)])
    np.testing.assert_array_equal(device.get(buffer, plan.results[0]), -x if needed else x)


def test_a_reduction_that_is_needed(device):
    x = np.random.default_rng(0).standard_normal((50, 70)).astype(F32)
    plan = lower_graph(result_over("reduce_max", x.shape, (50,), axes=(1,)), frozenset(), device.target).plan
    (buffer,) = Executable(device, plan)([x, np.bool_(True)])
    np.testing.assert_array_equal(device.get(buffer, plan.results[0]), x.max(1))


@pytest.fixture
def layer(monkeypatch):
    """A layer forth and back, whose argument may turn out to be spikes."""
    monkeypatch.setattr(spread, "LARGE", 1)

    def both_ways(x, w, g):
        y, vjp = jax.vjp(lambda w: jnp.tanh(x @ w), w)
        return [y, *vjp(g)]

    avals = [Aval(shape, F32) for shape in ((512, 128), (128, 256), (512, 256))]
    return lower(both_ways, avals, target=MATRIX_GPU)


def test_an_argument_that_turns_out_to_be_spikes_is_not_split(layer):
    """Nor is it looked at again for the scales of its columns, and how far apart their numbers are."""
    tasks = [task for kernel in layer.partition.kernels for task in kernel.tasks]
    sometimes = [task for task in tasks if None not in asked(layer.graph, layer.partition.stored, task.roots)]
    labels = [(task.label, len(task.roots)) for task in sometimes]
    assert labels == [("map[1,64,128,8]", 2), ("reduction[4,128]", 2), ("map[4,128,128]", 2)]
