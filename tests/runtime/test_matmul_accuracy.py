"""Products are as accurate as float32 additions in order, whatever the size of the numbers; and how they run."""

import dataclasses
import functools

import jax
import numpy as np
import pytest
from jax import lax
from jax import numpy as jnp
from targets import GPU, MATRIX_GPU

import grilly
from grilly.runtime.gpu.executable import Executable
from grilly.runtime.ir import Aval, Equation, Graph, Value
from grilly.runtime.kernels import spread
from grilly.runtime.lower import lower, lower_graph
from grilly.runtime.passes import scales
from grilly.runtime.passes.zero_one import zero_one
from grilly.runtime.rewrite import Editor
from grilly.runtime.shader.disassembly import listing
from grilly.runtime.target import Target

F32 = np.dtype(np.float32)
M, K, N = 136, 600, 160  # each is deep enough for cooperative matrices


@pytest.fixture(autouse=True)
def small_products_are_large(monkeypatch):
    """So that a device with cooperative matrices uses them on the small matrices of a test."""
    monkeypatch.setattr(spread, "LARGE", 1)


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(F32)


def powers(low, high, *shape, seed=0):
    return (10.0 ** np.random.default_rng(seed).uniform(low, high, shape)).astype(F32)


def spikes(*shape):
    return (np.random.default_rng(2).random(shape) < 0.3).astype(F32)


def operands():
    """Pairs of matrices whose product float32 can hold."""
    x, w = normal(M, K), normal(K, N, seed=1)
    for power in (-30, -15, 0, 15, 30):
        yield f"all 1e{power}", x * F32.type(10.0**power), w * F32.type(10.0 ** min(0, -power))
    yield "tiny and large", x * F32.type(1e-30), w * F32.type(1e30)
    yield "rows from 1e-30 to 1e30", x * powers(-30, 30, M, 1), w
    yield "columns from 1e-30 to 1e30", x, w * powers(-30, 30, 1, N)
    yield "numbers from 1e-15 to 1e15", x * powers(-15, 15, M, K), w * powers(-15, 15, K, N, seed=1)
    yield "of one sign", abs(x), abs(w)
    yield "spikes", spikes(M, K), w
    yield "zeros", np.zeros_like(x), w


PAIRS = {name: pair for name, *pair in operands()}
each = pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS.keys())


def in_order(x, w):
    """The product by float32 multiplications and additions, one after another."""
    total = np.zeros((x.shape[0], w.shape[1]), F32)
    for k in range(x.shape[1]):
        total += x[:, k, None] * w[None, k]
    return total


def errors(got, x, w):
    """The root mean square error of each row, against float64, relative to the row."""
    exact = x.astype(np.float64) @ w.astype(np.float64)
    size = np.sqrt((exact**2).mean(1)) + 1e-300
    return np.sqrt(((np.asarray(got, np.float64) - exact) ** 2).mean(1)) / size


def in_order_fused(x, w):
    """The same, each multiplication and addition rounded once, as GPUs' float32 units do."""
    total = np.zeros((x.shape[0], w.shape[1]), F32)
    for k in range(x.shape[1]):
        total = (total + x[:, k, None].astype(np.float64) * w[None, k]).astype(F32)
    return total


def is_as_accurate(got, x, w):
    assert np.isfinite(np.asarray(got)).all()
    assert np.median(errors(got, x, w)) <= 1.2 * np.median(errors(in_order(x, w), x, w)) + 1e-8


@each
def test_a_product_is_as_accurate_as_float32(pair, device):
    x, w = pair
    is_as_accurate(grilly.jit(jnp.matmul, device=device)(x, w), x, w)


FAR_APART = {
    "those of one": (lambda k: normal(M, k) * powers(-30, 30, M, k), lambda k: normal(k, N, seed=1)),
    "of both": (lambda k: normal(M, k) * powers(-15, 15, M, k), lambda k: normal(k, N, seed=1) * powers(-15, 15, k, N)),
    "beside spikes": (lambda k: spikes(M, k), lambda k: normal(k, N, seed=1) * powers(-30, 30, k, N)),
}


