"""Silence: which neurons have not fired for long. Counted on the device, looked at now and then."""

import warnings
from typing import Any

import jax
from jax import numpy as jnp

from ..errors import GrillyWarning
from ..runtime import put
from .layout import Layout

STEPS = 160  # a layer that fires in none of so many time steps of training is called silent
LOOKS, EVERY = (20, 60), 200  # a look waits for the device: after so many calls, and then every so many


class Silence:
    """How long each layer has not fired, over the calls of a net in training."""

    def __init__(self) -> None:
        self._silent_for: list[Any] = []  # time steps, 0-d Arrays, by the layout's nodes
        self._layout: Layout | None = None
        self._calls = 0
        self._named: set[str] = set()

    def before(self, layout: Layout) -> list[Any]:
        """What the next call counts on from; the same list until there is another layout, or another call's count."""
        if layout is not self._layout:
            known = dict(zip(self._layout.nodes, self._silent_for, strict=True)) if self._layout else {}
            device = layout.device
            self._silent_for = [known[n].to(device) if n in known else put(0.0, device) for n in layout.nodes]
            self._layout = layout
        return self._silent_for

    def after(self, silent_for: list[Any], stacklevel: int) -> None:
        """Takes what the call counted, and looks at it if it is time; `stacklevel` is that of the user's line."""
        self._silent_for = silent_for
        self._calls += 1
        if self._calls in LOOKS or self._calls % EVERY == 0:
            self._look(stacklevel + 1)

    def _look(self, stacklevel: int) -> None:
        assert self._layout is not None
        for name, silent_for in zip(self._layout.nodes, self._silent_for, strict=True):
            steps = 0 if name in self._named else int(silent_for)
            if steps >= STEPS:
                self._named.add(name)
                warnings.warn(
                    f'layer "{name}" has not fired in the last {steps} time steps of training: nothing after '
                    "it can learn. Give the weights before it a wider start (init=), scale its input up, or "
                    "lower its v_threshold.",
                    GrillyWarning,
                    stacklevel=stacklevel,
                )


def longer(layout: Layout, silent_for: list[Any], fired: dict[str, tuple[jax.Array, int]]) -> list[Any]:
    """The time steps since each layer last fired, after a call in which `fired` did, or did not."""
    counted = dict(zip(layout.nodes, silent_for, strict=True))
    for name, (spikes, steps) in fired.items():
        counted[name] = jnp.where(spikes == 0, counted[name] + steps, jnp.zeros((), jnp.float32))
    return list(counted.values())
