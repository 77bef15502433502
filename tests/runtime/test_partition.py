"""Which tasks share a kernel, and how they are spread over its workgroups."""

import jax
import numpy as np
import pytest
from checks import instructions
from jax import lax
from programs import PROGRAMS
from targets import MATRIX_GPU

from grilly.runtime.ir import Aval
from grilly.runtime.lower import lower
from grilly.runtime.target import Target

FLOATS = np.dtype(np.float32)
UDIV, UMOD = 134, 137  # opcodes of SPIR-V


@pytest.mark.parametrize(("software", "groups"), [(True, 1), (False, 10 + 8)], ids=["cpu", "gpu"])
def test_small_tasks_that_would_keep_a_workgroup_busy_run_side_by_side_on_a_gpu(software, groups):
    avals = [Aval((10, 256), FLOATS), Aval((2, 256), FLOATS)]
    plan = lower(lambda x, y: [x + 1, y.sum(0)], avals, target=Target(software=software)).plan
    assert [dispatch.groups for dispatch in plan.dispatches] == [(groups, 1, 1)]


def test_small_tasks_that_need_each_other_take_one_workgroup():
    def softmax(x):
        e = np.e ** (x - x.max(1)[:, None])
        return [e / e.sum(1)[:, None]]

    plan = lower(softmax, [Aval((32, 10), FLOATS)], target=Target(software=False)).plan
    assert [dispatch.groups for dispatch in plan.dispatches] == [(1, 1, 1)]


@pytest.mark.parametrize(("columns", "kernels"), [(64, 1), (65, 2)])
def test_a_product_computes_the_operand_that_it_fetches_once(columns, kernels):
    avals = [Aval((100, 9), FLOATS), Aval((9, columns), FLOATS)]
    plan = lower(lambda x, y: [(x > 0).astype(FLOATS) @ y], avals).plan
    assert len(plan.dispatches) == kernels


def decayed(x):
    return lax.scan(lambda v, x: (v / 2 + x, v), np.zeros(x.shape[1:], FLOATS), x)[1]


SHALLOW = {
    "few_terms": (16, lambda y: [decayed(y * 2)], ["scan[5,6]"]),
    "many_terms": (17, lambda y: [decayed(y * 2)], ["matmul[4,5,6]", "scan[5,6]"]),
    "read_by_a_scan_and_a_sum": (16, lambda y: [decayed(y), y.sum()], ["matmul[4,5,6]", "reduction[]", "scan[5,6]"]),
    "read_twice_by_its_scan": (16, lambda y: [decayed(y + y[:1])], ["matmul[4,5,6]", "scan[5,6]"]),
    "put_out": (16, lambda y: [decayed(y), y], ["matmul[4,5,6]", "scan[5,6]"]),
    "read_by_no_scan": (16, lambda y: [y * 2], ["matmul[4,5,6]"]),
}


@pytest.mark.parametrize(("depth", "reader", "labels"), SHALLOW.values(), ids=SHALLOW.keys())
def test_a_scan_computes_the_shallow_product_that_it_alone_reads(depth, reader, labels):
    plan = lower(lambda x, w: reader(x @ w), [Aval((4, 5, depth), FLOATS), Aval((depth, 6), FLOATS)]).plan
    assert sorted(label for dispatch in plan.dispatches for label in dispatch.label.split("+")) == labels


def test_a_shallow_product_that_a_twin_reads_too_is_stored():
    def loss(w, x):
        y = x @ w
        return lax.scan(jax.checkpoint(lambda v, y: (v * y, v)), y[0], y)[1].sum()

    avals = [Aval((16, 6), FLOATS), Aval((4, 5, 16), FLOATS)]
    plan = lower(lambda *given: [jax.grad(loss)(*given)], avals).plan
    assert [dispatch.label.split("[")[0] for dispatch in plan.dispatches][:2] == ["matmul", "scan"]


def test_what_a_convolution_sees_in_patches_is_stored():
    avals = [Aval((2, 3, 8, 8), FLOATS), Aval((4, 3, 3, 3), FLOATS)]
    plan = lower(lambda x, w: [lax.conv_general_dilated(x * x, w, (1, 1), "SAME")], avals).plan
    assert len(plan.dispatches) == 2


def test_a_deep_product_on_matrix_units_has_as_many_parts_as_run_at_once():
    depth = 14 * 16 * 128
    avals = [Aval((128, depth), FLOATS), Aval((depth, 1152), FLOATS)]
    plan = lower(lambda x, y: [-x @ y], avals, target=MATRIX_GPU).plan
    (product,) = (dispatch for dispatch in plan.dispatches if dispatch.label.startswith("tensor"))
    assert (product.label, product.groups) == ("tensor[14,128,1152]", (9 * 14, 1, 1))  # 16 would take two rounds


def test_the_gradient_of_a_bias_is_summed_over_time_by_the_scan():
    """Nobody reads all steps for it once more."""
    layer = PROGRAMS["layer_gradients"]
    found = lower(layer.function, [Aval(shape, FLOATS) for shape in layer.shapes])
    tasks = [task for kernel in found.partition.kernels for task in kernel.tasks if task.kind == "reduction"]
    assert [task.anchors[0].inputs[0].shape for task in tasks] == [(4, 8)]


def test_a_twin_finds_the_place_of_its_neuron_once():
    """Whatever T: the channel of a neuron takes the same divisions."""

    def divisions(steps):
        def loss(x, scale):
            y = (x.reshape(-1, 3, 5) * scale[:, None]).reshape(x.shape)
            return lax.scan(jax.checkpoint(lambda v, x: (v * x, v)), y[0], y)[1].sum()

        avals = [Aval((steps, 6, 3, 5), FLOATS), Aval((3,), FLOATS)]
        plan = lower(lambda *given: [jax.grad(loss)(*given)], avals, target=Target(software=False)).plan
        twin = plan.dispatches[0]
        return sum(opcode in (UDIV, UMOD) for opcode, _ in instructions(twin.shader.spirv))

    assert divisions(8) == divisions(2) > 0
