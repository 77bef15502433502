"""One seed behind every random draw: initial weights, dropout, spike trains.

A draw takes the next number of a sequence that the seed decides; nothing is asked of a device.
"""

import jax
import numpy as np

from ..errors import ParameterError, StateError
from ..functional.arguments import is_integer
from .running import running


class Source:
    """A seed, and how many draws were made since it was set.

    Attributes:
        seedings: How often the seed was set: who keeps a key on a device draws a new one when this changes.
    """

    def __init__(self) -> None:
        self.seed, self.draws, self.seedings = 0, 0, 0

    def key_data(self) -> np.ndarray:
        """The next key, as the `uint32[2]` that a compiled call takes."""
        self.draws += 1
        return np.random.SeedSequence(self.seed, spawn_key=(self.draws,)).generate_state(2, np.uint32)


source = Source()


def seed(n: int) -> None:
    """Starts every random draw of grilly anew: the same program with the same seed gives the same numbers.

    Without a call the seed is 0. NumPy's and JAX's own generators are not touched.

    Args:
        n: From 0 to 2^64 - 1.

    Raises:
        ParameterError: It is no such integer.

    Example:
        >>> import grilly.nn as nn
        >>> seed(7); first = nn.Linear(2, 2).weight.data
        >>> seed(7); bool((first == nn.Linear(2, 2).weight.data).all())
        True
    """
    if not is_integer(n) or not 0 <= n < 2**64:
        raise ParameterError(f"the seed is {n!r}: an integer from 0 to 2^64 - 1 was expected.")
    source.seed, source.draws, source.seedings = int(n), 0, source.seedings + 1


def random_key() -> jax.Array:
    """The next random key, for `F.poisson`, `jax.random` and the like.

    Inside the `forward` of a module whose class says `random = True` it is another one in each call of the
    net.

    Raises:
        StateError: The net being called has no module that says `random = True`, or is in evaluation mode.

    Example:
        >>> import grilly.functional as F, numpy as np
        >>> F.poisson(random_key(), np.full((4, 3), 0.5), T=8).shape
        (8, 4, 3)
    """
    current = running.get()
    if current is None:
        return jax.random.wrap_key_data(jax.numpy.asarray(source.key_data()))
    if current.key is None:
        raise StateError(
            "random_key() was called in a forward that has no random key: the net is in evaluation mode, or "
            "the module does not say that it draws. Write `random = True` in the body of its class, and draw "
            "only where self.training is true."
        )
    return current.next_key()
