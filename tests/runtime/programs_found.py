"""What random programs (`test_random_programs`) have found, each made small: a row gets every law of test_programs."""

import warnings

import jax
import numpy as np
from jax import lax, random
from jax import numpy as jnp
from jax.custom_batching import custom_vmap
from jax.custom_derivatives import linear_call
from jax.sharding import SingleDeviceSharding
from numpy.exceptions import ComplexWarning
from programs import Program


def scan_of_inputs_as_they_are(x):
    """A step that mixes elements, and puts out what it was given, or the same twice, in another shape."""

    def step(c, x):
        c = c[::-1] + x.sum()
        return c, (x[None], c, c.reshape(1, 3), c)

    return lax.scan(step, jnp.zeros(3), x)


def batch_of_none(x):
    """Products without elements, and of none."""
    return lax.dot_general(x, x, (((1,), (1,)), ((0,), (0,)))), jnp.ones((2, 0)) @ jnp.ones((0, 3)) + x.sum()


def fold_of_none(x):
    """By a function of the user's own: no element, and no column of elements."""
    larger = lambda a, b: jnp.where(a >= b, a, b)  # noqa: E731
    return lax.reduce(x, np.float32(-1), larger, (0,)), lax.reduce(x, np.float32(-1), larger, (1,))


def dropout_from_one_key(x, data):
    """Random numbers that are the same at each step, summed: their equations double with each round of the cipher."""

    def step(total, x):
        return total + (random.uniform(random.wrap_key_data(data), x.shape) * x).sum(), None

    return lax.scan(step, jnp.float32(0), x)[0]


def doubling_sums(x):
    """Each sum is read twice: there are more ways through them than anybody could go."""

    def step(total, x):
        a, b = x.sum(), x.max()
        for _ in range(60):
            a, b = b, a + b
        return total + b, None

    return lax.scan(step, jnp.float32(0), x)[0]


def scan_of_sizes(c, w):
    """What a step puts out has fewer elements than what it carries."""
    return lax.scan(lambda c, x: (lax.sin(c), (w, x, w[0, 0])), c, w)


def gradient_without_carry(x):
    """Neither the scan nor its reverse twin carries anything along: there is no step to go back to."""
    return jax.grad(lambda x: lax.scan(lambda c, x: (c, lax.square(x) / (1 + x)), 0.0, x)[1].sum())(x)


def gradient_with_carry_alone(x, w):
    """The reverse twin carries the gradient of what all steps share; the scan carries nothing."""
    return jax.grad(lambda x, w: lax.scan(lambda c, x: (c, lax.square(x * w)), 0.0, x)[1].sum(), (0, 1))(x, w)


def twin_of_a_twin(x):
    """A scan that reads, the other way round, what a reverse twin puts out."""

    def step(carry, x):
        a, b = carry
        return (jnp.where(a > 1, a / 2, b + x), a / 2 + x), a

    def run(x):
        return lax.scan(jax.checkpoint(step, prevent_cse=False), (0.5, 0.25), x)[1].sum()

    return lax.scan(lambda c, g: (c / 2 + g, c), 0.0, jax.grad(run)(x))


def curvature(x, v):
    """A Hessian of a scan, times a vector: the gradient of its gradient."""

    def step(carry, x):
        a, b = carry
        return (a / 2 + x * b, b / 2 + x * x), a * b

    run = lambda x: lax.scan(step, (jnp.ones(2), jnp.ones(2)), x)[1].sum()  # noqa: E731
    return jax.grad(lambda x: (jax.grad(run)(x) * v).sum())(x)


def folds_of_nothing_reversed(x):
    """An empty axis has no last element to begin with."""
    x = lax.rev(2 * x, (0,))
    return x.sum(0), x.max(1), lax.reduce_window(x, -np.inf, lax.max, (2, 1), (1, 1), ((2, 2), (0, 0)))


