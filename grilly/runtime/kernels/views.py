"""Views: primitives whose elements are elements of their operands, found by index arithmetic. Never a kernel."""

from collections.abc import Mapping

import numpy as np

from ..ir import Atom, Equation, Value
from ..shader.builder import Ref
from ..shader.indexing import Place, add, assume, div, equal, guarded, less, mod, mul, sub
from .elementwise import as_signed
from .pull import Pull, view

SAME_PLACE = {"reshape", "squeeze", "expand_dims"}  # views that keep the linear index
ONCE = SAME_PLACE | {"transpose"}  # views that show every element once


def behind_reshapes(producer: Mapping[Value, Equation], atom: Atom) -> Atom:
    """What an atom has its buffer from: of a reshape, that is what it reshapes."""
    while isinstance(atom, Value) and (eqn := producer.get(atom)) and eqn.primitive in SAME_PLACE:
        atom = eqn.inputs[0]
    return atom


@view("broadcast_in_dim")
def _broadcast_in_dim(pull: Pull, eqn: Equation, place: Place) -> Ref:
    operand = eqn.inputs[0]
    axes = [int(axis) for axis in eqn.params["broadcast_dimensions"]]
    if operand.shape == place.shape:
        return pull.at(operand, place)
    return pull.at(operand, place.at(operand.shape, [place[axis] for axis in axes]))


@view("reshape", "squeeze", "expand_dims")
def _reshape(pull: Pull, eqn: Equation, place: Place) -> Ref:
    return pull.at(eqn.inputs[0], place.reshaped(eqn.inputs[0].shape))


@view("transpose")
def _transpose(pull: Pull, eqn: Equation, place: Place) -> Ref:
    operand, permutation = eqn.inputs[0], [int(axis) for axis in eqn.params["permutation"]]
    back = [permutation.index(axis) for axis in range(len(permutation))]
    return pull.at(operand, place.at(operand.shape, [place[axis] for axis in back]))


@view("slice")
def _slice(pull: Pull, eqn: Equation, place: Place) -> Ref:
    operand, b = eqn.inputs[0], pull.b
    steps = eqn.params.get("strides") or (1,) * len(operand.shape)
    coordinates = [
        assume(add(b, mul(b, place[axis], int(step)), int(start)), extent)
        for axis, (start, step, extent) in enumerate(
            zip(eqn.params["start_indices"], steps, operand.shape, strict=True)
        )
    ]
    return pull.at(operand, place.at(operand.shape, coordinates))


@view("rev")
def _rev(pull: Pull, eqn: Equation, place: Place) -> Ref:
    operand, b = eqn.inputs[0], pull.b
    coordinates = [
        assume(sub(b, extent - 1, place[axis]), extent) if axis in eqn.params["dimensions"] else place[axis]
        for axis, extent in enumerate(operand.shape)
    ]
    return pull.at(operand, place.at(operand.shape, coordinates))


@view("iota")
def _iota(pull: Pull, eqn: Equation, place: Place) -> Ref:
    index, dtype = place[eqn.params["dimension"]], eqn.outputs[0].dtype
    if isinstance(index, int):
        return pull.b.const(np.asarray(index, dtype))
    return as_signed(pull.b, index, dtype)


@view("pad")
def _pad(pull: Pull, eqn: Equation, place: Place) -> Ref:
    operand, filling = eqn.inputs
    b, inside, coordinates = pull.b, True, []
    for axis, config in enumerate(eqn.params["padding_config"]):
        low, _, between = map(int, config)
        extent = operand.shape[axis]
        index = place[axis]
        index = sub(b, index, low) if low >= 0 else add(b, index, -low)
        if between:
            inside = b.both(inside, equal(b, mod(b, index, between + 1), 0))
            index = div(b, index, between + 1)
        inside = b.both(inside, less(b, index, extent))
        coordinates.append(index)
    if inside is False or operand.size == 0:
        return pull.at(filling, place.at((), ()))
    safe = [guarded(b, inside, i, extent) for i, extent in zip(coordinates, operand.shape, strict=True)]
    value = pull.at(operand, place.at(operand.shape, safe))
    return b.select(inside, value, pull.at(filling, place.at((), ())))


@view("concatenate")
def _concatenate(pull: Pull, eqn: Equation, place: Place) -> Ref:
    b, axis = pull.b, eqn.params["dimension"]
    end, chosen = place.shape[axis], None
    for operand in reversed(eqn.inputs):
        start = end - operand.shape[axis]
        here = sub(b, place[axis], start)
        inside = less(b, here, operand.shape[axis])
        coordinates = place.coordinates()
        coordinates[axis] = guarded(b, inside, here, operand.shape[axis])
        end = start
        if operand.size == 0 or inside is False:
            continue
        value = pull.at(operand, place.at(operand.shape, coordinates))
        chosen = value if chosen is None else b.select(inside, value, chosen)
    return b.const(np.zeros((), eqn.outputs[0].dtype)) if chosen is None else chosen
