"""How near two runs of one program must come: what rounding, within documented bounds, does to its results.

Two implementations of a program differ where a primitive is not exact: exp may be an ulp off, sums may be added up in
another order. What comes of that, through cancellation, comparison or sorting, depends on the program and its values.
So the program runs several times in JAX, with every inexact result moved within its bound at random: where no
run differs, equal bits are asked for; where runs differ, a few times their spread is granted.

References:
    D. S. Parker, "Monte Carlo arithmetic: exploiting randomness in floating-point arithmetic" (1997).
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax import lax
from jax import numpy as jnp
from jax.extend import core as jex

GRANTED = 4  # times the spread of the runs
# How far a result may be from another one, in ulp. Twice what docs/primitives.md and tests/test_accuracy.py state.
ROUND = ("sin", "cos", "tan", "asin", "acos", "atan", "atan2", "sinh", "cosh", "asinh", "acosh", "atanh")
ULPS = {
    **dict.fromkeys((*ROUND, "expm1", "exp2", "log", "log1p", "log2", "cbrt", "rsqrt", "erf", "pow"), 4),
    **dict.fromkeys(("logistic", "erfc", "erf_inv", "bessel_i0e", "bessel_i1e"), 8),
    **dict.fromkeys(("exp", "tanh"), 14),
    **dict.fromkeys(("zeta", "polygamma"), 60),
}
# ... or in ulp of 1, where that is more: near their zeros.
NEAR_ZERO = {"lgamma": 8, "digamma": 8, "polygamma": 8, "cumlogsumexp": 8, "tan": 1, "sin": 1, "cos": 1}
# Added up, or multiplied, in any order: the bound grows with what is.
SUMS = {"reduce_sum", "cumsum", "reduce_window_sum", "scatter-add", "scatter-sub", "select_and_scatter_add"}
SUMS |= {"dot_general", "conv_general_dilated"}
PRODUCTS = {"reduce_prod", "cumprod", "scatter-mul", "reduce_window"}
OF_NAN = {"bitcast_convert_type", "top_k", "approx_top_k"}  # which tell one NaN from another: nobody says which it is
# XLA's vector loops on the CPU forget the NaN that a long maximum has met: it is NaN, or what there is without it.
FORGET_NAN = {"reduce_max": -np.inf, "reduce_min": np.inf}
# Where a 0 is a denormal number that XLA has lost on the CPU: others keep it, and then it is not equal to 0.
UNDERFLOWS = {
    "mul": lambda x, y: (x != 0) & (y != 0),
    "div": lambda x, y: (x != 0) & jnp.isfinite(y),
    "sub": lambda x, y: x != y,
    **dict.fromkeys(("add", "add_any"), lambda x, y: x != -y),
}
CALLS = ("jaxpr", "call_jaxpr", "fun_jaxpr")


def noisy(function: Callable) -> Callable:
    """`function`, of a seed and its own flat arrays, with noise; compiled when it is first called."""

    def run(seed: jax.Array, *arguments: Any) -> list[Any]:
        closed = jax.make_jaxpr(function)(*arguments)
        return _evaluated(closed.jaxpr, closed.consts, arguments, seed)

    return jax.jit(run, compiler_options={"xla_backend_optimization_level": 0})


def granted(
    run: Callable, arguments: Sequence[Any], want: Sequence[np.ndarray], count: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """The least and the largest value that each element of each result may have.

    Args:
        run: The `noisy` function.
        arguments: What it is called with.
        want: What it gives in JAX, without noise.
        count: How often it is run.
    """
    runs = [run(jnp.uint32(seed), *arguments) for seed in range(count)]
    return [
        _range(np.stack([np.asarray(x, np.float64) for x in (y, *found)]))
        for y, *found in zip(want, *runs, strict=True)
    ]


def _range(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    free = np.isnan(values).any(0) & ~np.isnan(values).all(0)
    with np.errstate(invalid="ignore"):
        low, high = values.min(0), values.max(0)
        more = np.where(low == high, 0, GRANTED * (high - low))
        low, high = low - more, high + more
    return np.where(free, -np.inf, low), np.where(free, np.inf, high)


def _evaluated(jaxpr: Any, consts: Sequence[Any], args: Sequence[Any], seed: jax.Array) -> list[Any]:
    """The jaxpr's results, with noise."""
    values: dict[Any, Any] = dict(zip((*jaxpr.constvars, *jaxpr.invars), (*consts, *args), strict=True))

    def read(atom: Any) -> Any:
        return atom.val if isinstance(atom, jex.Literal) else values[atom]

    for number, eqn in enumerate(jaxpr.eqns):
        mine = _mixed(seed, number)
        values.update(zip(eqn.outvars, _equation(eqn, [read(atom) for atom in eqn.invars], mine), strict=True))
    return [read(atom) for atom in jaxpr.outvars]


