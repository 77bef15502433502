"""The table of operations that random programs are made of. Each writes one statement with the newest variables.

A row says what users write; which primitives that makes is JAX's business, and a test sees to it that all those of
docs/primitives.md are among them.
"""

import math
from collections.abc import Callable
from functools import partial

import numpy as np
from jax import numpy as jnp
from random_programs import Writer

Operation = Callable[[Writer], None]
OPERATIONS: dict[str, Operation] = {}
SMOOTH: set[str] = set()  # what has a gradient


def operation(*names: str, smooth: bool = True) -> Callable[[Callable], Callable]:
    """Registers what writes a statement; it gives an expression, or writes the statement itself."""

    def register(function: Callable) -> Callable:
        for name in names:
            write = partial(function, name=name) if len(names) > 1 else function

            def run(writer: Writer, write=write, name=name) -> None:
                if smooth or not writer.smooth:
                    expression = write(writer)
                    if expression:
                        writer.write(expression)

            OPERATIONS[name] = run
        return function

    return register


# Element by element -------------------------------------------------------------------------------------------


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


@operation("div", "rem")
def _division(w: Writer, name: str) -> str:
    x = w.pick("fiu")
    return f"lax.{name}({x}, {w.alike(*x.aval)})"


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


@operation("shift_left", "shift_right_logical", "shift_right_arithmetic", "mulhi", smooth=False)
def _of_two_integers(w: Writer, name: str) -> str:
    x = w.pick("iu")
    return f"lax.{name}({x}, {w.alike(*x.aval)})"


@operation("clamp")
def _clamp(w: Writer) -> str:
    x = w.pick("fiu")
    low, high = (w.alike(*x.aval) for _ in range(2))
    return f"lax.clamp({low}, {x}, {high})"


@operation("select")
def _select(w: Writer) -> str:
    x = w.pick()
    cases = [w.alike(*x.aval) for _ in range(w.number(1, 3))]
    which = w.alike(x.shape, np.dtype(bool if len(cases) == 1 else np.int32))
    return f"lax.select_n({which if len(cases) == 1 else f'lax.clamp(0, {which}, {len(cases)})'}, {x}, {', '.join(cases)})"


@operation("convert")
def _convert(w: Writer) -> str:
    return f"{w.pick()}.astype(jnp.{w.dtype()})"


@operation("bitcast", smooth=False)
def _bitcast(w: Writer) -> str:
    x = w.pick("fiu")
    return f"lax.bitcast_convert_type({x}, jnp.{w.dtype('fiu')})" if x.dtype.itemsize == 4 else f"{x}.view(jnp.{w.dtype('iu')})" if x.rank and x.shape[-1] % 4 == 0 else ""


# The same elements elsewhere ------------------------------------------------------------------------------------


