"""Modules of a converted net, where a value is coded as a mean over time. Steps: `grilly.functional.rate`."""

from typing import Any

import jax
from jax import numpy as jnp

from .. import functional as F
from .container import SeqToANNContainer, Sequential
from .image import MaxPool2d
from .neuron import IFNode
from .stateful import StatefulModule


class HalfwayIFNode(IFNode):
    """`IFNode` that starts at half its threshold, `F.halfway_v`: it rounds to a count of spikes, not down."""

    def _start(self) -> Any:
        return self.initial_state(jnp.float32(0))

    def initial_state(self, x: jax.Array) -> jax.Array:
        return F.halfway_v(x, self.params)


class _FromZero(StatefulModule):
    """A state of the input's shape, zero before the first step."""

    def initial_state(self, x: jax.Array) -> jax.Array:
        return jnp.zeros_like(x)


class Total(_FromZero):
    """The sum of all steps so far, `F.total_step`: `(N, *)` to `(N, *)`, or sequences.

    Example:
        >>> import numpy as np
        >>> np.asarray(Total(step_mode="m")(np.ones((3, 1, 1), np.float32))).ravel().tolist()
        [1.0, 2.0, 3.0]
    """

    def step(self, x: jax.Array, state: jax.Array, params: None) -> tuple[jax.Array, jax.Array]:
        return F.total_step(x, state)


class Change(_FromZero):
    """What was added since the last step, `F.change_step`: `(N, *)` to `(N, *)`, or sequences.

    Example:
        >>> import numpy as np
        >>> np.asarray(Change(step_mode="m")(np.array([[[2.0]], [[5.0]]], np.float32))).ravel().tolist()
        [2.0, 3.0]
    """

    def step(self, x: jax.Array, state: jax.Array, params: None) -> tuple[jax.Array, jax.Array]:
        return F.change_step(x, state)


class RateMaxPool2d(Sequential):
    """Max pooling of rates: over any number of steps, the sum of its outputs is the pooled sum of its inputs.

    Pooling the spikes of each step by themselves would give more than the largest rate: it fires whenever any
    of the pixels does.

    Args:
        pool: The layer whose window it takes.

    Example:
        >>> import numpy as np
        >>> spikes = np.array([[0, 1], [1, 0], [0, 1]], np.float32).reshape(3, 1, 1, 1, 2)
        >>> pool = RateMaxPool2d(MaxPool2d((1, 2)))
        >>> F.set_step_mode(pool, "m")
        >>> np.asarray(pool(spikes)).ravel().tolist()  # the pixels fire once and twice, in turn
        [1.0, 0.0, 1.0]

    References:
        B. Rueckauer et al., "Conversion of continuous-valued deep networks to efficient event-driven networks
        for image classification", Frontiers in Neuroscience 11 (2017): there only the pixel with the largest
        rate so far is let through.
    """

    def __init__(self, pool: MaxPool2d) -> None:
        super().__init__(Total(), SeqToANNContainer(pool, step_mode="s"), Change())
