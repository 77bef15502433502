"""The same elements elsewhere: views, and places that are computed."""

import numpy as np

from .table import operation
from .writer import Writer


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
    # JAX cannot differentiate by the padding alone, so that depends on the array or on nothing.
    padding = w.one_of((f"jnp.{x.dtype}(0)", f"jnp.{x.dtype}(1)", w.fitted(x, (), x.dtype)))
    return f"lax.pad({x}, {padding}, {config})"


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


def _index(w: Writer, extent: int, shape: tuple[int, ...] = ()) -> str:
    """Indices along an axis of this extent, and beyond."""
    return w.alike(shape, np.dtype(w.one_of((np.int32, np.int32, np.uint8, np.int8) if extent < 100 else (np.int32,))))


@operation("dynamic_slice", "dynamic_update_slice", "dynamic_index")
def _dynamic(w: Writer, name: str) -> str:
    x = w.pick(rank=1)
    if name == "dynamic_index":
        axis = w.axis(x)
        return f"lax.dynamic_index_in_dim({x}, {_index(w, x.shape[axis])}, {axis})" if x.shape[axis] else ""
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
        return f"jnp.take_along_axis({x}, {_index(w, x.shape[axis], shape)} % {x.shape[axis]}, {axis})"
    index = _index(w, max(x.shape), w.shape(0, 2))
    if name == "index":
        return f"{x}[{index}]" if x.shape[0] else ""
    return f"jnp.take({x}, {index}, axis={axis}, mode={w.one_of(('fill', 'clip', 'wrap'))!r})"


@operation("add at", "subtract at", "multiply at", "min at", "max at")
def _update(w: Writer, name: str) -> str:
    x, method = w.pick("fiu", rank=1), name.split()[0]
    if not x.shape[0] or (w.smooth and method not in ("add", "subtract")):
        return ""
    some = _index(w, x.shape[0], (w.one_of((0, 1, 5, 33, 257, 4099)),))
    index = w.one_of((some, f"jnp.array([{w.number(-3, 9)}, {w.number(0, 3)}])"))
    return f"{x}.at[{index}].{method}({w.alike((), x.dtype)}, mode={w.one_of(('drop', 'clip'))!r})"


@operation("set at", smooth=False)
def _set(w: Writer) -> str:
    """At one index: of updates that meet, any may win."""
    x = w.pick("fiu", rank=1)
    return f"{x}.at[{w.number(-3, 3)}].set({w.alike(x.shape[1:], x.dtype)}, mode='drop')" if x.shape[0] else ""


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
