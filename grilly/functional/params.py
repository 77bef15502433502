"""The leaves of each neuron, as frozen dataclasses. What a step does with them is in `neuron`."""

import math
from typing import Any, TypeVar

import jax
import numpy as np
from jax.typing import ArrayLike

from .arguments import refuse_unless
from .pytree import leaf_names, pytree

Params = TypeVar("Params")


@pytree
class IFParams:
    """Leaves of an integrate-and-fire neuron: numbers, or anything that broadcasts to one step's input.

    `v_reset=None` (soft reset) is part of the pytree's structure: the one choice here that recompiles.

    Raises:
        ParameterError: `v_threshold` is NaN, or `v_reset` not finite; or one is no number and no array.
        TypeError: A leaf is unknown.

    Example:
        >>> IFParams(v_threshold=0.5, v_reset=None)
        IFParams(v_threshold=0.5, v_reset=None)
    """

    v_threshold: ArrayLike = 1.0  # firing threshold, in the unit of v
    v_reset: ArrayLike | None = 0.0  # membrane potential after a spike

    def check(self) -> None:
        check_potentials(self.v_threshold, self.v_reset)


@pytree
class LIFParams:
    """Leaves of a leaky integrate-and-fire neuron: numbers, or anything that broadcasts to one step's input.

    `v_reset=None` (soft reset) is part of the pytree's structure: the one choice here that recompiles.

    Raises:
        ParameterError: `tau <= 1`, `v_threshold` is NaN, or `v_reset` not finite; or one is no number and no
            array.
        TypeError: A leaf is unknown.

    Example:
        >>> import numpy as np
        >>> params = LIFParams(tau=3.0).replace(v_reset=None)
        >>> params
        LIFParams(tau=3.0, v_threshold=1.0, v_reset=None)
        >>> LIFParams(tau=np.array([2.0, 4.0])).tau.shape  # a time constant for each of two neurons
        (2,)
    """

    tau: ArrayLike = 2.0  # membrane time constant, in time steps, > 1
    v_threshold: ArrayLike = 1.0  # firing threshold, in the unit of v
    v_reset: ArrayLike | None = 0.0  # membrane potential after a spike

    def check(self) -> None:
        check_tau("tau", self.tau)
        check_potentials(self.v_threshold, self.v_reset)


@pytree
class PLIFParams:
    """Leaves of a leaky integrate-and-fire neuron that learns its time constant: `1 / tau = sigmoid(w)`.

    So tau is always more than one time step. `v_reset=None` (soft reset) is part of the pytree's structure.

    Raises:
        ParameterError: `v_threshold` is NaN, or `v_reset` not finite.

    Example:
        >>> params = PLIFParams.from_tau(2.0)
        >>> params.w, float(params.tau)
        (0.0, 2.0)
    """

    w: ArrayLike = 0.0  # no unit; its sigmoid is the leak per time step
    v_threshold: ArrayLike = 1.0  # firing threshold, in the unit of v
    v_reset: ArrayLike | None = 0.0  # membrane potential after a spike

    def check(self) -> None:
        check_potentials(self.v_threshold, self.v_reset)

    @classmethod
    def from_tau(cls, init_tau: ArrayLike, **leaves: Any) -> "PLIFParams":
        """The parameters whose time constant is `init_tau`, in time steps: `w = -log(init_tau - 1)`.

        Raises:
            ParameterError: `init_tau <= 1`.
        """
        check_tau("init_tau", init_tau)
        if isinstance(init_tau, int | float):
            return cls(w=-math.log(init_tau - 1) + 0.0, **leaves)  # + 0.0: no negative zero for tau = 2
        return cls(w=(-np.log(np.asarray(init_tau, np.float64) - 1)).astype(np.float32), **leaves)

    @property
    def tau(self) -> jax.Array:
        """The membrane time constant, in time steps."""
        return 1 / jax.nn.sigmoid(self.w)  # pyright: ignore[reportArgumentType]


def check_tau(name: str, tau: ArrayLike) -> None:
    """Refuses a time constant of one step or less.

    Raises:
        ParameterError: `tau <= 1`, or NaN.
    """
    rule = "a membrane time constant counts time steps and must be > 1. For a neuron without leak, use IF."
    refuse_unless(name, tau, lambda t: t > 1, rule)


def check_potentials(v_threshold: ArrayLike, v_reset: ArrayLike | None) -> None:
    """Refuses a threshold that nothing compares with, and a reset from which no neuron returns.

    Raises:
        ParameterError: `v_threshold` is NaN, or `v_reset` not finite.
    """
    refuse_unless("v_threshold", v_threshold, lambda v: v == v, "a firing threshold must be a number.")
    rule = "the membrane potential after a spike must be finite, or None for a soft reset."
    if v_reset is not None:
        refuse_unless("v_reset", v_reset, np.isfinite, rule)


def chosen(kind: type[Params], params: Params | None, leaves: dict[str, Any]) -> Params:
    """The parameters given whole, or by keyword; never both.

    Raises:
        TypeError: Both are given, or what was given whole has not all leaves of this kind.
    """
    if params is None:
        return kind(**leaves)
    if leaves:
        raise TypeError(f"pass params, or {', '.join(leaves)} by keyword, not both")
    names = leaf_names(kind)
    if not all(hasattr(params, name) for name in names):
        raise TypeError(
            f"params is a {type(params).__name__}: a {kind.__name__} was expected. Or pass its leaves by keyword: "
            f"{', '.join(names)}."
        )
    return params
