"""`grilly.Array` behaves as NumPy's array does, on every device."""

import copy
import operator
import pickle
import re

import jax
import numpy as np
import pytest

import grilly
from grilly.errors import ParameterError, ShapeError, StateError

X = np.array([[1, -2, 3.5], [0, 4, -0.25]], np.float32)
Y = np.array([[2, 2, -1], [8, -0.5, 1]], np.float32)


@pytest.fixture(params=["cpu", "vulkan"])
def place(request):
    return request.param


@pytest.fixture
def x(place):
    return grilly.put(X, place)


@pytest.fixture
def y(place):
    return grilly.put(Y, place)


def same(ours, numpys, on_device=True):
    assert isinstance(ours, grilly.Array) or not on_device
    numpys = np.asarray(numpys)
    assert ours.shape == numpys.shape
    np.testing.assert_allclose(np.asarray(ours), numpys, rtol=1e-6)


def test_it_says_what_it_is(x, place):
    assert (x.shape, x.dtype, x.ndim, x.size, x.nbytes, x.itemsize, len(x)) == (
        (2, 3),
        np.float32,
        2,
        6,
        24,
        4,
        2,
    )
    assert (x.device.kind == "cpu") == (place == "cpu")


def test_values_come_out_read_only_and_copies_may_be_written(x):
    values = np.asarray(x)
    np.testing.assert_array_equal(values, X)
    with pytest.raises(ValueError, match="read-only"):
        values[0, 0] = 1
    copied = np.array(x)
    copied[0, 0] = 9
    np.testing.assert_array_equal(np.asarray(x), X)
    assert np.asarray(x, np.float64).dtype == np.float64


BINARY = [
    operator.add,
    operator.sub,
    operator.mul,
    operator.truediv,
    operator.lt,
    operator.ge,
    operator.eq,
    operator.ne,
]


@pytest.mark.parametrize("op", BINARY, ids=lambda op: op.__name__)
def test_operators_with_arrays_numpy_and_numbers(x, y, op):
    same(op(x, y), op(X, Y))
    same(op(x, Y), op(X, Y))
    same(op(X, y), op(X, Y))
    same(op(x, 2), op(X, 2))
    same(op(0.5, y), op(np.float32(0.5), Y))


def test_numbers_take_the_arrays_dtype(place):
    counts = grilly.put(np.array([1, 2], np.uint8), place)
    assert (counts + 1).dtype == np.uint8
    assert (counts * 0.5).dtype == np.float32
    assert (grilly.put(np.array([1, 2], np.int32), place) - 1).dtype == np.int32


def test_adding_to_a_name_makes_a_new_array(x):
    before, total = x, 0
    for _ in range(2):
        total += x
    x += 1
    same(total, 2 * X)
    same(x, X + 1)
    same(before, X)


REDUCTIONS = ["sum", "mean", "max", "min", "argmax", "argmin", "prod", "std", "var"]


@pytest.mark.parametrize("name", REDUCTIONS)
def test_reductions_as_methods_and_as_numpys_functions(x, name):
    on_device = name in (
        "sum",
        "mean",
        "max",
        "min",
    )  # of the others, only where the compiler knows the primitives

    same(getattr(x, name)(), getattr(X, name)(), on_device)
    same(getattr(x, name)(axis=0), getattr(X, name)(axis=0), on_device)
    same(getattr(x, name)(1, keepdims=True), getattr(X, name)(1, keepdims=True), on_device)
    same(getattr(np, name)(x, axis=-1), getattr(np, name)(X, axis=-1), on_device)


def test_a_reduction_into_a_numpy_array(x):
    out = np.empty(3, np.float64)
    assert x.mean(axis=0, out=out) is out
    np.testing.assert_allclose(out, X.mean(axis=0))
    into = np.empty((2, 3))
    assert np.add(x, 1, out=into) is into
    np.testing.assert_array_equal(into, X + 1)
    assert x.sum(dtype=np.float64).dtype == np.float32  # devices have no more


def test_an_array_cannot_be_written_into(x, y):
    said = "a grilly.Array is immutable, so it cannot be `out`. Give a NumPy array, or no `out`."
    with pytest.raises(ParameterError, match=re.escape(said)):
        np.add(x, x, out=y)
    with pytest.raises(ParameterError, match=re.escape("b = np.array(a); b[index] = value.")):
        x[0] = 1


