"""Elementwise mathematics, types and random numbers: a row gets every law of test_programs; see test_accuracy, too."""

import jax
import numpy as np
from jax import lax, random
from jax import numpy as jnp
from programs import F32, Program, unary

BF16, F16 = jnp.bfloat16, np.float16
INTEGERS = (np.int8, np.int16, np.int32, np.uint8, np.uint16, np.uint32)
TYPES = (np.bool_, *INTEGERS, F16, BF16, F32)


def arithmetic(x, y):
    return x + y, x - y, x * y, lax.div(x, y), lax.rem(x, y), -x, lax.sign(x), lax.max(x, y), lax.min(x, y)


def comparisons(x, y):
    return x < y, x <= y, x > y, x >= y, x == y, x != y, jnp.where(x < y, x, y), lax.clamp(y, x, y)


def floats(x, y):
    whole = [lax.floor(x), lax.ceil(x), *(lax.round(x, method) for method in lax.RoundingMethod)]
    return (
        *arithmetic(x, y),
        *comparisons(x, y),
        *whole,
        abs(x),
        lax.sqrt(abs(x)),
        lax.is_finite(x / (y > 0)),
        x * 3 + 0.1,
    )


def integers(x, y):
    shifts = [f(x, y) for f in (lax.shift_left, lax.shift_right_logical, lax.shift_right_arithmetic)]
    bits = [x & y, x | y, x ^ y, ~x, lax.population_count(x), lax.clz(x), *shifts]
    return *arithmetic(x, y), *comparisons(x, y), *bits, lax.integer_pow(x, 5), lax.integer_pow(x, 0)


def booleans(x, y):
    return *comparisons(x, y)[:-1], x + y, x * y, x & y, x | y, x ^ y, ~x, lax.max(x, y), lax.min(x, y)


def casts(x):
    return [lax.convert_element_type(x, dtype) for dtype in TYPES]


def bits_and_back(x):
    bits = lax.bitcast_convert_type(x, jnp.uint16)
    return bits, lax.bitcast_convert_type(bits, x.dtype), lax.bitcast_convert_type(x, jnp.int16)


def identities(x):
    """What the compiler writes shorter, of numbers that tell whether it may."""
    x = jnp.concatenate([x, np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1.5, 8e37, -8e37], F32)])
    fires = [compare(x - 1.5, F32(0)) for compare in (lax.lt, lax.le, lax.gt, lax.ge, lax.eq, lax.ne)]
    spikes = fires[3].astype(F32)
    products = [spikes * constant for constant in (0.2, -0.0)]
    return (
        1 / (x - 0),
        *fires,
        fires[3],
        1 - spikes,
        (1 - spikes) * x,
        *products,
        1 - spikes.astype(F16),
    )


def resized_bits(x, y):
    shorter = [lax.bitcast_convert_type(x, dtype) for dtype in (jnp.uint8, jnp.int16, jnp.uint16)]
    return *shorter, *(lax.bitcast_convert_type(bits, F32) for bits in shorter), lax.bitcast_convert_type(y, jnp.int8)


def shorter(x):
    """float8's two forms, float16, bfloat16, and one exponent bit less."""
    return [lax.reduce_precision(x, *bits) for bits in ((5, 2), (4, 3), (5, 10), (8, 7), (7, 23))]


def typed(function, dtype, number=2, low=-4.0, high=4.0):
    return Program(function, (((5, 7), dtype),) * number, 1, 0.0, low, high)


def drawn(sample, kind="threefry2x32", error=0.0):
    """Samples of a key that is an argument, as its data."""
    words = 2 if kind == "threefry2x32" else 4
    return Program(lambda key: sample(random.wrap_key_data(key, impl=kind)), (((words,), np.uint32),), 1, error)


def keys(key):
    """What can be done to keys, to one and to many."""
    many = random.split(random.fold_in(key, 3), (2, 3))
    return [random.key_data(many), random.key_data(jax.vmap(random.split)(many[0])), jax.vmap(random.uniform)(many[1])]


def gradients(x):
    def total(x):
        waves = jnp.sin(x) * jnp.cos(x) + jnp.tan(x / 4) + jnp.atan(x) + jnp.asin(x / 5) + jnp.acos(x / 5)
        waves += jnp.arctan2(x, x * x + 1)
        grown = jnp.sinh(x) + jnp.cosh(x) + jnp.asinh(x) + jnp.acosh(x * x + 2) + jnp.atanh(x / 5) + jnp.expm1(x)
        special = lax.erf(x) + lax.erfc(x) + lax.erf_inv(x / 5) + lax.lgamma(x * x + 1) + lax.digamma(x * x + 1)
        return (waves + grown + special + jnp.cbrt(x) + jnp.exp2(x) + lax.logistic(x)).sum()

    return jax.grad(total)(x)


