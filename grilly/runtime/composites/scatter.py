"""Scatters: updates that go to places which indices name. Their order is that of the indices, so nothing is atomic.

Four ways, the cheapest that will do:

- few index vectors (`x.at[i].set(v)`): each place asks for each vector whether it is meant. A view; no kernel.
- few places or few vectors (a histogram of some bins): all pairs are compared in a reduction over the vectors.
- many of both (the gradient of an embedding): vectors are sorted by their places, and each place folds its own updates,
  one after another. The cost is a sort, and the longest list of updates that meet.
- an update of the user's own (`x.at[i].apply(f)`): a scan over the vectors, for each place.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jax import lax
from jax import numpy as jnp

from .folding import BINARY, REDUCE, elementwise
from .limits import highest, lowest
from .ordering import order_of
from .primitive import primitive

FEW = 8  # index vectors that are asked for one by one
PAIRS = 1 << 24  # comparisons of an index and a place that cost less than a sort
CUT = 512  # parts that a long reduction may be cut into
NEUTRAL = {
    "add": lambda dtype: np.zeros((), dtype),
    "mul": lambda dtype: np.ones((), dtype),
    "max": lowest,
    "min": highest,
}
KERNELS = {"add": "reduce_sum", "mul": "reduce_prod", "max": "reduce_max", "min": "reduce_min"}  # names there
ordered_fold = primitive("ordered_fold")


@dataclass(frozen=True)
class Updates:
    """A scatter in one form: `count` windows, each over all axes of the operand."""

    starts: jax.Array  # int32[count, axes]: where each window begins, moved inside
    valid: jax.Array  # bool[count]: others are dropped
    windows: jax.Array  # [count, *window]

    @property
    def count(self) -> int:
        return self.starts.shape[0]


def _scatter(name: str | None) -> Callable:
    """The composite of a scatter that combines by `name`; of None, by its own function."""

    def scatter(operand: jax.Array, indices: jax.Array, updates: jax.Array, **params: Any) -> jax.Array:
        """Updates that meet are combined in the order of their indices; sums of many may be added up in parts."""
        if updates.size == 0 or operand.size == 0:
            return operand
        if name == "sub":
            return scatter_add(operand, indices, -updates, **params)
        jaxpr, consts = params.pop("update_jaxpr", None), params.pop("update_consts", ())
        found = _updates(operand, indices, updates, params["dimension_numbers"], params["mode"])
        own = name is None and jaxpr is not None and not replaces(jaxpr)
        combine = BINARY[name] if name else _own(jaxpr, consts) if own else _replace
        if found.count <= FEW:
            return _one_by_one(operand, found, combine)
        if own:
            return _scanned(operand, found, combine)
        return _many(operand, found, name)

    return scatter


scatter_add = _scatter("add")
Combine = Callable[[jax.Array, jax.Array], jax.Array]


def _replace(_: jax.Array, update: jax.Array) -> jax.Array:
    return update


def _own(jaxpr: Any, consts: Sequence[Any]) -> Combine:
    apply = elementwise(jaxpr, consts)
    return lambda x, update: apply(x, update)[0]


def replaces(jaxpr: Any) -> bool:
    """Whether an update takes the place of what was there."""
    return not jaxpr.eqns and jaxpr.outvars == jaxpr.invars[1:]


def _updates(operand: jax.Array, indices: jax.Array, updates: jax.Array, numbers: Any, mode: Any) -> Updates:
    """The scatter's windows, in the order of their index vectors."""
    batch = indices.shape[:-1]
    window_axes = numbers.update_window_dims
    absent = (*numbers.inserted_window_dims, *numbers.operand_batching_dims)
    sizes = iter([updates.shape[axis] for axis in window_axes])
    window = [1 if axis in absent else next(sizes) for axis in range(operand.ndim)]
    others = [axis for axis in range(updates.ndim) if axis not in window_axes]
    windows = jnp.transpose(updates, (*others, *window_axes)).reshape(-1, *window)
    columns = [jnp.zeros(batch, jnp.int32)] * operand.ndim
    for axis, number in zip(numbers.operand_batching_dims, numbers.scatter_indices_batching_dims, strict=True):
        columns[axis] = lax.broadcasted_iota(jnp.int32, batch, number)
    valid = jnp.ones(batch, bool)
    for k, axis in enumerate(numbers.scatter_dims_to_operand_dims):
        start, most = indices[..., k], operand.shape[axis] - window[axis]
        start = start if start.dtype == jnp.uint32 else start.astype(jnp.int32)
        inside = jnp.clip(start, 0, most)
        if mode != lax.GatherScatterMode.CLIP:
            valid = valid & (start == inside)
        columns[axis] = inside.astype(jnp.int32)
    flat = [column.reshape(-1, 1) for column in columns]
    return Updates(jnp.concatenate([*flat, jnp.zeros((len(windows), 0), jnp.int32)], 1), valid.reshape(-1), windows)


def _written(operand: jax.Array, starts: jax.Array, valid: jax.Array, window: jax.Array, combine: Combine) -> jax.Array:
    """One window combined with what is there."""
    corner = [starts[axis] for axis in range(operand.ndim)]
    inside = lax.dynamic_update_slice(jnp.zeros(operand.shape, bool), jnp.ones(window.shape, bool), corner)
    update = lax.dynamic_update_slice(jnp.zeros(operand.shape, window.dtype), window, corner)
    return jnp.where(inside & valid, combine(operand, update), operand)


