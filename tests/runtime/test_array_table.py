"""Everything that NumPy's arrays do, done with `grilly.Array`: one row each, against NumPy itself."""

import operator

import jax
import numpy as np
import pytest

import grilly
from grilly.errors import ParameterError, StateError

FLOATS = np.array([[1, -2, 3.5, 0.5], [0, 4, -0.25, 2], [2, 2, -1, 7]], np.float32)
INTS = np.array([[1, 5, 3, 2], [0, 4, 7, 1], [6, 2, 2, 9]], np.int32)
MASK = INTS > 2
KINDS = {"floats": FLOATS, "ints": INTS, "mask": MASK}


@pytest.fixture(scope="module", params=["cpu", "vulkan"])
def arrays(request):
    return {name: grilly.put(values, request.param) for name, values in KINDS.items()}


def equal(ours, numpys, on_device=True):
    if isinstance(numpys, tuple):
        assert len(ours) == len(numpys)
        for mine, theirs in zip(ours, numpys, strict=True):
            equal(mine, theirs, on_device)
        return
    assert isinstance(ours, grilly.Array) == on_device
    numpys = np.asarray(numpys)
    assert ours.shape == numpys.shape
    assert np.asarray(ours).dtype.kind == numpys.dtype.kind
    np.testing.assert_allclose(np.asarray(ours), numpys, rtol=3e-6, atol=1e-6)


# Operators -----------------------------------------------------------------------------------------------------------

ARITHMETIC = [
    *(operator.add, operator.sub, operator.mul, operator.truediv, operator.floordiv, operator.mod, divmod),
    *(operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne),
]
BITS = [operator.and_, operator.or_, operator.xor, operator.lshift, operator.rshift]
IN_PLACE = [
    *(operator.iadd, operator.isub, operator.imul, operator.itruediv, operator.ifloordiv, operator.imod),
    *(operator.ipow, operator.iand, operator.ior, operator.ixor, operator.ilshift, operator.irshift),
]


@pytest.mark.parametrize("op", ARITHMETIC, ids=lambda op: op.__name__)
def test_arithmetic_and_comparison(arrays, op):
    equal(op(arrays["floats"], FLOATS[1] + 3), op(FLOATS, FLOATS[1] + 3))
    equal(op(arrays["ints"], 3), op(INTS, np.int32(3)))
    equal(op(7, arrays["ints"] + 1), op(np.int32(7), INTS + 1))
    equal(op(arrays["floats"], [1, 2, 3, 4]), op(FLOATS, np.array([1, 2, 3, 4])))


@pytest.mark.parametrize("op", BITS, ids=lambda op: op.__name__)
def test_bits(arrays, op):
    equal(op(arrays["ints"], INTS % 5), op(INTS, INTS % 5))
    equal(op(arrays["ints"], 3), op(INTS, 3))
    if op not in (operator.lshift, operator.rshift):
        equal(op(arrays["mask"], ~MASK), op(MASK, ~MASK))


def test_unary_powers_and_products(arrays):
    floats, ints, mask = arrays.values()
    for op in (operator.neg, operator.pos, abs):
        equal(op(floats), op(FLOATS))
        equal(op(ints), op(INTS))
    equal(~ints, ~INTS)
    equal(~mask, ~MASK)
    equal(floats**2, FLOATS**2)
    equal(ints**2, INTS**2)
    equal(floats @ FLOATS.T, FLOATS @ FLOATS.T)
    equal(FLOATS[0] @ floats.T, FLOATS[0] @ FLOATS.T)


@pytest.mark.parametrize("op", IN_PLACE, ids=lambda op: op.__name__)
def test_in_place_operators_give_the_name_a_new_array(arrays, op):
    a = before = arrays["ints"]
    a = op(a, 2)
    plain = getattr(operator, op.__name__[1:], None) or getattr(operator, op.__name__[1:] + "_")
    equal(a, plain(INTS, np.int32(2)))
    equal(before, INTS)


