"""Operations on each element by itself."""

import numpy as np

from .table import operation
from .writer import Writer


@operation("sin", "cos", "tan", "atan", "sinh", "cosh", "tanh", "asinh", "exp", "exp2", "expm1", "logistic", "cbrt")
def _everywhere(w: Writer, name: str) -> str:
    return f"lax.{name}({w.pick('f')})"


@operation("erf", "erfc", "bessel_i0e", "bessel_i1e", "round", "square")
def _of_all_floats(w: Writer, name: str) -> str:
    return f"lax.{name}({w.pick('f')})"


@operation("floor", "ceil", "is_finite", smooth=False)
def _steps(w: Writer, name: str) -> str:
    return f"lax.{name}({w.pick('f')})"


@operation("log", "log1p", "sqrt", "rsqrt", "lgamma", "digamma")
def _of_positive(w: Writer, name: str) -> str:
    return f"lax.{name}(abs({w.pick('f')}) + 1)"


@operation("asin", "acos", "atanh", "erf_inv")
def _below_one(w: Writer, name: str) -> str:
    x = w.pick("f")
    return f"lax.{name}({x} / (abs({x}) + 1))"


@operation("acosh")
def _acosh(w: Writer) -> str:
    return f"lax.acosh(abs({w.pick('f')}) + 2)"


@operation("zeta", "polygamma", smooth=False)
def _series(w: Writer, name: str) -> str:
    x = w.pick("f", most=4096)
    return {
        "zeta": f"lax.zeta(abs({x}) + 2, abs({x}) + 1)",
        "polygamma": f"lax.polygamma(jnp.full_like({x}, {w.number(0, 3)}), abs({x}) + 1)",
    }[name]


@operation("abs", "neg", "sign")
def _of_numbers(w: Writer, name: str) -> str:
    return f"lax.{name}({w.pick('fi' if name != 'neg' else 'fiu')})"


@operation("not", "population_count", "clz", smooth=False)
def _of_bits(w: Writer, name: str) -> str:
    return f"lax.bitwise_not({w.pick('iub')})" if name == "not" else f"lax.{name}({w.pick('iu')})"


@operation("integer_pow")
def _integer_pow(w: Writer) -> str:
    return f"lax.integer_pow({w.pick('f')}, {w.static_number(-3, 5)})"


@operation("reduce_precision")
def _reduce_precision(w: Writer) -> str:
    return f"lax.reduce_precision({w.pick('f')}, {w.number(3, 8)}, {w.number(2, 7)})"


@operation("add", "sub", "mul", "max", "min", "add of python", "mul broadcast")
def _arithmetic(w: Writer, name: str) -> str:
    x = w.pick("fiu")
    if name == "add of python":
        return f"{x} {w.one_of('+-*')} {w.number(0, 3)}"
    if name == "mul broadcast":
        y = w.argument(tuple(e if w.chance(2) else 1 for e in x.shape), x.dtype)
        return f"{x} {w.one_of('+-*')} {y}"
    return f"lax.{name}({x}, {w.alike(*x.aval)})"


CHAIN = """def chain(x, y):
    for _ in range({steps}):
        x, y = y, {step}
    return x + y, {after}"""


@operation("chain", "chain of views")
def _chain(w: Writer, name: str) -> None:
    """Many equations, each value used twice, on the spot or seen from elsewhere."""
    x = w.pick("f", rank=int(name == "chain of views"))
    step = "x / 2 - y" if name == "chain" else f"x / 2 - lax.rev(y, ({w.number(0, max(x.rank - 1, 0))},))"
    after = "x.sum()" if w.chance(2) else "x - y"
    function = CHAIN.format(steps=w.number(1, 12), step=step, after=after)
    w.write(f"chain({x}, {w.alike(*x.aval)})", [function])


@operation("div", "rem")
def _division(w: Writer, name: str) -> str:
    x = w.pick("fiu")
    divisor = w.alike(*x.aval)  # no integer 0: XLA says -1, but from jax 0.11 on 1 of 0 / 0
    return f"lax.{name}({x}, {divisor if x.kind == 'f' else f'({divisor} | 1)'})"


@operation("pow", "atan2", "nextafter", smooth=False)
def _of_two_floats(w: Writer, name: str) -> str:
    x = w.pick("f")
    return f"lax.{name}({f'abs({x})' if name == 'pow' else x}, {w.alike(*x.aval)})"


@operation("eq", "ne", "lt", "le", "gt", "ge")
def _comparison(w: Writer, name: str) -> str:
    x = w.pick()
    return f"lax.{name}({x}, {w.alike(*x.aval)})"


@operation("bitwise_and", "bitwise_or", "bitwise_xor", smooth=False)
def _bitwise(w: Writer, name: str) -> str:
    x = w.pick("iub")
    return f"lax.{name}({x}, {w.alike(*x.aval)})"


@operation("shift_left", "shift_right_logical", "shift_right_arithmetic", smooth=False)
def _of_two_integers(w: Writer, name: str) -> str:
    x = w.pick("iu")
    return f"lax.{name}({x}, {w.alike(*x.aval)})"


@operation("mulhi", smooth=False)
def _high_product(w: Writer) -> str:
    x = w.pick("iu")  # of shorter ones, XLA on the CPU does not know it
    return f"lax.mulhi({x}, {w.alike(*x.aval)})" if x.dtype.itemsize == 4 else ""


@operation("clamp")
def _clamp(w: Writer) -> str:
    x = w.pick("fiu")
    low, high = (w.alike(*x.aval) for _ in range(2))
    return f"lax.clamp({low}, {x}, {high})"


@operation("select")
def _select(w: Writer) -> str:
    x = w.pick()
    return f"lax.select_n({w.alike(x.shape, np.dtype(bool))}, {x}, {w.alike(*x.aval)})"


@operation("select of many")
def _select_of_many(w: Writer) -> str:
    x = w.pick()
    cases = [w.alike(*x.aval) for _ in range(w.number(2, 3))]
    which = f"lax.clamp(0, {w.alike(x.shape, np.dtype(np.int32))}, {len(cases)})"
    return f"lax.select_n({which}, {x}, {', '.join(cases)})"


@operation("convert")
def _convert(w: Writer) -> str:
    return f"{w.pick()}.astype(jnp.{w.dtype()})"


@operation("bitcast", "view", smooth=False)
def _bitcast(w: Writer, name: str) -> str:
    """To another dtype of the same width, or to shorter numbers."""
    x = w.pick("fiu")
    if name == "bitcast":
        same = [
            d
            for d in ("float32", "int32", "uint32", "float16", "uint16", "int8", "uint8")
            if _width(d) == x.dtype.itemsize
        ]
        return f"lax.bitcast_convert_type({x}, jnp.{w.one_of(same)})"
    return f"lax.bitcast_convert_type({x}, jnp.uint8)"


def _width(dtype: str) -> int:
    return np.dtype(dtype).itemsize
