"""Products: `dot_general`, and convolutions, which simplify has turned into products over a view of patches.

A workgroup computes one tile of the result. Tiles of both operands pass through workgroup memory, and are fetched into
registers while the ones before are multiplied; how their elements are found is the operands' own business, so
transposes, reshapes and patches cost no copy.
"""

import itertools
from dataclasses import dataclass

import numpy as np

from ..dtypes import BOOL, F32, SHORT, U32
from ..ir import Equation
from ..shader.builder import Builder, Index, Ref
from ..shader.indexing import add, assume, div, following, less, mod, mul
from ..shader.quads import Quads
from ..shader.spirv import Op
from ..target import Target
from .elementwise import converted, dtype_kind
from .operand import Operand, product, tiled
from .results import COLUMNS, store_neighbours
from .task import Context, Task

QUAD = 4  # neighbours that are fetched, and read from workgroup memory, at once
Sizes = tuple[int, int, int, int]  # products, rows, columns, depth


@dataclass(frozen=True)
class Tile:
    """`down` by `across` invocations, each with `quads` by `quads` blocks of four by four sums."""

    down: int
    across: int
    quads: int
    depth: int  # of the tiles of the operands

    @property
    def rows(self) -> int:
        return self.down * self.quads * QUAD

    @property
    def columns(self) -> int:
        return self.across * self.quads * QUAD

    @property
    def invocations(self) -> int:
        return self.down * self.across

    def count(self, sizes: Sizes) -> int:
        """How many a batch of products takes."""
        return tiled(sizes, self.rows, self.columns)


LARGE, SQUARE = Tile(16, 16, 2, 16), Tile(16, 16, 1, 32)
TALL, BROAD = Tile(32, 4, 1, 16), Tile(4, 32, 1, 16)
BUSY = 256  # large tiles that keep a GPU busy


def _of_sums(dtype: np.dtype) -> np.dtype:
    """What is added up: 16-bit floats are rounded once, in the end; True is counted, and any number but 0 is True."""
    if dtype == BOOL:
        return U32
    return F32 if dtype in SHORT else dtype


def tile(sizes: Sizes) -> Tile:
    """The tile for such products."""
    _, rows, columns, _ = sizes
    if columns <= TALL.columns < rows:
        return TALL
    if rows <= BROAD.rows < columns:
        return BROAD
    return LARGE if LARGE.count(sizes) >= BUSY else SQUARE


def count(sizes: Sizes) -> int:
    """How many tiles a batch of products takes."""
    return tile(sizes).count(sizes)


def groups(task: Task, target: Target) -> int:
    return count(product(task.anchors[0]).sizes)


def invocations(task: Task) -> int:
    """In each workgroup: a product has a kernel to itself."""
    return tile(product(task.anchors[0]).sizes).invocations


def fetched_once(eqn: Equation, number: int) -> bool:
    """Whether a product fetches each element of an operand once: it may as well compute it."""
    if eqn.primitive != "dot_general":  # those on cooperative matrices fetch words of half floats
        return False
    _, rows, columns, _ = sizes = product(eqn).sizes
    other, most = (rows, tile(sizes).rows) if number else (columns, tile(sizes).columns)
    return other <= most


def emit(ctx: Context, task: Task, group: Index) -> None:
    """Writes the section of a kernel that runs in workgroup number `group` of this task."""
    _Workgroup(ctx, task, group).run()


