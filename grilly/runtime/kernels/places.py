"""Where a step reads what it carries, found out by writing the step down for one element and looking at the indices.

`scan.is_pointwise` asks here: views may hide the answer, as where a random key is taken apart and put together.
"""

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from ..dtypes import U32
from ..ir import Atom, Equation, Value
from ..shader.builder import Builder, Index, Ref
from ..shader.indexing import Place
from .pull import Pull


class _ElsewhereError(Exception):
    """The step reads an element that is not its own."""


def reads_own_element(
    producer: Mapping[Value, Equation], outputs: Sequence[Atom], own: Sequence[Value], others: Sequence[Value],
    shape: Sequence[int],
) -> bool:  # fmt: skip
    """Whether each element of some outputs, of that shape or scalars, takes of `own` values only its own element.

    Args:
        producer: The equations behind the outputs; all can be computed in registers.
        outputs: What is computed.
        own: Values of that size, or scalars.
        others: Values that may be read anywhere.
        shape: What the elements are spread over.
    """
    b, size = Builder([], 1, [], []), math.prod(shape)
    index: Index = Ref(b.group(0).id, U32, bound=size) if size > 1 else 0

    def checked(value: Value) -> Callable[[Place], Ref]:
        element = b.const(np.zeros((), value.dtype))

        def read(place: Place) -> Ref:
            if value.size > 1 and b.as_ref(place.linear).id != b.as_ref(index).id:
                raise _ElsewhereError
            return element

        return read

    sources = {value: lambda _, value=value: b.const(np.zeros((), value.dtype)) for value in others}
    pull = Pull(b, producer, sources | {value: checked(value) for value in own})
    try:
        for atom in outputs:
            pull.own(atom, Place(b, shape, linear=index))
    except _ElsewhereError:
        return False
    return True
