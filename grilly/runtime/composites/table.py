"""The table of composites: a primitive's name, as in a jaxpr, and the function that computes it.

A composite takes what the equation takes (arrays, and the parameters that matter) and is traced in its place.
It may use primitives that kernels know, and other composites. It is never called on values.
"""

from collections.abc import Callable

from . import algebraic, arrays, exponential, power, random

composites: dict[str, Callable] = {
    **arrays.composites,
    **algebraic.composites,
    **exponential.composites,
    **power.composites,
    **random.composites,
}