def _equation(eqn: Any, inputs: list[Any], seed: jax.Array) -> list[Any]:
    name, params = eqn.primitive.name, eqn.params
    if name == "scan":
        return _scan(params, inputs, seed)
    if name == "cond":
        branches = [lambda *args, b=b: _evaluated(*_opened(b), args, seed) for b in params["branches"]]
        return lax.switch(inputs[0], branches, *inputs[1:])
    if name == "while":
        return _while(params, inputs, seed)
    inner = next((params[key] for key in CALLS if key in params), None)
    if inner is not None and name not in ("reduce", "reduce_window") and "scatter" not in name:
        return _evaluated(*_opened(inner), inputs, seed)
    if name in OF_NAN:
        inputs = [_any_nan(x, _mixed(seed, k)) if _is_float(x) else x for k, x in enumerate(inputs)]
    if name in FORGET_NAN and _is_float(inputs[0]):
        forgotten = jnp.isnan(inputs[0]) & (_mixed(seed, 0) >> jnp.uint32(31) > 0)
        inputs = [jnp.where(forgotten, FORGET_NAN[name], inputs[0])]
    results = _bind(eqn, inputs)
    return [_moved(eqn, inputs, result, _mixed(seed, k)) for k, result in enumerate(results)]


def _bind(eqn: Any, inputs: Sequence[Any]) -> list[Any]:
    results = eqn.primitive.bind(*inputs, **eqn.primitive.get_bind_params(eqn.params))
    return list(results) if eqn.primitive.multiple_results else [results]


def _opened(closed: Any) -> tuple[Any, Sequence[Any]]:
    return getattr(closed, "jaxpr", closed), getattr(closed, "consts", ())


def _scan(params: Any, inputs: list[Any], seed: jax.Array) -> list[Any]:
    if "ft_in" in params:  # from jax 0.11 on
        consts, carries, _ = map(len, params["ft_in"].unpack())
    else:
        consts, carries = params["num_consts"], params["num_carry"]

    def step(carry: tuple, x: Any) -> tuple:
        count, *carried = carry
        results = _evaluated(*_opened(params["jaxpr"]), (*inputs[:consts], *carried, *x), _mixed(seed, count))
        return (count + jnp.uint32(1), *results[:carries]), results[carries:]

    start = (jnp.uint32(0), *inputs[consts : consts + carries])
    carry, ys = lax.scan(step, start, inputs[consts + carries :], params["length"], params["reverse"])
    return [*carry[1:], *ys]


def _while(params: Any, inputs: list[Any], seed: jax.Array) -> list[Any]:
    a, b = params["cond_nconsts"], params["body_nconsts"]

    def going(carry: tuple) -> Any:
        """Whether it goes on; under `vmap`, for each part of the carry."""
        return _evaluated(*_opened(params["cond_jaxpr"]), (*inputs[:a], *carry[1:]), _mixed(seed, carry[0]))[0]

    def body(carry: tuple) -> tuple:
        (count, *carried), goes_on = carry, going(carry)
        after = _evaluated(*_opened(params["body_jaxpr"]), (*inputs[a : a + b], *carried), _mixed(seed, count))
        chosen = (lax.expand_dims(goes_on, range(goes_on.ndim, new.ndim)) for new in after)
        return count + 1, *map(jnp.where, chosen, after, carried)

    start = (jnp.uint32(0), *inputs[a + b :])
    return list(lax.while_loop(lambda carry: jnp.any(going(carry)), body, start))[1:]


# Noise ------------------------------------------------------------------------------------------------------------


