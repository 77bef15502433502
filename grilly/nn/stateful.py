"""`StatefulModule`: a pure step, and the state that it carries from call to call. Every neuron is one."""

from typing import Any, Self

import jax
from jax import numpy as jnp

from .. import functional as F
from ..errors import ShapeError
from ..functional.arguments import as_float, check_step_mode
from ..functional.sequence import as_stepped
from .module import Module
from .running import running


class StatefulModule(Module):
    """A module that carries a state through time: the base of every neuron.

    A neuron of your own says how it starts and what a step does; in mode 'm' the step is scanned over T.

    Args:
        step_mode: 's', a call is one step `(N, *)`; or 'm', a call is a sequence `(T, N, *)`.

    Example:
        >>> import jax.numpy as jnp, numpy as np
        >>> from grilly import functional as F, nn
        >>> class Resonator(nn.StatefulModule):
        ...     def __init__(self, step_mode="s"):
        ...         super().__init__(step_mode)
        ...         self.surrogate_function = F.ATan()
        ...     def initial_state(self, x):
        ...         return jnp.zeros_like(x), jnp.zeros_like(x)
        ...     def step(self, x, state, params):
        ...         u, w = state
        ...         u, w = 0.9 * u - 0.4 * w + x, 0.9 * w + 0.4 * u
        ...         return self.surrogate_function(u - 1), (u, w)
        >>> Resonator(step_mode="m")(np.ones((8, 2, 3), np.float32)).shape
        (8, 2, 3)
    """

    params: Any = None
    step_mode = "s"

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Sets the step mode, so that here too a class of yours need not call `super().__init__()`."""
        self = super().__new__(cls)
        vars(self)["step_mode"] = cls.step_mode
        return self

    def __init__(self, step_mode: str = "s") -> None:
        check_step_mode(step_mode)
        self.step_mode = step_mode

    def initial_state(self, x: jax.Array) -> Any:
        """The state before the first step, a pytree of arrays, for inputs of `x`'s shape `(N, *)`."""
        raise NotImplementedError(f"{type(self).__name__} has no method initial_state: write it, and step.")

    def step(self, x: jax.Array, state: Any, params: Any) -> tuple[Any, Any]:
        """One time step, pure: `(out, state)`. `params` is the module's attribute of that name."""
        raise NotImplementedError(f"{type(self).__name__} has no method step: write it, and initial_state.")

    def forward(self, x: Any) -> Any:
        """One step, or a sequence of them, from the state that the last call left.

        Raises:
            ShapeError: The input does not fit the state; or `step` returned no `(out, state)`, or a state of
                another structure, shape or dtype than it was given.
        """
        x = as_float(x, "x")
        first = self._first(x)
        state = self.initial_state(first) if self._state is None else self._state
        self._refuse_another_batch(first, state)
        if self.step_mode == "m":
            out, after = F.sequence(self.step, x, state, self.params)
        else:
            out, after = as_stepped(self.step, state, self.step(x, state, self.params))
        vars(self)["_state"] = after
        self._report(state, out, len(x) if self.step_mode == "m" else 1)
        return out

    def _first(self, x: jax.Array) -> jax.Array:
        """The input of one step."""
        if self.step_mode == "s":
            return x
        check_sequence(x, type(self).__name__, "(T, N, *)", 2)
        return x[0]

    def _refuse_another_batch(self, x: jax.Array, state: Any) -> None:
        fresh = jax.tree.map(jnp.shape, jax.eval_shape(self.initial_state, x))
        if (found := jax.tree.map(jnp.shape, state)) != fresh:
            raise ShapeError(
                f"the input of one step has shape {x.shape}, but the state is that of another: its shape is "
                f"{found}, {fresh} was expected. Call F.reset_net(net) before a batch of another size."
            )

    def _report(self, state: Any, out: Any, steps: int) -> None:
        current = running.get()
        if current is not None:
            current.started[id(self)] = state
            total = sum(jnp.sum(leaf) for leaf in jax.tree.leaves(out))
            before, counted = current.fired.get(id(self), (0.0, 0))
            current.fired[id(self)] = (before + total, counted + steps)


def check_sequence(x: jax.Array, taker: str, shape: str, dims: int) -> None:
    """Refuses what is no sequence.

    Args:
        x: The input of a module in step mode 'm'.
        taker: That module's class.
        shape: What it takes, in words.
        dims: How many axes that has at least.

    Raises:
        ShapeError: It has fewer, or no time step.
    """
    if x.ndim < dims:
        raise ShapeError(
            f"x has shape {x.shape}: {taker} is in step mode 'm' and takes sequences {shape}. "
            "Add the axis of time, or call F.set_step_mode(net, 's')."
        )
    if len(x) == 0:
        raise ShapeError(f"x has shape {x.shape}: a sequence {shape} has at least one time step, T >= 1.")
