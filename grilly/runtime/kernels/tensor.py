"""Products on cooperative matrices. `products` has split the operands into half floats, whose products are exact.

A workgroup computes one tile of the result: for each tile of depth it multiplies every pair of parts that matters. The
parts' tiles pass through workgroup memory, and are fetched into registers while the ones before are multiplied.
"""

import itertools
import math
from dataclasses import replace

import numpy as np

from ..dtypes import BOOL, F32
from ..ir import Atom, Equation
from ..shader.builder import Builder, Index, Ref
from ..shader.cooperative import HALVES, A, B, Matrices
from ..shader.indexing import Place, add, assume, div, following, joined, less, mod, mul, safe, scalar_place
from ..shader.spirv import Op
from ..target import Target
from .division import inverse_of_power
from .results import ROWS, At, side_of, store_neighbours
from .spread import DEPTH, FLOAT32, SPIKES, SPLIT, Spread, Strides, View, layout
from .task import Context, Task

REMARKS = {SPIKES: "(spikes)", SPLIT: "(split)", FLOAT32: "(float32)"}  # of a task, by its way
NEAR = 8  # rows of tiles that run side by side, so that they find each other's operands in the cache
FLOATS = 4  # float32 in a word
TOGETHER, COMPUTED = 4, 2  # words of the result that an invocation stores at once: as they are, or computed of them
BANKS = 8  # words that can be stored at once, one in each


def groups(task: Task, target: Target) -> int:
    spread = _spread(task)
    return spread.tile.count(spread.product.sizes)


def invocations(task: Task) -> int:
    """In each workgroup: such a product has a kernel to itself."""
    return _spread(task).tile.invocations


def read_seldom(eqn: Equation, number: int) -> bool:
    """Whether an input is an operand as it was: only the way that no ordinary numbers take reads it."""
    return "float32" in eqn.params and number in range(len(eqn.inputs) - 3, len(eqn.inputs) - 1)


def alternatives(task: Task) -> list[Task]:
    """The task in all ways to compute it, of which each sees by itself whether it is the one.

    Several kernels, since the one for spikes is small: twice as many of its workgroups share a multiprocessor.
    """
    (eqn,) = task.anchors
    spreads: tuple[Spread, ...] = eqn.params["spreads"]
    rest, found = eqn.inputs, {}
    for spread in spreads:
        inputs, rest = rest[: spread.inputs], rest[spread.inputs :]
        one = replace(eqn, inputs=inputs, params={**eqn.params, "spreads": (spread,)})
        found[spread.way] = replace(task, anchors=(one,))
    if not rest:
        return [task]
    *operands, way = rest
    if operands:
        one = replace(eqn, primitive="dot_general", inputs=tuple(operands), params=eqn.params["float32"])
        found[FLOAT32] = replace(task, kind="matmul", anchors=(one,))
    # That of spikes first: workgroups of the other ones begin and end where it leaves some room.
    return [replace(found[k], remark=REMARKS[k], when=(way, k)) for k in sorted(found)]


def emit(ctx: Context, task: Task, group: Index) -> None:
    """Writes the section of a kernel that runs in workgroup number `group` of this task."""
    _Workgroup(ctx, task, group).run()


def _spread(task: Task) -> Spread:
    """How the only alternative is computed."""
    (spread,) = task.anchors[0].params["spreads"]
    return spread