def test_it_is_compared_with_what_is_no_array(arrays):
    assert not np.asarray(arrays["floats"] == None).any()  # noqa: E711
    assert 3.5 in arrays["floats"]
    assert 11 not in arrays["floats"]
    with pytest.raises(TypeError, match="unhashable type: 'Array'"):
        hash(arrays["floats"])
    with pytest.raises(ValueError, match="truth value of an array with more than one element is ambiguous"):
        bool(arrays["floats"])


# Ufuncs and functions ------------------------------------------------------------------------------------------------

UFUNCS = [
    *(np.exp, np.tanh, np.floor, np.ceil, np.rint, np.sign, np.square, np.isnan, np.isfinite, np.logical_not),
    *(np.sin, np.arctan, np.expm1, np.sqrt, np.signbit),
]
ON_DEVICE = {
    "maximum": lambda x, i: np.maximum(x, 1),
    "minimum": lambda x, i: np.minimum(x, x[0]),
    "logical_and": lambda x, i: np.logical_and(x, i),
    "hypot": lambda x, i: np.hypot(x, i),
    "arctan2": lambda x, i: np.arctan2(x, 2),
    "copysign": lambda x, i: np.copysign(x, -1),
    "modf": lambda x, i: np.modf(x),
    "mean_keepdims": lambda x, i: np.mean(x, axis=0, keepdims=True),
    "sum_dtype": lambda x, i: np.sum(i, dtype="float32"),
    "median": lambda x, i: np.median(x, axis=1),
    "average": lambda x, i: np.average(x, axis=0, weights=np.array([1, 2, 3], np.float32)),
    "count_nonzero": lambda x, i: np.count_nonzero(x, axis=1),
    "ptp": lambda x, i: np.ptp(x, axis=1),
    "nansum": lambda x, i: np.nansum(x, axis=1),
    "cumsum": lambda x, i: np.cumsum(x, axis=1),
    "diff": lambda x, i: np.diff(x, axis=0),
    "sort": lambda x, i: np.sort(x, axis=0),
    "argsort": lambda x, i: np.argsort(x, axis=1, stable=True),
    "stack": lambda x, i: np.stack([x, x], axis=1),
    "concatenate": lambda x, i: np.concatenate([x, x], axis=1),
    "vstack": lambda x, i: np.vstack([x, x]),
    "tril": lambda x, i: np.tril(x),
    "pad": lambda x, i: np.pad(x, 1),
    "roll": lambda x, i: np.roll(x, 1, axis=0),
    "rot90": lambda x, i: np.rot90(x),
    "where": lambda x, i: np.where(i > 2, x, 0.0),
    "clip": lambda x, i: np.clip(x, -1, 1),
    "outer": lambda x, i: np.outer(x[0], i[0]),
    "einsum": lambda x, i: np.einsum("ij,kj->ik", x, x),
    "tensordot": lambda x, i: np.tensordot(x, x, axes=([1], [1])),
    "trace": lambda x, i: np.trace(x),
    "full_like": lambda x, i: np.full_like(x, 3),
    "isclose": lambda x, i: np.isclose(x, x + 1),
    "reshape_order": lambda x, i: np.reshape(x, (2, 6), order="F"),
    "tile": lambda x, i: np.tile(x, (1, 2)),
    "expand_dims": lambda x, i: np.expand_dims(x, (0, -1)),
    "nan_to_num": lambda x, i: np.nan_to_num(x),
}
ON_HOST = {
    "norm": lambda x: np.linalg.norm(x, axis=1),
    "linalg_trace": lambda x: np.linalg.trace(np.stack([x[:, :3], x[:, :3]])),
    "take_along_axis": lambda x: np.take_along_axis(x, np.array([[0], [3], [1]]), axis=1),  # jnp checks no index
    "histogram": lambda x: np.histogram(x, 3)[0],
    "unique": lambda x: np.unique(x),
    "reduce": lambda x: np.add.reduce(x, axis=0),
    "accumulate": lambda x: np.add.accumulate(x, axis=0),
    "outer": lambda x: np.multiply.outer(x[0], x[1]),
    "where": lambda x: np.add(x, 1, where=FLOATS > 0, out=FLOATS.copy()),
    "dtype": lambda x: np.add(x, 1, dtype=np.float64),
    "shape_of_values": lambda x: np.reshape(x, np.array([4, 3])),
    "repeats_of_values": lambda x: np.repeat(x, np.array([1, 2, 1]), axis=0),
    "complex": lambda x: x * 1j,
}


