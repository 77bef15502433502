"""`grilly.jit`: the same answers as `jax.jit` on every device, traced once for each signature."""

import gc
import re
from functools import partial

import jax
import numpy as np
import pytest
from jax import numpy as jnp

import grilly
from grilly.errors import DataError, DeviceError, ParameterError, ShapeError, StateError

W = np.arange(6, dtype=np.float32).reshape(2, 3)


@pytest.fixture(params=["cpu", "vulkan"])
def jit(request):
    return partial(grilly.jit, device=request.param)


def test_pytrees_go_in_and_come_out(jit):
    def forward(params, x, *, scale):
        return {"y": params["w"] * x + params["b"], "rest": (scale, None, [x])}

    params = {"w": W, "b": grilly.put(np.ones(3, np.float32), jit.keywords["device"])}
    result = jit(forward)(params, 2.0, scale=3)

    np.testing.assert_array_equal(result["y"], W * 2 + 1)
    scale, nothing, (x,) = result["rest"]
    assert (int(scale), scale.dtype, nothing, float(x), x.dtype) == (3, np.int32, None, 2.0, np.float32)


def test_a_signature_is_traced_once(jit):
    traces = []

    def double(x):
        traces.append(x.shape)
        return 2 * x

    run = jit(double)
    for x in (W, run(W), W.astype(np.float64), W[:1], run(W[:1]), np.float32(1), 1.0):
        run(x)

    assert traces == [(2, 3), (1, 3), ()]


DTYPES = {np.float64: np.float32, np.int64: np.int32, np.uint64: np.uint32, ">f4": np.float32}
DTYPES |= {d: d for d in (np.float32, np.int32, np.uint32, np.uint8, np.bool_)}


@pytest.mark.parametrize(("given", "inside"), DTYPES.items(), ids=lambda d: np.dtype(d).str)
def test_dtypes_are_narrowed_at_the_border(jit, given, inside):
    array = np.array([0, 1, 1], given)

    (result,) = jit(lambda x: [x[::-1]])(array)

    assert result.dtype == inside
    np.testing.assert_array_equal(result, array[::-1])


def test_integers_that_do_not_fit_are_an_error(jit):
    with pytest.raises(DataError) as error:
        jit(lambda batch: batch["labels"])({"labels": np.array([1, 2**31])})
    assert str(error.value) == (
        "argument 0['labels'] of `<lambda>` holds 2147483648, which does not fit into int32: devices compute "
        "on 32-bit integers. Make the values smaller, or convert the array to float32."
    )


KNOWN = "devices know booleans, integers and floats of 32 bits or less."
NO_ARRAY = "an array or a number was expected. Convert it with numpy.asarray, or name its position in static_argnums."


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("soft", f"is a str: {NO_ARRAY}"),
        (np.array(["a"]), f"has dtype <U1: {KNOWN}"),
        (jax.random.key(0), "is a typed random key. Pass jax.random.key_data(key), and wrap it inside."),
    ],
    ids=["text", "texts", "key"],
)
def test_what_is_no_array_is_an_error_that_names_the_argument(jit, given, said):
    def forward(x, mode, *, key):
        return x

    with pytest.raises(ShapeError) as error:
        jit(forward, static_argnums=0)(1, [W, given], key=1)
    assert str(error.value) == f"argument 1[1] of `forward` {said}"
    with pytest.raises(ShapeError, match=re.escape(f"argument 'key' of `forward` {said}")):
        jit(forward)(1, 2, key=given)


def test_static_arguments_are_values_and_a_new_one_recompiles(jit):
    seen = []

    def power(n, x, mode="sum"):
        seen.append((n, mode))
        return getattr(jnp, mode)(x**n)

    run = jit(power, static_argnums=(0, 2))
    assert float(run(2, W)) == (W**2).sum()
    assert float(run(3, W, "max")) == 125
    assert float(run(3, W, "max")) == 125
    run(True, W, "max")
    assert seen == [(2, "sum"), (3, "max"), (True, "max")]


def test_positions_count_from_zero():
    with pytest.raises(ParameterError, match=re.escape("argument positions count from 0; (-1,) holds a negative one.")):
        grilly.jit(abs, donate_argnums=-1)


