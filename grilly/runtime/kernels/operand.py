"""The operands of products: where an element lies, given its row (or column) and its place along the depth."""

import math
from dataclasses import dataclass, replace

import numpy as np

from ..ir import Atom, Equation
from ..shader.builder import Index, Ref
from ..shader.indexing import Place, add, assume, less, safe
from .elementwise import converted
from .pull import Pull

Axes = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]  # batch, free, contracted
PRODUCTS = {"dot_general": "matmul", "matrix_product": "tensor"}  # and the kind of kernel that computes each
WIDE = 4  # elements of a wide load


@dataclass(frozen=True)
class Product:
    """A `dot_general` seen as a batch of matrix products: which axes of each operand are batch, free, contracted."""

    batch: tuple[int, ...]
    rows: tuple[int, ...]
    columns: tuple[int, ...]
    depth: tuple[int, ...]
    lhs_axes: Axes
    rhs_axes: Axes

    @property
    def sizes(self) -> tuple[int, int, int, int]:
        """How many products, and rows, columns, depth of each."""
        return tuple(map(math.prod, (self.batch, self.rows, self.columns, self.depth)))  # type: ignore[return-value]


def product(eqn: Equation) -> Product:
    lhs, rhs = eqn.inputs[:2]
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


def exchanged(eqn: Equation) -> Equation:
    """The same product with the right operand on the left."""
    p, (depth, batch) = product(eqn), eqn.params["dimension_numbers"]
    first, rows, columns = len(p.batch), len(p.rows), len(p.columns)
    moved = [*range(first), *range(first + columns, first + columns + rows), *range(first, first + columns)]
    order = tuple(moved[axis] for axis in eqn.params.get("order", range(len(moved))))
    params = {**eqn.params, "dimension_numbers": (depth[::-1], batch[::-1]), "order": order}
    return replace(eqn, inputs=eqn.inputs[::-1], params=params)


def tiled(sizes: tuple[int, int, int, int], rows: int, columns: int) -> int:
    """How many tiles of so many rows and columns a batch of products takes."""
    batch, down, across, _ = sizes
    return batch * max(1, -(-down // rows)) * max(1, -(-across // columns))


class Operand:
    """One operand of a product, as matrix number `batch` of free by contracted elements.

    Args:
        pull: Finds its elements.
        atom: The operand.
        axes: Which of its axes are batch, free, contracted.
        batch: Which matrix of the batch.
        dtype: What its elements are converted to.
    """

    def __init__(self, pull: Pull, atom: Atom, axes: Axes, batch: Index, dtype: np.dtype) -> None:
        self.pull, self.atom, self.axes, self.batch, self.dtype = pull, atom, axes, batch, dtype
        self.b = pull.b
        self.extents = [[atom.shape[axis] for axis in group] for group in axes]
        self.depth_last = bool(atom.shape) and (len(atom.shape) - 1) in axes[2]
        made = pull.producer.get(atom) if atom not in pull.sources else None  # type: ignore[arg-type]
        consecutive = [axis for group in sorted(axes) for axis in group] == list(range(len(atom.shape)))
        self._flat = consecutive and (made is None or made.primitive == "reshape")

    @property
    def free(self) -> int:
        """How many rows, or columns."""
        return math.prod(self.extents[1])

    @property
    def depth(self) -> int:
        return math.prod(self.extents[2])

    def run(self, free: Index, depth: Index, length: int, wanted: Ref | bool = True) -> list[Ref]:
        """Neighbours from an element on, along the operand's last axis; 0 beyond its edges or if not wanted."""
        last = self.extents[2 if self.depth_last else 1]
        together = math.gcd(length, last[-1] if last else 1)  # they are inside, or beyond, together
        values = []
        for start in range(0, length, together):
            along, other = (depth, free) if self.depth_last else (free, depth)
            along = _plain(add(self.b, along, start))
            free_here, depth_here = (other, along) if self.depth_last else (along, other)
            values += self._inside(free_here, depth_here, together, wanted)
        return values

    def _inside(self, free: Index, depth: Index, length: int, wanted: Ref | bool) -> list[Ref]:
        b = self.b
        on_row, on_depth = (b.both(wanted, less(b, *pair)) for pair in ((free, self.free), (depth, self.depth)))
        inside = b.both(on_row, on_depth)
        # Each by itself: what depends on the row alone is computed once, whatever the depth.
        free, depth = safe(b, on_row, free, self.free), safe(b, on_depth, depth, self.depth)
        zero, values = b.const(np.zeros((), self.dtype)), []
        b.lanes = WIDE if length % WIDE == 0 else 1
        for start in range(length):
            wide = start - start % WIDE
            near = lambda x, wide=wide, start=start: add(b, _plain(add(b, x, wide)), start - wide)  # noqa: E731
            value = self._at(free, near(depth)) if self.depth_last else self._at(near(free), depth)
            values.append(b.select(inside, converted(b, value, self.dtype), zero))
        b.lanes = 1
        return values

    def _at(self, free: Index, depth: Index) -> Ref:
        """One element, inside."""
        b, shape = self.b, self.atom.shape
        parts = (self.batch, assume(free, self.free), assume(depth, self.depth))
        if self._flat:
            order = sorted(range(3), key=self.axes.__getitem__)
            sizes = [math.prod(self.extents[k]) for k in order]
            flat = Place(b, sizes, coordinates=[parts[k] for k in order])
            return self.pull.at(self.atom, Place(b, shape, linear=flat.linear))
        coordinates: list[Index] = [0] * len(shape)
        for extents, part, group in zip(self.extents, parts, self.axes, strict=True):
            place = Place(b, extents, linear=part)
            for nth, axis in enumerate(group):
                coordinates[axis] = place[nth]
        return self.pull.at(self.atom, Place(b, shape, coordinates=coordinates))


def _plain(index: Index) -> Index:
    """The index without the knowledge that it is another one plus a constant: a wide load may start there."""
    return index if isinstance(index, int) else replace(index, shift=None)
