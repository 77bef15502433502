"""The spiking neurons: what holds their state. Their equations are those of `grilly.functional.neuron`."""

import dataclasses
from typing import Any

import jax
import numpy as np
from jax.typing import ArrayLike

from .. import functional as F
from ..errors import ParameterError
from ..functional.params import check_tau
from ..functional.surrogate import check_surrogate
from .parameter import Parameter
from .stateful import StatefulModule


class _SpikingNode(StatefulModule):
    """What the neurons share: a surrogate, and a membrane potential as their state."""

    def __init__(self, surrogate_function: F.Surrogate, detach_reset: bool, step_mode: str) -> None:
        super().__init__(step_mode)
        check_surrogate("surrogate_function", surrogate_function)
        self.surrogate_function = surrogate_function
        self.detach_reset = detach_reset

    @property
    def v(self) -> Any:
        """The membrane potential after the last call, `(N, *)`; before the first, where it starts.

        Raises:
            ParameterError: It is set: calls leave it.
        """
        return self._start() if self._state is None else self._state

    @v.setter
    def v(self, value: Any) -> None:
        raise ParameterError(
            f"the v of a {type(self).__name__} cannot be set: it is the state that the last call left. To start "
            "anew call F.reset_net(net); to start from a state of your own, nn.functional_call(net, {}, x, state)."
        )

    def _start(self) -> Any:
        """The membrane potential before the first call."""
        return 0.0 if self.v_reset is None else self.v_reset

    @property
    def v_threshold(self) -> Any:
        """The firing threshold, in the unit of v."""
        return self.params.v_threshold

    @v_threshold.setter
    def v_threshold(self, value: Any) -> None:
        self._set_leaf(v_threshold=value)

    @property
    def v_reset(self) -> Any:
        """The membrane potential after a spike; None where the threshold is subtracted instead."""
        return self.params.v_reset

    @v_reset.setter
    def v_reset(self, value: Any) -> None:
        self._set_leaf(v_reset=value)

    def _set_leaf(self, **leaf: Any) -> None:
        """Sets one leaf, checked as the constructor does."""
        self.params = dataclasses.replace(self.params, **leaf)

    def initial_state(self, x: jax.Array) -> jax.Array:
        return F.initial_v(x, self.params)

    def _shown(self) -> dict[str, Any]:
        """What `repr` shows."""
        return {"v_threshold": self.v_threshold, "v_reset": self.v_reset, "step_mode": self.step_mode}

    def extra_repr(self) -> str:
        return ", ".join(f"{name}={value!r}" for name, value in self._shown().items())


class IFNode(_SpikingNode):
    """Integrate-and-fire neurons, `F.if_step`: they sum their input and never forget.

    Args:
        v_threshold: Firing threshold, in the unit of v.
        v_reset: Membrane potential after a spike; None subtracts the threshold instead (soft reset).
        surrogate_function: The derivative of the spike: ATan, Sigmoid, FastSigmoid or your own.
        detach_reset: Whether the reset passes no gradient through the spike.
        step_mode: 's', a call is one step `(N, *)`; or 'm', a call is a sequence `(T, N, *)`.

    Attributes:
        v_threshold, v_reset: As the arguments; they may be set.
        v: The membrane potential; calls leave it.

    Raises:
        ParameterError: `step_mode` is neither, a potential is no number, or `surrogate_function` no function.

    Example:
        >>> import numpy as np
        >>> node = IFNode(step_mode="m")
        >>> np.asarray(node(np.full((4, 1, 1), 0.5, np.float32)))[:, 0, 0].tolist()
        [0.0, 1.0, 0.0, 1.0]
    """

    def __init__(
        self,
        v_threshold: float = 1.0,
        v_reset: float | None = 0.0,
        surrogate_function: F.Surrogate = F.ATan(),
        detach_reset: bool = False,
        step_mode: str = "s",
    ) -> None:
        super().__init__(surrogate_function, detach_reset, step_mode)
        self.params = F.IFParams(v_threshold=v_threshold, v_reset=v_reset)

    def step(self, x: jax.Array, state: jax.Array, params: F.IFParams) -> tuple[jax.Array, jax.Array]:
        return F.if_step(x, state, params, surrogate=self.surrogate_function, detach_reset=self.detach_reset)


