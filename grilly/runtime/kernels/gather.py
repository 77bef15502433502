"""Views whose places are computed: gather, dynamic slices and updates. Indices are read like any other value."""

import numpy as np

from ..dtypes import I32, U32
from ..ir import Atom, Equation
from ..shader.builder import Builder, Index, Ref
from ..shader.indexing import Place, add, assume, guarded, less, scalar_place, sub
from ..shader.spirv import Op
from .elementwise import converted, dtype_kind, larger
from .pull import Pull, view

COMPUTED = {"gather", "dynamic_slice"}  # what looks an element up wherever the program says


def keeps_place(eqn: Equation, number: int) -> bool:
    """Whether an element is found, in operand `number`, at its own linear index."""
    if eqn.inputs[number].size != eqn.outputs[0].size:
        return False
    if eqn.primitive == "gather":
        return number == 1 and set(eqn.params["slice_sizes"]) <= {1}
    return eqn.primitive == "dynamic_update_slice" and number == 0


@view("gather")
def _gather(pull: Pull, eqn: Equation, place: Place) -> Ref:
    operand, indices = eqn.inputs
    numbers, sizes, b = eqn.params["dimension_numbers"], eqn.params["slice_sizes"], pull.b
    batch = [place[axis] for axis in range(len(place.shape)) if axis not in numbers.offset_dims]
    coordinates: list[Index] = [0] * len(operand.shape)
    outer = (*numbers.collapsed_slice_dims, *numbers.operand_batching_dims)
    inner = [axis for axis in range(len(operand.shape)) if axis not in outer]
    for axis, offset in zip(inner, numbers.offset_dims, strict=True):
        coordinates[axis] = place[offset]
    for axis, number in zip(numbers.operand_batching_dims, numbers.start_indices_batching_dims, strict=True):
        coordinates[axis] = batch[number]
    filled, inside = eqn.params["mode"].name == "FILL_OR_DROP", True
    for k, axis in enumerate(numbers.start_index_map):
        where = place.reshaped(indices.shape) if keeps_place(eqn, 1) else place.at(indices.shape, [*batch, k])
        start = pull.at(indices, where)
        most = operand.shape[axis] - sizes[axis]
        if filled:
            inside = b.both(inside, less(b, unsigned(b, start), most + 1))
        coordinates[axis] = assume(add(b, _clamped(b, start, most), coordinates[axis]), operand.shape[axis])
    if inside is False or operand.size == 0:
        return b.const(_filling(eqn))
    value = pull.at(operand, place.at(operand.shape, coordinates))
    return value if inside is True else b.select(inside, value, b.const(_filling(eqn)))


def _filling(eqn: Equation) -> np.ndarray:
    """What JAX puts where an index is out of bounds, if the user names nothing else."""
    dtype, given = eqn.outputs[0].dtype, eqn.params.get("fill_value")
    if given is None:
        kind = dtype_kind(dtype)
        given = {"f": lambda: np.nan, "b": lambda: True}.get(kind, lambda: getattr(np.iinfo(dtype), FILLING[kind]))()
    return np.asarray(given, dtype)


FILLING = {"i": "min", "u": "max"}


@view("dynamic_slice")
def _dynamic_slice(pull: Pull, eqn: Equation, place: Place) -> Ref:
    operand, b = eqn.inputs[0], pull.b
    starts = _starts(pull, operand, eqn.inputs[1:], place.shape)
    coordinates = [assume(add(b, start, place[axis]), operand.shape[axis]) for axis, start in enumerate(starts)]
    return pull.at(operand, place.at(operand.shape, coordinates))


@view("dynamic_update_slice")
def _dynamic_update_slice(pull: Pull, eqn: Equation, place: Place) -> Ref:
    operand, update, b = eqn.inputs[0], eqn.inputs[1], pull.b
    if update.size == 0:
        return pull.at(operand, place)
    inside, offsets = True, []
    for axis, start in enumerate(_starts(pull, operand, eqn.inputs[2:], update.shape)):
        offset = sub(b, place[axis], start)
        inside = b.both(inside, less(b, offset, update.shape[axis]))
        offsets.append(offset)
    safe = [guarded(b, inside, i, extent) for i, extent in zip(offsets, update.shape, strict=True)]
    value = pull.at(update, place.at(update.shape, safe))
    return value if inside is True else b.select(inside, value, pull.at(operand, place))


def _starts(pull: Pull, operand: Atom, starts: tuple[Atom, ...], sizes: tuple[int, ...]) -> list[Index]:
    """Where a slice of these sizes begins, moved so far that it lies inside. Of random keys, all words are taken."""
    room = [extent - size for extent, size in zip(operand.shape, sizes, strict=True)]
    found = [
        _clamped(pull.b, pull.at(start, scalar_place(pull.b)), most) for start, most in zip(starts, room, strict=False)
    ]
    return [*found, *([0] * (len(room) - len(found)))]


def _clamped(b: Builder, start: Ref, most: int) -> Index:
    """An index of the program, of any integer type, as one from 0 to `most`."""
    if most <= 0:
        return 0
    if start.dtype.kind == "u":
        return assume(larger(b, unsigned(b, start), b.const(np.uint32(most)), smaller=True), most + 1)
    start = larger(b, converted(b, start, I32), b.const(np.int32(0)))
    start = larger(b, start, b.const(np.int32(most)), smaller=True)
    return assume(unsigned(b, start), most + 1)


def unsigned(b: Builder, index: Ref) -> Ref:
    """An index of the program; one below zero becomes a large one."""
    if index.dtype.kind == "u":
        return converted(b, index, U32)
    return b.op(Op.Bitcast, U32, converted(b, index, I32))