def test_numpy_arrays_may_change_as_soon_as_the_call_returned(jit):
    run, x = jit(lambda x: (x, x + 1)), np.zeros(10000, np.float32)
    results = []
    for k in range(10):
        x[:] = k
        results.append(run(x))
    for k, (same, more) in enumerate(results):
        np.testing.assert_array_equal(same, np.full(10000, k))
        np.testing.assert_array_equal(more, np.full(10000, k + 1))


def test_transformations_of_jax_go_through(jit):
    square = jit(lambda x, w: (x * w) ** 2)
    w = grilly.put(np.float32(3), jit.keywords["device"])

    assert float(jax.grad(square)(2.0, w)) == 36
    np.testing.assert_array_equal(jax.vmap(square, (0, None))(np.arange(3.0), 1.0), [0, 1, 4])
    np.testing.assert_array_equal(jit(lambda x: square(x, 2.0) + w)(W), (2 * W) ** 2 + 3)


def test_donating_an_array_changes_no_other(jit):
    device = jit.keywords["device"]
    given = grilly.put(W, device)
    first, second = jit(lambda x: (x, x))(given)
    seen = np.asarray(first)
    add = jit(lambda x, y: (x + y, x * y), donate_argnums=0)

    for result, expected in zip(add(first, second), (2 * W, W * W), strict=True):
        np.testing.assert_array_equal(result, expected)
    for kept in (seen, second, given):
        np.testing.assert_array_equal(kept, W)
    np.testing.assert_array_equal(add(given, given)[1], W * W)


def test_an_array_may_be_donated_in_vain(jit):
    total = jit(lambda x: x.sum(), donate_argnums=0)(grilly.put(W, jit.keywords["device"]))
    assert float(total) == W.sum()


def test_on_the_cpu_too_a_donated_array_is_written_over():
    step = grilly.jit(lambda x: x + 1, device="cpu", donate_argnums=0)
    x = step(np.ones(1 << 16, np.float32))  # a result: what JAX was given may be NumPy's memory, which it never writes
    before = x.storage.unsafe_buffer_pointer()
    assert step(x).storage.unsafe_buffer_pointer() == before


def test_donated_state_stays_where_it_is_and_training_allocates_nothing(device):
    update = grilly.jit(lambda v, x: (0.5 * v + x, x.sum()), device="vulkan", donate_argnums=0)
    v = grilly.put(W, "vulkan")
    batch, address = np.ones((2, 3), np.float32), v.storage.address

    def train(steps):
        nonlocal v
        for _ in range(steps):
            v, total = update(v, batch)
            assert float(total) == 6
            assert v.storage.address == address

    gc.collect()  # what earlier tests left must not be freed midway: results would move into the gap
    train(30)
    before = (device.counts(), device.allocations)
    train(30)

    assert (device.counts(), device.allocations) == before
    np.testing.assert_allclose(v, 2 * np.ones((2, 3)), rtol=1e-6)


def test_an_array_of_another_device_is_an_error_that_names_both(device):
    here, there = grilly.put(W, "cpu"), grilly.put(W, "vulkan")
    with pytest.raises(DeviceError) as error:
        grilly.jit(lambda a, b: a + b)(here, there)
    assert str(error.value) == (
        f"argument 1 of `<lambda>` lives on {device.name}, but the call runs on cpu. "
        "Move the array with its method to(device), or build everything on one device."
    )
    with pytest.raises(DeviceError, match=re.escape(f"lives on cpu, but the call runs on {device.name}.")):
        grilly.jit(lambda a: a, device="vulkan")(here)


def test_without_a_device_a_call_runs_where_its_arrays_are(device):
    run = grilly.jit(lambda x: x + 1)

    assert run(grilly.put(W, "vulkan")).device is device
    assert run(grilly.put(W, "cpu")).device.name == "cpu"


def test_results_stay_on_the_device_until_looked_at(device):
    run = grilly.jit(lambda x: x + 1, device="vulkan")
    y = run(W)
    before = device.submits
    for _ in range(3):
        y = run(y)

    assert device.submits == before + 3
    np.testing.assert_array_equal(y, W + 4)
    assert device.submits == before + 4


