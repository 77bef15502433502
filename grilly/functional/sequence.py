"""A sequence: one scan of a step over time. What the backward pass keeps of it is decided here."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from ..errors import ShapeError

Step = Callable[[Any, Any, Any], tuple[Any, Any]]


def sequence(step: Step, x_seq: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
    """Runs a step over time.

        out[t], state = step(x_seq[t], state, params)     t = 0 ... T - 1

    The backward pass keeps the state before each step and recomputes the rest of that step: for a LIF neuron
    one array of `x_seq`'s size, where plain autodiff of a scan keeps four.

    Args:
        step: `step(x, state, params) -> (out, state)`, pure; the state keeps its shapes and dtypes. Bind its
            keyword choices first: `functools.partial(lif_step, detach_reset=True)`.
        x_seq: Inputs, `(T, N, *features)`: an array or a pytree of arrays with the same T.
        state: The state before the first step.
        params: Passed to every step; gradients flow into it.

    Returns:
        The outputs of all steps, stacked along axis 0, and the state after the last.

    Raises:
        ShapeError: An array of `x_seq` has no time axis, or they disagree about T.

    Example:
        >>> import numpy as np
        >>> from grilly import functional as F
        >>> x_seq, v = np.full((5, 1), 0.5, np.float32), np.zeros(1, np.float32)
        >>> spikes, v = F.sequence(F.if_step, x_seq, v, F.IFParams())
        >>> spikes[:, 0].tolist(), v.tolist()
        ([0.0, 1.0, 0.0, 1.0, 0.0], [0.5])

    References:
        A. Griewank and A. Walther, Evaluating Derivatives (2008), chapter 12: recomputing instead of keeping.
    """
    check_time(x_seq)
    # The scan already separates forward from backward, so nothing has to be kept from being merged (CSE).
    kept_small = jax.checkpoint(step, prevent_cse=False)

    def body(state: Any, x: Any) -> tuple[Any, Any]:
        out, state = kept_small(x, state, params)
        return state, out

    state, out_seq = jax.lax.scan(body, state, x_seq)
    return out_seq, state


def check_time(x_seq: Any) -> None:
    """Refuses a sequence without a common time axis.

    Raises:
        ShapeError: It names the shapes.
    """
    shapes = [jnp.shape(x) for x in jax.tree.leaves(x_seq)]
    if not shapes or not all(shapes) or len({shape[0] for shape in shapes}) > 1:
        given = ", ".join(map(str, shapes)) or "no array"
        raise ShapeError(
            f"x_seq has shape {given}: a sequence is (T, N, *features), with the time steps along axis 0 "
            "and the same T in every array. For a single step call the step itself."
        )
