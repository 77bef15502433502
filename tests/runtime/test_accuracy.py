"""How far elementwise functions are from the truth, computed in float64 by SciPy: the bounds that docstrings state.

The distance is in ulp: in units of the gap between the true value and the next float32. Results that are denormal are
unspecified, and left out.
"""

from collections.abc import Callable
from dataclasses import dataclass

import jax
import numpy as np
import pytest
from jax import lax
from jax import numpy as jnp
from scipy import special

import grilly
from grilly.errors import UnsupportedPrimitiveError
from grilly.runtime.ir import Aval
from grilly.runtime.lower import lower

F32, COUNT = np.float32, 100_000
TINY = np.finfo(F32).tiny
BF16 = jnp.bfloat16


@dataclass(frozen=True)
class Function:
    """A function, the truth in float64, how many ulp there may be in between, and arguments."""

    function: Callable
    truth: Callable
    ulp: float
    arguments: Callable[[np.random.Generator], list[np.ndarray]]
    scale: Callable | None = None  # what an ulp is measured by, where that is not the result


def everywhere(random):
    """Of all sizes, and many near 0."""
    sizes = 2.0 ** random.uniform(-120, 127, COUNT // 4) * random.choice([-1, 1], COUNT // 4)
    return [np.concatenate([sizes, *(random.uniform(-r, r, COUNT // 4) for r in (1, 12, 100))])]


def positive(random):
    return [np.abs(everywhere(random)[0])]


def from_one(random):
    return [np.concatenate([1 + 10 ** random.uniform(-6, 0, COUNT // 2), 10 ** random.uniform(0, 38, COUNT // 2)])]


def unit(random):
    """From -1 to 1, and many near all of -1, 0, 1."""
    near = 10 ** random.uniform(-7, 0, COUNT // 4)
    tiny = 10 ** random.uniform(-30, 0, COUNT // 4)
    return [np.concatenate([random.uniform(-1, 1, COUNT // 4), 1 - near, near - 1, tiny])]


def between(low, high):
    return lambda random: [random.uniform(low, high, COUNT)]


def pairs(random):
    return [np.concatenate([random.normal(size=COUNT // 2), everywhere(random)[0][: COUNT // 2]]) for _ in range(2)]


def below_half(x):
    return np.maximum(1, np.maximum(abs(special.gammaln(x)), abs(special.gammaln(-x))))


def cotangents(x):
    return np.maximum(1, np.maximum(abs(special.digamma(x)), abs(special.digamma(1 - x))))


FUNCTIONS = {
    "sin": Function(lax.sin, np.sin, 1, everywhere),
    "cos": Function(lax.cos, np.cos, 1, everywhere),
    "tan": Function(lax.tan, np.tan, 2, everywhere),
    "asin": Function(lax.asin, np.arcsin, 2, unit),
    "acos": Function(lax.acos, np.arccos, 2, unit),
    "atan": Function(lax.atan, np.arctan, 2, everywhere),
    "atan2": Function(lax.atan2, np.arctan2, 2, pairs),
    "sinh": Function(lax.sinh, np.sinh, 2, everywhere),
    "cosh": Function(lax.cosh, np.cosh, 2, everywhere),
    "tanh": Function(lax.tanh, np.tanh, 7, everywhere),
    "asinh": Function(lax.asinh, np.arcsinh, 2, everywhere),
    "acosh": Function(lax.acosh, np.arccosh, 2, from_one),
    "atanh": Function(lax.atanh, np.arctanh, 2, unit),
    "exp": Function(lax.exp, np.exp, 1, between(-87, 88)),
    "exp_of_large": Function(lax.exp, np.exp, 6, between(88, 88.72)),
    "exp2": Function(lax.exp2, np.exp2, 1, everywhere),
    "expm1": Function(lax.expm1, np.expm1, 2, everywhere),
    "log": Function(lax.log, np.log, 1.5, positive),
    "log1p": Function(lax.log1p, np.log1p, 2.5, positive),
    "logistic": Function(lax.logistic, special.expit, 3, between(-87, 88)),
    "cbrt": Function(lax.cbrt, np.cbrt, 1, everywhere),
    "rsqrt": Function(lax.rsqrt, lambda x: 1 / np.sqrt(x), 2, positive),
    "erf": Function(lax.erf, special.erf, 2, everywhere),
    "erfc": Function(lax.erfc, special.erfc, 4, everywhere),
    "erf_inv": Function(lax.erf_inv, special.erfinv, 5, between(-0.99, 0.99)),
    "lgamma": Function(lax.lgamma, special.gammaln, 3, positive),
    "lgamma_of_few": Function(lax.lgamma, special.gammaln, 3, between(0, 20)),
    "lgamma_of_negative": Function(lax.lgamma, special.gammaln, 6, between(-50, 0), below_half),
    "digamma": Function(lax.digamma, special.digamma, 3, positive),
    "digamma_of_few": Function(lax.digamma, special.digamma, 3, between(0, 20)),
    "digamma_of_negative": Function(lax.digamma, special.digamma, 6, between(-50, 0), cotangents),
    "bessel_i0e": Function(lax.bessel_i0e, special.i0e, 6, everywhere),
    "bessel_i1e": Function(lax.bessel_i1e, special.i1e, 6, everywhere),
    "trigamma": Function(
        lambda x: lax.polygamma(jnp.ones_like(x), x), lambda x: special.polygamma(1, x), 15, between(0.01, 50)
    ),
}


@pytest.mark.parametrize("case", FUNCTIONS.values(), ids=FUNCTIONS.keys())
@pytest.mark.filterwarnings("ignore:.*encountered in:RuntimeWarning")
def test_values_are_within_the_stated_bound(case, device):
    arguments = [x.astype(F32) for x in case.arguments(np.random.default_rng(1))]
    wide = [x.astype(np.float64) for x in arguments]
    got = np.asarray(grilly.jit(case.function, device=device)(*arguments))

    truth = case.truth(*wide)
    scale = np.abs(truth) if case.scale is None else case.scale(*wide)
    defined = np.isfinite(truth.astype(F32)) & (np.abs(truth) >= TINY)
    ulps = np.abs(got - truth)[defined] / np.spacing(scale[defined].astype(F32))
    assert ulps.size > COUNT // 4
    assert ulps.max() <= case.ulp
    np.testing.assert_array_equal(np.isnan(got), np.isnan(truth))


SPECIAL = np.array([0, -0.0, 1, -1, 2, -2, 0.5, -0.5, 3, 100, -100, np.inf, -np.inf, np.nan, 3e38, -3e38, 1e-30], F32)
CHANGED = {"lgamma", "digamma"}  # JAX 0.12 gives the first another zero at 1, and the second another pole at 0
OF_ONE = [name for name, case in FUNCTIONS.items() if case.function is getattr(lax, name, None) and name != "atan2"]


@pytest.mark.parametrize("name", [*OF_ONE, "sign", "round", "is_finite", "floor", "sqrt"])
def test_zeros_infinities_and_nan_are_as_jax_has_them(name, device):
    function = getattr(lax, name)
    given = SPECIAL[SPECIAL != 0] if name in CHANGED else SPECIAL

    got, expected = (np.asarray(f(given)) for f in (grilly.jit(function, device=device), jax.jit(function)))

    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)
    zeros = ~np.isnan(expected) & (got == expected) & ((got != 0) | (name not in CHANGED))
    np.testing.assert_array_equal(np.signbit(got[zeros]), np.signbit(expected[zeros]))


@pytest.mark.parametrize("function", [lax.atan2, lax.pow, lax.rem, lax.nextafter, lax.div], ids=lambda f: f.__name__)
def test_pairs_of_zeros_infinities_and_nan_are_as_jax_has_them(function, device):
    x, y = (np.ravel(grid) for grid in np.meshgrid(SPECIAL[:-3], SPECIAL[:-3]))

    got, expected = (np.asarray(f(x, y)) for f in (grilly.jit(function, device=device), jax.jit(function)))

    np.testing.assert_allclose(got, expected, rtol=1e-6, atol=0)
    zeros = expected == 0
    np.testing.assert_array_equal(np.signbit(got[zeros]), np.signbit(expected[zeros]))


def test_remainders_of_floats_are_exact(device):
    bits = np.random.default_rng(2).integers(0, 1 << 32, (2, COUNT), np.uint32)
    x, y = bits.view(F32)
    with np.errstate(invalid="ignore"):
        expected = np.fmod(x.astype(np.float64), y.astype(np.float64)).astype(F32)
    normal = ~((np.abs(x) < TINY) | (np.abs(y) < TINY) | (np.abs(expected) < TINY))

    got = np.asarray(grilly.jit(lax.rem, device=device)(x, y))

    np.testing.assert_array_equal(got[normal], expected[normal])


@pytest.mark.parametrize("dtype", [np.float16, BF16], ids=["float16", "bfloat16"])
def test_every_16_bit_float_survives_and_every_float32_is_rounded_to_the_nearest(dtype, device):
    every = np.arange(1 << 16, dtype=np.uint16).view(dtype)
    wide = every.astype(F32)
    finite = np.isfinite(wide)
    with np.errstate(over="ignore"):
        between = np.random.default_rng(3).uniform(-70000, 70000, COUNT).astype(F32)
        halfway = wide[finite] * (1 + F32(2.0**-12))
        given = np.concatenate([between, between * F32(1e-9), halfway])
        expected = given.astype(dtype)

    there_and_back, widened, rounded = grilly.jit(
        lambda x, y: (x.astype(F32).astype(dtype), x.astype(F32), y.astype(dtype)), device=device
    )(every, given)

    np.testing.assert_array_equal(np.asarray(there_and_back)[finite].view(np.uint16), every[finite].view(np.uint16))
    np.testing.assert_array_equal(np.asarray(widened), wide)
    np.testing.assert_array_equal(np.asarray(rounded).view(np.uint16), expected.view(np.uint16))


@pytest.mark.parametrize("dtype", [np.int8, np.int32, np.uint8, np.uint16], ids=lambda dtype: np.dtype(dtype).name)
def test_integers_divide_as_xla_defines_it(dtype, device):
    limits = np.iinfo(dtype)
    numbers = np.array([0, 1, 2, 3, 7, limits.max, limits.min, limits.min + 1, limits.max - 1], dtype)
    if limits.min:
        numbers = np.concatenate([numbers, np.array([-1, -2, -7], dtype)])
    x, y = (np.ravel(grid) for grid in np.meshgrid(numbers, numbers))

    quotient, remainder = grilly.jit(lambda x, y: (lax.div(x, y), lax.rem(x, y)), device=device)(x, y)

    wide, by = x.astype(np.int64), np.where(y == 0, 1, y).astype(np.int64)
    expected = np.where(y == 0, -1, np.trunc(wide / by)).astype(np.int64).astype(dtype)
    np.testing.assert_array_equal(np.asarray(quotient), expected)
    np.testing.assert_array_equal(np.asarray(remainder), np.where(y == 0, x, np.fmod(wide, by)).astype(dtype))


@pytest.mark.parametrize(
    ("function", "named"),
    [
        (lambda x: abs(lax.sin(lax.complex(x, x))), "`sin` of complex64"),
        (lambda x: x.astype(jnp.float8_e4m3fn).astype(F32), "`convert_element_type` of float8_e4m3fn"),
        (lambda x: x.astype(jnp.int4) + 1, "`convert_element_type` of int4"),
    ],
    ids=["complex64", "float8", "int4"],
)
def test_strange_types_are_named(function, named):
    with pytest.raises(UnsupportedPrimitiveError) as error:
        lower(lambda x: [function(x)], [Aval((3,), np.dtype(F32))])
    assert str(error.value).splitlines()[0] == f"grilly cannot compile {named}."


def spread(random, low, high):
    """Numbers of all sizes between two bounds."""
    return np.exp(random.uniform(np.log(low), np.log(high), 4000)).astype(F32)


def errors(got, truth):
    """Relative ones, where the truth is not next to nothing."""
    there = np.abs(truth) > 1e-30
    assert there.sum() > 2000
    return np.sort(np.abs(got - truth)[there] / np.abs(truth[there]))


def test_incomplete_gamma_functions_are_accurate_for_large_and_small_arguments(device):
    random = np.random.default_rng(4)
    a, x = spread(random, 1e-3, 1e4), spread(random, 1e-4, 1e4)
    near = np.arange(a.size) % 2 == 0
    x[near] = (a * np.exp(random.normal(size=a.size) * np.minimum(1, 3 / np.sqrt(a)))).astype(F32)[near]
    wide = a.astype(np.float64), x.astype(np.float64)

    below, above = (
        np.asarray(y).astype(np.float64)
        for y in grilly.jit(lambda a, x: (lax.igamma(a, x), lax.igammac(a, x)), device=device)(a, x)
    )

    for got, truth in ((below, special.gammainc(*wide)), (above, special.gammaincc(*wide))):
        error = errors(got, truth)
        assert error[-1] <= 3e-5
        assert error[int(0.99 * error.size)] <= 6e-6


def test_the_derivative_of_the_incomplete_gamma_function_is_accurate(device):
    random = np.random.default_rng(5)
    a = spread(random, 1e-2, 1e4)
    x = (a * np.exp(random.normal(size=a.size) * np.minimum(1, 2 / np.sqrt(a)))).astype(F32)
    wide, h = a.astype(np.float64), 1e-5 * a.astype(np.float64)
    p = lambda k: special.gammainc(wide + k * h, x.astype(np.float64))  # noqa: E731
    truth = (8 * (p(1) - p(-1)) - (p(2) - p(-2))) / (12 * h)

    got = np.asarray(grilly.jit(lax.igamma_grad_a, device=device)(a, x))

    np.testing.assert_allclose(got * wide, truth * wide, rtol=2e-5, atol=1e-6)


def test_the_incomplete_beta_function_is_accurate_for_large_and_small_arguments(device):
    random = np.random.default_rng(6)
    a, b = spread(random, 1e-2, 1e4), spread(random, 1e-2, 1e4)
    x = np.clip(np.where(np.arange(a.size) % 2, random.beta(a, b), random.uniform(size=a.size)), 1e-6, 1 - 1e-6)
    x = x.astype(F32)

    got = np.asarray(grilly.jit(lax.betainc, device=device)(a, b, x)).astype(np.float64)

    error = errors(got, special.betainc(*(y.astype(np.float64) for y in (a, b, x))))
    assert error[-1] <= 3e-4
    assert error[int(0.99 * error.size)] <= 1e-5


@pytest.mark.parametrize("function", [lax.igamma, lax.igammac], ids=lambda f: f.__name__)
def test_incomplete_gamma_functions_at_their_ends_are_as_jax_has_them(function, device):
    ends = np.array([0, 1, np.nan, -1, 2.5, 1.5, 100], F32)
    a, x = (np.ravel(grid) for grid in np.meshgrid(ends, np.append(ends, F32(np.inf))))

    got, expected = (np.asarray(f(a, x)) for f in (grilly.jit(function, device=device), jax.jit(function)))

    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-6)


def test_the_incomplete_beta_function_at_its_ends_is_as_jax_has_it(device):
    ends = np.array([0, 1, 0.5, np.inf, np.nan, -1, 2.5], F32)
    arguments = [np.ravel(grid) for grid in np.meshgrid(ends, ends, ends)]

    got, expected = (np.asarray(f(*arguments)) for f in (grilly.jit(lax.betainc, device=device), jax.jit(lax.betainc)))

    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-6)