class _Side:
    """One operand's tile: fetched, laid into workgroup memory by rows of equal depth, read in quads.

    Args:
        operand: The whole.
        start: The tile's first row, or column.
        extent: How many it has.
        depth: Of the tile.
        first: This invocation's first in the tile.
        step: From one quad of this invocation to the next.
    """

    def __init__(self, operand: Operand, start: Index, extent: int, depth: int, first: Index, step: int) -> None:
        self.operand, self.b, self.start = operand, operand.b, start
        self.extent, self.depth, self.first, self.step = extent, depth, first, step
        self.stride = extent + QUAD  # a quad of padding keeps a transposed tile's stores in different memory banks
        self.memory = Quads(self.b, operand.dtype, depth * self.stride)

    def _shares(self) -> list[tuple[Index, Index, Ref | bool]]:
        """Where each quad begins that this invocation fetches, and whether it exists."""
        b, found = self.b, []
        # Neighbouring invocations read neighbouring elements: along the operand's last axis.
        along = (self.depth if self.operand.depth_last else self.extent) // QUAD
        for n in range(-(-self.extent * self.depth // QUAD // b.local_size)):
            nth = add(b, b.local, n * b.local_size)
            exists = less(b, nth, self.extent * self.depth // QUAD)
            nth = assume(nth, self.extent * self.depth // QUAD)
            minor, major = mul(b, mod(b, nth, along), QUAD), div(b, nth, along)
            found.append((major, minor, exists) if self.operand.depth_last else (minor, major, exists))
        return found

    def fetched(self, k0: Index) -> list[Ref]:
        """This invocation's quads of the tile at depth `k0`."""
        b, run = self.b, self.operand.run
        shares = ((add(b, self.start, free), add(b, k0, k), exists) for free, k, exists in self._shares())
        return [value for free, k, exists in shares for value in run(free, k, QUAD, exists)]

    def laid(self, values: list[Ref]) -> None:
        """Stores what was fetched."""
        b, left = self.b, iter(values)
        for free, k, exists in self._shares():
            quad = list(itertools.islice(left, QUAD))
            with b.when(exists):
                if self.operand.depth_last:
                    for n, value in enumerate(quad):
                        self.memory.write_one(add(b, mul(b, add(b, k, n), self.stride), free), value)
                else:
                    self.memory.write(add(b, mul(b, k, self.stride), free), quad)

    def read(self, k: int, quads: int) -> list[Ref]:
        """This invocation's numbers at depth `k` of the tile."""
        places = (add(self.b, self.first, k * self.stride + n * self.step) for n in range(quads))
        return [value for place in places for value in self.memory.read(place)]


class _Workgroup:
    """One workgroup's tile of the result; each invocation keeps its sums in registers."""

    def __init__(self, ctx: Context, task: Task, group: Index) -> None:
        self.ctx, self.task, self.b = ctx, task, ctx.b
        self.eqn = task.anchors[0]
        self.p = p = product(self.eqn)
        self.tile = t = tile(p.sizes)
        self.dtype = _of_sums(self.eqn.outputs[0].dtype)
        b, (_, rows, columns, _) = ctx.b, p.sizes
        across, down = max(1, -(-columns // t.columns)), max(1, -(-rows // t.rows))
        group = assume(group, groups(task, ctx.target))
        self.batch = div(b, group, across * down)
        self.row0 = mul(b, mod(b, div(b, group, across), down), t.rows)
        self.column0 = mul(b, mod(b, group, across), t.columns)
        # Of this invocation, in the tile.
        self.row, self.column = mul(b, div(b, b.local, t.across), QUAD), mul(b, mod(b, b.local, t.across), QUAD)
        pull = ctx.pull(task)
        left, right = (
            Operand(pull, atom, axes, self.batch, self.dtype)
            for atom, axes in zip(self.eqn.inputs, (p.lhs_axes, p.rhs_axes), strict=True)
        )
        self.left = _Side(left, self.row0, t.rows, t.depth, self.row, t.down * QUAD)
        self.right = _Side(right, self.column0, t.columns, t.depth, self.column, t.across * QUAD)

    def run(self) -> None:
        b, depth, each = self.b, self.p.sizes[3], self.tile.quads * QUAD
        sums = [b.const(np.zeros((), self.dtype))] * each**2
        carried = sums
        if depth:
            carried = b.loop(0, depth, self.tile.depth, [*sums, *self._fetched(0)], self._accumulate, bound=depth)
        for i in range(each):
            for quad in range(self.tile.quads):
                first = i * each + quad * QUAD
                self._finish(i, quad, carried[first : first + QUAD])

    def _fetched(self, k0: Index) -> list[Ref]:
        left = self.left.fetched(k0)
        self.cut = len(left)
        return [*left, *self.right.fetched(k0)]

    def _accumulate(self, k0: Ref, carried: list[Ref]) -> list[Ref]:
        """One tile of depth: what was fetched meets; the next is fetched while this one is multiplied."""
        b, count = self.b, (self.tile.quads * QUAD) ** 2
        sums, values = carried[:count], carried[count:]
        b.barrier(buffers=False)  # the last tile has been read
        self.left.laid(values[: self.cut])
        self.right.laid(values[self.cut :])
        b.barrier(buffers=False)
        fetched = self._fetched(following(b, k0, self.tile.depth, self.p.sizes[3]))
        for k in range(self.tile.depth):
            left, right = self.left.read(k, self.tile.quads), self.right.read(k, self.tile.quads)
            pairs = itertools.product(left, right)
            sums = [_multiply_add(b, x, y, total) for (x, y), total in zip(pairs, sums, strict=True)]
        return [*sums, *fetched]

    def _finish(self, i: int, quad: int, sums: list[Ref]) -> None:
        """Stores neighbours of a row, and what is elementwise in them."""
        b, t, dtype = self.b, self.tile, self.eqn.outputs[0].dtype
        row = add(b, self.row0, add(b, self.row, i % QUAD + i // QUAD * t.down * QUAD))
        column = add(b, self.column0, add(b, self.column, quad * t.across * QUAD))
        at = (self.batch, row, column)
        store_neighbours(self.ctx, self.task, self.p, COLUMNS, [(at, sums)], lambda _, __, x: converted(b, x, dtype))


def _multiply_add(b: Builder, x: Ref, y: Ref, total: Ref) -> Ref:
    """Free to be fused: a product is bounded, not exact."""
    multiply, plus = (Op.FMul, Op.FAdd) if dtype_kind(x.dtype) == "f" else (Op.IMul, Op.IAdd)
    return b.op(plus, x.dtype, total, b.op(multiply, x.dtype, x, y, exact=False), exact=False)