def windows_one_beside_the_other(x):
    """The gradient of a pool whose windows overlap along one axis, and are but one along the other."""
    pool = lambda x: lax.reduce_window(x, np.float32(np.inf), lax.min, (3, 3), (2, 2), "SAME")  # noqa: E731
    return jax.grad(lambda x: (pool(x) * jnp.isfinite(pool(x))).sum())(x)


def products_with_what_starts_as_zero(x):
    """What is 0 in the first step alone, and what is -0, times infinity."""
    y = 1 / x
    return lax.scan(lambda n, y: (n + 1, -n / 4 * y), 0.0, y)[1], -jnp.zeros(3) * y / 4


def sums_of_what_grew(x):
    """What a map makes of short floats is longer: it must not lie where they do, though both round up to 256 bytes."""
    y = lax.cos(lax.scan(lambda c, _: (jnp.mean(c, axis=()),) * 2, x, None, length=3)[1])
    total = lambda y: jnp.sum(y, axis=()).astype(np.float32).sum() / 27 + y.astype(np.float32).sum() / 27  # noqa: E731
    return jax.jvp(total, (y,), (y,))


def totals_put_out(x):
    """A running total that each step puts out, before its sum and after, and that another carry follows."""
    before = lax.scan(lambda total, x: (total + x.sum(), total), 0.0, x)
    after = lax.scan(lambda total, x: ((new := total + x.sum()), new), 0.0, x)
    followed = lax.scan(lambda c, x: ((c[0] + x.sum(), c[0], c[2] / 2 + x), None), (1.0, 2.0, x[0]), x)
    return before, after, followed


def while_of_each_row(x, n):
    """Each row ends by itself, and there are as many rows as words that a carry may be split into."""
    step = lambda c: (c[0] + 1, c[1] * 0.5)  # noqa: E731
    return jax.vmap(lambda x, n: lax.while_loop(lambda c: c[0] < n, step, (0, x)))(x, n)


def complex_made_real(x):
    """Conversions, and the gradients of numbers that were complex on the way."""
    z = lax.complex(x, x[::-1])
    with warnings.catch_warnings(action="ignore", category=ComplexWarning):
        gradient = jax.grad(lambda x: (x.astype(jnp.complex64) * (1 + 2j)).real.sum())(x)
        return [lax.convert_element_type(z, t) for t in (jnp.float32, jnp.int32, jnp.bool_, jnp.float16)], gradient


def negative_zeros(x):
    """What a large scan puts out is 1 or -0: no byte that holds 0 or 1 is that."""
    return 1 / lax.scan(lambda v, x: (v / 2 + x, jnp.where(v > 0, 1.0, -0.0)), jnp.zeros(x.shape[1]), x)[1]


def signs_of_zeros(x):
    """Their reciprocals tell: where numbers are chosen among constants, NVIDIA's driver takes -0 for 0."""
    b = x > 0
    number = b.astype(np.float32)
    zeros = (jnp.where(b, 1.0, -0.0), jnp.where(b, -0.0, -2.0), -number, number * -1, number / -1, -jnp.maximum(x, 0))
    return [1 / each for each in zeros]


def keys_that_move(data, which):
    """Typed keys reversed, repeated, chosen, written over, taken apart and put together."""
    keys = random.split(random.wrap_key_data(data), 4)
    first, _, third, _ = keys
    moved = (
        keys[::-1], jnp.tile(keys, 2), jnp.where(which, keys, keys[0]), lax.select_n(which[0], keys, keys[::-1]),
        lax.dynamic_update_slice(keys, keys[2:], (1,)), random.clone(keys),
        jnp.stack([third, first]), jnp.stack([keys, keys[::-1]], 1), *lax.split(keys, (1, 3)),
    )  # fmt: skip
    return [random.key_data(each) for each in moved]


