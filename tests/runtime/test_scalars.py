"""Known scalars: NumPy's results are JAX's, bit for bit, of every operation and dtype; what is open is left to JAX."""

import itertools

import jax
import numpy as np
import pytest
from jax import lax
from jax import numpy as jnp

from grilly.runtime.ir import Aval, Literal
from grilly.runtime.scalars import OPERATIONS, computed
from grilly.runtime.trace import trace

F32, BOOL = np.dtype(np.float32), np.dtype(np.bool_)
FLOATS = [F32, np.dtype(np.float16), np.dtype(jnp.bfloat16)]
INTEGERS = [np.dtype(t) for t in (np.int8, np.int32, np.uint8, np.uint32)]
DTYPES = pytest.mark.parametrize("dtype", [*FLOATS, *INTEGERS, BOOL], ids=str)
JAX = {"and": lax.bitwise_and, "or": lax.bitwise_or, "xor": lax.bitwise_xor, "not": lax.bitwise_not}
COMPARING = {"eq", "ne", "lt", "le", "gt", "ge"}
FLOATING = {"add", "sub", "mul", "neg", "abs", "div", "floor", "ceil", "sqrt"} | COMPARING
INTEGRAL = {"add", "sub", "mul", "neg", "shift_right_arithmetic"} | COMPARING | JAX.keys()
UNARY = {"neg", "abs", "floor", "ceil", "sqrt", "not"}


def values(dtype):
    if dtype == BOOL:
        return np.array([False, True])
    if dtype in FLOATS:
        return np.array([0, -0.0, 1, -1, 1.5, 3, -2.75, 1e-2, 6e4, np.inf, -np.inf, np.nan], np.float32).astype(dtype)
    info = np.iinfo(dtype)
    return np.array([0, 1, 2, 5, 7, 31, 33, info.max, info.max - 1, info.min, info.min + 3], np.int64).astype(dtype)


def same_bits(a, b):
    return a.dtype == b.dtype and (a.tobytes() == b.tobytes() or bool(np.isnan(a) and np.isnan(b)))


@DTYPES
def test_an_operation_gives_jaxs_bits(dtype):
    """Of every pair of values; a subnormal result, which JAX may take for 0, is not among them."""
    names = FLOATING if dtype in FLOATS else {"eq", "ne"} | JAX.keys() if dtype == BOOL else INTEGRAL
    a, b = map(np.array, zip(*itertools.product(values(dtype), repeat=2), strict=True))

    def applied(a, b):
        return {name: JAX.get(name, getattr(lax, name, None))(*(a, b)[: 1 + (name not in UNARY)]) for name in names}

    for name, expected in jax.jit(applied)(a, b).items():
        operands = (a, b)[: 1 + (name not in UNARY)]
        for theirs, *scalars in zip(np.asarray(expected), *operands, strict=True):
            ours = computed(name, [np.asarray(scalar) for scalar in scalars], expected.dtype)
            assert same_bits(ours, theirs), (name, scalars, ours, theirs)


@DTYPES
def test_a_conversion_gives_jaxs_bits(dtype):
    targets = [*FLOATS, BOOL] if dtype in FLOATS else [*FLOATS, *INTEGERS, BOOL]
    for expected in jax.jit(lambda x: [lax.convert_element_type(x, target) for target in targets])(values(dtype)):
        for value, theirs in zip(values(dtype), np.asarray(expected), strict=True):
            ours = computed("convert_element_type", [np.asarray(value)], expected.dtype)
            assert same_bits(ours, theirs), (value, ours, theirs)


def test_a_choice_and_a_view_of_bits():
    assert OPERATIONS.keys() == FLOATING | INTEGRAL | {"select_n"}
    assert computed("select_n", [np.asarray(True), np.asarray(1.0), np.asarray(2.0)], np.dtype(np.float64)) == 2
    assert computed("bitcast_convert_type", [np.asarray(F32.type(1))], np.dtype(np.int32)) == 0x3F800000


@pytest.mark.parametrize(
    ("primitive", "scalars", "dtype"),
    [
        ("exp", [np.float32(1)], F32),
        ("div", [np.int32(7), np.int32(2)], np.dtype(np.int32)),
        ("convert_element_type", [np.float32(1e30)], np.dtype(np.int32)),
    ],
)
def test_what_is_open_is_left_to_jax(primitive, scalars, dtype):
    assert computed(primitive, list(map(np.asarray, scalars)), dtype) is None


def test_tracing_asks_both():
    graph = trace(lambda x: [x + (lax.exp(np.float32(1)) + 1)], [Aval((3,), F32)])
    (literal,) = [atom for eqn in graph.equations for atom in eqn.inputs if isinstance(atom, Literal)]
    assert literal.value == np.asarray(lax.exp(np.float32(1))) + np.float32(1)
