"""Products: `dot_general`, and convolutions, which simplify has turned into products over a view of patches.

A workgroup computes one tile of the result. Tiles of both operands pass through workgroup memory; how their elements
are found is the operands' own business, so transposes, reshapes and patches cost no copy.
"""

import math
from dataclasses import dataclass

import numpy as np

from ..builder import BOOL, F32, U32, Builder, Index, Ref, Shared
from ..floats16 import SHORT
from ..indexing import Place, add, assume, div, guarded, less, mod, mul
from ..ir import Atom, Equation
from ..spirv import Op
from .elementwise import converted, kind_of
from .map import store_roots
from .pull import Pull
from .task import WORKGROUP, Context, Task

EDGE = 16  # invocations along either side of a tile
DEPTH = 16  # of the tiles of the operands


@dataclass(frozen=True)
class Product:
    """A `dot_general` seen as a batch of matrix products: which axes of each operand are batch, free, contracted."""

    batch: tuple[int, ...]
    rows: tuple[int, ...]
    columns: tuple[int, ...]
    depth: tuple[int, ...]
    lhs_axes: tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]  # batch, free, contracted
    rhs_axes: tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]

    @property
    def edge(self) -> int:
        """The tile's side: 64 where such tiles fill a GPU, else 32."""
        tiles = math.prod(self.batch) * _tiles(self.rows, 64) * _tiles(self.columns, 64)
        return 64 if tiles >= 256 else 32


def product(eqn: Equation) -> Product:
    lhs, rhs = eqn.inputs
    (lhs_depth, rhs_depth), (lhs_batch, rhs_batch) = (
        tuple(tuple(int(axis) for axis in axes) for axes in pair) for pair in eqn.params["dimension_numbers"]
    )
    lhs_free = tuple(a for a in range(len(lhs.shape)) if a not in (*lhs_depth, *lhs_batch))
    rhs_free = tuple(a for a in range(len(rhs.shape)) if a not in (*rhs_depth, *rhs_batch))
    return Product(
        batch=tuple(lhs.shape[a] for a in lhs_batch),
        rows=tuple(lhs.shape[a] for a in lhs_free),
        columns=tuple(rhs.shape[a] for a in rhs_free),
        depth=tuple(lhs.shape[a] for a in lhs_depth),
        lhs_axes=(lhs_batch, lhs_free, lhs_depth),
        rhs_axes=(rhs_batch, rhs_free, rhs_depth),
    )


def _of_sums(dtype: np.dtype) -> np.dtype:
    """What is added up: 16-bit floats are rounded once, in the end; True is counted, and any number but 0 is True."""
    if dtype == BOOL:
        return U32
    return F32 if dtype in SHORT else dtype