@operation("reshape", "ravel")
def _reshape(w: Writer, name: str) -> str:
    x = w.pick()
    if name == "ravel":
        return f"{x}.reshape(-1)"
    shape = list(x.shape)
    if len(shape) > 1:
        k = w.number(0, len(shape) - 2)
        shape[k : k + 2] = [shape[k] * shape[k + 1]]
    for k, extent in enumerate(shape):
        factors = [d for d in (2, 3, 5, 7) if extent and extent % d == 0]
        if factors and w.chance(2):
            d = w.one_of(factors)
            shape[k : k + 1] = [d, extent // d]
            break
    if w.chance(2):
        shape.insert(w.number(0, len(shape)), 1)
    return f"lax.reshape({x}, {tuple(shape)}{f', dimensions={w.order(x.rank)}' if w.chance(4) else ''})"


@operation("transpose")
def _transpose(w: Writer) -> str:
    x = w.pick(rank=2)
    return f"lax.transpose({x}, {w.order(x.rank)})"


@operation("broadcast")
def _broadcast(w: Writer) -> str:
    x = w.pick(most=4096)
    shape = tuple(w.one_of((2, 3, 5, 1)) if e == 1 else e for e in x.shape)
    return f"jnp.broadcast_to({x}, {(*(w.one_of((2, 3, 7, 1, 0)) for _ in range(w.number(0, 2))), *shape)})"


@operation("broadcast_in_dim")
def _broadcast_in_dim(w: Writer) -> str:
    x = w.pick(most=4096)
    shape, axes = [], []
    for extent in x.shape:
        shape += [2] * w.chance(3)
        axes.append(len(shape))
        shape.append(extent)
    return f"lax.broadcast_in_dim({x}, {(*shape, 3)}, {tuple(axes)})"


@operation("expand_dims", "squeeze")
def _units(w: Writer, name: str) -> str:
    x = w.pick(rank=int(name == "squeeze"))
    if name == "expand_dims":
        return f"lax.expand_dims({x}, ({w.number(0, x.rank)},))"
    axis = w.axis(x)
    return f"lax.squeeze(lax.slice_in_dim({x}, 0, 1, axis={axis}), ({axis},))" if x.shape[axis] else ""


@operation("rev")
def _rev(w: Writer) -> str:
    x = w.pick()
    return f"lax.rev({x}, {w.axes(x)})"


@operation("slice")
def _slice(w: Writer) -> str:
    x = w.pick(rank=1)
    start = [w.number(0, e) for e in x.shape]
    stop = [w.number(s, e) if w.chance(3) else e for s, e in zip(start, x.shape, strict=True)]
    strides = [w.one_of((1, 1, 2, 3)) for _ in x.shape]
    return f"lax.slice({x}, {start}, {stop}, {strides})"


@operation("pad")
def _pad(w: Writer) -> str:
    x = w.pick(most=1 << 14)
    config = []
    for extent in x.shape:
        between = w.one_of((0, 0, 1, 2))
        wide = extent + max(extent - 1, 0) * between
        low = w.number(-min(wide, 2), 3)
        config.append((low, w.number(-min(wide + low, 2), 3), between))
    return f"lax.pad({x}, {w.alike((), x.dtype)}, {config})"


@operation("concatenate", "stack")
def _join(w: Writer, name: str) -> str:
    x = w.pick(rank=int(name == "concatenate"))
    others = [w.alike(*x.aval) for _ in range(w.number(1, 3))]
    axis = w.number(0, x.rank - (name == "concatenate"))
    return f"jnp.{name}([{', '.join([x.name, *others])}], {axis})"


@operation("split", "unstack")
def _split(w: Writer, name: str) -> str:
    x = w.pick(rank=1)
    axis = w.axis(x)
    extent = x.shape[axis]
    if name == "unstack":
        return f"jnp.unstack({x}, axis={axis})" if 0 < extent <= 5 else ""
    first = w.number(0, extent)
    second = w.number(0, extent - first)
    return f"lax.split({x}, {(first, second, extent - first - second)}, axis={axis})"


@operation("tile", "roll", "repeat")
def _repeat(w: Writer, name: str) -> str:
    x = w.pick(rank=1, most=1 << 14)
    if name == "tile":
        return f"jnp.tile({x}, {tuple(w.number(1, 3) for _ in x.shape)})"
    return f"jnp.{name}({x}, {w.number(0, 3)}, axis={w.axis(x)})"


@operation("iota")
def _iota(w: Writer) -> str:
    shape = w.shape(1)
    return f"lax.broadcasted_iota(jnp.{w.dtype('fiu')}, {shape}, {w.number(0, len(shape) - 1)})"


@operation("tri", "where", "diff")
def _arranged(w: Writer, name: str) -> str:
    x = w.pick("fiu", rank=2)
    return {
        "tri": f"jnp.tril({x}, {w.number(-2, 2)})",
        "where": f"jnp.where({w.alike(x.shape, np.dtype(bool))}, {x}, 0)",
        "diff": f"jnp.diff({x}, axis={w.axis(x)})" if min(x.shape) else "",
    }[name]


# Places that are computed ----------------------------------------------------------------------------------------


def _index(w: Writer, shape: tuple[int, ...] = ()) -> str:
    return w.alike(shape, np.dtype(w.one_of((np.int32, np.int32, np.uint8, np.int8))))


@operation("dynamic_slice", "dynamic_update_slice", "dynamic_index")
def _dynamic(w: Writer, name: str) -> str:
    x = w.pick(rank=1)
    if name == "dynamic_index":
        axis = w.axis(x)
        return f"lax.dynamic_index_in_dim({x}, {_index(w)}, {axis})" if x.shape[axis] else ""
    sizes = tuple(w.number(0, e) for e in x.shape)
    starts = f"({', '.join(w.alike((), np.dtype(np.int32)) for _ in x.shape)},)"
    if name == "dynamic_slice":
        return f"lax.dynamic_slice({x}, {starts}, {sizes})"
    return f"lax.dynamic_update_slice({x}, {w.alike(sizes, x.dtype)}, {starts})"


@operation("take", "take_along", "index")
def _take(w: Writer, name: str) -> str:
    x = w.pick(rank=1)
    axis = w.axis(x)
    if not x.shape[axis]:
        return ""
    if name == "take_along":
        shape = tuple(w.number(0, 4) if k == axis else e for k, e in enumerate(x.shape))
        return f"jnp.take_along_axis({x}, {_index(w, shape)} % {min(x.shape[axis], 100)}, {axis})"
    index = _index(w, w.shape(0, 2))
    if name == "index":
        return f"{x}[{index}]"
    return f"jnp.take({x}, {index}, axis={axis}, mode={w.one_of(('fill', 'clip', 'wrap'))!r})"


@operation("add at", "multiply at", "min at", "max at", "set at", "subtract at")
def _update(w: Writer, name: str) -> str:
    x = w.pick("fiu", rank=1)
    index = w.one_of([_index(w, w.shape(0, 1)), f"jnp.array([{w.number(-3, 9)}, {w.number(0, 3)}])"])
    method = name.split()[0]
    if w.smooth and method in ("multiply", "min", "max", "set"):
        return ""
    mode = w.one_of(("drop", "clip"))
    if method == "set":  # of updates that meet, any may win
        index, update = w.number(-3, 3), w.alike(x.shape[1:], x.dtype)
    else:
        update = w.alike((), x.dtype)
    return f"{x}.at[{index}].{method}({update}, mode={mode!r})" if x.shape[0] else ""


@operation("apply at", smooth=False)
def _apply(w: Writer) -> str:
    x = w.pick("f", rank=1)
    return f"{x}.at[jnp.array([0, {w.number(0, 3)}])].apply(lambda v: v / 2 + 1)" if x.shape[0] else ""


@operation("segment_sum", "bincount")
def _count(w: Writer, name: str) -> str:
    if name == "bincount":
        return f"jnp.bincount({w.alike((w.one_of((7, 33, 300)),), np.dtype(np.int32))} % 9, length=9)"
    x = w.pick("fiu", rank=1)
    return f"jax.ops.segment_sum({x}, {w.alike(x.shape[:1], np.dtype(np.int32))}, {w.number(1, 9)})"


# Folds -----------------------------------------------------------------------------------------------------------


@operation("sum", "prod", "mean", "var")
def _reduction(w: Writer, name: str) -> str:
    x = w.pick("fiu" if name in ("sum", "prod") else "f")
    return f"jnp.{name}({x}, axis={w.axes(x)}{', keepdims=True' if w.chance(4) else ''})"


@operation("max of", "min of", "argmax", "argmin")
def _extreme(w: Writer, name: str) -> str:
    x = w.pick(rank=1)
    axis = w.axis(x)
    if not x.shape[axis]:
        return ""
    if name.startswith("arg"):
        return f"lax.{name}({x}, {axis}, jnp.{w.one_of(('int32', 'uint32', 'int8', 'uint8'))})" if x.shape[axis] < 100 else ""
    return f"jnp.{name.split()[0]}({x}, axis={axis})"


@operation("reduce_and", "reduce_or", "reduce_xor", smooth=False)
def _logical_reduction(w: Writer, name: str) -> str:
    x = w.pick("iub")
    return f"lax.{name}({x}, {w.axes(x)})"


@operation("any", "all", smooth=False)
def _whether(w: Writer, name: str) -> str:
    x = w.pick()
    return f"jnp.{name}({x}, axis={w.axes(x)})"


@operation("reduce", smooth=False)
def _reduce(w: Writer) -> str:
    x = w.pick("fiu", most=4096)
    start = "-jnp.inf" if x.kind == "f" else f"jnp.iinfo(jnp.{x.dtype}).min"
    larger = "lambda a, b: jnp.where(a >= b, a, b)"
    return f"lax.reduce({x}, np.asarray({start}, jnp.{x.dtype}), {larger}, {w.axes(x)})"


def _window(w: Writer, x) -> str:
    """Window, strides, padding."""
    window = tuple(w.number(1, 3) for _ in x.shape)
    strides = tuple(w.number(1, 3) for _ in x.shape)
    padding = w.one_of(("'SAME'", "'VALID'", str([(w.number(0, 2), w.number(0, 2)) for _ in x.shape])))
    return f"{window}, {strides}, {padding}"


@operation("reduce_window add", "reduce_window max", "reduce_window min", "reduce_window mul")
def _reduce_window(w: Writer, name: str) -> str:
    x = w.pick("f" if w.smooth else "fi", rank=1, most=1 << 14)
    operation = name.split()[1]
    if w.smooth and operation == "mul":
        return ""
    start = {"add": "0", "mul": "1"}.get(operation)
    if start is None:
        sign = "-" if operation == "max" else ""
        start = f"{sign}jnp.inf" if x.kind == "f" else f"jnp.iinfo(jnp.{x.dtype}).{operation.translate({97: 'i', 105: 'a'}) if operation == 'max' else 'max'}".replace("mix", "min")
    dilated = f", window_dilation={tuple(w.number(1, 2) for _ in x.shape)}" if w.chance(4) and not w.smooth else ""
    base = f", base_dilation={tuple(w.number(1, 2) for _ in x.shape)}" if w.chance(6) and not w.smooth else ""
    return f"lax.reduce_window({x}, np.asarray({start}, jnp.{x.dtype}), lax.{operation}, {_window(w, x)}{base}{dilated})"


@operation("pool gradient", "pool tangent")
def _pool_gradient(w: Writer, name: str) -> None:
    x = w.pick("f", rank=1, most=4096)
    start, operation = w.one_of((("-jnp.inf", "max"), ("jnp.inf", "min")))
    pool = f"def pool(x):\n    return lax.reduce_window(x, np.asarray({start}, jnp.{x.dtype}), lax.{operation}, {_window(w, x)})"
    gradient = f"jax.grad(lambda x: (pool(x) * jnp.isfinite(pool(x))).sum())({x})"
    w.write(f"jax.jvp(pool, ({x},), ({x},))[1]" if name == "pool tangent" else gradient, [pool])


@operation("cumsum", "cumprod", "cummax", "cummin", "cumlogsumexp")
def _cumulative(w: Writer, name: str) -> str:
    x = w.pick("f" if name == "cumlogsumexp" else "fiu", rank=1)
    return f"lax.{name}({x}, axis={w.axis(x)}, reverse={w.chance(3)})"


@operation("sort", "argsort")
def _sort(w: Writer, name: str) -> str:
    x = w.pick(rank=1)
    return f"jnp.{name}({x}, axis={w.axis(x)}{', descending=True' if w.chance(3) else ''})"


@operation("sort by many")
def _sort_many(w: Writer) -> str:
    x = w.pick(rank=1)
    others = [w.alike(x.shape, w.dtype()) for _ in range(w.number(1, 3))]
    operands = ", ".join([x.name, *others])
    return f"lax.sort(({operands}), dimension={w.axis(x)}, num_keys={w.number(1, len(others) + 1)})"


@operation("top_k", "approx_max_k", "approx_min_k")
def _top(w: Writer, name: str) -> str:
    x = w.pick("fiu" if name == "top_k" else "f", rank=1)
    return f"lax.{name}({x}, {w.number(0 if name == 'top_k' else 1, min(x.shape[-1], 9))})" if x.shape[-1] else ""


@operation("searchsorted", "median", smooth=False)
def _ordered(w: Writer, name: str) -> str:
    x = w.pick("f", rank=1, most=4096)
    if name == "median":
        return f"jnp.median({x}, axis={w.axis(x)})" if x.size else ""
    return f"jnp.searchsorted(jnp.sort({x}.reshape(-1)), {w.alike((5,), x.dtype)})"


# Products --------------------------------------------------------------------------------------------------------


@operation("dot_general", "matmul")
def _dot_general(w: Writer, name: str) -> str:
    x = w.pick("fiu", rank=1, most=4096)
    if name == "matmul":
        other = w.alike((x.shape[-1], w.one_of((1, 2, 5, 17))), x.dtype)
        return f"{x} @ {other}" if x.rank < 3 else ""
    roles = [w.one_of(("free", "depth", "batch")) for _ in x.shape]
    batch, depth = ([a for a, r in enumerate(roles) if r == role] for role in ("batch", "depth"))
    free = [w.one_of((1, 2, 5, 17)) for _ in range(w.number(0, 2))]
    extents = [*(x.shape[a] for a in (*batch, *depth)), *free]
    order = w.order(len(extents))
    other = w.alike(tuple(extents[k] for k in order), x.dtype)
    theirs = [order.index(k) for k in range(len(batch) + len(depth))]
    numbers = ((depth, theirs[len(batch) :]), (batch, theirs[: len(batch)]))
    wide = {"i": ", preferred_element_type=jnp.int32", "f": ", preferred_element_type=jnp.float32"}.get(x.kind, "")
    return f"lax.dot_general({x}, {other}, {numbers}{wide if w.chance(3) else ''})"


@operation("conv")
def _conv(w: Writer) -> str:
    spatial = w.number(1, 2)
    groups, batch_groups = w.one_of(((1, 1), (1, 1), (2, 1), (3, 1), (1, 2)))
    kernel = [w.number(1, 3) for _ in range(spatial)]
    x = (2 * batch_groups, groups * w.number(1, 3), *(w.one_of((1, 2, 5, 7, 8)) for _ in range(spatial)))
    features = groups * batch_groups * w.number(1, 3)
    lhs = w.alike(x, np.dtype(np.float32))
    rhs = w.alike((features, x[1] // groups, *kernel), np.dtype(np.float32))
    strides, dilation, base = ([w.one_of((1, 1, 2, 3)) for _ in kernel] for _ in range(3))
    padding = w.one_of(("'SAME'", str([(w.number(0, 3), w.number(2, 4)) for _ in kernel])))
    if padding == "'SAME'":
        base = [1] * spatial
    return (
        f"lax.conv_general_dilated({lhs}, {rhs}, {strides}, {padding}, lhs_dilation={base}, rhs_dilation={dilation}, "
        f"feature_group_count={groups}, batch_group_count={batch_groups})"
    )


# Random numbers --------------------------------------------------------------------------------------------------


def _key(w: Writer) -> str:
    kind = w.one_of(("threefry2x32", "threefry2x32", "threefry2x32", "rbg", "unsafe_rbg"))
    if w.chance(3):
        return f"jax.random.wrap_key_data({w.alike((4 if 'rbg' in kind else 2,), np.dtype(np.uint32))}, impl={kind!r})"
    return f"jax.random.key({w.alike((), np.dtype(np.int32))}, impl={kind!r})"


@operation("uniform", "normal", "bernoulli", "randint", "bits", "permutation", "exponential", "gumbel")
def _random(w: Writer, name: str) -> str:
    shape = w.shape(0, 2)
    rest = {
        "bernoulli": f"0.3, {shape}",
        "randint": f"{shape}, -3, 17, jnp.{w.one_of(('int32', 'int8', 'uint8'))}",
        "bits": f"{shape}, jnp.{w.one_of(('uint32', 'uint8', 'uint16'))}",
        "permutation": f"{w.number(0, 20)}",
    }.get(name, f"{shape}, jnp.{w.one_of(('float32', 'float32', 'float16', 'bfloat16'))}")
    return f"jax.random.{name}({_key(w)}, {rest})"


@operation("split keys", "fold in", "bit generator", smooth=False)
def _keys(w: Writer, name: str) -> str:
    if name == "bit generator":
        return f"lax.rng_bit_generator({w.alike((4,), np.dtype(np.uint32))}, {w.shape(0, 2)}, dtype=jnp.uint32)"
    if name == "fold in":
        return f"jax.random.key_data(jax.random.fold_in({_key(w)}, {w.alike((), np.dtype(np.int32))}))"
    return f"jax.random.key_data(jax.random.split({_key(w)}, {w.number(1, 5)}))"


# Control flow ----------------------------------------------------------------------------------------------------


def _fitted(w: Writer, x, like) -> str:
    return w.fitted(x, like.shape, like.dtype)


def _together(texts: list[str]) -> str:
    return f"({', '.join(texts)},)"


@operation("scan", "checkpointed scan")
def _scan(w: Writer, name: str) -> None:
    if w.depth >= 2:
        return
    carries = [w.pick(most=1 << 14) for _ in range(w.number(1, 2))]
    xs = w.pick(rank=1, most=1 << 14)
    if xs.shape[0] > 40:
        xs = w.argument((w.one_of((3, 0, 1, 2, 7, 33)), *xs.shape[1:]), xs.dtype)
    body = w.inner([*(c.aval for c in carries), (xs.shape[1:], xs.dtype)])
    made = body.results(3)
    after = [_fitted(body, v, c) for v, c in zip([*made, *body.visible], carries, strict=False)]
    text = body.defined("step", f"{_together(after)}, {_together([v.name for v in made])}")
    unpacked = f"lambda c, x: {'jax.checkpoint(step)' if name != 'scan' else 'step'}(*c, x)"
    w.write(f"lax.scan({unpacked}, {_together([c.name for c in carries])}, {xs}, reverse={w.chance(2)})", [text])


@operation("fori_loop")
def _fori_loop(w: Writer) -> None:
    if w.depth >= 2:
        return
    carry = w.pick(most=4096)
    body = w.inner([((), jnp.int32), carry.aval])
    text = body.defined("body", _fitted(body, body.visible[0], carry))
    w.write(f"lax.fori_loop(0, {w.static_number(0, 5)}, body, {carry})", [text])


@operation("cond", "switch")
def _cond(w: Writer, name: str) -> None:
    if w.depth >= 2:
        return
    operands = [w.pick(most=1 << 14) for _ in range(w.number(1, 2))]
    like = operands[0]
    count = 2 if name == "cond" else w.number(1, 3)
    texts = []
    for k in range(count):
        branch = w.inner([o.aval for o in operands], most=2)
        texts.append(branch.defined(f"branch{k}", _together([_fitted(branch, branch.visible[0], like)])))
    named = ", ".join(f"branch{k}" for k in range(count))
    given = ", ".join(o.name for o in operands)
    if name == "cond":
        w.write(f"lax.cond({w.alike((), np.dtype(bool))}, {named}, {given})", texts)
    else:
        w.write(f"lax.switch({w.alike((), np.dtype(np.int32))}, [{named}], {given})", texts)


@operation("platform_dependent", "optimization_barrier", "stop_gradient", "copy", "checkpoint_name")
def _hints(w: Writer, name: str) -> str:
    x = w.pick("f") if name in ("stop_gradient", "checkpoint_name") else w.pick()
    return {
        "platform_dependent": f"lax.platform_dependent({x}, cpu=lambda x: x, default=jnp.zeros_like)",
        "optimization_barrier": f"lax.optimization_barrier({x})",
        "stop_gradient": f"lax.stop_gradient({x})",
        "copy": f"jnp.copy({x})",
        "checkpoint_name": f"jax.ad_checkpoint.checkpoint_name({x}, 'here')",
    }[name]


# Functions of functions ------------------------------------------------------------------------------------------


def _function(w: Writer, parameters, smooth: bool = False) -> tuple[str, list]:
    """The text of a function of a few statements, and what it returns."""
    inner = w.inner(parameters, smooth)
    results = inner.results(2)
    return inner.defined("function", _together([r.name for r in results])), results


@operation("jit", "checkpoint", "closed_call")
def _call(w: Writer, name: str) -> None:
    if w.depth >= 2:
        return
    operands = [w.pick() for _ in range(w.number(1, 2))]
    text, _ = _function(w, [o.aval for o in operands])
    given = ", ".join(o.name for o in operands)
    around = {"jit": "jax.jit", "checkpoint": "jax.checkpoint", "closed_call": "jax.named_call"}[name]
    w.write(f"{around}(function)({given})", [text])


TOTAL = "lambda *args: sum((r.astype(jnp.float32) / max(r.size, 1)).sum() for r in function(*args) if r.dtype.kind in 'fV')"


@operation("grad", "jvp", "vjp", "linearize", smooth=False)
def _derivative(w: Writer, name: str) -> None:
    if w.depth >= 2:
        return
    operands = [w.pick("f", most=1 << 14) for _ in range(w.number(1, 2))]
    text, results = _function(w, [o.aval for o in operands], smooth=True)
    if not any(r.kind == "f" for r in results):
        return
    given, tangents = _together([o.name for o in operands]), _together([w.alike(*o.aval) for o in operands])
    total = f"({TOTAL} + 0.0)" if False else f"({TOTAL})"
    expression = {
        "grad": f"jax.grad({total}, {tuple(range(len(operands)))})(*{given})",
        "jvp": f"jax.jvp({total}, {given}, {tangents})",
        "vjp": f"jax.vjp({total}, *{given})[1](np.float32(2))",
        "linearize": f"jax.linearize({total}, *{given})[1](*{tangents})",
    }[name]
    w.write(expression, [text])


@operation("vmap")
def _vmap(w: Writer) -> None:
    if w.depth >= 2:
        return
    x = w.pick(rank=1, most=1 << 14)
    if not x.shape[0]:
        return
    y = w.argument((w.number(1, 4), x.shape[0]), np.dtype(np.float32))
    text, _ = _function(w, [(x.shape[1:], x.dtype), (y.shape[:1], y.dtype)])
    w.write(f"jax.vmap(function, (0, 1))({x}, {y})", [text])


@operation("custom_vjp", "custom_jvp")
def _custom(w: Writer, name: str) -> None:
    if w.depth >= 2:
        return
    x = w.pick("f", most=1 << 14)
    inner = w.inner([x.aval])
    result = _fitted(inner, inner.visible[0], x)
    text = inner.defined("function", result)
    if name == "custom_vjp":
        rule = (
            "custom = jax.custom_vjp(function)\n"
            "custom.defvjp(lambda x: (function(x), x), lambda x, g: (g * lax.cos(x),))"
        )
    else:
        rule = "custom = jax.custom_jvp(function)\ncustom.defjvp(lambda p, t: (function(*p), t[0] * lax.sin(p[0])))"
    w.write(f"jax.value_and_grad(lambda x: custom(x).astype(jnp.float32).sum())({x}), custom({x})" if not w.smooth else f"custom({x})", [text, rule])


assert math  # used by rows of sizes
