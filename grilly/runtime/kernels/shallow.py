"""Shallow products: each element is computed where it is read, as everything elementwise is. Never a kernel.

`passes.shallow` has chosen which products these are.
"""

import itertools

from ..ir import Atom, Equation
from ..shader.builder import Index, Ref
from ..shader.indexing import Place
from ..shader.spirv import Ext, Op
from .operand import Axes, product
from .pull import Pull, view


@view("shallow_product", repeats=True)
def _shallow_product(pull: Pull, eqn: Equation, place: Place) -> Ref:
    """The terms one after another, each multiplied and added with one rounding."""
    b, p, dtype = pull.b, product(eqn), eqn.outputs[0].dtype
    order = eqn.params.get("order", range(len(place.shape)))
    own = [place[axis] for axis in sorted(range(len(place.shape)), key=order.__getitem__)]
    batch, free = own[: len(p.batch)], own[len(p.batch) :]
    rows, columns = free[: len(p.rows)], free[len(p.rows) :]
    total = None
    for depth in itertools.product(*map(range, p.depth)):
        x = _element(pull, eqn.inputs[0], p.lhs_axes, (batch, rows, depth))
        y = _element(pull, eqn.inputs[1], p.rhs_axes, (batch, columns, depth))
        total = b.op(Op.FMul, dtype, x, y) if total is None else b.ext(Ext.Fma, dtype, x, y, total)
    assert total
    return total


def _element(pull: Pull, atom: Atom, axes: Axes, indices: tuple[list[Index], list[Index], tuple[int, ...]]) -> Ref:
    """An operand's element, given its batch, free and contracted indices."""
    coordinates: list[Index] = [0] * len(atom.shape)
    for group, values in zip(axes, indices, strict=True):
        for axis, index in zip(group, values, strict=True):
            coordinates[axis] = index
    return pull.at(atom, Place(pull.b, atom.shape, coordinates=coordinates))
