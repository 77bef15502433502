"""How a product is spread over cooperative matrices: which products are, by which tiles, from how many half floats."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ..dtypes import F32
from ..ir import Equation
from ..shader.cooperative import HALVES
from ..target import Target
from .operand import Product, product, tiled

DEPTH = 32  # of the operands' tiles
LARGE = 1 << 28  # multiplications from which on splitting the operands pays
FEW = 32  # rows, columns and depth that fill no tile
DEEP = 128  # from here on float32's own roundings cost more than its 24th bit, which two half floats lack
DEEPEST = 4096  # below, that bit may cost more than those, if few terms matter (so many `floats16.COUNT` can count)
LEAST = 1 << 15  # bytes of workgroup memory that the smallest tile fits into
COARSE = ("HIGH", "TF32_TF32_F32", "BF16_BF16_F32", "F16_F16_F32")  # precisions that one part has
SMALLEST, LARGEST = 64, 128  # rows, and columns, of tiles
SPIKES, SPLIT, FLOAT32 = range(3)  # ways: what may be spikes is one half float; is split; nothing is, it is float32
INVOCATIONS = 128  # of a tile; twice as many where both operands have two parts


@dataclass(frozen=True)
class Tile:
    """How a workgroup's tile is spread: `down` by `across` subgroups, of `high` by `wide` matrices each."""

    shape: tuple[int, int, int]  # of the cooperative matrices: rows, columns, depth
    down: int
    across: int
    high: int
    wide: int
    invocations: int  # of all subgroups

    @property
    def rows(self) -> int:
        return self.down * self.high * self.shape[0]

    @property
    def columns(self) -> int:
        return self.across * self.wide * self.shape[1]

    def count(self, sizes: tuple[int, int, int, int]) -> int:
        """How many a batch of products takes."""
        return tiled(sizes, self.rows, self.columns)

    def words(self, parts: tuple[int, int], depth_last: tuple[bool, bool]) -> int:
        """Words of workgroup memory that the operands' tiles take."""
        extents = (self.rows, self.columns)
        return sum(n * layout(e, last)[2] for n, e, last in zip(parts, extents, depth_last, strict=True))


def layout(extent: int, depth_last: bool) -> tuple[int, int, int]:
    """Of an operand's tile: rows as they lie in memory, words from one to the next, and words in all."""
    major, minor = (extent, DEPTH) if depth_last else (DEPTH, extent)
    stride = minor // HALVES + 1  # a word of padding keeps rows out of each other's memory banks
    return major, stride, major * stride


Strides = tuple[
    tuple[int, int], ...
]  # what an index moves over, the fastest last: extents, and words from one to the next


@dataclass(frozen=True)
class View:
    """Where the words of an operand's parts lie.

    Args:
        batch: What the number of a product of the batch moves over.
        free: What a row, or column, moves over.
        depth: What the depth moves over.
        start: The first word.
        depth_last: Whether words run along the depth, else along the free axes.
    """

    batch: Strides
    free: Strides
    depth: Strides
    start: int
    depth_last: bool

    @property
    def in_columns(self) -> bool:
        """Whether words follow each other along the axis that they do not run along."""
        return (self.free if self.depth_last else self.depth)[-1][1] == 1

    @property
    def extents(self) -> tuple[int, int]:
        """Elements along the free axes, and the depth."""
        free, depth = (math.prod(extent for extent, _ in strides) for strides in (self.free, self.depth))
        return (free, depth * HALVES) if self.depth_last else (free * HALVES, depth)


def plain(shape: Sequence[int]) -> View:
    """Parts with the axes (batch, depth, free), of whole words."""
    batch, depth, free = shape
    words = free // HALVES
    return View(((batch, depth * words),), ((words, 1),), ((depth, words),), 0, depth_last=False)


def stacks(shape: Sequence[int]) -> View:
    """Parts with the axes (batch, words of the depth, free, one word): along the free axes words lie side by side."""
    batch, words, free, _ = shape
    return View(((batch, words * free),), ((free, 1),), ((words, free),), 0, depth_last=True)