def _moved(eqn: Any, inputs: Sequence[Any], result: Any, seed: jax.Array) -> Any:
    """A result, moved by its bound; as it is where the primitive is exact."""
    name = eqn.primitive.name
    if not _is_float(result):
        return result
    info = jnp.finfo(result.dtype)
    eps, shares = float(info.eps), _shares(result, seed)
    if name in ULPS or name in NEAR_ZERO:
        relative, absolute = ULPS.get(name, 8) * eps, NEAR_ZERO.get(name, 0) * eps
        moved = result * (1 + shares * relative)  # an ulp by itself may be so small that XLA takes it for 0
        moved = jnp.where(abs(result) * relative < absolute, result + shares * absolute, moved)
        result = jnp.where(jnp.isfinite(moved), moved, result).astype(result.dtype)
    elif name in SUMS and all(jnp.size(x) for x in inputs):
        result = result + shares * _bound_of_sum(eqn, inputs, result, info)
    elif name in PRODUCTS:
        result = result * (1 + shares * (eps * (2 + _terms(inputs, result) / 4)))
        result = jnp.where(_depends_on_order(eqn, inputs) & (shares > 0), jnp.nan, result)
    return _tiny_or_not(eqn, inputs, result, (seed & jnp.uint32(1)) > 0) if info.minexp < -100 else result


def _tiny_or_not(eqn: Any, inputs: Sequence[Any], result: Any, other: Any) -> Any:
    """A result; but a denormal number, which devices keep or lose, the `other` way."""
    least = float(jnp.finfo(jnp.float32).tiny)
    result = jnp.where((abs(result) < least) & (result != 0) & other, 0, result)
    underflows = UNDERFLOWS.get(eqn.primitive.name)
    if underflows is None:
        return result
    lost = (result == 0) & underflows(*inputs)
    return jnp.where(lost & other, jnp.copysign(least, result).astype(result.dtype), result)


def _bound_of_sum(eqn: Any, inputs: Sequence[Any], result: Any, info: Any) -> Any:
    """Sums of few whole numbers, or of sixteenths, are exact in any order.

    Rounding errors grow with the root of how many there are; but where XLA adds equal terms one after the other, they
    all err alike.
    """
    floats = [x for x in inputs if _is_float(x)]
    sizes = [abs(x) if _is_float(x) else x for x in inputs]
    total = abs(_bind(eqn, sizes)[0]).astype(jnp.float32)
    whole = jnp.stack([jnp.all(x * 16 == jnp.round(x * 16)) for x in floats]).all()
    equal = jnp.stack([jnp.all(x == x.reshape(-1)[0]) for x in floats]).all()
    exact = whole & (total * 256 < 2.0 ** (info.nmant + 1))
    terms, alike = _terms(inputs, result), equal | (info.bits < 32 or "scatter" in eqn.primitive.name)
    bound = total * (float(info.eps) * (2 + jnp.where(alike, terms, terms**0.5) / 2))
    return jnp.where(exact | ~jnp.isfinite(bound), 0, bound).astype(result.dtype)


def _depends_on_order(eqn: Any, inputs: Sequence[Any]) -> Any:
    """Whether a product's large factors overflow by themselves, or its small ones underflow."""
    large = [jnp.maximum(abs(x), 1) if _is_float(x) else x for x in inputs]
    small = [jnp.minimum(jnp.where(x == 0, 1, abs(x)), 1) if _is_float(x) else x for x in inputs]
    products = [_bind(eqn, factors)[0] for factors in (large, small)]
    return jnp.isinf(products[0]) | (products[1] < float(jnp.finfo(products[1].dtype).tiny))


def _terms(inputs: Sequence[Any], result: Any) -> int:
    return max(x.size for x in map(jnp.asarray, inputs)) // max(result.size, 1) + 1


def _is_float(x: Any) -> bool:
    return jnp.issubdtype(jnp.asarray(x).dtype if not hasattr(x, "dtype") else x.dtype, jnp.floating)


def _any_nan(x: Any, seed: jax.Array) -> Any:
    return jnp.where(jnp.isnan(x), jnp.copysign(x, _shares(x, seed)), x)


def _mixed(seed: jax.Array, number: Any) -> jax.Array:
    """Another seed, of the same run: the lowest bit says what happens to all of its denormal numbers."""
    mixed = seed + jnp.asarray(number).astype(jnp.uint32)
    mixed = (mixed ^ (mixed >> jnp.uint32(16))) * jnp.uint32(0x7FEB352D)
    mixed = (mixed ^ (mixed >> jnp.uint32(15))) * jnp.uint32(0x846CA68B)
    return (mixed & jnp.uint32(0xFFFFFFFE)) | (seed & jnp.uint32(1))


def _shares(like: Any, seed: jax.Array) -> Any:
    """For each element, how much of its bound it is moved by: from -1, down, to 1, up."""
    number = lax.iota(jnp.uint32, like.size).reshape(like.shape)
    return ((_mixed(seed, number) >> jnp.uint32(8)).astype(jnp.float32) / 2**23 - 1).astype(like.dtype)