class LIFNode(_SpikingNode):
    """Leaky integrate-and-fire neurons, `F.lif_step`.

    Args:
        tau: Membrane time constant, in time steps, > 1; the larger, the slower the leak.
        decay_input: Whether the input is divided by `tau` too. (SpikingJelly's default is True.)
        v_threshold, v_reset, surrogate_function, detach_reset, step_mode: As for `IFNode`.

    Attributes:
        tau, v_threshold, v_reset: As the arguments; they may be set.
        v: The membrane potential; calls leave it.

    Raises:
        ParameterError: `tau <= 1`; or as for `IFNode`.

    Example:
        >>> import numpy as np
        >>> node = LIFNode(tau=2.0, step_mode="m")
        >>> np.asarray(node(np.full((4, 1, 1), 0.75, np.float32)))[:, 0, 0].tolist()
        [0.0, 1.0, 0.0, 1.0]
    """

    def __init__(
        self,
        tau: float = 2.0,
        decay_input: bool = False,
        v_threshold: float = 1.0,
        v_reset: float | None = 0.0,
        surrogate_function: F.Surrogate = F.ATan(),
        detach_reset: bool = False,
        step_mode: str = "s",
    ) -> None:
        super().__init__(surrogate_function, detach_reset, step_mode)
        self.params = F.LIFParams(tau=tau, v_threshold=v_threshold, v_reset=v_reset)
        self.decay_input = decay_input

    @property
    def tau(self) -> Any:
        """The membrane time constant, in time steps."""
        return self.params.tau

    @tau.setter
    def tau(self, value: Any) -> None:
        self._set_leaf(tau=value)

    def step(self, x: jax.Array, state: jax.Array, params: F.LIFParams) -> tuple[jax.Array, jax.Array]:
        return F.lif_step(
            x, state, params, decay_input=self.decay_input, surrogate=self.surrogate_function,
            detach_reset=self.detach_reset,
        )  # fmt: skip

    def _shown(self) -> dict[str, Any]:
        return {"tau": self.tau, "decay_input": self.decay_input, **super()._shown()}


class ParametricLIFNode(_SpikingNode):
    """Leaky integrate-and-fire neurons that learn their time constant, `F.plif_step`.

    Args:
        init_tau: Membrane time constant to start from, in time steps, > 1; a number, or an array that
            broadcasts to one step's input.
        decay_input, v_threshold, v_reset, surrogate_function, detach_reset, step_mode: As for `LIFNode`.

    Attributes:
        w: What is learned: `1 / tau = sigmoid(w)`, one number for the layer; or an array, as `init_tau` is.
        tau: The time constant that `w` stands for. It may be set, as `v_threshold` and `v_reset` may.
        v: The membrane potential; calls leave it.

    Raises:
        ParameterError: `init_tau <= 1`; or as for `IFNode`.

    Example:
        >>> node = ParametricLIFNode(init_tau=3.0)
        >>> [name for name, _ in node.named_parameters()], round(node.tau, 6)
        (['w'], 3.0)
    """

    def __init__(
        self,
        init_tau: ArrayLike = 2.0,
        decay_input: bool = False,
        v_threshold: float = 1.0,
        v_reset: float | None = 0.0,
        surrogate_function: F.Surrogate = F.ATan(),
        detach_reset: bool = False,
        step_mode: str = "s",
    ) -> None:
        super().__init__(surrogate_function, detach_reset, step_mode)
        self.w = Parameter(F.PLIFParams.from_tau(init_tau).w)
        self.fire = F.IFParams(v_threshold=v_threshold, v_reset=v_reset)
        self.decay_input = decay_input

    @property
    def params(self) -> F.PLIFParams:
        """The leaves of `F.plif_step`: the learned w, the threshold and the reset."""
        return F.PLIFParams(w=self.w.data, v_threshold=self.fire.v_threshold, v_reset=self.fire.v_reset)

    def _set_leaf(self, **leaf: Any) -> None:
        self.fire = dataclasses.replace(self.fire, **leaf)

    @property
    def tau(self) -> Any:
        """The membrane time constant as it is now, in time steps: a number, or an array as `init_tau` was."""
        tau = 1 + np.exp(-np.asarray(self.w))
        return tau if tau.ndim else float(tau)

    @tau.setter
    def tau(self, value: Any) -> None:
        check_tau("tau", value)
        self.w.data = np.asarray(F.PLIFParams.from_tau(value).w, np.float32)

    def step(self, x: jax.Array, state: jax.Array, params: F.PLIFParams) -> tuple[jax.Array, jax.Array]:
        return F.plif_step(
            x, state, params, decay_input=self.decay_input, surrogate=self.surrogate_function,
            detach_reset=self.detach_reset,
        )  # fmt: skip

    def _shown(self) -> dict[str, Any]:
        tau = self.tau
        rounded = round(tau, 4) if isinstance(tau, float) else tau.round(4)
        return {"tau": rounded, "decay_input": self.decay_input, **super()._shown()}