@pytest.mark.parametrize("depth", [128, 600, 4000])
@pytest.mark.parametrize(("left", "right"), FAR_APART.values(), ids=FAR_APART.keys())
def test_where_few_terms_matter_the_error_is_no_larger_than_that_of_float32(left, right, depth, device):
    """There, float32 loses little in its additions. GPUs fuse them with the multiplications, software does not."""
    x, w = left(depth), right(depth)
    forth = grilly.jit(jnp.matmul, device=device)
    back = grilly.jit(lambda g, w: jax.vjp(lambda y: y @ w.T, jnp.zeros((M, N)))[1](g)[0], device=device)
    expected = errors((in_order if device.target.software else in_order_fused)(x, w), x, w)
    for got in (forth(x, w), back(x, w)):
        assert np.median(errors(got, x, w)) <= 1.05 * np.median(expected)


@each
def test_known_spikes_are_as_accurate_too(pair, device):
    x, w = pair
    got = grilly.jit(lambda x, w: (x > 0).astype(F32) @ w, device=device)(x, w)
    is_as_accurate(got, (x > 0).astype(F32), w)


@each
def test_its_gradients_are_as_accurate(pair, device):
    x, w = pair
    g = normal(M, N, seed=3)
    gx, gw = grilly.jit(lambda x, w, g: jax.vjp(jnp.matmul, x, w)[1](g), device=device)(x, w, g)
    is_as_accurate(gx, g, w.T.copy())
    is_as_accurate(gw, x.T.copy(), g)


ELEVEN_BITS = 2.0**-10 * np.random.default_rng(4).integers(1 << 10, 1 << 11, (200, 136))  # from 1 to 2
INPUTS = {
    "spikes": spikes(200, 136),
    "half a word more": spikes(200, 140),
    "negative zeros": -0.0 * spikes(200, 136),
    "counts": np.random.default_rng(5).integers(-2048, 2049, (200, 136)),
    "11 bits": ELEVEN_BITS * 2.0 ** np.random.default_rng(6).integers(-14, 15, (200, 136)),
}


@pytest.mark.parametrize("x", INPUTS.values(), ids=INPUTS.keys())
def test_inputs_that_turn_out_to_be_spikes_give_the_same_bits(x, device):
    """... as beside a number that needs more bits: half of each number is then multiplied for nothing."""
    x, w, g = x.astype(F32), normal(96, x.shape[1]), normal(200, 96, seed=3)
    run = grilly.jit(lambda x, w, g: jax.vjp(lambda w: x @ w.T, w)[1](g)[0], device=device)
    forth = grilly.jit(lambda x, w: x @ w.T, device=device)
    more = np.concatenate([x, np.full((1, x.shape[1]), 0.1, F32)])
    np.testing.assert_array_equal(forth(x, w), np.asarray(forth(more, w))[:200])
    is_as_accurate(run(x, w, g), g.T.copy(), x)
    np.testing.assert_array_equal(run(x, w, g), run(more, w, np.concatenate([g, np.zeros((1, 96), F32)])))


def test_what_half_a_float_holds_is_not_rounded(device):
    x = INPUTS["11 bits"].astype(F32)
    np.testing.assert_array_equal(grilly.jit(jnp.matmul, device=device)(x, np.eye(136, dtype=F32)), x)


@pytest.mark.parametrize("strange", [np.nan, np.inf, 0.1, 3e38, 65536.0, 1e-30])
def test_one_strange_number_is_not_lost_among_spikes(strange, device):
    x, w = spikes(200, 136), np.eye(136, dtype=F32)
    x[77, 5] = strange
    got = np.asarray(grilly.jit(jnp.matmul, device=device)(x, w))
    np.testing.assert_array_equal(got[:77], x[:77])
    if np.isfinite(strange):
        assert abs(got[77, 5] - x[77, 5]) <= 2.0**-22 * abs(x[77]).max()
    else:
        assert not np.isfinite(got[77, 5])


def test_a_long_sum_is_as_accurate(device):
    x, w = abs(normal(16, 4096)), abs(normal(4096, 32, seed=1))
    is_as_accurate(grilly.jit(jnp.matmul, device=device)(x, w), x, w)


