"""Operations on many elements: folds, orders, products, random numbers."""

import numpy as np

from .table import operation
from .writer import Variable, Writer


@operation("sum", "prod", "mean", "var")
def _reduction(w: Writer, name: str) -> str:
    x = w.pick("fiu" if name in ("sum", "prod") else "f")
    return f"jnp.{name}({x}, axis={w.axes(x)}{', keepdims=True' if w.chance(4) else ''})"


@operation("max of", "min of")
def _extreme(w: Writer, name: str) -> str:
    x = w.pick(rank=1)
    axis = w.axis(x)
    return f"jnp.{name.split()[0]}({x}, axis={axis})" if x.shape[axis] else ""


@operation("argmax", "argmin")
def _place(w: Writer, name: str) -> str:
    x = w.pick(rank=1)
    axis = w.axis(x)
    dtype = w.one_of(("int32", "uint32", "int8", "uint8") if x.shape[axis] < 100 else ("int32", "uint32"))
    return f"lax.{name}({x}, {axis}, jnp.{dtype})" if x.shape[axis] else ""


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
    start = "-np.inf" if x.kind == "f" else f"jnp.iinfo(jnp.{x.dtype}).min"
    larger = "lambda a, b: jnp.where(a >= b, a, b)"  # of NaN, another order would give another value
    operand = f"jnp.nan_to_num({x})" if x.kind == "f" else x
    return f"lax.reduce({operand}, np.asarray({start}, jnp.{x.dtype}), {larger}, {w.axes(x)})"


def _window(w: Writer, x: Variable) -> str:
    """Window, strides, padding."""
    window = tuple(w.number(1, 3) for _ in x.shape)
    strides = tuple(w.number(1, 3) for _ in x.shape)
    padding = w.one_of(("'SAME'", "'VALID'", str([(w.number(0, 2), w.number(0, 2)) for _ in x.shape])))
    return f"{window}, {strides}, {padding}"


NOTHING = {"add": "0", "mul": "1", "max": "-np.inf", "min": "np.inf"}  # what starts a fold


@operation("reduce_window add", "reduce_window max", "reduce_window min")
def _reduce_window(w: Writer, name: str) -> str:
    """(No base dilation: XLA's CPU backend forgets it where arrays are large.)"""
    x, fold = w.pick("f", rank=1, most=1 << 14), name.split()[1]
    dilated = "" if w.smooth else f", window_dilation={tuple(w.number(1, 2) for _ in x.shape)}"
    start = f"np.asarray({NOTHING[fold]}, jnp.{x.dtype})"
    return f"lax.reduce_window({x}, {start}, lax.{fold}, {_window(w, x)}{dilated})"


@operation("reduce_window of integers", smooth=False)
def _reduce_window_of_integers(w: Writer) -> str:
    x, fold = w.pick("iu", rank=1, most=1 << 14), w.one_of(("add", "mul"))
    return f"lax.reduce_window({x}, np.asarray({NOTHING[fold]}, jnp.{x.dtype}), lax.{fold}, {_window(w, x)})"


@operation("pool gradient", "pool tangent")
def _pool_gradient(w: Writer, name: str) -> None:
    x, fold = w.pick("f", rank=1, most=4096), w.one_of(("max", "min"))
    start = f"np.asarray({NOTHING[fold]}, jnp.{x.dtype})"
    pool = f"def pool(x):\n    return lax.reduce_window(x, {start}, lax.{fold}, {_window(w, x)})"
    x = f"jnp.nan_to_num({x})"  # which element is chosen over NaN is open
    gradient = f"jax.grad(lambda x: (pool(x) * jnp.isfinite(pool(x))).sum())({x})"
    w.write(gradient if name == "pool gradient" else f"jax.jvp(pool, ({x},), ({x},))[1]", [pool])


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


@operation("top_k")
def _top(w: Writer) -> str:
    x = w.pick("fiu", rank=1)
    return f"lax.top_k({x}, {w.number(0, min(x.shape[-1], 9))})" if x.shape[-1] else ""


@operation("approx_max_k", "approx_min_k", smooth=False)
def _approximate(w: Writer, name: str) -> str:
    """Of equals, any may be found, and have the gradient; NaN has no order."""
    x = w.pick("f", rank=1)
    return f"lax.{name}(jnp.nan_to_num({x}), {w.number(1, min(x.shape[-1], 9))})[0]" if x.shape[-1] else ""


@operation("searchsorted", "median", smooth=False)
def _ordered(w: Writer, name: str) -> str:
    x = w.pick("f", rank=1, most=4096)
    if name == "median":
        return f"jnp.median({x}, axis={w.axis(x)})" if x.size else ""
    return f"jnp.searchsorted(jnp.sort({x}.reshape(-1)), {w.alike((5,), x.dtype)})"


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


def _key(w: Writer) -> str:
    kind = w.one_of(("threefry2x32", "threefry2x32", "threefry2x32", "rbg", "unsafe_rbg"))
    if w.chance(3):
        return f"jax.random.wrap_key_data({w.alike((4 if 'rbg' in kind else 2,), np.dtype(np.uint32))}, impl={kind!r})"
    return f"jax.random.key({w.alike((), np.dtype(np.int32))}, impl={kind!r})"


@operation("uniform", "normal", "bernoulli", "randint", "bits", "permutation", "exponential", "gumbel")
def _random(w: Writer, name: str) -> str:
    shape = w.shape(0, 2, 4099)
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
        return f"lax.rng_bit_generator({w.alike((4,), np.dtype(np.uint32))}, {w.shape(0, 2, 4099)}, dtype=jnp.uint32)"
    if name == "fold in":
        return f"jax.random.key_data(jax.random.fold_in({_key(w)}, {w.alike((), np.dtype(np.int32))}))"
    return f"jax.random.key_data(jax.random.split({_key(w)}, {w.number(1, 5)}))"
