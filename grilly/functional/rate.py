"""Rate coding: the pure steps of a converted net, in which a value is the mean of what a layer gives over time."""

from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from .arguments import alike, as_float, fitted
from .params import IFParams


def scale_voltage(x: ArrayLike, scale: ArrayLike) -> jax.Array:
    """`x * scale`.

    Args:
        x: Voltages or spikes, of any shape. Booleans and integers become float32.
        scale: A number, or an array that broadcasts to `x`'s shape.

    Raises:
        ShapeError: `scale` does not broadcast to `x`.

    Example:
        >>> import numpy as np
        >>> scale_voltage(np.array([0.0, 1.0]), 2.5).tolist()
        [0.0, 2.5]
    """
    x = as_float(x, "x")
    return x * fitted(scale, x, "scale")


def halfway_v(x: ArrayLike, params: IFParams) -> jax.Array:
    """A membrane potential of half the threshold, to start from. Then, of a constant input `0 <= x <=
    v_threshold` and after T steps of `if_step` with soft reset, the count of spikes is `T x / v_threshold`
    rounded to the nearest integer; started from 0, it is rounded down.

    Args:
        x: One step's input, `(N, *features)`; of it only the shape and the dtype matter.
        params: The neuron's leaves.

    Example:
        >>> import numpy as np
        >>> halfway_v(np.ones(2), IFParams(v_threshold=3.0)).tolist()
        [1.5, 1.5]

    References:
        T. Bu et al., "Optimal ANN-SNN conversion for high-accuracy and ultra-low-latency spiking neural
        networks", ICLR 2022.
    """
    x = as_float(x, "x")
    return jnp.full_like(x, 0.5) * fitted(params.v_threshold, x, "v_threshold")


def total_step(x: ArrayLike, total: ArrayLike, params: Any = None) -> tuple[jax.Array, jax.Array]:
    """One time step of a running total: `total = total + x`, given out and kept.

    Args:
        x: Input of this step, `(N, *features)`.
        total: The sum of the steps before, of `x`'s shape; zeros at the start.
        params: None: a total has no leaves.

    Returns:
        The total twice: as the output, and as the next state.

    Raises:
        ShapeError: `x` and `total` differ in shape.

    Example:
        >>> import numpy as np
        >>> total_step(np.array([0.5]), np.array([2.0]))[0].tolist()
        [2.5]
    """
    x, total = as_float(x, "x"), as_float(total, "total")
    alike(x, total)
    return total + x, total + x


def change_step(x: ArrayLike, last: ArrayLike, params: Any = None) -> tuple[jax.Array, jax.Array]:
    """One time step of the opposite of `total_step`: `x - last`, what has been added since the last step.

    Args:
        x: Input of this step, `(N, *features)`.
        last: The input of the step before, of `x`'s shape; zeros at the start.
        params: None: a change has no leaves.

    Returns:
        The difference; and `x`, which is the next state.

    Raises:
        ShapeError: `x` and `last` differ in shape.

    Example:
        >>> import numpy as np
        >>> change_step(np.array([2.5]), np.array([2.0]))[0].tolist()
        [0.5]
    """
    x, last = as_float(x, "x"), as_float(last, "last")
    alike(x, last)
    return x - last, x
