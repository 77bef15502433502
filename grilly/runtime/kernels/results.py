"""The results of products on their way out: scaled or rounded, then whatever is elementwise in them, then stored."""

import math
from collections.abc import Callable, Sequence

from ..ir import Equation
from ..shader.builder import Builder, Index, Ref
from ..shader.indexing import Place, add, assume, less, mul, safe
from .map import store_values, values_of_roots
from .operand import Product
from .task import Context, Task

ROWS, COLUMNS = 0, 1
At = tuple[Index, Index, Index]  # which of the batch, the row, the column
Run = tuple[At, Sequence[Ref]]  # where the first of some neighbours is, and their sums
Finish = Callable[[Index, Index, Ref], Ref]  # (row, column, sum) -> the result's element


def side_of(eqn: Equation, p: Product) -> int:
    """Whether neighbouring ROWS or COLUMNS lie side by side in the result."""
    order = eqn.params.get("order")
    return ROWS if order and order[-1] < len(p.batch) + len(p.rows) else COLUMNS


def store_neighbours(ctx: Context, task: Task, p: Product, side: int, runs: Sequence[Run], finish: Finish) -> None:
    """Stores neighbours, those inside the result.

    Nothing is stored before all is computed: what the runs load is on its way together.

    Args:
        ctx: The kernel.
        task: Whose roots they are.
        p: The product.
        side: Whether they are neighbouring ROWS (of one column), or COLUMNS.
        runs: Of each: where its first is, a multiple of how many sums there are; the sums.
        finish: What makes a sum an element of the result.
    """
    b, found = ctx.b, []
    _, *extents, _ = p.sizes
    for (batch, *first), sums in runs:
        together = math.gcd(len(sums), extents[side])  # they are inside, or beyond, together
        for start in range(0, len(sums), together):
            here = [add(b, place, start) if k == side else place for k, place in enumerate(first)]
            inside = [less(b, place, extent) for place, extent in zip(here, extents, strict=True)]
            row, column = (
                assume(safe(b, known, place, extent), extent)
                for known, place, extent in zip(inside, here, extents, strict=True)
            )
            elements = _finished(ctx, task, p, side, (batch, row, column), sums[start : start + together], finish)
            found.append((b.both(*inside), elements))
    for inside, elements in found:
        with b.when(inside):
            for indices, values in elements:
                store_values(ctx, indices, values)


def _finished(
    ctx: Context, task: Task, p: Product, side: int, at: At, sums: Sequence[Ref], finish: Finish
) -> list[tuple[list[Index], dict[int, list[Ref]]]]:
    """The roots' elements of neighbours, and where each group of them is stored."""
    b, eqn = ctx.b, task.anchors[0]
    batch, row, column = at
    own = [(add(b, row, k), column) if side == ROWS else (row, add(b, column, k)) for k in range(len(sums))]
    places = [_place(b, eqn, p, batch, *one) for one in own]
    wide = len(sums) % 4 == 0 and _together(eqn, p, side) % 4 == 0
    b.lanes = 4 if wide else 1
    elements = [finish(*one, total) for one, total in zip(own, sums, strict=True)]
    found = {_key(place): element for place, element in zip(places, elements, strict=True)}
    pull = ctx.pull(task)
    pull.sources[eqn.outputs[0]] = lambda place: found[_key(place.linear)]
    groups = [places] if wide else [[place] for place in places]
    values = [values_of_roots(ctx, task, pull, group) for group in groups]
    b.lanes = 1
    return list(zip(groups, values, strict=True))


def _together(eqn: Equation, p: Product, side: int) -> int:
    """How many neighbouring rows, or columns, lie one after another in the result."""
    last = len(p.batch) + len(p.rows) + (len(p.columns) if side == COLUMNS else 0)
    count = len(p.batch) + len(p.rows) + len(p.columns)
    order, together = [*eqn.params.get("order", range(count))], 1
    for extent in reversed((p.rows, p.columns)[side]):
        last -= 1
        if order.pop() != last:
            break
        together *= extent
    return together


def _place(b: Builder, eqn: Equation, p: Product, batch: Index, row: Index, column: Index) -> Index:
    """Where an element of the result is stored: its axes are (batch, rows, columns), or an order of those."""
    order = eqn.params.get("order")
    if order is None:
        index = add(b, mul(b, batch, math.prod(p.rows)), row)
        return add(b, mul(b, index, math.prod(p.columns)), column)
    parts = ((p.batch, batch), (p.rows, row), (p.columns, column))
    coordinates = [c for shape, linear in parts for c in Place(b, shape, linear=linear).coordinates()]
    return Place(b, eqn.outputs[0].shape, coordinates=[coordinates[axis] for axis in order]).linear


def _key(index: Index) -> int:
    return index if isinstance(index, int) else index.id