@pytest.mark.parametrize("shape", [(33, 128, 47), (64, 129, 66), (129, 200, 257), (32, 1000, 32)])
@pytest.mark.parametrize("form", ["ik,kj->ij", "ik,jk->ij", "ki,kj->ij", "ki,jk->ji", "bik,bkj->bij", "ibk,kbj->jbi"])
def test_any_shape_and_layout(shape, form, device):
    sizes = dict(zip("ikjb", (*shape, 2), strict=True))
    x, w = (normal(*(sizes[axis] for axis in part)) for part in form.split("->")[0].split(","))
    got = grilly.jit(lambda x, w: jnp.einsum(form, x, w), device=device)(x, w)
    exact = np.einsum(form, x.astype(np.float64), w.astype(np.float64))
    assert abs(np.asarray(got) - exact).max() <= 3e-6 * abs(exact).max()


def conv(x, w, stride=(1, 1), padding="SAME", **choices):
    return lax.conv_general_dilated(x, w, stride, padding, **choices)


LAST = {"dimension_numbers": ("NHWC", "HWIO", "NHWC")}  # channels last
CONVOLUTIONS = {
    "plain": ((4, 32, 10, 10), (32, 32, 3, 3), {}),
    "strided": ((16, 32, 9, 10), (40, 32, 3, 2), {"stride": (2, 3), "padding": "VALID"}),
    "dilated": ((4, 32, 11, 12), (32, 32, 3, 3), {"rhs_dilation": (2, 3)}),
    "transposed": ((4, 32, 7, 5), (32, 32, 3, 3), {"lhs_dilation": (2, 1), "padding": ((1, 2), (0, 3))}),
    "cropped": ((4, 32, 11, 12), (32, 32, 3, 3), {"padding": ((-1, 2), (0, -2))}),
    "grouped": ((4, 64, 8, 8), (64, 32, 3, 3), {"feature_group_count": 2}),
    "in batches": ((8, 32, 8, 8), (64, 32, 3, 3), {"batch_group_count": 2}),
    "of lines": ((4, 40, 50), (48, 40, 5), {"stride": (1,)}),
    "of volumes": ((4, 32, 5, 6, 4), (32, 32, 2, 3, 2), {"stride": (1, 2, 1)}),
    "of pixels": ((4, 128, 8, 8), (128, 128, 1, 1), {}),
    "channels last": ((4, 9, 10, 40), (3, 3, 40, 32), LAST),
    "channels of broken words": ((4, 36, 8, 7), (33, 36, 3, 3), {}),
}


@pytest.mark.parametrize(("images", "kernel", "choices"), CONVOLUTIONS.values(), ids=CONVOLUTIONS.keys())
def test_a_convolution_and_its_gradients(images, kernel, choices, device):
    f = functools.partial(conv, **choices)
    x, w = normal(*images), normal(*kernel, seed=1)
    y = jax.jit(f)(x, w)
    expected = jax.jit(lambda x, w, y: jax.vjp(f, x, w)[1](y))(x, w, y)
    got = grilly.jit(lambda x, w, y: (f(x, w), *jax.vjp(f, x, w)[1](y)), device=device)(x, w, y)
    for ours, theirs in zip(got, (y, *expected), strict=True):
        np.testing.assert_allclose(np.asarray(ours), theirs, rtol=0, atol=3e-6 * abs(np.asarray(theirs)).max())


def test_sums_of_windows_are_larger_than_what_they_sum(device):
    """So the scale of their half floats is not that of the numbers behind them."""
    x, w = abs(normal(34, 64)) + 1, normal(32, 40, seed=1)
    sums = lambda x: lax.reduce_window(x, 0.0, lax.add, (3, 33), (1, 1), "VALID")  # noqa: E731
    got = grilly.jit(lambda x, w: sums(x) @ w, device=device)(x, w)
    is_as_accurate(got, np.asarray(jax.jit(sums)(x)), w)


def test_the_same_bits_from_run_to_run(device, monkeypatch):
    monkeypatch.setattr(device, "target", dataclasses.replace(device.target, software=False))
    run, x, w = grilly.jit(jnp.matmul, device=device), normal(8, 1024), normal(1024, 8)
    first = np.asarray(run(x, w))
    assert "matmul[8,8,8]" in run.lower(x, w).plan  # it is cut
    is_as_accurate(first, x, w)
    np.testing.assert_array_equal(first, np.asarray(run(x, w)))


# Without a device: what is compiled --------------------------------------------------------------------------


def compiled(function, *shapes, target):
    return lower(lambda *args: jax.tree.leaves(function(*args)), [Aval(shape, F32) for shape in shapes], target=target)


def labels(lowered):
    return [dispatch.label for dispatch in lowered.plan.dispatches]


