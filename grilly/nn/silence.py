"""Silence: which neurons have not fired for long. Counted on the device, looked at now and then."""

import warnings
from typing import Any

import jax
import numpy as np
from jax import numpy as jnp

from ..runtime import put
from .layout import Layout

STEPS = 160  # a layer that fires in none of so many time steps of training is called silent
LOOKS, EVERY = (20, 60), 200  # a look waits for the device: after so many calls, and then every so many


class GrillyWarning(UserWarning):
    """What is probably a mistake, though it is no error."""


class Silence:
    """How long each layer has not fired, over the calls of a net in training."""

    def __init__(self) -> None:
        self._silent_for: dict[str, Any] = {}  # time steps, 0-d Arrays
        self._calls = 0
        self._named: set[str] = set()

    def before(self, layout: Layout) -> dict[str, Any]:
        """What the next call counts on from."""
        for name in layout.nodes:
            steps = self._silent_for.get(name, np.float32(0))
            if getattr(steps, "device", None) is not layout.device:
                self._silent_for[name] = put(steps, layout.device)
        return {name: self._silent_for[name] for name in layout.nodes}

    def after(self, silent_for: dict[str, Any], stacklevel: int) -> None:
        """Takes what the call counted, and looks at it if it is time; `stacklevel` is that of the user's line."""
        self._silent_for.update(silent_for)
        self._calls += 1
        if self._calls in LOOKS or self._calls % EVERY == 0:
            self._look(stacklevel + 1)

    def _look(self, stacklevel: int) -> None:
        for name in self._silent_for.keys() - self._named:
            steps = int(self._silent_for[name])
            if steps >= STEPS:
                self._named.add(name)
                warnings.warn(
                    f'layer "{name}" has not fired in the last {steps} time steps of training: nothing after '
                    "it can learn. Give the weights before it a wider start (init=), scale its input up, or "
                    "lower its v_threshold.",
                    GrillyWarning,
                    stacklevel=stacklevel,
                )


def longer(silent_for: dict[str, Any], fired: dict[str, tuple[jax.Array, int]]) -> dict[str, Any]:
    """The time steps since each layer last fired, after a call in which `fired` did, or did not."""
    counted = dict(silent_for)
    for name, (spikes, steps) in fired.items():
        counted[name] = jnp.where(spikes == 0, counted[name] + steps, jnp.zeros((), jnp.float32))
    return counted
