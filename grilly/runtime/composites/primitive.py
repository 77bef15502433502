"""Primitives of our own, which composites use and kernels know: what JAX's cannot say."""

import numpy as np
from jax.core import ShapedArray
from jax.extend import core as jex


def primitive(name: str, dtype: np.dtype | None = None) -> jex.Primitive:
    """A primitive whose result is like its first operand, or of another dtype. It is traced, never called on values."""
    made = jex.Primitive(name)
    made.def_abstract_eval(lambda first, *_, **__: ShapedArray(first.shape, dtype or first.dtype))
    return made
