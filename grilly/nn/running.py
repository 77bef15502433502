"""What a module can ask for while the net it belongs to is being traced: a random key, and its own name."""

from contextvars import ContextVar
from typing import Any

import jax


class Running:
    """One trace of a net.

    Attributes:
        names: The name of each module of the net, by `id`.
        key: The random key of this call, as `uint32[2]`; None where no module draws.
        fired: Of the modules that ran, by `id`: the sum of their output, and the time steps it is a sum over.
        started: The state that they started from.
        failed: The innermost module whose `forward` raised one of grilly's errors.
    """

    def __init__(self, names: dict[int, str], key: Any = None) -> None:
        self.names, self.key = names, key
        self.failed: Any = None
        self.fired: dict[int, tuple[Any, int]] = {}
        self.started: dict[int, Any] = {}
        self._draws = 0

    def next_key(self) -> jax.Array:
        """A key that no other draw of this call has."""
        self._draws += 1
        return jax.random.fold_in(jax.random.wrap_key_data(self.key), self._draws)


running: ContextVar[Running | None] = ContextVar("running", default=None)
