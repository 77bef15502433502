"""Windows: pooling, its gradients, and the patches that turn a convolution into a product. All by index arithmetic.

An element of the result asks for every element of its window, so nothing is scattered and no atomic is needed.
"""

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ..dtypes import U32
from ..ir import Atom, Equation
from ..shader.builder import Builder, Index, Ref
from ..shader.indexing import Place, add, div, equal, guarded, less, mod, mul, sub
from .elementwise import converted, ordered
from .pull import Pull, view
from .reduction import COMBINE, neutral

UNROLLED = 64  # elements of a window that are written out one by one


def tapped(pull: Pull, operand: Atom, indices: Sequence[Index], dilation: Sequence[int]) -> tuple[Ref, Ref | bool]:
    """The element of a dilated operand at indices that may lie outside, and whether they lie inside.

    An index below zero has wrapped around to a large one.
    """
    b, inside, found = pull.b, True, []
    for index, extent, step in zip(indices, operand.shape, dilation, strict=True):
        here: Ref | bool = True
        if step > 1:
            here = equal(b, mod(b, index, step), 0)
            index = div(b, index, step)
        here = b.both(here, less(b, index, extent))
        inside = b.both(inside, here)
        found.append(guarded(b, here, index, extent))  # each by itself: others of the window have it, too
    return pull.at(operand, Place(b, operand.shape, coordinates=found)), inside


def _tap(
    pull: Pull, operand: Atom, params: Mapping[str, Any], out: Sequence[Index], offsets: Sequence[Index]
) -> tuple[Ref, Ref | bool]:
    """The element that the window of `out` has at `offsets`, and whether it lies inside the operand."""
    b, ones = pull.b, (1,) * len(out)
    wide, base = (params.get(name, ones) for name in ("window_dilation", "base_dilation"))
    indices = [
        _window_index(b, o, int(step), offset, int(dilation), int(low))
        for o, step, offset, dilation, (low, _) in zip(
            out, params["window_strides"], offsets, wide, params["padding"], strict=True
        )
    ]
    return tapped(pull, operand, indices, base)


def _window_index(b: Builder, out: Index, step: int, offset: Index, dilation: int, low: int) -> Index:
    """Where a window's element lies: `out step + offset dilation - low`."""
    index, offset = mul(b, out, step), mul(b, offset, dilation)
    if not isinstance(offset, int):
        index, offset = add(b, index, offset), 0
    return add(b, index, offset - low) if offset >= low else sub(b, index, low - offset)


def _over_window(
    pull: Pull, extents: Sequence[int], start: list[Ref], body: Callable[[Sequence[Index], Index, list[Ref]], list[Ref]]
) -> list[Ref]:
    """Folds over a window: `carried = body(offsets, number, carried)`. A large window is a loop."""
    b, count = pull.b, math.prod(extents)
    if count > UNROLLED:
        at = lambda nth: Place(b, extents, linear=nth).coordinates()  # noqa: E731
        return b.loop(0, count, 1, start, lambda nth, so_far: body(at(nth), nth, so_far), bound=count)
    for nth, offsets in enumerate(itertools.product(*map(range, extents))):
        start = body(offsets, nth, start)
    return start


@view("reduce_window_sum", "reduce_window_max", "reduce_window_min", repeats=True)
def _reduce_window(pull: Pull, eqn: Equation, place: Place) -> Ref:
    operand, params, b = eqn.inputs[0], eqn.params, pull.b
    name = "reduce_" + eqn.primitive.rsplit("_", 1)[1]
    nothing = b.const(neutral(name, operand.dtype))

    def body(offsets: Sequence[Index], nth: Index, so_far: list[Ref]) -> list[Ref]:
        value, inside = _tap(pull, operand, params, place.coordinates(), offsets)
        value = b.select(inside, value, nothing)
        return [value if nth == 0 else COMBINE[name](b, so_far[0], value)]

    return _over_window(pull, params["window_dimensions"], [nothing], body)[0]


@view("select_and_gather_add", repeats=True)
def _select_and_gather_add(pull: Pull, eqn: Equation, place: Place) -> Ref:
    """What the source holds where a window chose its element; 0 where it chose none."""
    source, operand = eqn.inputs
    params, b = eqn.params, pull.b

    zero = b.const(np.zeros((), source.dtype))

    def follow(offsets: Sequence[Index], _: Index) -> Ref:
        value, inside = _tap(pull, source, params, place.coordinates(), offsets)
        return b.select(inside, value, zero)

    return _chosen(pull, operand, place.coordinates(), params, follow, zero)