def spreads_of(function, *shapes):
    graph = compiled(function, *shapes, target=MATRIX_GPU).graph
    return [eqn.params["spreads"] for eqn in graph.equations if eqn.primitive == "matrix_product"]


def parts_of(function, *shapes):
    """How many half floats an operand's number is: of each product, in the ways that it may be computed."""
    return [tuple(spread.parts for spread in spreads) for spreads in spreads_of(function, *shapes)]


def test_an_operand_is_two_half_floats_and_spikes_are_one():
    def lif(x, w):
        step = lambda v, x: (v / 2 + x, (v > 1).astype(F32))  # noqa: E731
        _, s = lax.scan(step, jnp.zeros(x.shape[1:]), x)
        return lax.dot_general(s, w, (((2,), (1,)), ((), ())))

    assert parts_of(lambda x, w: jnp.tanh(x) @ w, (64, 128), (128, 64)) == [((2, 2),)]
    assert parts_of(lambda x, w: (x > 0).astype(F32) @ w, (64, 128), (128, 64)) == [((1, 2),)]
    assert parts_of(lif, (8, 16, 128), (64, 128)) == [((1, 2),)]


def test_a_scan_finds_the_scales_of_what_it_puts_out():
    """What it puts out is read once, to be split; the scales of the other operand take a reduction of it all."""

    def function(x, w):
        y = lax.scan(lambda v, x: (v / 2 + x, v - x), jnp.zeros((16, 64)), x)[1]
        return lax.dot_general(y, w, (((0, 1), (0, 1)), ((), ())))

    found = compiled(function, (256, 16, 64), (256, 16, 96), target=MATRIX_GPU)
    split = ["reduction[32,96]", "reduction[64]+map[32,12,128,8]", "map[32,8,128,8]"]
    assert labels(found) == ["scan[16,64]", *split, "tensor[32,64,96]", "reduction[64,96]"]


def test_of_two_arguments_that_of_more_axes_or_the_larger_one_may_turn_out_to_be_spikes():
    """Then there are two kernels, of which one computes: one for two half floats of it, one for one."""
    left, right = ((2, 2), (1, 2)), ((2, 2), (2, 1))
    net = lambda x, w, v: (jnp.tanh(x @ w) @ v).sum()  # noqa: E731
    shapes = (512, 128), (128, 256), (256, 128)
    assert parts_of(jnp.matmul, *shapes[:2]) == [left]
    assert parts_of(jnp.matmul, (64, 128), (128, 64)) == [left]
    assert parts_of(jnp.matmul, (64, 128), (128, 256)) == [right]
    assert parts_of(jnp.matmul, (4, 16, 128), (128, 256)) == [left]
    assert parts_of(lambda x, w: (x > 0).astype(F32) @ w, *shapes[:2]) == [((1, 2),)]
    assert parts_of(lambda x, w: jnp.matmul(x, w, precision=lax.Precision.HIGH), *shapes[:2]) == [((1, 1), (1, 1))]
    # x is asked forth and for the gradient by w; for those by v and by tanh, neither weights nor what is computed.
    assert sorted(map(len, parts_of(jax.grad(net, (1, 2)), *shapes))) == [1, 1, 2, 2]
    assert labels(compiled(jnp.matmul, *shapes[:2], target=MATRIX_GPU)).count("tensor[512,256](spikes)") == 1


@pytest.mark.parametrize("shape", [(512, 136), (2, 64, 130), (500, 16, 144)])
@pytest.mark.parametrize("precision", [lax.Precision.HIGHEST, lax.Precision.HIGH])
@pytest.mark.parametrize("spikes", [lambda x: (x > 0).astype(F32), lambda x: x], ids=["known", "perhaps"])
def test_products_forth_and_back_read_the_same_spikes(spikes, precision, shape):
    def both(x, w, g):
        y, back = jax.vjp(lambda w: jnp.matmul(spikes(x), w, precision=precision), w)
        return y, back(g)

    graph = compiled(both, shape, (shape[-1], 64), (*shape[:-1], 64), target=MATRIX_GPU).graph
    forth, back = (set(eqn.inputs) for eqn in graph.equations if eqn.primitive == "matrix_product")
    assert sum(value.dtype == np.float16 for value in forth & back) == 1