def panels(shape: Sequence[int]) -> View:
    """Parts with the axes (batch, panel, free, depth), of panels as deep as a tile: its words lie side by side."""
    batch, count, free, depth = shape
    words = depth // HALVES
    along = ((count, free * words), (words, 1))
    return View(((batch, count * free * words),), ((free, words),), along, 0, depth_last=True)


def columns(shape: Sequence[int]) -> View:
    """Parts with the axes (batch, words of the free axis, depth, one word): along the depth words lie side by side."""
    batch, words, depth, _ = shape
    return View(((batch, words * depth),), ((words, depth),), ((depth, 1),), 0, depth_last=False)


@dataclass(frozen=True)
class Spread:
    """A product on cooperative matrices: what the equation's inputs are, and how it is computed.

    Its inputs are the parts of the left operand, those of the right one, and the scale of each that has one. There may
    be several ways: after the inputs of one spread those of the next, then the operands as they were if they may be
    multiplied as float32, and last the number of the way.

    Args:
        product: The shapes.
        depth: How deep it is, in whole words.
        parts: How many each operand has.
        views: Where each operand's words lie.
        scaled: Whether each has been multiplied by a power of two a row, or column.
        tile: What a workgroup computes.
        way: The number of this way to compute it.
    """

    product: Product
    depth: int
    parts: tuple[int, int]
    views: tuple[View, View]
    scaled: tuple[bool, bool]
    tile: Tile
    way: int = SPLIT

    @property
    def inputs(self) -> int:
        """How many of the equation's inputs are its own."""
        return sum(self.parts) + sum(self.scaled)

    @property
    def depth_last(self) -> tuple[bool, bool]:
        left, right = self.views
        return left.depth_last, right.depth_last


def whole(extent: int, unit: int = HALVES) -> int:
    """An extent, filled up to whole words of half floats, or to larger units."""
    return -(-extent // unit) * unit


def suits(eqn: Equation, target: Target) -> bool:
    """Whether a `dot_general` is worth splitting its operands for."""
    batch, rows, columns, depth = product(eqn).sizes
    floats = all(value.dtype == F32 for value in (*eqn.inputs, *eqn.outputs))
    large = min(rows, columns) >= FEW and batch * rows * columns * depth >= LARGE
    deep = depth >= (FEW if is_coarse(eqn) else DEEP)
    return target.matrix is not None and target.shared_bytes >= LEAST and floats and large and deep


def is_coarse(eqn: Equation) -> bool:
    """Whether the user asked for no more than one half float's accuracy."""
    precision = eqn.params.get("precision")
    asked = precision if isinstance(precision, tuple) else (precision,)
    return all(getattr(each, "name", None) in COARSE for each in asked)


def invocations(eqn: Equation) -> int:
    """How many a product takes that is large enough for the best tiles, whether or not an operand is 0 or 1."""
    return tiled(product(eqn).sizes, LARGEST, LARGEST) * INVOCATIONS * (1 if is_coarse(eqn) else 2)


def tiles(target: Target, parts: tuple[int, int], sizes: tuple[int, int, int, int]) -> list[Tile]:
    """The tiles for a product of such sizes, the best first. The more parts, the more registers an element takes."""
    if parts == (2, 2):
        found = [_tile(target, 2 * INVOCATIONS, LARGEST, LARGEST)]
    else:  # what has two parts, on the short side: then each operand's tile has as many words
        left, right = parts
        found = [_tile(target, INVOCATIONS, LARGEST // m, LARGEST // n) for m, n in ((left, right), (right, left))]
    _, rows, columns, _ = sizes
    fitting = [tile for tile in found if tile.rows < rows + SMALLEST and tile.columns < columns + SMALLEST]
    return [*fitting, _tile(target, 2 * INVOCATIONS, SMALLEST, SMALLEST)]


def _tile(target: Target, invocations: int, rows: int, columns: int) -> Tile:
    """A tile whose subgroups have about as many rows as columns."""
    assert target.matrix is not None
    high, wide, _ = target.matrix
    subgroups = invocations // target.subgroup_size
    down = 1 << (subgroups.bit_length() - 1) // 2
    across = subgroups // down
    share = max(1, rows // (down * high)), max(1, columns // (across * wide))
    return Tile(target.matrix, down, across, *share, invocations)
