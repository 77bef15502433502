"""The results of products on their way out: scaled or rounded, then whatever is elementwise in them, then stored."""

import math
from collections.abc import Callable, Sequence

from ..builder import Builder, Index, Ref
from ..indexing import Place, add, assume, less, mul
from ..ir import Equation
from .map import store_roots
from .operand import Product
from .task import Context, Task

Finish = Callable[[Index, Index, Ref], Ref]  # (row, column, sum) -> the result's element


def store_neighbours(
    ctx: Context, task: Task, p: Product, at: tuple[Index, Index, Index], sums: Sequence[Ref], finish: Finish
) -> None:
    """Stores neighbours of a row, those inside the result.

    Args:
        ctx: The kernel.
        task: Whose roots they are.
        p: The product.
        at: Which of the batch, the row, and the first column: a multiple of how many sums there are.
        sums: Of neighbouring columns.
        finish: What makes a sum an element of the result.
    """
    b, (batch, row, column) = ctx.b, at
    _, rows, columns, _ = p.sizes
    together = math.gcd(len(sums), columns)  # they are inside, or beyond, together
    for start in range(0, len(sums), together):
        first = add(b, column, start)
        with b.when(b.both(less(b, row, rows), less(b, first, columns))):
            inner = [add(b, assume(first, columns), k) for k in range(together)]
            _store(ctx, task, p, batch, assume(row, rows), inner, sums[start : start + together], finish)


def _store(
    ctx: Context, task: Task, p: Product, batch: Index, row: Index, columns: list[Index], sums: Sequence[Ref],
    finish: Finish,
) -> None:  # fmt: skip
    b, eqn = ctx.b, task.anchors[0]
    places = [_place(b, eqn, p, batch, row, column) for column in columns]
    elements = [finish(row, column, total) for column, total in zip(columns, sums, strict=True)]
    found = {_key(place): element for place, element in zip(places, elements, strict=True)}
    pull = ctx.pull(task)
    pull.sources[eqn.outputs[0]] = lambda place: found[_key(place.linear)]
    wide = len(columns) % 4 == 0 and _together(eqn, p) % 4 == 0
    b.lanes = 4 if wide else 1
    for group in [places] if wide else [[place] for place in places]:
        store_roots(ctx, task, pull, group)
    b.lanes = 1


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