def test_a_shallow_product_needs_the_bit_that_two_half_floats_lack():
    coarse = lambda x, w: jnp.matmul(x, w, precision=lax.Precision.HIGH)  # noqa: E731
    assert parts_of(jnp.matmul, (64, 127), (127, 64)) == []
    assert parts_of(coarse, (64, 127), (127, 64)) == [((1, 1), (1, 1))]


def test_the_hardware_converts_half_floats_where_it_keeps_denormal_ones():
    for target in (Target(), Target(float16=True)):
        (dispatch,) = compiled(lambda x: x.astype(np.float16), (8,), target=target).plan.dispatches
        assert any("FConvert" in line for line in listing(dispatch.shader.spirv)) is target.float16


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_patches_are_never_written_down(name):
    images, kernel, choices = CONVOLUTIONS[name]
    f = functools.partial(conv, **choices)
    like = [jax.ShapeDtypeStruct(shape, F32) for shape in (images, kernel)]
    y = jax.eval_shape(f, *like).shape
    lowered = compiled(lambda x, w, y: (f(x, w), *jax.vjp(f, x, w)[1](y)), images, kernel, y, target=MATRIX_GPU)
    patches = [eqn for eqn in lowered.graph.equations if eqn.primitive == "conv_patches"]
    assert bool(patches) == (name == "channels of broken words")


def test_three_products_read_the_same_images():
    """The images and the gradient of the result are each split once, for two products."""
    both = lambda x, w, y: (conv(x, w), *jax.vjp(conv, x, w)[1](y))  # noqa: E731
    shapes = ((4, 32, 10, 10), (32, 32, 3, 3), (4, 32, 10, 10))
    graph = compiled(both, *shapes, target=MATRIX_GPU).graph
    laid_out = {(4, 12, 12, 32): 2 * 2}  # in zeros, channels last: two halves of each
    halves = [eqn.outputs[0].shape for eqn in graph.equations if eqn.outputs[0].dtype == np.float16]
    assert {shape: halves.count(shape) for shape in halves if shape[0] == 4} == laid_out


def test_what_is_not_deep_may_be_left_to_float32():
    """... if its numbers turn out to be far apart, in one kernel more. Its operands are not written down for that."""
    general = lambda x, w: jnp.tanh(x) @ w  # noqa: E731
    spikes = lambda x, w: (x > 0).astype(F32) @ w  # noqa: E731
    coarse = lambda x, w: jnp.matmul(x, w, precision=lax.Precision.HIGH)  # noqa: E731

    def ways(function, *shapes):
        found = labels(compiled(function, *shapes, target=MATRIX_GPU))
        return [label.partition("(")[2] for label in found if label.startswith(("tensor", "matmul"))]

    assert ways(jnp.matmul, (64, 128), (128, 64)) == ["spikes)", "split)", "float32)"]
    assert ways(general, (64, 4064), (4064, 64)) == ["split)", "float32)"]
    assert ways(spikes, (64, 128), (128, 64)) == ["split)", "float32)"]
    assert ways(general, (64, 4096), (4096, 64)) == [""]
    assert ways(coarse, (64, 128), (128, 64)) == ["spikes)", "split)"]
    assert ways(conv, (4, 32, 10, 10), (32, 32, 3, 3)) == [""]
    plan = compiled(spikes, (64, 128), (128, 64), target=MATRIX_GPU).plan
    assert not any(dispatch.label.startswith("map[64,128]") for dispatch in plan.dispatches)


@pytest.mark.parametrize("values", [[1, -2, 0, 4], [0, 0, 0, 0], [1e-30, 1e30, 0, 1], [1e-37, 1, 1, 0]])
def test_how_far_numbers_lie_below_the_largest(values, device):
    x = np.array([values, [1, 1, 1, 1]], F32)
    graph = Graph((value := Value(Aval(x.shape, F32)),), (), (value,), {})
    editor = Editor(graph)
    eqn = Equation("dot_general", (), (), {})
    axes = ((), (0,), (1,))
    found = scales.span(editor, eqn, value, axes, scales.scale_of_rows(editor, eqn, value, axes))
    graph = Graph(graph.inputs, tuple(editor.equations), (found,), {})
    plan = lower_graph(graph, frozenset(), device.target).plan
    (buffer,) = Executable(device, plan)([x])
    exponents = np.frexp(np.abs(x[0][x[0] != 0]).astype(np.float64))[1]
    below = exponents.max() - exponents.mean() if exponents.size else 0
    np.testing.assert_allclose(device.get(buffer, plan.results[0]), below / 2, rtol=1e-6)