def test_shapes_change(x):
    same(x.T, X.T)
    same(x.reshape(3, 2), X.reshape(3, 2))
    same(x.reshape((6,)), X.reshape(6))
    same(x.ravel(), X.ravel())
    same(x.transpose(1, 0), X.T)
    same(np.stack([x, x]), np.stack([X, X]), on_device=False)
    same(np.concatenate([x, X]), np.concatenate([X, X]))
    same(np.expand_dims(x, 0).squeeze(0), X)
    same(np.where(x > 0, x, 0.0), np.where(X > 0, X, 0))


INDICES = [
    0,
    -1,
    (1, 2),
    slice(1, None),
    (slice(None), slice(None, None, -2)),
    (..., 1),
    None,
    (slice(0, 1), None, 0),
]


@pytest.mark.parametrize("index", INDICES, ids=repr)
def test_indexing_on_the_device(x, index):
    same(x[index], X[index])


def test_other_indices_give_numpy_arrays(x):
    np.testing.assert_array_equal(x[[1, 0]], X[[1, 0]])
    np.testing.assert_array_equal(x[x > 0], X[X > 0])
    with pytest.raises(IndexError, match="index 2 is out of bounds for axis 0 with size 2"):
        x[2]


def test_what_devices_do_not_compute_numpy_does(x):
    assert isinstance(np.linalg.norm(x), np.floating)
    np.testing.assert_array_equal(np.sort(x, axis=1), np.sort(X, axis=1))
    assert np.shape(x) == (2, 3)
    assert np.add.reduce(x, axis=None) == X.sum()
    np.testing.assert_array_equal(np.add(x, 1, where=[True, False, True], out=X.copy())[:, 1], X[:, 1])


def test_numbers_come_out(place):
    loss = grilly.put(np.float32(2.5), place)
    assert (float(loss), int(loss), bool(loss), loss.item(), loss.tolist()) == (2.5, 2, True, 2.5, 2.5)
    assert f"{loss:.3f}" == "2.500"
    assert float(np.mean(loss)) == 2.5
    same(np.ones_like(loss), np.float32(1))
    assert [10, 20, 30][grilly.put(np.int32(1), place)] == 20
    with pytest.raises(TypeError, match=re.escape("len() of a 0-d array")):
        len(loss)


def test_it_prints_as_numpy_does(x):
    assert repr(x) == repr(X).replace("array", "Array", 1)
    assert str(x) == str(X)


def test_iteration_pickling_copying(x):
    np.testing.assert_array_equal(list(x), list(X))
    assert x.tolist() == X.tolist()
    back = pickle.loads(pickle.dumps(x))
    assert type(back) is np.ndarray
    np.testing.assert_array_equal(back, X)
    same(copy.deepcopy({"x": x})["x"], X)
    same(x.copy(), X)
    assert x.block_until_ready() is x


def test_jax_takes_it(x):
    np.testing.assert_array_equal(jax.numpy.asarray(x), X)
    np.testing.assert_array_equal(jax.grad(lambda w: (w * x).sum())(X), X)


def test_it_moves_between_devices(x, place):
    same(x.to("vulkan").to("cpu"), X)
    assert x.to(place) is x


def test_a_donated_array_says_who_has_its_memory(x):
    def update(state, by):
        return {"v": state["v"] + by}

    state = {"v": x}
    result = grilly.jit(update, donate_argnums=0)(state, 1.0)

    same(result["v"], X + 1)
    assert repr(x) == "Array(donated, shape=(2, 3), dtype=float32)"
    with pytest.raises(StateError) as error:
        np.asarray(x)
    assert str(error.value) == (
        "this array was donated: it was argument 0['v'] of `update`, and its memory now holds another array. "
        "Use what that call returned, or take the argument out of donate_argnums."
    )


def test_put_refuses_what_is_no_array():
    with pytest.raises(ShapeError, match=re.escape("the value is a str: an array or a number was expected.")):
        grilly.put("spikes")


def test_complex_numbers_are_put_and_move(device):
    values = np.array([1 + 2j, -3j, 0.5], np.complex64)
    for place, other in ((device, "cpu"), ("cpu", device)):
        put = grilly.put(values, place)
        assert put.dtype == np.complex64
        np.testing.assert_array_equal(put, values)
        np.testing.assert_array_equal(put.to(other) * 2j, values * np.complex64(2j))


@pytest.mark.parametrize("place", ["cpu", "vulkan"])
def test_zeros_of_either_sign_are_not_the_same(place):
    a = grilly.put(np.ones(2, np.float32), place)
    for zero in (0.0, -0.0, 0.0):
        np.testing.assert_array_equal(np.signbit(np.full_like(a, zero)), np.signbit([zero, zero]))