class _Factor:
    """One operand's tile: fetched, laid into workgroup memory, read as matrices.

    Args:
        work: Whose tile it is.
        use: Which operand.
        view: Where its words lie.
        pointers: To its parts.
        word: Where in workgroup memory it lies.
    """

    def __init__(self, work: "_Workgroup", use: int, view: View, pointers: list[int], word: int) -> None:
        self.m, self.b, self.use, self.pointers, self.first = work.m, work.b, use, pointers, word
        t = work.tile
        self.view, self.start = view, (work.row0, work.column0)[use]
        self.depth_last, (self.free, self.depth) = self.view.depth_last, self.view.extents
        extent = (t.rows, t.columns)[use]
        self.major, self.stride, self.plane = layout(extent, self.depth_last)
        self.minor = self.stride - 1
        self.batch = add(self.b, _along(self.b, self.view.batch, work.batch), self.view.start)
        rows, columns, depth = t.shape
        self.kind = self.m.factor(*((rows, depth), (depth, columns))[use], use)
        self.step = (rows, columns)[use]

    def _places(self) -> list[tuple[Index, Index, Ref | bool]]:
        """This invocation's share of a tile's words: the row, the word in it, and whether there is one."""
        b, count, found = self.b, self.major * self.minor, []
        for n in range(-(-count // b.local_size)):
            nth = add(b, b.local, n * b.local_size)
            exists = less(b, nth, count)
            nth = assume(nth, count)
            if self.view.in_columns:
                found.append((mod(b, nth, self.major), div(b, nth, self.major), exists))
            else:
                found.append((self._apart(div(b, nth, self.minor)), mod(b, nth, self.minor), exists))
        return found

    def _apart(self, major: Index) -> Index:
        """Rows in an order in which eight neighbours store words of different memory banks."""
        b, together = self.b, BANKS // self.minor  # short rows, each padded by a word
        if together < 2 or BANKS % self.minor or self.major % BANKS:
            return major
        block, nth = div(b, major, BANKS), mod(b, major, BANKS)
        row = add(b, mul(b, mod(b, nth, together), self.minor), div(b, nth, together))
        return assume(add(b, mul(b, block, BANKS), row), self.major)

    def fetched(self, nth: Index) -> list[Ref]:
        """This invocation's words of tile number `nth` of the depth; zeros beyond the edges."""
        found = []
        for major, minor, exists in self._places():
            along = mul(self.b, minor, HALVES)
            found += self._word(nth, *((major, along) if self.depth_last else (along, major)), exists)
        return found

    def _word(self, nth: Index, free: Index, k: Index, exists: Ref | bool) -> list[Ref]:
        """The word of each part that begins at an element of the tile."""
        b, zero = self.b, self.b.const(np.uint32(0))
        free, k = add(b, self.start, free), joined(b, nth, DEPTH, k)
        inside = b.both(exists, b.both(less(b, free, self.free), less(b, k, self.depth)))
        free, k = (
            assume(safe(b, inside, free, self.free), self.free),
            assume(safe(b, inside, k, self.depth), self.depth),
        )
        free, k = (free, div(b, k, HALVES)) if self.depth_last else (div(b, free, HALVES), k)
        within = add(b, _along(b, self.view.free, free), _along(b, self.view.depth, k))
        index = add(b, self.batch, within)
        return [b.select(inside, part, zero) for pointer in self.pointers for part in self.m.fetch(pointer, index)]

    def laid(self, words: list[Ref]) -> None:
        """Stores what was fetched."""
        b, left = self.b, iter(words)
        for major, minor, exists in self._places():
            index = add(b, add(b, mul(b, major, self.stride), minor), self.first)
            with b.when(exists):
                for part in range(len(self.pointers)):
                    self.m.write(add(b, index, part * self.plane), list(itertools.islice(left, FLOATS)))

    def matrix(self, part: int, first: Index, nth: int, k: int) -> int:
        """The `nth` matrix from row (or column) `first` of the tile on, at depth `k`."""
        b, start = self.b, self.first + part * self.plane
        if self.depth_last:
            index = add(b, mul(b, first, self.stride), start + nth * self.step * self.stride + k // HALVES)
        else:
            index = add(b, div(b, first, HALVES), start + k * self.stride + nth * self.step // HALVES)
        return self.m.load(self.kind, index, self.stride, transposed=self.depth_last == (self.use == B))


def _along(b: Builder, strides: Strides, index: Index) -> Index:
    """How many words an index moves over."""
    place, found = Place(b, [extent for extent, _ in strides], linear=index), 0
    for axis, (_, stride) in enumerate(strides):
        found = add(b, found, mul(b, place[axis], stride))
    return found


class _Depth:
    """The loop over the depth, with these factors: what it adds to the workgroup's sums."""

    def __init__(self, work: "_Workgroup", left: _Factor, right: _Factor) -> None:
        self.work, self.b, self.m = work, work.b, work.m
        self.tiles = -(-work.spread.depth // DEPTH)
        self.left, self.right = left, right

    def run(self) -> None:
        body = self._anew if self.work.exact else self._accumulate
        self.b.loop(0, self.tiles, 1, self._fetched(0), body, bound=self.tiles)

    def _anew(self, nth: Index, words: list[Ref]) -> list[Ref]:
        """A tile of depth whose totals begin anew and then join the sums by ordinary additions.

        Each time the matrix unit adds, it cuts off what it should round, always towards zero: in longer sums of
        float32's accuracy that would add up. Drivers that mix these additions with the products run out of registers:
        a loop of one round keeps them apart.
        """
        b, m, kind = self.b, self.m, self.work.kind
        totals, sums = itertools.chain(*self.work.totals), itertools.chain(*self.work.sums)
        pairs = list(zip(totals, sums, strict=True))
        for total, _ in pairs:
            m.set(total, m.zero(kind))
        words = b.loop(0, 1, 1, words, lambda _, words: self._accumulate(nth, words), bound=1)
        for total, so_far in pairs:
            m.set(so_far, m.add(kind, m.get(kind, so_far), m.get(kind, total)))
        return words

    def _accumulate(self, nth: Index, words: list[Ref]) -> list[Ref]:
        """Lays down the tiles that were fetched, fetches the next, multiplies."""
        b = self.b
        b.barrier(buffers=False)  # the last tiles have been read
        self.left.laid(words[: self.cut])
        self.right.laid(words[self.cut :])
        b.barrier(buffers=False)
        fetched = self._fetched(following(b, nth, 1, self.tiles))
        self._multiply()
        return fetched

    def _fetched(self, nth: Index) -> list[Ref]:
        left = self.left.fetched(nth)
        self.cut = len(left)
        return [*left, *self.right.fetched(nth)]

    def _multiply(self) -> None:
        """Multiplies what lies in workgroup memory, column by column of this subgroup's matrices."""
        m, work, t, kind = self.m, self.work, self.work.tile, self.work.kind
        left, right = len(self.left.pointers), len(self.right.pointers)
        steps = range(0, DEPTH, t.shape[2])
        # The small products first; that of two small parts is below float32's own rounding.
        passes = [(p, q) for p in range(left) for q in range(right) if p + q < 2][::-1]
        rows = {
            (p, k): [self.left.matrix(p, work.row, i, k) for i in range(t.high)] for p in range(left) for k in steps
        }
        for j, variables in enumerate(zip(*work.totals, strict=True)):
            columns = {(q, k): self.right.matrix(q, work.column, j, k) for q in range(right) for k in steps}
            totals = [m.get(kind, variable) for variable in variables]
            for (p, q), k, i in itertools.product(passes, steps, range(t.high)):
                totals[i] = m.multiply_add(kind, rows[p, k][i], columns[q, k], totals[i])
            for variable, total in zip(variables, totals, strict=True):
                m.set(variable, total)


class _Workgroup:
    """One workgroup's tile of the result."""

    def __init__(self, ctx: Context, task: Task, group: Index) -> None:
        self.ctx, self.task, self.b = ctx, task, ctx.b
        self.eqn = task.anchors[0]
        self.spread = _spread(task)
        self.p, self.tile = self.spread.product, self.spread.tile
        t, (left, right) = self.tile, self.spread.parts
        self.side = side_of(self.eqn, self.p)  # sums leave in runs of neighbours
        beside, self.bands = (t.high, t.wide) if self.side == ROWS else (t.wide, t.high)
        self.long, self.runs = t.shape[self.side], t.shape[1 - self.side]
        self.staged = beside * self.long // FLOATS  # words of one run of a subgroup's sums
        self.staging = t.down * t.across * self.runs * self.staged
        self.m = m = Matrices(ctx.b, max(self.staging, t.words((left, right), self.spread.depth_last)))
        self.batch, self.row0, self.column0 = self._corner(assume(group, groups(task, ctx.target)))
        pointers = [ctx.pointers[value] for value in self.eqn.inputs[: left + right]]  # type: ignore[index]
        views = self.spread.views
        self.left = _Factor(self, A, views[A], pointers[:left], 0)
        self.right = _Factor(self, B, views[B], pointers[left:], left * self.left.plane)
        self.kind, self.exact = m.sum(t.shape[0], t.shape[1]), max(left, right) > 1
        self.sums = self._variables()
        self.totals = self._variables() if self.exact else self.sums
        self.subgroup = m.subgroup(t.down * t.across)
        self.row, self.column = self._own(self.subgroup)

    def _corner(self, group: Index) -> tuple[Index, Index, Index]:
        """Which of the batch, and the first row and column of the tile. Neighbours share rows and columns."""
        b, t = self.b, self.tile
        _, rows, columns, _ = self.p.sizes
        down, across = -(-rows // t.rows), -(-columns // t.columns)
        near = min(NEAR, down)
        batch, within = div(b, group, down * across), mod(b, group, down * across)
        band, nth = div(b, within, near * across), mod(b, within, near * across)
        beside, column = mod(b, nth, near), div(b, nth, near)
        if rest := down % near:  # rows of the last band
            full = less(b, band, down // near)
            beside, column = (
                b.select(full, b.as_ref(one), b.as_ref(other))
                for one, other in ((beside, mod(b, nth, rest)), (column, div(b, nth, rest)))
            )
        row = add(b, mul(b, band, near), assume(beside, near))
        return batch, mul(b, assume(row, down), t.rows), mul(b, assume(column, across), t.columns)

    def _own(self, subgroup: Index) -> tuple[Index, Index]:
        """Where a subgroup's part of the tile begins."""
        b, t = self.b, self.tile
        row = mul(b, mod(b, subgroup, t.down), t.high * t.shape[0])
        return row, mul(b, div(b, subgroup, t.down), t.wide * t.shape[1])

    def _variables(self) -> list[list[int]]:
        return [[self.m.variable(self.kind) for _ in range(self.tile.wide)] for _ in range(self.tile.high)]

    def run(self) -> None:
        b, m = self.b, self.m
        for variable in itertools.chain(*self.sums):
            m.set(variable, m.zero(self.kind))
        _Depth(self, self.left, self.right).run()
        for nth in range(self.bands):
            b.barrier(buffers=False)
            self._stage(nth)
            b.barrier(buffers=False)
            with b.when(less(b, b.local, self.staging)):
                self._store(nth)

    def _stage(self, nth: int) -> None:
        """Puts one band (a row, or a column) of each subgroup's matrices into workgroup memory."""
        b, m = self.b, self.m
        first = mul(b, self.subgroup, self.runs * self.staged)
        variables = [row[nth] for row in self.sums] if self.side == ROWS else self.sums[nth]
        for k, variable in enumerate(variables):
            word = add(b, first, k * self.long // FLOATS)
            m.store(m.get(self.kind, variable), word, self.staged, transposed=self.side == ROWS)

    def _store(self, nth: int) -> None:
        """Stores what was staged, and what is elementwise in it.

        An invocation has every so many runs, and stores some at once: fewer where something is computed of them, since
        more code would not fit where a GPU keeps its instructions.
        """
        b, t = self.b, self.tile
        apart = b.local_size // self.staged
        rounds = -(-t.down * t.across * self.runs // apart)
        together = math.gcd(rounds, TOGETHER if self.task.roots == self.eqn.outputs else COMPUTED)
        word = mod(b, b.local, self.staged)

        def body(first: Index, _: list) -> list:
            own = [add(b, div(b, b.local, self.staged), mul(b, add(b, first, k), apart)) for k in range(together)]
            runs = [(self._at(run, word, nth), self.m.read(add(b, mul(b, run, self.staged), word))) for run in own]
            store_neighbours(self.ctx, self.task, self.p, self.side, runs, self._unscaled)
            return []

        b.loop(0, rounds, together, [], body, bound=rounds)

    def _at(self, run: Index, word: Index, nth: int) -> At:
        """Where four numbers lie in the result: a word of a run of those that all subgroups staged."""
        b = self.b
        row, column = self._own(div(b, run, self.runs))
        across, along = add(b, mod(b, run, self.runs), nth * self.runs), mul(b, word, FLOATS)
        down, right = (along, across) if self.side == ROWS else (across, along)
        return self.batch, add(b, self.row0, add(b, row, down)), add(b, self.column0, add(b, column, right))

    def _unscaled(self, row: Index, column: Index, total: Ref) -> Ref:
        """The sum divided by the scales of its row and column."""
        b, scales = self.b, iter(self.eqn.inputs[sum(self.spread.parts) :])
        sizes = self.p.sizes[1:3]
        sides = zip((row, column), sizes, self.spread.scaled, strict=True)
        inverses = [self._inverse(next(scales), at, size) for at, size, scaled in sides if scaled]
        if len(inverses) == 2:  # the smaller first, lest the product overflow on its way
            one, other = inverses
            ordered = b.op(Op.FOrdLessThan, BOOL, one, other)
            inverses = [b.select(ordered, one, other), b.select(ordered, other, one)]
        for inverse in inverses:
            total = b.op(Op.FMul, F32, total, inverse)
        return total

    def _inverse(self, scale: Atom, at: Index, size: int) -> Ref:
        b = self.b
        place = scalar_place(b)
        if scale.shape:
            place = Place(b, scale.shape, linear=add(b, mul(b, self.batch, size), at))
        return inverse_of_power(b, self.ctx.pull(self.task).at(scale, place))