@pytest.mark.parametrize("ufunc", UFUNCS, ids=lambda ufunc: ufunc.__name__)
def test_ufuncs(arrays, ufunc):
    values = np.abs(FLOATS) if ufunc is np.sqrt else FLOATS
    equal(ufunc(abs(arrays["floats"]) if ufunc is np.sqrt else arrays["floats"]), ufunc(values))


@pytest.mark.parametrize("name", ON_DEVICE)
def test_functions_on_the_device(arrays, name):
    function = ON_DEVICE[name]
    equal(function(arrays["floats"], arrays["ints"]), function(FLOATS, INTS))


@pytest.mark.parametrize("name", ON_HOST)
def test_functions_that_numpy_computes(arrays, name):
    equal(ON_HOST[name](arrays["floats"]), ON_HOST[name](FLOATS), on_device=False)


def test_results_go_into_numpy_arrays_alone(arrays):
    out = np.empty_like(FLOATS)
    assert np.multiply(arrays["floats"], 2, out=out) is out
    np.testing.assert_array_equal(out, FLOATS * 2)
    whole, part = np.empty_like(FLOATS), np.empty_like(FLOATS)
    np.modf(arrays["floats"], out=(part, whole))
    np.testing.assert_array_equal(part + whole, FLOATS)
    sums = np.empty(4, np.float32)
    assert arrays["floats"].sum(axis=0, out=sums) is sums
    np.testing.assert_array_equal(sums, FLOATS.sum(axis=0))


CHANGES = {
    "setitem": lambda a: operator.setitem(a, 0, 1),
    "fill": lambda a: a.fill(0),
    "sort": lambda a: a.sort(),
    "put": lambda a: a.put(0, 1),
    "resize": lambda a: a.resize(2),
    "partition": lambda a: a.partition(1),
    "np.add.at": lambda a: np.add.at(a, 0, 1),
    "np.copyto": lambda a: np.copyto(a, 1),
    "np.put": lambda a: np.put(a, 0, 1),
    "np.fill_diagonal": lambda a: np.fill_diagonal(a, 0),
}


@pytest.mark.parametrize("name", CHANGES)
def test_it_cannot_be_changed(arrays, name):
    with pytest.raises(ParameterError) as error:
        CHANGES[name](arrays["floats"])
    said = "a grilly.Array is immutable. Change a NumPy copy: b = np.array(a)."
    assert str(error.value) == (said if name != "setitem" else f"{said[:-1]}; b[index] = value.")


# Methods -------------------------------------------------------------------------------------------------------------