@pytest.mark.parametrize("precision", [lax.Precision.HIGH, "tensorfloat32", lax.DotAlgorithmPreset.TF32_TF32_F32])
def test_precision_asks_for_one_half_float(precision):
    coarse = lambda x, w: jnp.matmul(jnp.tanh(x), w, precision=precision)  # noqa: E731
    assert parts_of(coarse, (64, 128), (128, 64)) == [((1, 1),)]


def test_one_half_float_has_the_accuracy_of_tf32(device):
    x, w = normal(M, K) * powers(-30, 30, M, 1), normal(K, N, seed=1)
    run = grilly.jit(lambda x, w: jnp.matmul(x, w, precision=lax.Precision.HIGH), device=device)
    assert errors(run(x, w), x, w).max() <= 2**-11


@pytest.mark.parametrize(
    ("rows", "depth", "columns", "tile"),
    [
        (8192, 512, 4096, (128, 128)),
        (8192, 512, 64, (64, 64)),
        (1024, 8192, 1024, (128, 128)),  # in parts: there are enough tiles then
        (256, 512, 256, (64, 64)),
    ],
)
def test_tiles_fit_the_result_and_are_enough_to_keep_a_device_busy(rows, depth, columns, tile):
    ((found,),) = spreads_of(lambda x, w: jnp.tanh(x) @ w, (rows, depth), (depth, columns))
    assert (found.tile.rows, found.tile.columns) == tile


@pytest.mark.parametrize("target", [GPU, MATRIX_GPU])
def test_a_deep_product_of_few_results_is_cut(target):
    deep = labels(compiled(jnp.matmul, (64, 1 << 14), (1 << 14, 64), target=target))
    assert deep[-1] == "reduction[64,64]"
    assert any(label in ("matmul[128,64,64]", "tensor[128,64,64](spikes)") for label in deep)
    assert labels(compiled(jnp.matmul, (64, 1 << 14), (1 << 14, 64), target=Target())) == ["matmul[64,64]"]


def test_a_few_parts_are_added_up_by_whoever_reads_the_product():
    def function(x, w):
        return lax.scan(lambda v, x: (v + x, v * x), jnp.zeros(64), jnp.matmul(x, w))

    assert labels(compiled(function, (16, 512), (512, 64), target=GPU)) == ["matmul[8,16,64]", "scan[64]"]


def test_the_same_bytes_every_time():
    first, second = (
        [d.shader.spirv for d in compiled(jnp.matmul, (64, 128), (128, 64), target=MATRIX_GPU).plan.dispatches]
        for _ in range(2)
    )
    assert first == second


@pytest.mark.parametrize(
    ("function", "known"),
    [
        (lambda x: x > 0, True),
        (lambda x: (x > 0).astype(F32).reshape(-1).T, True),
        (lambda x: jnp.where(x > 0, 1.0, 0.0), True),
        (lambda x: jnp.where(x > 0, 1.0, 0.5), False),
        (lambda x: (x > 0).astype(F32) * (x < 1).astype(F32), True),
        (lambda x: (x > 0).astype(F32) + (x < 1).astype(F32), False),
        (lambda x: (x > 0).astype(F32) * 0.5, False),
        (lambda x: lax.reduce_window((x > 0).astype(F32), -jnp.inf, lax.max, (2, 2), (1, 1), "VALID"), True),
        (lambda x: lax.reduce_window((x > 0).astype(F32), 0.0, lax.add, (2, 2), (1, 1), "VALID"), False),
        (lambda x: lax.scan(lambda v, x: (v + x, (v > x).astype(F32)), x[0], x)[1], True),
        (lambda x: lax.scan(lambda v, x: (v + x, v), x[0], x)[1], False),
        (lambda x: x, False),
    ],
)
def test_what_is_known_to_be_0_or_1(function, known):
    graph = compiled(function, (4, 4), target=Target()).graph
    assert (graph.outputs[0] in zero_one(graph)) is known


def test_an_argument_of_booleans_is_known_to_be_0_or_1():
    avals = [Aval((4, 4), np.dtype(bool))]
    graph = lower(lambda x: [x.astype(F32)], avals, target=Target()).graph
    assert graph.outputs[0] in zero_one(graph)
