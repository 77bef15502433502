"""Loops and branches, and functions of functions."""

from collections.abc import Sequence

import numpy as np

from .table import operation
from .writer import Variable, Writer

SMALL, FEW = 1 << 14, 1 << 12
# The mean of all floats that a function returns.
TOTAL = (
    "lambda *args: sum((y.astype(jnp.float32) / max(y.size, 1)).sum() for y in function(*args) if y.dtype.kind in 'fV')"
)


def _together(texts: Sequence[object]) -> str:
    return f"({', '.join(map(str, texts))},)"


def _fitted(w: Writer, x: Variable, like: Variable) -> str:
    return w.fitted(x, like.shape, like.dtype)


@operation("scan", "checkpointed scan", nests=True)
def _scan(w: Writer, name: str) -> None:
    carries = [w.pick(most=SMALL) for _ in range(w.number(1, 2))]
    xs = w.pick(rank=1, most=SMALL)
    if xs.shape[0] > 40:
        xs = w.argument((w.one_of((3, 0, 1, 2, 7, 33)), *xs.shape[1:]), xs.dtype)
    body = w.inner([*(c.aval for c in carries), (xs.shape[1:], xs.dtype)])
    ys = body.results(3)
    after = [_fitted(body, v, c) for v, c in zip([*ys, *body.visible], carries, strict=False)]
    step = "step" if name == "scan" else "jax.checkpoint(step)"
    w.write(
        f"lax.scan(lambda c, x: {step}(*c, x), {_together(carries)}, {xs}, reverse={w.chance(2)})",
        [body.defined("step", f"{_together(after)}, {_together(ys)}")],
    )


STEPS = ("a / 2 + x", "b - x * a / 4", "jnp.where(a > 1, a / 2, b + x)", "lax.tanh(b) - x", "lax.max(a, x) / 2 + b / 4")
NEURONS = """def step(carry, x):
    a, b = carry
    a, b = {after}
    return (a, b), {put_out}
def run(a, xs):
    (a, b), ys = lax.scan({step}, (a, a / 2), xs, reverse={reverse})
    return ({total}).sum()"""


@operation("gradient of a scan", smooth=False)
def _scan_gradient(w: Writer) -> None:
    """Of an elementwise step over few or many steps: what its reverse twin needs may be computed again."""
    shape = w.shape(0, 2, 1000)
    text = NEURONS.format(
        after=f"{w.one_of(STEPS)}, {w.one_of(STEPS)}",
        put_out=w.one_of(("a", "b", "a * b", "x")),
        step=w.one_of(("step", "jax.checkpoint(step)", "jax.checkpoint(step, prevent_cse=False)")),
        reverse=w.chance(3),
        total=w.one_of(("ys", "a + ys.sum(0)", "ys * ys", "b")),
    )
    xs = w.alike((w.one_of((3, 1, 2, 5, 9, 33, 70, 130)), *shape), np.dtype(np.float32))
    w.write(f"jax.value_and_grad(run, (0, 1))({w.alike(shape, np.dtype(np.float32))}, {xs})", [text])


TOTALS = """def step(carry, x):
    total, v = carry
    new = total + {term}
    return (new, {after}), {put_out}"""


@operation("scan of totals", smooth=False)
def _totals(w: Writer) -> None:
    """A carry that only adds up: its terms may wait for the last step, unless somebody sees it on the way."""
    xs = w.alike((w.one_of((3, 1, 2, 7)), w.number(1, 5)), np.dtype(np.float32))
    text = TOTALS.format(
        term=w.one_of(("x.sum()", "(v * x).sum()", "x.sum() + x.max()")),
        after=w.one_of(("v / 2 + x", "v / 4 + new", "v / 4 + total", "x")),
        put_out=w.one_of(("total", "new", "v", "None")),
    )
    w.write(f"lax.scan(step, (jnp.float32(1), {xs}[0]), {xs}, reverse={w.chance(3)})", [text])


@operation("while of each row", smooth=False)
def _rows(w: Writer) -> None:
    rows, wide = w.number(1, 4), w.number(1, 4)
    x, n = w.alike((rows, wide), np.dtype(np.float32)), w.alike((rows,), np.dtype(np.int32))
    loop = "lax.while_loop(lambda c: c[0] < n, lambda c: (c[0] + 1, c[1] * 0.5), (0, x))"
    w.write(f"jax.vmap(lambda x, n: {loop})({x}, jnp.clip({n}, 0, 5))")


@operation("fori_loop", nests=True)
def _fori_loop(w: Writer) -> None:
    carry = w.pick(most=FEW)
    body = w.inner([((), np.dtype(np.int32)), carry.aval])
    text = body.defined("body", _fitted(body, body.visible[0], carry))
    w.write(f"lax.fori_loop(0, {w.static_number(0, 5)}, body, {carry})", [text])


