"""Folds by a function that the user wrote: `lax.reduce`, `lax.reduce_window` and what scatters use.

A function of one primitive that we know is that primitive. Any other runs on one element after another, in the order
of their indices; as JAX asks, its initial values must change nothing.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
from jax import lax
from jax import numpy as jnp
from jax.extend import core as jex

BINARY = {
    "add": lax.add,
    "mul": lax.mul,
    "max": lax.max,
    "min": lax.min,
    "or": lax.bitwise_or,
    "and": lax.bitwise_and,
    "xor": lax.bitwise_xor,
}
REDUCE = {
    "add": lax.reduce_sum,
    "mul": lax.reduce_prod,
    "max": lax.reduce_max,
    "min": lax.reduce_min,
    "or": lax.reduce_or,
    "and": lax.reduce_and,
    "xor": lax.reduce_xor,
}
CHUNK = 256  # elements that are folded one after another


def monoid(jaxpr: Any) -> str | None:
    """The one primitive that a jaxpr of two numbers is made of."""
    jaxpr = getattr(jaxpr, "jaxpr", jaxpr)
    if len(jaxpr.eqns) != 1 or len(jaxpr.invars) != 2 or jaxpr.eqns[0].outvars != jaxpr.outvars:
        return None
    (eqn,) = jaxpr.eqns
    return eqn.primitive.name if eqn.primitive.name in BINARY and {*eqn.invars} == {*jaxpr.invars} else None


def elementwise(jaxpr: Any, consts: Sequence[Any] = ()) -> Callable[..., list[jax.Array]]:
    """A jaxpr of numbers as a function of arrays that broadcast against each other."""
    closed = jaxpr if hasattr(jaxpr, "jaxpr") else jex.ClosedJaxpr(jaxpr, consts)
    function = jex.jaxpr_as_fun(closed)

    def apply(*args: jax.Array) -> list[jax.Array]:
        shape = jnp.broadcast_shapes(*(arg.shape for arg in args))
        results = jax.vmap(function)(*(jnp.broadcast_to(arg, shape).reshape(-1) for arg in args))
        return [result.reshape(shape) for result in results]

    return apply


def reduce(*args: jax.Array, jaxpr: Any, dimensions: Sequence[int], **_: object) -> list[jax.Array]:
    """Folds the operands over some axes, from the initial values on."""
    operands, starts = args[: len(args) // 2], args[len(args) // 2 :]
    name = monoid(jaxpr)
    if name:
        return [BINARY[name](REDUCE[name](operands[0], dimensions), starts[0])]
    kept = [axis for axis in range(operands[0].ndim) if axis not in dimensions]
    shape = [operands[0].shape[axis] for axis in kept]
    extent = math.prod(operands[0].shape[axis] for axis in dimensions)
    columns = [jnp.transpose(x, (*dimensions, *kept)).reshape(extent, math.prod(shape)) for x in operands]
    return [total.reshape(shape) for total in _folded(columns, starts, elementwise(jaxpr))]


def _folded(
    columns: Sequence[jax.Array], starts: Sequence[jax.Array], function: Callable[..., list[jax.Array]]
) -> Sequence[jax.Array]:
    """Columns from top to bottom; long ones in chunks, side by side, and then the results of those."""
    extent, width = columns[0].shape
    count = math.ceil(extent / CHUNK)
    if count > 1:
        pads = [(0, count * CHUNK - extent, 0), (0, 0, 0)]
        full = [lax.pad(x, start, pads).reshape(count, CHUNK, width) for x, start in zip(columns, starts, strict=True)]
        chunks = [jnp.swapaxes(x, 0, 1).reshape(CHUNK, count * width) for x in full]
        parts = _folded(chunks, starts, function)
        return _folded([part.reshape(count, width) for part in parts], starts, function)
    step = lambda totals, x: (tuple(function(*totals, *x)), None)  # noqa: E731
    return lax.scan(step, tuple(jnp.full(width, start) for start in starts), tuple(columns))[0]


def reduce_window(
    *args: jax.Array,
    jaxpr: Any,
    consts: Sequence[Any],
    window_dimensions: Sequence[int],
    window_strides: Sequence[int],
    padding: Sequence[tuple[int, int]],
    base_dilation: Sequence[int],
    window_dilation: Sequence[int],
) -> list[jax.Array]:
    """Folds the elements of each window, from the initial values on."""
    operands, starts = args[: len(args) // 2], args[len(args) // 2 :]
    config = [(low, high, between - 1) for (low, high), between in zip(padding, base_dilation, strict=True)]
    padded = [lax.pad(x, start, config) for x, start in zip(operands, starts, strict=True)]
    sizes = list(zip(window_dimensions, window_strides, window_dilation, strict=True))
    windows = [_windows(x, sizes) for x in padded]
    return reduce(*windows, *starts, jaxpr=jex.ClosedJaxpr(jaxpr, consts), dimensions=range(0, windows[0].ndim, 2))


def _windows(x: jax.Array, sizes: Sequence[tuple[int, int, int]]) -> jax.Array:
    """Every window's elements: in place of each axis, one along the window and one over the windows."""
    for axis, (size, stride, wide) in enumerate(sizes):
        count = max(0, (x.shape[2 * axis] - (size - 1) * wide - 1) // stride + 1)
        place = lax.iota(jnp.int32, size)[:, None] * wide + lax.iota(jnp.int32, count) * stride
        shape = (*x.shape[: 2 * axis], size, count, *x.shape[2 * axis + 1 :])
        x = jnp.take(x, place, axis=2 * axis, mode="clip") if math.prod(shape) else jnp.zeros(shape, x.dtype)
    return x


def _over_axes(fold: Callable) -> Callable:
    def over_axes(*args: jax.Array, axes: Sequence[int]) -> list[jax.Array]:
        """A reduction over axes that `jax.vmap` gave a name to."""
        return [fold(x, axes) for x in args]

    return over_axes


composites: dict[str, Callable] = {
    "reduce": reduce,
    "reduce_window": reduce_window,
    "psum": _over_axes(lax.reduce_sum),
    "pmax": _over_axes(lax.reduce_max),
    "pmin": _over_axes(lax.reduce_min),
}
