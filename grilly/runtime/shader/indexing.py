"""Index arithmetic that folds itself, and `Place`, a position in an array.

Indices are Python integers as long as they can be, and Refs with known bounds otherwise: a reshape of a reshape, or the
modulo of something small enough, costs no instruction.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property

from ..dtypes import BOOL, U32
from .builder import Builder, Index, Ref
from .spirv import Op

LIMIT = 1 << 32


def bound_of(index: Index) -> int:
    """One above the largest value that the index may have."""
    return index + 1 if isinstance(index, int) else index.bound


def assume(index: Index, bound: int) -> Index:
    """The same index, known to be below `bound` (a branch or a clamp saw to it)."""
    return index if isinstance(index, int) or index.bound <= bound else replace(index, bound=bound)


def alone(index: Index) -> Index:
    """The same index, whose root nobody should ask for."""
    return index if isinstance(index, int) else replace(index, offset=None)


def add(b: Builder, x: Index, y: Index) -> Index:
    if isinstance(x, int):
        x, y = y, x
    if isinstance(x, int):
        assert isinstance(y, int)
        return (x + y) % LIMIT
    if y == 0:
        return x
    if x.shift:
        return add(b, add(b, x.shift[0], y), x.shift[1]) if isinstance(y, Ref) else add(b, x.shift[0], x.shift[1] + y)
    if isinstance(y, Ref) and y.shift:
        return add(b, add(b, x, y.shift[0]), y.shift[1])
    if isinstance(y, Ref) and (whole := _divided(x, y) or _divided(y, x)):
        return whole
    bound = min(x.bound + bound_of(y) - 1, LIMIT)
    multiple = math.gcd(x.multiple, y if isinstance(y, int) else y.multiple)
    split = shift = None
    if isinstance(y, int) and y < x.multiple:
        shift = (x, y)
    elif x.product and bound_of(y) <= x.product[1]:
        split = (*x.product, y)
    elif isinstance(y, Ref) and y.product and x.bound <= y.product[1]:
        split = (*y.product, x)
    offset = _offset(b, x, y)
    return _known(b, Op.IAdd, x, y, bound=bound, multiple=multiple, split=split, shift=shift, offset=offset)


def _offset(b: Builder, x: Ref, y: Index) -> tuple[Ref, int] | None:
    """The root of a sum, and what it is apart from it, where nothing wraps on the way."""
    (root, j), (other, k) = x.offset or (x, 0), (0, y) if isinstance(y, int) else y.offset or (y, 0)
    fits = max(x.bound + bound_of(y), bound_of(root) + bound_of(other)) <= LIMIT
    return (add(b, root, other), j + k) if fits and j + k else None  # type: ignore[return-value]


def joined(b: Builder, high: Index, extent: int, low: Index) -> Index:
    """`high extent + low`, where low is below the extent: `div` and `mod` find both again, even of a constant high."""
    index = add(b, mul(b, high, extent), low)
    return index if isinstance(index, int) or index.split else replace(index, split=(high, extent, low))


def _divided(high: Ref, low: Ref) -> Ref | None:
    """What x + y is where they are d (z / d) and z mod d: z."""
    if not (high.product and low.remainder) or high.product[1] != low.remainder[1]:
        return None
    whole, d = low.remainder
    root, by = high.product[0].quotient or (None, 0)
    nested = whole.quotient and whole.quotient[0] is root and whole.quotient[1] * d == by
    return whole if (root is whole and by == d) or nested else None


def sub(b: Builder, x: Index, y: Index) -> Index:
    """May wrap below zero; `less` then says no."""
    if isinstance(x, int) and isinstance(y, int):
        return (x - y) % LIMIT
    return x if y == 0 else b.op(Op.ISub, U32, b.as_ref(x), b.as_ref(y))


def mul(b: Builder, x: Index, d: int) -> Index:
    if isinstance(x, int) or d == 0:
        return x * d % LIMIT if isinstance(x, int) else 0
    if d == 1:
        return x
    bound, offset = min((x.bound - 1) * d + 1, LIMIT), None
    if x.offset and max(x.bound, x.offset[0].bound) * d <= LIMIT:
        root, k = x.offset
        offset = mul(b, root, d), k * d
    return _known(b, Op.IMul, x, d, bound=bound, multiple=x.multiple * d, product=(x, d), offset=offset)


def div(b: Builder, x: Index, d: int) -> Index:
    if d == 0:
        return 0  # along an axis of no extent, where nobody looks
    if isinstance(x, int):
        return x // d
    if d == 1 or x.bound <= d:
        return x if d == 1 else 0
    if x.product and x.product[1] % d == 0:
        return mul(b, x.product[0], x.product[1] // d)
    if x.split:
        high, e, low = x.split
        if e % d == 0:
            return joined(b, high, e // d, div(b, low, d))
        if d % e == 0:
            return div(b, high, d // e)
    if x.shift and d % x.shift[0].multiple == 0:
        return div(b, x.shift[0], d)
    multiple = x.multiple // d if x.multiple % d == 0 else 1
    root, by = x.quotient or (x, 1)
    return _known(b, Op.UDiv, x, d, bound=-(-x.bound // d), multiple=multiple, quotient=(root, by * d))


def mod(b: Builder, x: Index, d: int) -> Index:
    if d == 0:
        return 0
    if isinstance(x, int):
        return x % d
    if d == 1 or x.multiple % d == 0:
        return 0
    if x.bound <= d:
        return x
    if x.split:
        high, e, low = x.split
        if e % d == 0:
            return mod(b, low, d)
        if d % e == 0:
            return joined(b, mod(b, high, d // e), e, low)
    if x.shift and d % x.shift[0].multiple == 0:
        return add(b, mod(b, x.shift[0], d), x.shift[1])
    return _known(b, Op.UMod, x, d, bound=d, multiple=math.gcd(x.multiple, d), remainder=(x, d))


def less(b: Builder, x: Index, limit: int) -> Ref | bool:
    if isinstance(x, int):
        return x < limit
    return True if x.bound <= limit else b.op(Op.ULessThan, BOOL, x, b.as_ref(limit))


def equal(b: Builder, x: Index, y: Index) -> Ref | bool:
    if isinstance(x, int) and isinstance(y, int):
        return x == y
    return b.op(Op.IEqual, BOOL, b.as_ref(x), b.as_ref(y))


def guarded(b: Builder, condition: Ref | bool, x: Index, extent: int) -> Index:
    """The index where the condition holds, else 0: what may safely be read either way."""
    if isinstance(condition, bool):
        return x if condition else 0
    return assume(b.op(Op.Select, U32, condition, b.as_ref(x), b.as_ref(0)), extent)


def safe(b: Builder, inside: Ref | bool, x: Index, extent: int) -> Index:
    """As `guarded`, and known to be a multiple of what x was a multiple of."""
    found = guarded(b, inside, x, extent)
    return found if isinstance(found, int) or isinstance(x, int) else replace(found, multiple=x.multiple)


def least(b: Builder, x: Index, limit: int) -> Index:
    """The index, or `limit` where that is smaller."""
    if isinstance(x, int):
        return min(x, limit)
    chosen = b.select(less(b, x, limit + 1), x, b.as_ref(limit))
    return replace(chosen, bound=min(x.bound, limit + 1), multiple=math.gcd(x.multiple, limit))


def following(b: Builder, x: Index, step: int, extent: int) -> Index:
    """The next index; 0 where that is too large."""
    after = add(b, x, step)
    return safe(b, less(b, after, extent), after, extent)


def _known(b: Builder, op: Op, x: Ref, y: Index, **facts: object) -> Ref:
    """The instruction, and what is known of its result: as much as is known of this x, assumed to lie where it may."""
    return Ref(b.op(op, U32, x, b.as_ref(y)).id, U32, **facts)  # type: ignore[arg-type]


class Place:
    """A position in an array of a shape: by its linear index or by its coordinates, whichever is known.

    The other form is computed when somebody asks. `reshape` keeps the linear index, `broadcast` drops coordinates.
    """

    def __init__(
        self,
        b: Builder,
        shape: Sequence[int],
        linear: Index | None = None,
        coordinates: Callable[[int], Index] | Sequence[Index] | None = None,
    ) -> None:
        self.b = b
        self.shape = tuple(shape)
        self._linear = linear
        self._coordinates = coordinates

    @cached_property
    def linear(self) -> Index:
        """The row-major index."""
        if self._linear is not None:
            return self._linear
        total: Index = 0
        for axis, extent in enumerate(self.shape):
            total = add(self.b, mul(self.b, total, extent), self[axis])
        return assume(total, math.prod(self.shape))

    def __getitem__(self, axis: int) -> Index:
        """The coordinate along an axis."""
        if self.shape[axis] == 1:
            return 0
        if self._coordinates is None:
            stride = math.prod(self.shape[axis + 1 :])
            return mod(self.b, div(self.b, self.linear, stride), self.shape[axis])
        return self._coordinates[axis] if isinstance(self._coordinates, Sequence) else self._coordinates(axis)

    def coordinates(self) -> list[Index]:
        return [self[axis] for axis in range(len(self.shape))]

    def reshaped(self, shape: Sequence[int]) -> "Place":
        """The same element seen in another shape."""
        if tuple(shape) == self.shape:
            return self
        squeezed = [extent for extent in self.shape if extent != 1]
        if squeezed == [extent for extent in shape if extent != 1] and self._linear is None:
            axes = iter([axis for axis, extent in enumerate(self.shape) if extent != 1])
            return self.at(shape, [0 if extent == 1 else self[next(axes)] for extent in shape])
        return Place(self.b, shape, linear=self.linear)

    def at(self, shape: Sequence[int], coordinates: Sequence[Index]) -> "Place":
        """A place in another array."""
        return Place(self.b, shape, coordinates=coordinates)

    @property
    def key(self) -> tuple:
        """What tells two places in arrays of one shape apart."""
        if self._linear is not None:
            return ("linear", _key(self._linear))
        return tuple(_key(self[axis]) for axis in range(len(self.shape)))


def _key(index: Index) -> tuple[str, int]:
    return ("int", index) if isinstance(index, int) else ("ref", index.id)


def scalar_place(b: Builder) -> Place:
    """The only place in a scalar."""
    return Place(b, (), linear=0)