ZERO = np.int64(0)
METHODS = {
    "T": lambda a: a.T,
    "mT": lambda a: a.mT,
    "astype": lambda a: a.astype(np.int32),
    "astype_bool": lambda a: a.astype(bool),
    "reshape": lambda a: a.reshape(2, -1),
    "reshape_order": lambda a: a.reshape((6, 2), order="F"),
    "ravel": lambda a: a.ravel("F"),
    "flatten": lambda a: a.flatten(),
    "flatten_as_it_lies": lambda a: a.flatten("K") + a.ravel("A"),
    "transpose": lambda a: a.transpose((1, 0)),
    "swapaxes": lambda a: a.swapaxes(0, 1),
    "squeeze": lambda a: a[None].squeeze(0),
    "numpys_integers": lambda a: a.swapaxes(ZERO, 1).transpose(np.int64(1), ZERO)[None].squeeze(ZERO).sum(ZERO),
    "numpys_integers_as_shape": lambda a: np.roll(a.reshape(np.int64(6), -1), np.int64(1), axis=(ZERO,)),
    "diagonal": lambda a: a.diagonal(1),
    "repeat": lambda a: a.repeat(2, axis=1),
    "take": lambda a: a.take([0, -1], axis=1),
    "take_flat": lambda a: a.take(np.array([[0, 5], [3, 2]])),
    "clip": lambda a: a.clip(0, 2),
    "clip_below": lambda a: a.clip(min=0),
    "clip_above": lambda a: a.clip(max=1),
    "round": lambda a: a.round(),
    "dot": lambda a: a.dot(a.T),
    "argsort": lambda a: a.argsort(stable=True),
    "cumsum": lambda a: a.cumsum(axis=1),
    "cumsum_flat": lambda a: a.cumsum(),
    "cumprod": lambda a: a.cumprod(axis=0),
    "trace": lambda a: a.trace(),
    "sum": lambda a: a.sum((0, 1)),
    "sum_dtype": lambda a: a.sum(axis=0, dtype="float32"),
    "prod": lambda a: a.prod(0),
    "mean": lambda a: a.mean(1, keepdims=True),
    "mean_dtype": lambda a: a.mean(dtype=np.float64),
    "var": lambda a: a.var(axis=0, ddof=1),
    "std": lambda a: a.std(axis=1),
    "max": lambda a: a.max(1),
    "min": lambda a: a.min(0, keepdims=True),
    "any": lambda a: a.any(axis=0),
    "all": lambda a: a.all(1),
    "argmax": lambda a: a.argmax(axis=1),
    "argmin": lambda a: a.argmin(),
}


@pytest.mark.parametrize("name", METHODS)
def test_methods(arrays, name):
    for kind in ("floats", "ints"):
        equal(METHODS[name](arrays[kind]), METHODS[name](KINDS[kind]))


def test_methods_that_give_values(arrays):
    floats = arrays["floats"]
    assert floats.tolist() == FLOATS.tolist()
    assert floats.tobytes() == FLOATS.tobytes()
    assert floats.item(1, 1) == FLOATS.item(1, 1)
    equal(floats.nonzero(), FLOATS.nonzero(), on_device=False)
    assert [row.tolist() for row in floats] == FLOATS.tolist()
    assert [row.tolist() for row in reversed(floats)] == FLOATS[::-1].tolist()


# Indices -------------------------------------------------------------------------------------------------------------

INDICES = {
    "number": 1,
    "negative": -1,
    "numpy_number": np.int64(2),
    "pair": (1, -2),
    "slice": np.s_[1:],
    "steps": np.s_[:, ::2],
    "negative_steps": np.s_[::-1, ::-2],
    "backwards": np.s_[2:0:-1],
    "empty": np.s_[2:1],
    "beyond": np.s_[1:100],
    "ellipsis": np.s_[..., 0],
    "newaxis": np.s_[:, None, 1],
    "all": (),
    "list": [2, 0],
    "list_of_none": [],
    "negative_list": [-1, -3, 0],
    "integers": np.array([[0, 1], [2, 2]]),
    "two_lists": ([0, 1], [3, 2]),
    "apart": ([0, 2], None, [1, 1]),
    "list_and_slice": (np.s_[1:], [3, 0, 0]),
    "number_and_list": (1, [0, 3]),
    "broadcast": (np.array([[0], [2]]), np.array([1, 3])),
    "mask": MASK,
    "mask_of_rows": np.array([True, False, True]),
    "mask_list": [True, False, True],
    "mask_of_columns": (np.s_[:], np.array([True, False, True, True])),
    "mask_of_none": np.zeros((3, 4), bool),
    "jax_array": jax.numpy.array([1, 0]),
}


@pytest.mark.parametrize("name", INDICES)
def test_indices_on_the_device(arrays, name):
    index = INDICES[name]
    for kind in KINDS:
        equal(arrays[kind][index], KINDS[kind][np.asarray(index) if isinstance(index, jax.Array) else index])


