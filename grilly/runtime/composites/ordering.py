"""Order: sorts of any length, the largest elements, JAX's total order.

Every key becomes uint32 numbers of the same order, and all that is sorted is where elements lie; each operand is then
looked up there. Blocks are sorted in workgroup memory (`kernels.sort`) and merged pairwise: each place of a merged run
finds its own element by bisection, all places at once, so a merge of any size is one kernel.

References:
    S. Odeh, O. Green, Z. Mwassi, O. Shmueli, Y. Birk, "Merge path" (2012): the bisection.
"""

from collections.abc import Callable, Sequence

import jax
import numpy as np
from jax import lax
from jax import numpy as jnp

from .primitive import primitive

HELD = 4096  # words of workgroup memory that hold keys and places
AT_ONCE = 7  # keys: of more, the last ones are sorted first
sorted_blocks = primitive("sorted_blocks", np.dtype(np.uint32))


def order_of(keys: Sequence[jax.Array]) -> jax.Array:
    """Where the elements of each row lie when they are in order. Equal ones keep theirs.

    Args:
        keys: uint32[rows, n], the weightiest first.

    Returns:
        uint32[rows, n].
    """
    if keys[0].size == 0:
        return jnp.zeros(keys[0].shape, jnp.uint32)
    if len(keys) > AT_ONCE:
        order = order_of(keys[AT_ONCE:])
        return looked_up(order, order_of([looked_up(key, order) for key in keys[:AT_ONCE]]))
    run = HELD >> len(keys).bit_length()
    order = sorted_blocks.bind(*keys, block=run)
    while run < keys[0].shape[1]:
        order = _merged(order, keys, run)
        run *= 2
    return order


def _merged(order: jax.Array, keys: Sequence[jax.Array], run: int) -> jax.Array:
    """The order of runs of twice the length: how many elements the first of two runs gives is bisected."""
    extent = order.shape[1]
    place = lax.broadcasted_iota(jnp.int32, order.shape, 1)
    start = place & -2 * run
    middle, end = (jnp.minimum(start + reach, extent) for reach in (run, 2 * run))
    nth = place - start

    def first_precedes(taken: jax.Array) -> jax.Array:
        """Whether the next element of the first run goes before the one that the second gave last."""
        mine, theirs = (_keys_at(order, keys, at) for at in (start + taken, middle + nth - 1 - taken))
        return ~_precedes(theirs, mine)

    def halve(bounds: tuple[jax.Array, jax.Array], _: None) -> tuple[tuple[jax.Array, jax.Array], None]:
        low, high = bounds
        taken = (low + high) >> 1
        more = first_precedes(taken)
        going = low < high
        return (jnp.where(going & more, taken + 1, low), jnp.where(going & ~more, taken, high)), None

    bounds = jnp.maximum(0, nth - (end - middle)), jnp.minimum(nth, middle - start)
    (taken, _), _ = lax.scan(halve, bounds, None, length=run.bit_length())
    left, right = start + taken, middle + nth - taken
    mine, theirs = (_keys_at(order, keys, at) for at in (left, right))
    first = (left < middle) & ((right >= end) | ~_precedes(theirs, mine))
    return looked_up(order, jnp.where(first, left, right))


def _keys_at(order: jax.Array, keys: Sequence[jax.Array], place: jax.Array) -> list[jax.Array]:
    element = looked_up(order, place)
    return [looked_up(key, element) for key in keys]


def _precedes(xs: Sequence[jax.Array], ys: Sequence[jax.Array]) -> jax.Array:
    """Whether keys come before others: by the first that differs."""
    result = xs[-1] < ys[-1]
    for x, y in reversed(list(zip(xs[:-1], ys[:-1], strict=True))):
        result = (x < y) | ((x == y) & result)
    return result


def looked_up(rows: jax.Array, place: jax.Array) -> jax.Array:
    """Elements of each row, by where they lie in it; places beyond its ends are moved there."""
    numbers = lax.GatherDimensionNumbers((), (1,), (1,), (0,), (0,))
    return lax.gather(rows, place[..., None], numbers, (1, 1), mode="clip")


def ascending(x: jax.Array) -> jax.Array:
    """Numbers as uint32 of the same order: -0.0 below 0.0, negative NaN lowest, NaN highest."""
    if jnp.issubdtype(x.dtype, jnp.floating):
        bits = lax.bitcast_convert_type(x.astype(jnp.float32), jnp.int32)
        return lax.bitcast_convert_type(bits ^ ((bits >> 31) | np.int32(-(2**31))), jnp.uint32)
    if jnp.issubdtype(x.dtype, jnp.signedinteger):
        return lax.bitcast_convert_type(x.astype(jnp.int32) ^ np.int32(-(2**31)), jnp.uint32)
    return x.astype(jnp.uint32)


def sort(*operands: jax.Array, dimension: int, num_keys: int, is_stable: bool) -> list[jax.Array]:
    """Operands in the order of the first ones; always stable. Zeros are equal, and NaN, whatever its sign, is last."""
    rows = [_in_rows(operand, dimension) for operand in operands]
    order = order_of([ascending(_alike(keys)) for keys in rows[:num_keys]])
    return [_from_rows(looked_up(row, order), operands[0].shape, dimension) for row in rows]


def _alike(x: jax.Array) -> jax.Array:
    """Numbers that a sort takes for equal, made equal."""
    if not jnp.issubdtype(x.dtype, jnp.floating):
        return x
    return jnp.where(x != x, x.dtype.type(np.nan), jnp.where(x == 0, x.dtype.type(0), x))


def _in_rows(x: jax.Array, axis: int) -> jax.Array:
    return jnp.moveaxis(x, axis, -1).reshape(-1, x.shape[axis]) if x.size else x.reshape(0, x.shape[axis])


def _from_rows(rows: jax.Array, shape: tuple[int, ...], axis: int) -> jax.Array:
    others = [*shape[:axis], *shape[axis + 1 :]]
    return jnp.moveaxis(rows.reshape(*others, rows.shape[-1]), -1, axis)


def top_k(x: jax.Array, *, k: int, axis: int = -1, is_stable: bool = True) -> list[jax.Array]:
    """The k largest in JAX's total order, and where they lie; of equals, the first, asked for or not."""
    return _best(x, k, axis % x.ndim, smallest=False)


def approx_top_k(x: jax.Array, *, k: int, reduction_dimension: int, is_max_k: bool, **_: object) -> list[jax.Array]:
    """As top_k, and exact; the least if the maxima are not asked for."""
    return _best(x, k, reduction_dimension % x.ndim, smallest=not is_max_k)


def _best(x: jax.Array, k: int, axis: int, smallest: bool) -> list[jax.Array]:
    rows = _in_rows(x, axis)
    keys = ascending(rows) if smallest else ~ascending(rows)
    order = order_of([keys])[:, :k]
    return [_from_rows(found, x.shape, axis) for found in (looked_up(rows, order), order.astype(jnp.int32))]


def _total(compare: Callable[[jax.Array, jax.Array], jax.Array]) -> Callable[[jax.Array, jax.Array], jax.Array]:
    def compared(x: jax.Array, y: jax.Array) -> jax.Array:
        """As the primitive without `_to`, in the total order of floats."""
        return compare(ascending(x), ascending(y))

    return compared


composites: dict[str, Callable] = {
    "sort": sort,
    "top_k": top_k,
    "approx_top_k": approx_top_k,
    "lt_to": _total(jnp.less),
    "le_to": _total(jnp.less_equal),
    "eq_to": _total(jnp.equal),
}
