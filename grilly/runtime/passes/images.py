"""Images: arrays that convolutions read in pieces, laid out once for the products on cooperative matrices.

A matrix word is eight half floats. With the channels last, and zeros around an image (and between its pixels, where a
convolution spreads them), the words of a patch lie at sums of strides: patches are never written down.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from ..ir import Atom, Equation, Graph, Value
from ..kernels.operand import Axes, Product, product
from ..kernels.spread import Strides, View
from ..shader.cooperative import HALVES
from .sights import MOVES, Digit, Sight, seen


def padded(shape: Iterable[int], padding: Iterable[tuple[int, int, int]]) -> tuple[int, ...]:
    """The extents with so many zeros before, after, and between."""
    return tuple(
        low + (extent - 1) * (between + 1) + 1 + high
        for extent, (low, high, between) in zip(shape, padding, strict=True)
    )


@dataclass(frozen=True)
class Layout:
    """How images are stored: the axis of channels last, the others in order, among zeros."""

    images: Value
    channels: int
    dilation: tuple[int, ...]
    around: tuple[tuple[int, int], ...]

    @property
    def order(self) -> tuple[int, ...]:
        """The axes as they are stored."""
        return (*(axis for axis in range(len(self.images.shape)) if axis != self.channels), self.channels)

    @property
    def padding(self) -> tuple[tuple[int, int, int], ...]:
        """Zeros before, after, and between, along the axes as they are stored."""
        return tuple((*self.around[axis], self.dilation[axis] - 1) for axis in self.order)

    @property
    def shape(self) -> tuple[int, ...]:
        """The extents as they are stored."""
        return padded([self.images.shape[axis] for axis in self.order], self.padding)

    def factors(self, sight: Sight) -> list[int] | None:
        """Places to one of the view's, along each axis; None where zeros between are not where it has them."""
        pairs = list(zip(self.dilation, sight.dilation, strict=True))
        return None if any(mine % its for mine, its in pairs) else [mine // its for mine, its in pairs]

    def words(self, sight: Sight, axes: Axes) -> View | None:
        """Where a product of these axes of the view finds its words; None where they do not run along one of them."""
        factors = self.factors(sight)
        if factors is None:
            return None
        strides = dict(zip(self.order, _strides(self.shape), strict=True))
        start = sum((sight.start[a] * factors[a] + self.around[a][0]) * strides[a] for a in self.order)
        groups = [[digit for axis in group for digit in sight.axes[axis] if digit.extent > 1] for group in axes]
        run = [bool(group) and self.runs(group[-1]) for group in groups]
        found: list[Strides] = []
        for group, runs in zip(groups, run, strict=True):
            halves = [(d.extent, d.stride * factors[d.axis] * strides[d.axis]) for d in group]
            if runs:
                halves[-1] = (halves[-1][0] // HALVES, HALVES)
            if start % HALVES or any(stride % HALVES for _, stride in halves):
                return None
            found.append(tuple((extent, stride // HALVES) for extent, stride in halves))
        batch, free, depth = found
        return View(batch, free, depth, start // HALVES, depth_last=run[2]) if run[1] or run[2] else None

    def runs(self, digit: Digit) -> bool:
        """Whether a digit moves along whole words."""
        return digit.axis == self.channels and digit.stride == 1 and digit.extent % HALVES == 0


def _laid_out(sights: Sequence[Sight]) -> Layout | None:
    """Images with all the zeros that their views see."""
    images, channels = sights[0].images, sights[0].channels
    if channels is None:
        return None
    dilation = tuple(map(max, zip(*(sight.dilation for sight in sights), strict=True)))
    layout = Layout(images, channels, dilation, ())
    seen = [(sight, factors) for sight in sights if (factors := layout.factors(sight))]
    around = tuple(
        tuple(max(sight.around[axis][side] * factors[axis] for sight, factors in seen) for side in (0, 1))
        for axis in range(len(images.shape))
    )
    return replace(layout, around=around)


def _strides(shape: Sequence[int]) -> list[int]:
    found = [1]
    for extent in reversed(shape[1:]):
        found.append(found[-1] * extent)
    return found[::-1]


@dataclass(frozen=True)
class Reading:
    """A product whose words run along the last axes of its groups.

    Args:
        product: Its shapes.
        order: Of the axes of (batch, rows, columns) in its result.
        seen: How the images lie that an operand shows, and where its words; None where it shows none.
    """

    product: Product
    order: tuple[int, ...]
    seen: tuple[tuple[Layout, View] | None, ...]


def _moved(p: Product, order: tuple[int, ...], side: int, axis: int | None) -> tuple[Product, tuple[int, ...]]:
    """The product with one axis of an operand as the last of the free ones, or of the depth."""
    axes = [list(p.lhs_axes), list(p.rhs_axes)]
    _, free, depth = axes[side]
    if axis in depth:
        last = lambda group: _last(group, depth.index(axis))  # noqa: E731
        axes = [[*groups[:2], last(groups[2])] for groups in axes]
        return replace(p, depth=last(p.depth), lhs_axes=tuple(axes[0]), rhs_axes=tuple(axes[1])), order
    if axis not in free:
        return p, order
    nth, first = free.index(axis), len(p.batch) + side * len(p.rows)
    axes[side][1] = _last(free, nth)
    places = range(first, first + len(free))
    after = dict(zip(_last(tuple(places), nth), places, strict=True))
    extents = {"rows": _last(p.rows, nth)} if side == 0 else {"columns": _last(p.columns, nth)}
    p = replace(p, lhs_axes=tuple(axes[0]), rhs_axes=tuple(axes[1]), **extents)
    return p, tuple(after.get(place, place) for place in order)


def _last(group: tuple[int, ...], nth: int) -> tuple[int, ...]:
    return (*group[:nth], *group[nth + 1 :], group[nth])


class Album:
    """The images that a graph's products see in patches, and how they are laid out.

    Args:
        graph: The graph.
        products: Those of its equations that read words.
    """

    def __init__(self, graph: Graph, products: Iterable[Equation]) -> None:
        self.graph = graph
        found: dict[Value, list[Sight]] = {}
        for operand in (operand for eqn in products for operand in eqn.inputs):
            sight = seen(_in_patches(self._chain(operand)))
            if sight:
                found.setdefault(sight.images, []).append(sight)
        layouts = {images: _laid_out(sights) for images, sights in found.items()}
        self.layouts = {images: layout for images, layout in layouts.items() if layout}

    def _chain(self, atom: Atom) -> list[Equation]:
        """The equations that show it, the last first."""
        found = []
        while isinstance(atom, Value) and (made := self.graph.producer.get(atom)) and made.primitive in MOVES:
            found.append(made)
            atom = made.inputs[0]
        return found

    def read(self, eqn: Equation) -> "Reading":
        """How a product reads its operands."""
        sights = [self._sight(operand) for operand in eqn.inputs]
        p = product(eqn)
        order = tuple(eqn.params.get("order", range(len(p.batch) + len(p.rows) + len(p.columns))))
        for side in (1, 0):
            if sight := sights[side]:
                runs = self.layouts[sight.images].runs
                axis = next((k for k, digits in enumerate(sight.axes) if digits and runs(digits[-1])), None)
                p, order = _moved(p, order, side, axis)
        found = []
        for sight, axes in zip(sights, (p.lhs_axes, p.rhs_axes), strict=True):
            view = self.layouts[sight.images].words(sight, axes) if sight else None
            found.append((self.layouts[sight.images], view) if sight and view else None)
        return Reading(p, order, tuple(found))

    def _sight(self, operand: Atom) -> Sight | None:
        """What an operand shows of images that are laid out; None where it shows something else."""
        chain = self._chain(operand)
        for k, made in enumerate(chain):
            if made.inputs[0] in self.layouts:
                return seen(chain[: k + 1])
        return None


def _in_patches(chain: list[Equation]) -> list[Equation]:
    """Of a chain of views: down to the images of a convolution, whatever the order of their axes. Else nothing."""
    names = [made.primitive for made in chain]
    if "conv_patches" not in names:
        return []
    end = names.index("conv_patches") + 1
    while names[end : end + 1] == ["transpose"]:
        end += 1
    return chain[:end]
