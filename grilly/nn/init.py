"""Initial weights. An initializer is `init(key, shape) -> array`, as those of `jax.nn.initializers` are."""

import math
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from ..errors import ShapeError
from .parameter import Parameter
from .random import random_key

Init = Callable[[jax.Array, tuple[int, ...]], Any]


def scaled_normal(key: jax.Array, shape: tuple[int, ...], gain: float = 2.0) -> np.ndarray:
    """Normal with standard deviation `gain / sqrt(fan_in)`, `fan_in` being the inputs of one output.

    With a gain of 2 the neurons of a net fire from the first step on: a LIF neuron with `tau=2` needs about half
    its threshold at each step. (The gain of He et al., sqrt 2, leaves one net in five nearly silent.)

    Args:
        key: A random key.
        shape: `(out, in, *window)`.
        gain: The deviation's numerator, > 0.

    Returns:
        A NumPy array of that shape, float32. The same key gives the same weights.

    Example:
        >>> import jax
        >>> weight = scaled_normal(jax.random.key(0), (300, 400))
        >>> weight.shape, round(float(weight.std()), 2)  # 2 / sqrt(400)
        ((300, 400), 0.1)

    References:
        K. He et al., "Delving deep into rectifiers: surpassing human-level performance on ImageNet
        classification", ICCV 2015.
    """
    generator = np.random.default_rng(np.asarray(jax.random.key_data(key)))
    deviation = gain / math.sqrt(math.prod(shape[1:]))
    return generator.normal(0.0, deviation, shape).astype(np.float32)


def initial(init: Init | None, shape: tuple[int, ...]) -> Parameter:
    """A weight of this shape, from an initializer or from ours.

    Raises:
        ShapeError: The initializer gave another shape.
    """
    values = np.asarray((init or scaled_normal)(random_key(), shape), np.float32)
    if values.shape != shape:
        raise ShapeError(f"init gave an array of shape {values.shape}: {shape} was asked of it.")
    return Parameter(values)
