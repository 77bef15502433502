"""A sequence: one scan of a step over time. What the backward pass keeps of it is decided here."""

import functools
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
        ShapeError: An array of `x_seq` has no time axis, or they disagree about T. Or the step returned no
            `(out, state)`, or a state of another structure, shape or dtype than it was given.

    Example:
        >>> import numpy as np
        >>> from grilly import functional as F
        >>> x_seq, v = np.full((5, 1), 0.5, np.float32), np.zeros(1, np.float32)
        >>> spikes, after = F.sequence(F.if_step, x_seq, v, F.IFParams())
        >>> spikes[:, 0].tolist(), after.tolist()
        ([0.0, 1.0, 0.0, 1.0, 0.0], [0.5])

        What a step gives out is stacked: with the state in it, that is the membrane after every step.

        >>> def traced(x, v, params):
        ...     spike, v = F.if_step(x, v, params)
        ...     return (spike, v), v
        >>> (spikes, membrane), _ = F.sequence(traced, x_seq, v, F.IFParams())
        >>> membrane[:, 0].tolist()
        [0.5, 0.0, 0.5, 0.0, 0.5]

    References:
        A. Griewank and A. Walther, Evaluating Derivatives (2008), chapter 12: recomputing instead of keeping.
    """
    check_time(x_seq)
    # The scan already separates forward from backward, so nothing has to be kept from being merged (CSE).
    kept_small = jax.checkpoint(step, prevent_cse=False)

    def body(state: Any, x: Any) -> tuple[Any, Any]:
        out, after = as_stepped(step, state, kept_small(x, state, params))
        return after, out

    state, out_seq = jax.lax.scan(body, state, x_seq)
    return out_seq, state


def check_time(x_seq: Any) -> None:
    """Refuses a sequence without a common time axis.

    Raises:
        ShapeError: It names the shapes.
    """
    shapes = [jnp.shape(x) for x in jax.tree.leaves(x_seq)]
    if not shapes or not all(shapes) or len({shape[0] for shape in shapes}) > 1:
        given = ", ".join(map(str, dict.fromkeys(shapes))) or "no array"
        raise ShapeError(
            f"x_seq has shape {given}: a sequence is (T, N, *features), with the time steps along axis 0 "
            "and the same T in every array. For a single step call the step itself."
        )


def as_stepped(step: Step, state: Any, returned: Any) -> tuple[Any, Any]:
    """What a step returned, `(out, state)`, if it is that.

    Args:
        step: The step, for its name.
        state: The state that it was given.
        returned: What it returned.

    Raises:
        ShapeError: It is no pair, or its state has another structure, shape or dtype than the given one.
    """
    if not isinstance(returned, tuple | list) or len(returned) != 2:
        raise ShapeError(
            f"{_name(step)} returned {_shown(returned)}: a pair was expected, (out, state), the state being "
            "that after the step."
        )
    given, found = (jax.tree.map(jax.typeof, tree) for tree in (state, returned[1]))
    if not _alike(given, found):
        given, found = (jax.tree.map(_Form, tree) for tree in (given, found))
        raise ShapeError(
            f"{_name(step)} was given a state of {given} and returned one of {found}: a step keeps its state's "
            "structure, shapes and dtypes. Return it in the given form, or start from a state in the returned one."
        )
    return returned[0], returned[1]


def _alike(given: Any, found: Any) -> bool:
    """Whether two states have one form. As in a scan of JAX's, a number takes the dtype of what is made of it."""
    if jax.tree.structure(given) != jax.tree.structure(found):
        return False
    pairs = zip(jax.tree.leaves(given), jax.tree.leaves(found), strict=True)
    return all(old.shape == new.shape and (old.weak_type or old.dtype == new.dtype) for old, new in pairs)


class _Form:
    """Shape and dtype of an array, as an error shows them."""

    def __init__(self, aval: Any) -> None:
        self.aval = aval

    def __repr__(self) -> str:
        return f"{self.aval.shape} {self.aval.dtype}"


def _shown(returned: Any) -> str:
    """What a step returned instead of a pair."""
    if isinstance(returned, tuple | list):
        return f"a {type(returned).__name__} of {len(returned)}"
    return f"an array of shape {returned.shape}" if hasattr(returned, "shape") else f"a {type(returned).__name__}"


def _name(step: Step) -> str:
    while isinstance(step, functools.partial):
        step = step.func
    return getattr(step, "__qualname__", type(step).__qualname__)