@operation("while_loop", smooth=False, nests=True)
def _while_loop(w: Writer) -> None:
    """Of a few turns, and fewer where what is carried grows."""
    carry = w.pick(most=FEW)
    body = w.inner([((), np.dtype(np.int32)), carry.aval])
    text = body.defined("body", f"{body.parameters[0]} + 1, {_fitted(body, body.visible[0], carry)}")
    goes_on = w.one_of(("", " & (abs(c[1].astype(jnp.float32)).sum() < 100)", " & ~jnp.any(c[1] == 3)"))
    going = f"lambda c: (c[0] < {w.number(0, 5)}){goes_on}"
    w.write(f"lax.while_loop({going}, lambda c: body(*c), (jnp.int32(0), {carry}))", [text])


@operation("cond", "switch", nests=True)
def _cond(w: Writer, name: str) -> None:
    operands = [w.pick(most=SMALL) for _ in range(w.number(1, 2))]
    names = [f"branch{k}" for k in range(2 if name == "cond" else w.number(1, 3))]
    texts = []
    for branch in names:
        inner = w.inner([x.aval for x in operands], most=2)
        texts.append(inner.defined(branch, _together([_fitted(inner, inner.visible[0], operands[0])])))
    which = w.alike((), np.dtype(bool if name == "cond" else np.int32))
    branches = ", ".join(names) if name == "cond" else f"[{', '.join(names)}]"
    w.write(f"lax.{name}({which}, {branches}, *{_together(operands)})", texts)


@operation("platform_dependent", "optimization_barrier", "stop_gradient", "copy", "checkpoint_name")
def _hints(w: Writer, name: str) -> str:
    x = w.pick()
    return {
        "platform_dependent": f"lax.platform_dependent({x}, cpu=lambda x: x, default=jnp.zeros_like)",
        "optimization_barrier": f"lax.optimization_barrier({x})",
        "stop_gradient": f"lax.stop_gradient({x})",
        "copy": f"jnp.copy({x})",
        "checkpoint_name": f"jax.ad_checkpoint.checkpoint_name({x}, 'here')",
    }[name]


def _function(w: Writer, parameters: Sequence[tuple], smooth: bool = False) -> tuple[str, list[Variable]]:
    """The text of a function of a few statements, and what it returns."""
    inner = w.inner(parameters, smooth)
    results = inner.results(2)
    return inner.defined("function", _together(results)), results


@operation("jit", "checkpoint", "named_call", nests=True)
def _call(w: Writer, name: str) -> None:
    operands = [w.pick() for _ in range(w.number(1, 2))]
    w.write(f"jax.{name}(function)(*{_together(operands)})", [_function(w, [x.aval for x in operands])[0]])


@operation("grad", "jvp", "vjp", "linearize", smooth=False, nests=True)
def _derivative(w: Writer, name: str) -> None:
    operands = [w.pick("f", most=SMALL) for _ in range(w.number(1, 2))]
    text, results = _function(w, [x.aval for x in operands], smooth=True)
    if not any(result.kind == "f" for result in results):
        return
    given, tangents = _together(operands), _together([w.alike(*x.aval) for x in operands])
    expression = {
        "grad": f"jax.grad({TOTAL}, {tuple(range(len(operands)))})(*{given})",
        "jvp": f"jax.jvp({TOTAL}, {given}, {tangents})",
        "vjp": f"jax.vjp({TOTAL}, *{given})[1](np.float32(2))",
        "linearize": f"jax.linearize({TOTAL}, *{given})[1](*{tangents})",
    }[name]
    w.write(expression, [text])


@operation("vmap", nests=True)
def _vmap(w: Writer) -> None:
    x = w.pick(rank=1, most=SMALL)
    if x.shape[0]:
        y = w.argument((w.number(1, 4), x.shape[0]), np.dtype(np.float32))
        text, _ = _function(w, [(x.shape[1:], x.dtype), (y.shape[:1], y.dtype)])
        w.write(f"jax.vmap(function, (0, 1))({x}, {y})", [text])


RULES = {
    "custom_vjp": "custom.defvjp(lambda x: (function(x), x), lambda x, g: (g * lax.cos(x),))",
    "custom_jvp": "custom.defjvp(lambda p, t: (function(*p), t[0] * lax.sin(p[0])))",
}


@operation("custom_vjp", "custom_jvp", smooth=False, nests=True)
def _custom(w: Writer, name: str) -> None:
    x = w.pick("f", most=SMALL)
    inner = w.inner([x.aval])
    text = inner.defined("function", _fitted(inner, inner.visible[0], x))
    rule = f"custom = jax.{name}(function)\n{RULES[name]}"
    w.write(f"jax.value_and_grad(lambda x: custom(x).astype(jnp.float32).sum())({x}), custom({x})", [text, rule])