def test_indices_that_lie_on_the_device(arrays):
    rows = grilly.put(np.array([2, 0], np.int32), arrays["floats"].device)
    equal(arrays["floats"][rows], FLOATS[[2, 0]])
    equal(arrays["floats"][rows[0], 1:], FLOATS[2, 1:])
    equal(arrays["floats"][: rows[0]], FLOATS[:2])
    equal(arrays["floats"][arrays["mask"]], FLOATS[MASK], on_device=False)  # its length lies on the device, too
    equal(arrays["floats"][True], FLOATS[True], on_device=False)


@pytest.mark.parametrize(
    "index", [3, (0, 4), -4, [0, 3], (slice(None), np.array([4])), np.ones((2, 4), bool), (0, 0, 0), 1.5, "x"], ids=repr
)
def test_an_index_out_of_bounds_is_numpys_error(arrays, index):
    with pytest.raises(IndexError) as numpys:
        FLOATS[index]
    with pytest.raises(IndexError) as ours:
        arrays["floats"][index]
    assert str(ours.value) == str(numpys.value)


def test_a_loop_over_rows_compiles_one_kernel(device):
    x, pipelines = grilly.put(FLOATS[:, :3], "vulkan"), device.counts()["Pipeline"]
    rows = [x[k] for k in range(-3, 3)]
    np.testing.assert_array_equal(np.stack([np.asarray(row) for row in rows]), np.tile(FLOATS[:, :3], (2, 1)))
    assert device.counts()["Pipeline"] <= pipelines + 1


# Other libraries, and the end ----------------------------------------------------------------------------------------

DTYPES = [np.float32, np.float16, jax.numpy.bfloat16, np.int32, np.int8, np.uint8, np.bool_]


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: np.dtype(dtype).name)
def test_dlpack_takes_a_copy_to_the_host(dtype, arrays):
    values = INTS.astype(dtype)
    array = grilly.put(values, arrays["ints"].device)
    assert array.__dlpack_device__() == (1, 0)
    for taken in (jax.dlpack.from_dlpack(array), *([] if dtype is jax.numpy.bfloat16 else [np.from_dlpack(array)])):
        assert taken.dtype == values.dtype
        np.testing.assert_array_equal(np.asarray(taken), values)


def test_dlpack_refuses_what_it_cannot_do(arrays):
    place = arrays["floats"].device.name
    with pytest.raises(BufferError) as error:
        np.from_dlpack(arrays["floats"], copy=False)
    assert str(error.value) == f"the values lie on {place}: DLPack gets a copy of them on the host."
    with pytest.raises(BufferError) as error:
        arrays["floats"].__dlpack__(dl_device=(2, 0))
    assert str(error.value) == "DLPack gets the values on the host, device (1, 0), not on (2, 0)."


def test_numpys_array_protocol(arrays):
    floats = arrays["floats"]
    assert np.array(floats, np.float64).dtype == np.float64
    assert np.array(floats, copy=True).flags.writeable
    on_cpu = floats.device.kind == "cpu"
    for dtype in [np.float64] if on_cpu else [None, np.float64]:
        with pytest.raises(ValueError, match="without a copy") as error:
            np.asarray(floats, dtype, copy=False)
        wanted = np.dtype(dtype or np.float32)
        assert str(error.value) == f"the values lie on {floats.device.name} as float32: no {wanted} without a copy."


def test_a_deleted_array_says_so(arrays):
    array = arrays["floats"] + 1
    array.delete()
    array.delete()
    assert repr(array) == "Array(deleted, shape=(3, 4), dtype=float32)"
    uses = (np.asarray, lambda a: a + 1, lambda a: a[0], lambda a: a.block_until_ready(), lambda a: a.copy(), str)
    for use in uses:
        with pytest.raises(StateError) as error:
            use(array)
        assert str(error.value) == (
            "this array was deleted: its method delete() gave its memory back. Delete it after its last use, or "
            "compute it again."
        )


def test_deleting_gives_memory_back(device):
    device.collect()
    before = device.heap.used
    array = grilly.put(np.zeros(1 << 16, np.float32), "vulkan")
    assert device.heap.used == before + (1 << 18)
    array.delete()
    device.collect()
    assert device.heap.used == before
