"""Learning rates that change: a function of the number of steps taken, given to an optimizer as `lr`."""

import math
from collections.abc import Callable

from ..errors import ParameterError

Schedule = Callable[[int], float]


def cosine(lr: float, total_steps: int) -> Schedule:
    """Half a cosine, from `lr` at the first step to 0 after the last.

    Any function of the step's number does as well, optax's schedules among them: `lr=lambda step: 1e-3 / (1 +
    step)`.

    Args:
        lr: The learning rate at step 0.
        total_steps: After how many steps it is 0, >= 1; it stays there.

    Raises:
        ParameterError: `total_steps < 1`.

    Example:
        >>> rate = cosine(0.1, total_steps=4)
        >>> [round(rate(step), 3) for step in (0, 2, 4, 9)]
        [0.1, 0.05, 0.0, 0.0]

    References:
        I. Loshchilov and F. Hutter, "SGDR", ICLR 2017 (one period).
    """
    if total_steps < 1:
        raise ParameterError(f"total_steps is {total_steps}: a number of at least 1 was expected.")
    return lambda step: lr * 0.5 * (1 + math.cos(math.pi * min(step, total_steps) / total_steps))