@view("window_choice", repeats=True)
def _window_choice(pull: Pull, eqn: Equation, place: Place) -> Ref:
    """Which of its elements a window chooses, by its number in the window."""
    b, params = pull.b, eqn.params["windows"]
    number = lambda _, nth: b.as_ref(nth)  # noqa: E731
    chosen = _chosen(pull, eqn.inputs[0], place.coordinates(), params, number, b.const(np.uint32(0)))
    return converted(b, chosen, eqn.outputs[0].dtype)


@view("scatter_chosen", repeats=True)
def _scatter_chosen(pull: Pull, eqn: Equation, place: Place) -> Ref:
    """Each element sums what the windows that chose it hand back."""
    source, choice = eqn.inputs
    params, b = eqn.params, pull.b
    window, strides = params["window_dimensions"], params["window_strides"]
    zero = b.const(np.zeros((), source.dtype))
    padded = [add(b, place[axis], int(low)) for axis, (low, _) in enumerate(params["padding"])]

    def body(back: Sequence[Index], first: Index, so_far: list[Ref]) -> list[Ref]:
        outs = [sub(b, div(b, i, s), k) for i, s, k in zip(padded, strides, back, strict=True)]
        own = [sub(b, i, mul(b, o, s)) for i, o, s in zip(padded, outs, strides, strict=True)]
        covered: Ref | bool = True
        for o, extent, offset, width in zip(outs, source.shape, own, window, strict=True):
            covered = b.both(covered, b.both(less(b, o, extent), less(b, offset, width)))
        safe = [guarded(b, covered, o, extent) for o, extent in zip(outs, source.shape, strict=True)]
        nth: Index = 0
        for offset, width in zip(own, window, strict=True):
            nth = add(b, mul(b, nth, width), offset)
        there = Place(b, source.shape, coordinates=safe)
        chosen = equal(b, converted(b, pull.at(choice, there), U32), nth)
        value = b.select(b.both(covered, chosen), pull.at(source, there), zero)
        return [value if first == 0 else COMBINE["reduce_sum"](b, so_far[0], value)]

    covering = [math.ceil(w / s) for w, s in zip(window, strides, strict=True)]
    return _over_window(pull, covering, [zero], body)[0]


def _chosen(
    pull: Pull,
    operand: Atom,
    out: Sequence[Index],
    params: Mapping[str, Any],
    result: Callable[[Sequence[Index], Index], Ref],
    nothing: Ref,
) -> Ref:
    """The `result` of the element that a window chose, as JAX chooses: the first that no later one beats, where NaN is
    beaten by whatever comes next. Outside the operand lies what nothing is worse than; it may be chosen, too.
    """
    b, largest = pull.b, params["select_prim"] == "ge"
    worst = b.const(neutral("reduce_max" if largest else "reduce_min", operand.dtype))

    def body(offsets: Sequence[Index], nth: Index, so_far: list[Ref]) -> list[Ref]:
        best, chosen = so_far
        value, inside = _tap(pull, operand, params, out, offsets)
        value = b.select(inside, value, worst)
        stays = ordered(b, params["select_prim"], best, value)
        return [b.select(stays, best, value), b.select(stays, chosen, result(offsets, nth))]

    return _over_window(pull, params["window_dimensions"], [worst, nothing], body)[1]


@view("conv_patches")
def _conv_patches(pull: Pull, eqn: Equation, place: Place) -> Ref:
    """What a convolution multiplies its kernel with. See `simplify.convolution` for the axes."""
    operand, params, b = eqn.inputs[0], eqn.params, pull.b
    spatial = len(params["strides"])
    group, channel, image = place[0], place[1], place[2 + spatial]
    if params["batch_groups"] > 1:
        image = add(b, mul(b, group, place.shape[2 + spatial]), image)
    else:
        channel = add(b, mul(b, group, place.shape[1]), channel)
    indices: list[Index] = [image, channel]
    for axis in range(spatial):
        out, offset = place[3 + spatial + axis], place[2 + axis]
        index = add(b, mul(b, out, params["strides"][axis]), mul(b, offset, params["kernel_dilation"][axis]))
        low = params["padding"][axis][0]
        indices.append(sub(b, index, low) if low >= 0 else add(b, index, -low))
    value, inside = tapped(pull, operand, indices, (1, 1, *params["input_dilation"]))
    return b.select(inside, value, b.const(np.zeros((), operand.dtype)))