def keys_written_and_compared(data, which):
    """Typed keys written over where numbers say, beyond the end too, and compared."""
    keys = random.split(random.wrap_key_data(data), 4)
    pairs = random.split(random.wrap_key_data(data), (9, 2))
    written = (
        keys.at[1].set(keys[3]), keys.at[which].set(keys[:3]), pairs.at[which].set(keys[:2]),
        pairs.at[:, which].set(keys[0]), keys.at[which + 2].set(keys[0], mode="drop"),
    )  # fmt: skip
    return *(random.key_data(each) for each in written), keys == keys[::-1], keys[0] != keys


def steps_written_out(x_seq):
    """A LIF neuron in a loop of Python's: equations by the hundred, one behind another."""
    v, spikes = jnp.zeros(x_seq.shape[1]), []
    for x in x_seq:
        h = v - v / 2 + x
        spikes.append((h >= 1).astype(np.float32))
        v = (1 - spikes[-1]) * h
    return sum(spikes), v


def calls_of_every_kind(x):
    """What JAX keeps as a call in its jaxprs: roots and their gradients, rules for vmap, composites, linear calls."""
    newton = lambda f, y: lax.fori_loop(0, 20, lambda _, y: y - f(y) / (2 * y), y)  # noqa: E731
    root = lambda x: lax.custom_root(lambda y: y * y - x, 1 + x, newton, lambda f, y: y / f(jnp.ones_like(y)))  # noqa: E731
    doubled = lambda x: linear_call(lambda _, x: 2 * x, lambda _, g: 2 * g, (), x)  # noqa: E731
    batched = custom_vmap(lambda x: abs(x))
    batched.def_vmap(lambda _, batches, x: (abs(x), batches[0]))
    fires = jax.custom_vjp(lambda x: (x >= 1).astype(x.dtype))
    fires.defvjp(lambda x: (fires(x), x), lambda x, g: (g * x,), optimize_remat=True)
    gradients = [jax.value_and_grad(lambda x, f=f: f(x).sum())(x) for f in (root, fires, jax.checkpoint(fires))]
    return *gradients, doubled(x), batched(x), jax.vmap(batched)(x), lax.composite(lax.neg, "grilly.neg")(x)


def polynomials(x, y):
    """Of a number with arrays as coefficients, of arrays with numbers, and of both; and derivatives."""
    coefficients = x, x.T[:, :, None], x[:, 0]
    values = [jnp.polyval(*each) for each in zip(coefficients, (y[0], y, x), strict=True)]
    gradients = jax.grad(lambda x, y: jnp.polyval(x, y).sum(), (0, 1))(x, y[0])
    return *values, *gradients, jax.vmap(lambda y: jnp.polyval(x, y))(y)


def over_named_axes(x):
    """Batch normalization as vmap has it, its gradient, and folds over two names."""

    def normal(x):
        x = x - lax.pmean(x, "n")
        return x / jnp.sqrt(lax.pmean(x * x, "n") + 1)

    gradient = jax.vmap(jax.grad(lambda x: jnp.sum(normal(x) ** 3)), axis_name="n")
    both = jax.vmap(
        jax.vmap(lambda x: (lax.psum(x, ("m", "n")), lax.pmax(x, "m"), lax.pmin(x, "n")), axis_name="n"), axis_name="m"
    )
    return jax.vmap(normal, axis_name="n")(x), gradient(x), both(x)


def constrained(x):
    """Where and how an array lies says nothing on one device."""
    here = SingleDeviceSharding(jax.devices("cpu")[0])
    return lax.with_sharding_constraint(x + 1, here) * 2