def _tiles(extents: tuple[int, ...], edge: int) -> int:
    return max(1, -(-math.prod(extents) // edge))


def groups(task: Task) -> int:
    p = product(task.anchors[0])
    return math.prod(p.batch) * _tiles(p.rows, p.edge) * _tiles(p.columns, p.edge)


def emit(ctx: Context, task: Task, group: Index) -> None:
    """Writes the section of a kernel that runs in workgroup number `group` of this task."""
    _Tile(ctx, task, group).run()


class _Tile:
    """One workgroup's tile of the result; each invocation keeps `each` by `each` sums in registers."""

    def __init__(self, ctx: Context, task: Task, group: Index) -> None:
        self.ctx, self.task, self.b = ctx, task, ctx.b
        self.eqn = task.anchors[0]
        self.p = p = product(self.eqn)
        self.dtype = _of_sums(self.eqn.outputs[0].dtype)
        self.pull = ctx.pull(task)
        self.each = p.edge // EDGE
        b, across = ctx.b, _tiles(p.columns, p.edge)
        down = _tiles(p.rows, p.edge)
        group = assume(group, groups(task))
        self.batch = div(b, group, across * down)
        self.row0 = mul(b, mod(b, div(b, group, across), down), p.edge)
        self.column0 = mul(b, mod(b, group, across), p.edge)
        # One column of padding keeps the stores of a transposed tile out of each other's memory banks.
        self.lhs = b.shared(self.dtype, DEPTH * (p.edge + 1))
        self.rhs = b.shared(self.dtype, DEPTH * (p.edge + 1))
        self.x, self.y = mod(b, b.local, EDGE), div(b, b.local, EDGE)

    def run(self) -> None:
        zero = self.b.const(np.zeros((), self.dtype))
        depth = math.prod(self.p.depth)
        sums = self.b.loop(0, depth, DEPTH, [zero] * self.each**2, self._accumulate, bound=max(depth, 1))
        for i in range(self.each):
            for j in range(self.each):
                self._finish(i, j, sums[i * self.each + j])

    def _accumulate(self, k0: Ref, sums: list[Ref]) -> list[Ref]:
        """One tile of depth: fetch, meet, multiply."""
        lhs, rhs = self.eqn.inputs
        rows, columns = math.prod(self.p.rows), math.prod(self.p.columns)
        left = self._fetched(lhs, self.p.lhs_axes, self.row0, rows, self.p.rows, k0)
        right = self._fetched(rhs, self.p.rhs_axes, self.column0, columns, self.p.columns, k0)
        self.b.barrier()  # the last tile has been read
        for shared, tile in ((self.lhs, left), (self.rhs, right)):
            for where, value in tile:
                self.b.write_shared(shared, where, value)
        self.b.barrier()
        for k in range(DEPTH):
            sums = self._multiplied(k, sums)
        return sums

    def _multiplied(self, k: int, sums: list[Ref]) -> list[Ref]:
        b = self.b
        left = [self._read(self.lhs, k, self.y, i) for i in range(self.each)]
        right = [self._read(self.rhs, k, self.x, j) for j in range(self.each)]
        return [
            _multiply_add(b, left[i], right[j], sums[i * self.each + j])
            for i in range(self.each)
            for j in range(self.each)
        ]

    def _read(self, shared: Shared, k: int, own: Index, nth: int) -> Ref:
        return self.b.read_shared(shared, add(self.b, own, k * (self.p.edge + 1) + nth * EDGE))

    def _fetched(
        self,
        operand: Atom,
        axes: tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]],
        start: Index,
        limit: int,
        extents: tuple[int, ...],
        k0: Ref,
    ) -> list[tuple[Index, Ref]]:
        """This invocation's share of a tile: where in workgroup memory, and what."""
        b, edge, fetched = self.b, self.p.edge, []
        depth_last = bool(operand.shape) and (len(operand.shape) - 1) in axes[2]
        for n in range(edge * DEPTH // WORKGROUP):
            nth = assume(add(b, b.local, n * WORKGROUP), edge * DEPTH)
            # Neighbouring invocations read neighbouring elements: along the operand's last axis.
            along, over = (DEPTH, edge) if depth_last else (edge, DEPTH)
            minor, major = mod(b, nth, along), assume(div(b, nth, along), over)
            k, free = (minor, major) if depth_last else (major, minor)
            where = add(b, mul(b, k, edge + 1), free)
            fetched.append((where, self._element(operand, axes, add(b, start, free), limit, extents, add(b, k0, k))))
        return fetched

    def _element(
        self,
        operand: Atom,
        axes: tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]],
        free: Index,
        limit: int,
        extents: tuple[int, ...],
        k: Index,
    ) -> Ref:
        """One element of an operand, 0 beyond its edges."""
        b, depth = self.b, math.prod(self.p.depth)
        inside = b.both(less(b, free, limit), less(b, k, depth))
        if inside is not True:
            free, k = guarded(b, inside, free, limit), guarded(b, inside, k, depth)
        parts = (
            Place(b, self.p.batch, linear=self.batch),
            Place(b, extents, linear=assume(free, limit)),
            Place(b, self.p.depth, linear=assume(k, depth)),
        )
        coordinates: list[Index] = [0] * len(operand.shape)
        for part, group in zip(parts, axes, strict=True):
            for nth, axis in enumerate(group):
                coordinates[axis] = part[nth]
        value = self.pull.at(operand, Place(b, operand.shape, coordinates=coordinates))
        value = converted(b, value, self.dtype)
        return b.select(inside, value, b.const(np.zeros((), self.dtype)))

    def _finish(self, i: int, j: int, total: Ref) -> None:
        """Stores one element of the result, and what is elementwise in it."""
        b = self.b
        rows, columns = math.prod(self.p.rows), math.prod(self.p.columns)
        row = add(b, self.row0, add(b, self.y, i * EDGE))
        column = add(b, self.column0, add(b, self.x, j * EDGE))
        with b.when(b.both(less(b, row, rows), less(b, column, columns))):
            pull: Pull = self.ctx.pull(self.task)
            rounded = converted(b, total, self.eqn.outputs[0].dtype)
            pull.sources[self.eqn.outputs[0]] = lambda _: rounded
            store_roots(self.ctx, self.task, pull, [self._index(assume(row, rows), assume(column, columns))])

    def _index(self, row: Index, column: Index) -> Index:
        """Where an element of the result is stored: its axes are (batch, rows, columns), or an order of those."""
        b, order = self.b, self.eqn.params.get("order")
        if order is None:
            index = add(b, mul(b, self.batch, math.prod(self.p.rows)), row)
            return add(b, mul(b, index, math.prod(self.p.columns)), column)
        parts = ((self.p.batch, self.batch), (self.p.rows, row), (self.p.columns, column))
        coordinates = [c for shape, linear in parts for c in Place(b, shape, linear=linear).coordinates()]
        return Place(b, self.eqn.outputs[0].shape, coordinates=[coordinates[axis] for axis in order]).linear


def _multiply_add(b: Builder, x: Ref, y: Ref, total: Ref) -> Ref:
    """Free to be fused: a product is bounded, not exact."""
    multiply, plus = (Op.FMul, Op.FAdd) if kind_of(x.dtype) == "f" else (Op.IMul, Op.IAdd)
    return b.op(plus, x.dtype, total, b.op(multiply, x.dtype, x, y, exact=False), exact=False)
