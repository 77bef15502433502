"""What the compiler predicts of a kernel: bytes and operations that can be counted by hand."""

import jax
import numpy as np
import pytest
from jax import lax
from jax import numpy as jnp
from targets import MATRIX_GPU

import grilly
from grilly.runtime.ir import Aval
from grilly.runtime.lower import lower

X = np.ones((6, 4), np.float32)
W = np.ones((4, 5), np.float32)
FLOAT = 4


def cell(v, x):
    v = v * np.float32(0.5) + x
    return v, v > 1


ROWS = {
    # an elementwise chain is one kernel: three operations an element, each buffer once
    "map": (lambda x: (x + 1) * x - 2, [X], 2 * 24 * FLOAT, 3 * 24),
    "view": (lambda x: x.T[::-1], [X], 2 * 24 * FLOAT, 0),
    "broadcast": (lambda x, b: x + b, [X, W[:, 0]], (24 + 4 + 24) * FLOAT, 24),
    "reduction": (lambda x: x.sum(1), [X], (24 + 6) * FLOAT, 24),
    "product": (lambda x, w: x @ w, [X, W], (24 + 20 + 30) * FLOAT, 2 * 6 * 4 * 5),
    "epilogue": (lambda x, w: x @ w + 1, [X, W], (24 + 20 + 30) * FLOAT, 2 * 6 * 4 * 5 + 30),
    # T=6 steps of 4 neurons: x and the initial carry in, spikes of one byte and the last carry out
    "scan": (lambda v, x: lax.scan(cell, v, x), [X[0], X], (4 + 24 + 4) * FLOAT + 24, 6 * 4 * 3),
    "window": (
        lambda x: lax.reduce_window(x, -np.float32(np.inf), lax.max, (2, 2), (2, 2), "VALID"),
        [X], (24 + 6) * FLOAT, 6 * 4,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("function", "arguments", "nbytes", "operations"), ROWS.values(), ids=ROWS)
def test_bytes_and_operations_of_one_kernel(function, arguments, nbytes, operations):
    (dispatch,) = grilly.jit(function, device="cpu").lower(*arguments).lowered.plan.dispatches
    assert (dispatch.cost.nbytes, dispatch.cost.operations) == (nbytes, operations)


@pytest.mark.parametrize(("depth", "ways", "question"), [(4096, 2, 1), (512, 3, 6)])
def test_a_product_on_matrix_units_is_counted_once(depth, ways, question):
    """... by each of the kernels of which one computes it, beside the few scalars that say which."""
    avals = [Aval((2048, depth), np.dtype(np.float32)), Aval((depth, 1024), np.dtype(np.float32))]
    dispatches = lower(lambda x, w: [x @ w + 1], avals, target=MATRIX_GPU).plan.dispatches
    products = [d.cost.operations for d in dispatches if d.label.startswith(("tensor", "matmul"))]
    assert products == [2 * 2048 * depth * 1024 + 2048 * 1024 + question] * ways


def test_each_step_of_a_loop_has_the_work_of_one_step():
    def recurrent(w, v, x_seq):
        return lax.scan(lambda v, x: (v @ w + x, None), v, x_seq)[0]

    plan = grilly.jit(recurrent, device="cpu").lower(W[:, :4], X, np.ones((3, 6, 4), np.float32)).lowered.plan
    products = [d.cost for d in plan.dispatches if "matmul" in d.label]
    assert [work.operations for work in products] == [2 * 6 * 4 * 4 + 24] * 3
    assert [work.nbytes for work in products] == [(24 + 16 + 24 + 24) * FLOAT] * 3


def test_the_layer_of_a_gradient_is_that_of_its_function():
    def loss(w, x):
        with jax.named_scope("encoder"), jax.named_scope("0"):
            h = jnp.maximum(x @ w, 0)
        return h.sum()

    dispatches = grilly.jit(jax.grad(loss), device="cpu").lower(W, X).lowered.plan.dispatches
    assert {d.cost.layer for d in dispatches if "matmul" in d.label} == {"encoder.0"}
    assert all("test_costs.py" in d.cost.line and d.cost.line.endswith("loss)") for d in dispatches)