def test_a_static_value_without_a_hash_is_an_error(jit):
    with pytest.raises(ParameterError) as error:
        jit(lambda sizes, x: x, static_argnums=0)([1, 2], W)
    assert str(error.value) == (
        "argument 0 of `<lambda>` is static, but a list has no hash. "
        "Give a hashable value, or take it out of static_argnums."
    )


def test_random_keys_and_arrays_of_a_closure_as_results(jit):
    with pytest.raises(ShapeError, match=re.escape("Return jax.random.key_data(key).")):
        jit(lambda x: jax.random.key(0))(1.0)
    w = grilly.put(W, jit.keywords["device"])
    np.testing.assert_array_equal(jit(lambda x: [x, w])(1.0)[1], W)


def test_it_keeps_the_functions_name_and_docstring():
    @grilly.jit
    def forward(x):
        """One step."""
        return x

    assert (forward.__name__, forward.__doc__, repr(forward)) == (
        "forward",
        "One step.",
        "grilly.jit(forward)",
    )


def test_garbage_is_collected_again_after_a_function_that_cannot_be_compiled(device):
    with pytest.raises(ZeroDivisionError):
        grilly.jit(lambda x: x * (1 // 0), device=device)(np.ones(2, np.float32))
    assert gc.isenabled()


def test_an_array_may_be_used_in_a_function_that_jax_traces(jit):
    mask, inner, kept = grilly.put(W, jit.keywords["device"]), jit(lambda x: 2 * x), []

    def function(x):
        kept.append(mask.copy())
        return x * (mask.sum() + mask[1] + inner(W) + (mask + 1) * 2)

    expected = 2 * (W.sum() + W[1] + 2 * W + 2 * (W + 1))
    np.testing.assert_allclose(jit(function)(2 * np.ones_like(W)), expected)
    np.testing.assert_allclose(jax.jit(function)(2 * np.ones_like(W)), expected)
    for copied in kept:
        np.testing.assert_array_equal(copied, W)


def test_another_precision_of_products_is_another_program(jit):
    traced = []

    def function(x):
        traced.append(jax.config.jax_default_matmul_precision)
        return x @ x.T

    program = jit(function)
    for precision in ("bfloat16", "float32", "bfloat16", None):
        with jax.default_matmul_precision(precision):
            np.testing.assert_allclose(program(W), W @ W.T)
    assert set(traced) == {"bfloat16", "float32", None}


def test_a_compiled_function_may_be_compiled_for_another_device(device):
    there = grilly.jit(lambda x: x + 1, device="cpu")
    assert there(W).device.name == "cpu"
    assert grilly.jit(there, device="vulkan")(W).device is device


def test_positions_may_be_any_integers_and_come_twice(jit):
    scaled = jit(lambda x, k: x * k, static_argnums=(np.int64(1), 1))
    np.testing.assert_array_equal(scaled(W, 3), 3 * W)


@pytest.mark.parametrize("where", ["cpu", "vulkan"])
@pytest.mark.parametrize("transformed", [lambda f: f, lambda f: lambda x: jax.vjp(f, x)[0]])
def test_an_array_kept_from_an_earlier_call_is_refused(where, transformed):
    kept = []

    def total(x):
        kept.append(2 * x)
        return sum(kept)

    run, x = grilly.jit(transformed(total), device=where), np.ones(3, np.float32)
    np.testing.assert_array_equal(run(x), 2 * x)
    np.testing.assert_array_equal(run(x), 2 * x)  # the same recording
    for _ in range(2):
        with pytest.raises(StateError) as error:
            run(x.astype(np.int32))
        assert str(error.value) == (
            "the function uses an array that an earlier call left in an attribute, a list or a global variable, and "
            "that lived as long as that call was traced. Return it, and pass it to the next call; a module keeps it in "
            "a nn.Buffer, or as the state of a nn.StatefulModule."
        )
    np.testing.assert_array_equal(run(x), 2 * x)


@pytest.mark.parametrize("given", [None, 3, np.ones(2)])
def test_what_is_no_function_is_refused(given):
    said = f"grilly.jit was given a {type(given).__name__}: a function of arrays was expected."
    with pytest.raises(ParameterError) as error:
        grilly.jit(given)
    assert str(error.value) == said