FOUND = {
    "over_named_axes": Program(over_named_axes, ((5, 4),), 1, 1e-6),
    "constrained": Program(constrained, ((5, 4),)),
    "polynomials": Program(polynomials, ((3, 4), (5,)), 6, 1e-6, elsewhere=1),
    "calls_of_every_kind": Program(calls_of_every_kind, ((3, 4),), 2, 1e-6, low=0.5),
    "transpose_of_none": Program(lambda x: (x.T + 1, lax.sort(x.T, dimension=0)), ((0, 3),)),
    "steps_written_out": Program(steps_written_out, ((150, 3),)),
    "totals_put_out": Program(totals_put_out, ((5, 7),), 17, 1e-6),
    "while_of_each_row": Program(while_of_each_row, ((4, 2), ((4,), np.int32)), 1, low=0, high=5),
    "complex_made_real": Program(complex_made_real, ((6,),)),
    "negative_zeros": Program(negative_zeros, ((4, 1 << 18),), 2),
    "signs_of_zeros": Program(signs_of_zeros, ((5, 7),), 1, low=-4.0, high=4.0),
    "keys_written_and_compared": Program(
        keys_written_and_compared, (((2,), np.uint32), ((3,), np.int32)), low=0, high=4
    ),
    "keys_that_move": Program(keys_that_move, (((2,), np.uint32), ((4,), np.bool_))),
    "scan_without_operands": Program(
        lambda x: lax.scan(lambda c, _: (c, jnp.zeros(2)), x, None, length=3), ((4, 2),), 1
    ),
    "scan_of_inputs_as_they_are": Program(scan_of_inputs_as_they_are, ((5, 3),), 6, 1e-6),
    "scan_of_sizes": Program(scan_of_sizes, ((12,), (2, 4)), 2, 1e-6),
    "windows_of_nothing": Program(
        lambda x: lax.reduce_window(x, np.int32(1), lax.mul, (1, 2, 1), (1, 1, 1), "SAME"), (((0, 3, 3), np.int32),)
    ),
    "zero_times_and_less": Program(lambda x: (x / x * 0.0, 0.0 * x, 0.0 - x), ((5, 7),), low=0.0, high=0.0),
    "division_of_and_by_zero": Program(lambda x: (jnp.round(x / 9) / 0, 0 / jnp.round(x / 9), x[:0].mean()), ((5, 7),)),
    "division_by_what_turns_out_zero": Program(lambda x: (x / (x > x), x / jnp.abs(jnp.zeros_like(x))), ((5, 7),)),
    "products_with_what_starts_as_zero": Program(products_with_what_starts_as_zero, ((3,),), 2, low=0.0, high=0.0),
    "fold_of_none": Program(fold_of_none, ((0, 3),), 2),
    "dropout_from_one_key": Program(dropout_from_one_key, ((3, 4), ((2,), np.uint32)), 2, 1e-6),
    "doubling_sums": Program(doubling_sums, ((3, 4),), 4, 1e-6, low=0.0),
    "gradient_without_carry": Program(gradient_without_carry, ((5, 3),), 1, 1e-6, low=0.5),
    "gradient_with_carry_alone": Program(gradient_with_carry_alone, ((5, 3), (3,)), 1, 1e-6),
    "twin_of_a_twin": Program(twin_of_a_twin, ((5,),), 3),
    "curvature_of_few_steps": Program(curvature, ((3, 2), (3, 2)), 4, 1e-6, low=-1.0, high=1.0),
    "curvature_of_many_steps": Program(curvature, ((61, 2), (61, 2)), 5, 1e-6, low=-1.0, high=1.0),
    "folds_of_nothing_reversed": Program(folds_of_nothing_reversed, ((0, 3),)),
    "windows_one_beside_the_other": Program(windows_one_beside_the_other, ((7, 2),)),
    "row_by_two_axes": Program(
        lambda x, y: lax.dot_general(x, y, (((0, 1), (1, 3)), ((), ()))), ((3, 3), (2, 3, 17, 3)), 1, 1e-6
    ),
    "sums_of_what_grew": Program(sums_of_what_grew, (((3, 3), np.float16),), 2, 1e-6),
    "batch_of_none": Program(batch_of_none, ((0, 3, 4),), 2),
}