def _one_by_one(operand: jax.Array, updates: Updates, combine: Combine) -> jax.Array:
    for k in range(updates.count):
        operand = _written(operand, updates.starts[k], updates.valid[k], updates.windows[k], combine)
    return operand


def _scanned(operand: jax.Array, updates: Updates, combine: Combine) -> jax.Array:
    def step(x: jax.Array, update: tuple[jax.Array, jax.Array, jax.Array]) -> tuple[jax.Array, None]:
        start, valid, window = update
        return _written(x, start, valid, window, combine), None

    return lax.scan(step, operand, (updates.starts, updates.valid, updates.windows))[0]


def _many(operand: jax.Array, updates: Updates, name: str | None) -> jax.Array:
    """Places become numbers: those along the axes that no window covers whole."""
    window = updates.windows.shape[1:]
    keyed = tuple(axis for axis in range(operand.ndim) if window[axis] < operand.shape[axis])
    rest = tuple(axis for axis in range(operand.ndim) if axis not in keyed)
    keys = _keys(operand.shape, updates, keyed)
    values = jnp.transpose(updates.windows, (0, *(1 + axis for axis in (*keyed, *rest))))
    values = values.reshape(-1, *(operand.shape[axis] for axis in rest))
    compared = math.prod(operand.shape[axis] for axis in keyed) if name is None else operand.size
    way = _compared if len(keys) * compared <= PAIRS else _sorted
    return way(operand, keys, values, keyed, name)


def _keys(shape: Sequence[int], updates: Updates, keyed: Sequence[int]) -> jax.Array:
    """int32: the place that each element of each window goes to, along the keyed axes; beyond all places: nowhere."""
    window = [updates.windows.shape[1 + axis] for axis in keyed]
    total = jnp.zeros((updates.count, *window), jnp.int32)
    for k, axis in enumerate(keyed):
        start = updates.starts[:, axis].reshape(-1, *(1 for _ in window))
        total = total * shape[axis] + start + lax.broadcasted_iota(jnp.int32, total.shape, 1 + k)
    valid = updates.valid.reshape(-1, *(1 for _ in window))
    return jnp.where(valid, total, math.prod(shape[axis] for axis in keyed)).reshape(-1)


def _compared(operand: jax.Array, keys: jax.Array, values: jax.Array, keyed: tuple[int, ...], name: str | None):
    """Every update is compared with every place; a last part of no updates makes the reduction easy to cut."""
    count = -(-len(keys) // CUT) * CUT if len(keys) > CUT else len(keys)
    keys = jnp.pad(keys, (0, count - len(keys)), constant_values=-1)
    shape = [operand.shape[axis] for axis in keyed]
    place = lax.iota(jnp.int32, math.prod(shape)).reshape(shape)
    meant = keys.reshape(-1, *(1 for _ in shape)) == place[None]
    if name is None:
        numbers = lax.iota(jnp.int32, count).reshape(-1, *(1 for _ in shape))
        last = lax.reduce_max(jnp.where(meant, numbers, -1), (0,))
        return _replaced(operand, last >= 0, last, values, keyed)
    values = jnp.pad(values, [(0, count - len(values)), *((0, 0) for _ in values.shape[1:])])
    values = values.reshape(count, *(1 if axis in keyed else extent for axis, extent in enumerate(operand.shape)))
    meant = meant.reshape(count, *(extent if axis in keyed else 1 for axis, extent in enumerate(operand.shape)))
    chosen = jnp.where(meant, values, jnp.asarray(NEUTRAL[name](values.dtype)))
    return BINARY[name](operand, REDUCE[name](chosen, (0,)))


def _sorted(operand: jax.Array, keys: jax.Array, values: jax.Array, keyed: tuple[int, ...], name: str | None):
    """Updates in the order of their places, and how many belong to lower places than each."""
    shape = [operand.shape[axis] for axis in keyed]
    order = order_of([keys.astype(jnp.uint32)[None]])[0]
    below = jnp.searchsorted(keys.at[order].get(mode="clip"), lax.iota(jnp.int32, math.prod(shape) + 1), method="scan")
    if name:
        return ordered_fold.bind(operand, below, order, values, keyed=keyed, combine=KERNELS[name])
    found = (below[1:] > below[:-1]).reshape(shape)
    last = order.at[below[1:] - 1].get(mode="clip").reshape(shape)
    return _replaced(operand, found, last, values, keyed)


def _replaced(operand: jax.Array, found: jax.Array, last: jax.Array, values: jax.Array, keyed: tuple[int, ...]):
    """The last update of each place, where there is one. `found` and `last` have the keyed axes only."""
    taken = values.at[last].get(mode="clip")
    rest = [axis for axis in range(operand.ndim) if axis not in keyed]
    back = [(*keyed, *rest).index(axis) for axis in range(operand.ndim)]
    found = lax.expand_dims(found, range(len(keyed), operand.ndim))
    return jnp.where(jnp.transpose(found, back), jnp.transpose(taken, back), operand)


composites: dict[str, Callable] = {
    "scatter": _scatter(None),
    **{f"scatter-{name}": _scatter(name) for name in ("add", "sub", "mul", "min", "max")},
}