# Within a few units in the last place of XLA's value, which itself may be off by more than ours.
NEAR_XLA = {
    "sin": unary(lax.sin),
    "cos": unary(lax.cos),
    "tan": unary(lax.tan),
    "asin": unary(lambda x: lax.asin(x / 4)),
    "acos": unary(lambda x: lax.acos(x / 4)),
    "atan": unary(lax.atan),
    "atan2": Program(lax.atan2, ((5, 7), (5, 7))),
    "sinh": unary(lax.sinh),
    "cosh": unary(lax.cosh),
    "asinh": unary(lax.asinh),
    "acosh": unary(lambda x: lax.acosh(1 + abs(x))),
    "atanh": unary(lambda x: lax.atanh(x / 5)),
    "expm1": unary(lax.expm1),
    "exp2": unary(lax.exp2),
    "cbrt": unary(lax.cbrt),
    "rsqrt": unary(lambda x: lax.rsqrt(abs(x))),
    "erf": unary(lax.erf),
    "erfc": unary(lax.erfc),
    "lgamma": unary(lax.lgamma),
    "digamma": unary(lambda x: lax.digamma(abs(x))),
    "bessel_i0e": unary(lax.bessel_i0e),
    "zeta": Program(lambda s, q: lax.zeta(1.5 + abs(s), abs(q) + 0.1), ((5, 7), (5, 7))),
    "polygamma": unary(lambda x: [lax.polygamma(jnp.full_like(x, n), abs(x) + 0.1) for n in (0.0, 1.0, 3.0)]),
    "bessel_i1e": unary(lax.bessel_i1e),
}
EXACT = {
    "erf_inv": unary(lambda x: lax.erf_inv(x / 4)),
    "logistic": unary(lax.logistic),
    "nextafter": Program(lax.nextafter, ((5, 7), (5, 7))),
    "reduce_precision": unary(shorter),
    "resized_bits": Program(resized_bits, ((5, 7), ((3,), F16))),
    "no_element": Program(lambda x: (jnp.sin(x), lax.rem(x, x), x.astype(BF16)), ((0, 3),)),
    "one_element": Program(lambda x: (lax.rem(x, x * 3), x.astype(BF16) * BF16(3)), ((1,),)),
    "choices": Program(lambda i, x, y, z: lax.select_n(abs(i) % 3, x, y, z), (((5, 7), np.int32), *((5, 7),) * 3)),
    "clamp_by_arrays": Program(lambda x, y: lax.clamp(-abs(y), x, abs(y)), ((5, 7), (5, 7))),
    "high_products": Program(lambda x, y: lax.mulhi(x * 99999999, y * 77777777), (((5, 7), np.int32),) * 2),
    "scanned_bfloat16": Program(
        lambda x, v: lax.scan(lambda v, x: (v * BF16(0.5) + x, v), v, x), (((6, 9), BF16), ((9,), BF16))
    ),
    "reduced_bfloat16": Program(lambda x: (x.sum(0), x.max(1), x.mean()), (((6, 9), BF16),)),
}
MATH = {
    **{name: Program(row.function, row.shapes, 1, 1e-6) for name, row in NEAR_XLA.items()},
    **EXACT,
    "identities": Program(identities, ((7,),)),
    "mathematics_gradients": Program(gradients, ((5, 7),), 1, 1e-5),
    "float32s": typed(floats, F32),
    "float16s": typed(floats, F16),
    "bfloat16s": typed(floats, BF16),
    "float16_functions": typed(lambda x: (jnp.exp(x), jnp.tanh(x), lax.logistic(x), jnp.sin(x)), F16, 1),
    "bfloat16_functions": typed(lambda x: (jnp.exp(x), jnp.tanh(x), lax.logistic(x), jnp.sin(x)), BF16, 1),
    "float16_bits": typed(bits_and_back, F16, 1),
    "bfloat16_bits": typed(bits_and_back, BF16, 1),
    "float16_product": Program(jnp.matmul, (((5, 9), F16), ((9, 4), F16)), 1, 1e-3),
    "bfloat16_product": Program(jnp.matmul, (((5, 9), BF16), ((9, 4), BF16)), 1, 1e-2),
    **{f"{np.dtype(dtype).name}s": typed(integers, dtype) for dtype in INTEGERS},
    "bools": typed(booleans, np.bool_),
    **{f"casts_of_{np.dtype(dtype).name}": typed(casts, dtype, 1, -300.0, 300.0) for dtype in TYPES},
    # Random numbers
    "uniform": drawn(lambda key: random.uniform(key, (5, 7))),
    "normal": drawn(lambda key: random.normal(key, (5, 7))),
    "normal_bfloat16": drawn(lambda key: random.normal(key, (5, 7), BF16)),
    "bernoulli": drawn(lambda key: random.bernoulli(key, 0.3, (5, 7))),
    "randint": drawn(lambda key: (random.randint(key, (9,), -3, 17), random.randint(key, (9,), -3, 17, jnp.int8))),
    "gumbel": drawn(lambda key: random.gumbel(key, (5, 7))),
    "exponential": drawn(lambda key: random.exponential(key, (5, 7))),
    "laplace": drawn(lambda key: random.laplace(key, (5, 7))),
    "truncated_normal": drawn(lambda key: random.truncated_normal(key, -2, 2, (5, 7)), error=1e-6),
    "keys": drawn(keys),
    "rbg_bits": drawn(lambda key: [random.bits(key, (9,), f"uint{n}") for n in (8, 16, 32)], "rbg"),
    "rbg_normal": drawn(lambda key: random.normal(key, (5, 7)), "rbg"),
    "rbg_keys": drawn(keys, "rbg"),
    "unsafe_rbg_keys": drawn(keys, "unsafe_rbg"),
    **{
        f"bit_generator_{algorithm.name}": Program(
            lambda key, a=algorithm: [lax.rng_bit_generator(key, shape, algorithm=a) for shape in ((), (9,), (3, 4))],
            (((4,), np.uint32),),
        )
        for algorithm in lax.RandomAlgorithm
    },
}
