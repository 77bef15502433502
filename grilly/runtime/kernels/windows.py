"""Windows: pooling, its gradients, and the patches that turn a convolution into a product. All by index arithmetic.

An element of the result asks for every element of its window, so nothing is scattered and no atomic is needed.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..builder import Builder, Index, Ref
from ..indexing import Place, add, div, equal, guarded, less, mod, mul, sub
from ..ir import Atom, Equation
from ..spirv import Op
from .elementwise import larger
from .pull import Pull, view
from .reduction import COMBINE, neutral


def tapped(pull: Pull, operand: Atom, indices: Sequence[Index], dilation: Sequence[int]) -> tuple[Ref, Ref | bool]:
    """The element of a dilated operand at indices that may lie outside, and whether they lie inside.

    An index below zero has wrapped around to a large one.
    """
    b, inside, found = pull.b, True, []
    for index, extent, step in zip(indices, operand.shape, dilation, strict=True):
        if step > 1:
            inside = b.both(inside, equal(b, mod(b, index, step), 0))
            index = div(b, index, step)
        inside = b.both(inside, less(b, index, extent))
        found.append(index)
    safe = [guarded(b, inside, i, extent) for i, extent in zip(found, operand.shape, strict=True)]
    return pull.at(operand, Place(b, operand.shape, coordinates=safe)), inside


def _window_index(b: Builder, out: Index, step: int, offset: int, low: int) -> Index:
    """Where a window's element lies: `out step + offset - low`."""
    index = mul(b, out, step)
    return add(b, index, offset - low) if offset >= low else sub(b, index, low - offset)


@view("reduce_window_sum", "reduce_window_max", "reduce_window_min")
def _reduce_window(pull: Pull, eqn: Equation, place: Place) -> Ref:
    operand, params, b = eqn.inputs[0], eqn.params, pull.b
    name = "reduce_" + eqn.primitive.rsplit("_", 1)[1]
    nothing = b.const(neutral(name, operand.dtype))
    total = None
    for offsets in itertools.product(*map(range, params["window_dimensions"])):
        indices = [
            _window_index(b, place[axis], step, offset * wide, low)
            for axis, (offset, step, wide, (low, _)) in enumerate(
                zip(
                    offsets,
                    params["window_strides"],
                    params["window_dilation"],
                    params["padding"],
                    strict=True,
                )
            )
        ]
        value, inside = tapped(pull, operand, indices, params["base_dilation"])
        value = b.select(inside, value, nothing)
        total = value if total is None else COMBINE[name](b, total, value)
    return nothing if total is None else total


@view("select_and_scatter_add")
def _select_and_scatter_add(pull: Pull, eqn: Equation, place: Place) -> Ref:
    """Each element sums what the windows that chose it hand back. Of equals, a window chooses its first."""
    source, operand = eqn.inputs
    params, b = eqn.params, pull.b
    window, strides = params["window_dimensions"], params["window_strides"]
    zero = b.const(np.zeros((), source.dtype))
    padded = [add(b, place[axis], int(low)) for axis, (low, _) in enumerate(params["padding"])]
    covering = [range(math.ceil(w / s)) for w, s in zip(window, strides, strict=True)]
    total = None
    for back in itertools.product(*covering):
        outs = [sub(b, div(b, i, s), k) for i, s, k in zip(padded, strides, back, strict=True)]
        own = [sub(b, i, mul(b, o, s)) for i, o, s in zip(padded, outs, strides, strict=True)]
        covered: Ref | bool = True
        for o, extent, offset, width in zip(outs, source.shape, own, window, strict=True):
            covered = b.both(covered, b.both(less(b, o, extent), less(b, offset, width)))
        safe = [guarded(b, covered, o, extent) for o, extent in zip(outs, source.shape, strict=True)]
        nth: Index = 0
        for offset, width in zip(own, window, strict=True):
            nth = add(b, mul(b, nth, width), offset)
        chosen = equal(b, _chosen(pull, operand, safe, params, eqn.params["select_prim"] == "ge"), nth)
        value = pull.at(source, Place(b, source.shape, coordinates=safe))
        value = b.select(b.both(covered, chosen), value, zero)
        total = value if total is None else b.op(Op.FAdd, source.dtype, total, value)
    return zero if total is None else total


def _chosen(pull: Pull, operand: Atom, outs: list[Index], params: Mapping[str, Any], largest: bool) -> Ref:
    """The number, within its window, of the element that a window chose."""
    b, best, which = pull.b, None, pull.b.const(np.uint32(0))
    for nth, offsets in enumerate(itertools.product(*map(range, params["window_dimensions"]))):
        indices = [
            _window_index(b, out, step, offset, int(low))
            for out, step, offset, (low, _) in zip(
                outs, params["window_strides"], offsets, params["padding"], strict=True
            )
        ]
        value, inside = tapped(pull, operand, indices, (1,) * len(indices))
        worst = b.const(neutral("reduce_max" if largest else "reduce_min", operand.dtype))
        value = b.select(inside, value, worst)
        if best is None:
            best = value
            continue
        better = b.op(Op.FOrdGreaterThan if largest else Op.FOrdLessThan, np.dtype(bool), value, best)
        which = b.select(better, b.const(np.uint32(nth)), which)
        best = larger(b, best, value, smaller=not largest)
    return which


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
