"""Updates that meet at one place, combined there one after another, in their order: no atomic is needed.

The view `ordered_fold` takes an operand, how many updates belong to lower places than each (one number more than there
are places), the numbers of the updates by place, and the updates. See `composites.scatter`.
"""

from ..ir import Equation
from ..shader.builder import Ref
from ..shader.indexing import Place, add, assume
from .gather import unsigned
from .pull import Pull, view
from .reduction import COMBINE


@view("ordered_fold", repeats=True)
def _ordered_fold(pull: Pull, eqn: Equation, place: Place) -> Ref:
    operand, below, order, updates = eqn.inputs
    b, keyed = pull.b, eqn.params["keyed"]
    rest = [place[axis] for axis in range(len(place.shape)) if axis not in keyed]
    key = Place(b, [place.shape[axis] for axis in keyed], coordinates=[place[axis] for axis in keyed]).linear
    first, last = (unsigned(b, pull.at(below, Place(b, below.shape, linear=add(b, key, k)))) for k in range(2))

    def body(nth: Ref, so_far: list[Ref]) -> list[Ref]:
        number = assume(unsigned(b, pull.at(order, Place(b, order.shape, linear=nth))), updates.shape[0])
        update = pull.at(updates, Place(b, updates.shape, coordinates=[number, *rest]))
        return [COMBINE[eqn.params["combine"]](b, so_far[0], update)]

    return b.loop(first, last, 1, [pull.at(operand, place)], body, bound=updates.shape[0])[0]
