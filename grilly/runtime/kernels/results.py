"""The results of products on their way out: scaled or rounded, then whatever is elementwise in them, then stored."""

import math
from collections.abc import Callable, Sequence

from ..builder import Builder, Index, Ref
from ..indexing import Place, add, assume, less, mul, safe
from ..ir import Equation
from .map import store_values, values_of_roots
from .operand import Product
from .task import Context, Task

At = tuple[Index, Index, Index]  # which of the batch, the row, the first column
Run = tuple[At, Sequence[Ref]]  # neighbours of a row, and their sums
Finish = Callable[[Index, Index, Ref], Ref]  # (row, column, sum) -> the result's element


def store_neighbours(ctx: Context, task: Task, p: Product, runs: Sequence[Run], finish: Finish) -> None:
    """Stores neighbours of rows, those inside the result.

    Nothing is stored before all is computed: what the runs load is on its way together.

    Args:
        ctx: The kernel.
        task: Whose roots they are.
        p: The product.
        runs: Of each: which of the batch, the row, the first column, a multiple of how many sums there are; the sums.
        finish: What makes a sum an element of the result.
    """
    b, found = ctx.b, []
    _, rows, columns, _ = p.sizes
    for (batch, row, column), sums in runs:
        together = math.gcd(len(sums), columns)  # they are inside, or beyond, together
        for start in range(0, len(sums), together):
            first = add(b, column, start)
            on_row, on_column = less(b, row, rows), less(b, first, columns)
            inner = assume(safe(b, on_row, row, rows), rows), assume(safe(b, on_column, first, columns), columns)
            elements = _finished(ctx, task, p, (batch, *inner), sums[start : start + together], finish)
            found.append((b.both(on_row, on_column), elements))
    for inside, elements in found:
        with b.when(inside):
            for indices, values in elements:
                store_values(ctx, indices, values)


def _finished(
    ctx: Context, task: Task, p: Product, at: At, sums: Sequence[Ref], finish: Finish
) -> list[tuple[list[Index], dict[int, list[Ref]]]]:
    """The roots' elements of neighbours of a row, and where each group of neighbours is stored."""
    b, eqn = ctx.b, task.anchors[0]
    batch, row, first = at
    columns = [add(b, first, k) for k in range(len(sums))]
    places = [_place(b, eqn, p, batch, row, column) for column in columns]
    wide = len(columns) % 4 == 0 and _together(eqn, p) % 4 == 0
    b.lanes = 4 if wide else 1
    elements = [finish(row, column, total) for column, total in zip(columns, sums, strict=True)]
    found = {_key(place): element for place, element in zip(places, elements, strict=True)}
    pull = ctx.pull(task)
    pull.sources[eqn.outputs[0]] = lambda place: found[_key(place.linear)]
    groups = [places] if wide else [[place] for place in places]
    values = [values_of_roots(ctx, task, pull, group) for group in groups]
    b.lanes = 1
    return list(zip(groups, values, strict=True))


def _together(eqn: Equation, p: Product) -> int:
    """How many neighbours of a row lie one after another in the result."""
    last = len(p.batch) + len(p.rows) + len(p.columns)
    order, together = [*eqn.params.get("order", range(last))], 1
    for extent in reversed(p.columns):
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
