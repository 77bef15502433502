"""The table of composites: a primitive's name, as in a jaxpr, and the function that computes it.

A composite takes what the equation takes (arrays, and the parameters that matter) and is traced in its place.
It may use primitives that kernels know, and other composites. It is never called on values.
"""

from collections.abc import Callable

from . import (
    algebraic,
    arrays,
    bessel,
    bits,
    complexes,
    cumulative,
    error_function,
    exponential,
    factors,
    folding,
    gamma,
    growth,
    hyperbolic,
    incomplete_beta,
    incomplete_gamma,
    inverse_trigonometric,
    jacobi,
    keys,
    ordering,
    power,
    random_gamma,
    roots,
    rounding,
    scatter,
    selection,
    triangles,
    trigonometric,
    zeta,
)

composites: dict[str, Callable] = {
    **arrays.composites,
    **algebraic.composites,
    **exponential.composites,
    **power.composites,
    **roots.composites,
    **rounding.composites,
    **bits.composites,
    **growth.composites,
    **trigonometric.composites,
    **inverse_trigonometric.composites,
    **hyperbolic.composites,
    **error_function.composites,
    **gamma.composites,
    **incomplete_gamma.composites,
    **incomplete_beta.composites,
    **bessel.composites,
    **zeta.composites,
    **keys.composites,
    **random_gamma.composites,
    **cumulative.composites,
    **selection.composites,
    **ordering.composites,
    **folding.composites,
    **scatter.composites,
    **triangles.composites,
    **factors.composites,
    **jacobi.composites,
    **complexes.composites,
}
