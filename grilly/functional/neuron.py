"""Neurons: charge, fire, reset. One time step each, pure; a sequence of them is `sequence`."""

from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from .arguments import alike, as_float, fitted
from .params import IFParams, LIFParams, PLIFParams, chosen
from .surrogate import ATan, Surrogate, check_surrogate


def if_step(
    x: ArrayLike,
    v: ArrayLike,
    params: IFParams | None = None,
    *,
    surrogate: Surrogate = ATan(),
    detach_reset: bool = False,
    **leaves: ArrayLike | None,
) -> tuple[jax.Array, jax.Array]:
    """One time step of an integrate-and-fire neuron: it sums its input and never forgets.

        h = v + x                        charge
        s = 1 where h >= v_threshold     fire
        v = (1 - s) h + s v_reset        reset   (h - s v_threshold where v_reset is None)

    Args:
        x: Input of this step, `(N, *features)`, in the unit of `v`. Booleans and integers become float32.
        v: Membrane potential after the previous step, of `x`'s shape.
        params: Leaves; changing a value never recompiles. Or by keyword: `if_step(x, v, v_reset=None)`.
        surrogate: The spike function with its surrogate derivative. Static but for its sharpness.
        detach_reset: Whether the reset passes no gradient through the spike. Static.

    Returns:
        The spikes (0 or 1) and the next membrane potential, both of `x`'s shape and dtype.

    Raises:
        ShapeError: `x` and `v` differ in shape, or a leaf does not broadcast to them.
        ParameterError: A leaf is out of its range, or `surrogate` no spike function.
        TypeError: A leaf is unknown, or `params` has not those of `IFParams`.

    Example:
        >>> import numpy as np
        >>> spike, v = if_step(np.array([0.25, 0.75]), np.array([0.5, 0.5]))
        >>> spike.tolist(), v.tolist()
        ([0.0, 1.0], [0.75, 0.0])

    References:
        W. Gerstner et al., Neuronal Dynamics (2014), section 1.3. The surrogate: W. Fang et al., ICCV 2021.
    """
    params = chosen(IFParams, params, leaves)
    x, v = as_float(x, "x"), as_float(v, "v")
    alike(x, v)
    return _fire(v + x, params, surrogate, detach_reset)


def lif_step(
    x: ArrayLike,
    v: ArrayLike,
    params: LIFParams | None = None,
    *,
    decay_input: bool = False,
    surrogate: Surrogate = ATan(),
    detach_reset: bool = False,
    **leaves: ArrayLike | None,
) -> tuple[jax.Array, jax.Array]:
    """One time step of a leaky integrate-and-fire neuron.

        h = v - (v - Vr) / tau + x       charge  (Vr = v_reset, or 0 where it is None)
        h = v + (x - (v - Vr)) / tau     charge, decay_input=True
        s = 1 where h >= v_threshold     fire
        v = (1 - s) h + s Vr             reset   (h - s v_threshold where v_reset is None)

    Args:
        x: Input of this step, `(N, *features)`, in the unit of `v`. Booleans and integers become float32.
        v: Membrane potential after the previous step, of `x`'s shape.
        params: Leaves; changing a value never recompiles. Or by keyword: `lif_step(x, v, tau=2.0)`.
            tau is in time steps, > 1.
        decay_input: Whether the input is divided by `tau` too. Static. SpikingJelly's default is True.
        surrogate: The spike function with its surrogate derivative. Static but for its sharpness.
        detach_reset: Whether the reset passes no gradient through the spike. Static.

    Returns:
        The spikes (0 or 1) and the next membrane potential, both of `x`'s shape and dtype.

    Raises:
        ShapeError: `x` and `v` differ in shape, or a leaf does not broadcast to them.
        ParameterError: A leaf is out of its range, or `surrogate` no spike function.
        TypeError: A leaf is unknown, or `params` has not those of `LIFParams`.

    Example:
        >>> import numpy as np
        >>> spike, v = lif_step(np.array([0.25, 1.0]), np.array([0.5, 0.5]), tau=2.0)
        >>> spike.tolist(), v.tolist()
        ([0.0, 1.0], [0.5, 0.0])

    References:
        W. Gerstner et al., Neuronal Dynamics (2014), section 1.3. The surrogate: W. Fang et al., ICCV 2021.
    """
    params = chosen(LIFParams, params, leaves)
    x, v = as_float(x, "x"), as_float(v, "v")
    alike(x, v)
    tau = fitted(params.tau, x, "tau")
    leak = v - _rest(params, x)
    h = v + (x - leak) / tau if decay_input else v - leak / tau + x
    return _fire(h, params, surrogate, detach_reset)


def plif_step(
    x: ArrayLike,
    v: ArrayLike,
    params: PLIFParams | None = None,
    *,
    decay_input: bool = False,
    surrogate: Surrogate = ATan(),
    detach_reset: bool = False,
    **leaves: ArrayLike | None,
) -> tuple[jax.Array, jax.Array]:
    """One time step of a leaky integrate-and-fire neuron whose time constant is learned through `w`.

        k = sigmoid(w) = 1 / tau
        h = v - (v - Vr) k + x           charge  (Vr = v_reset, or 0 where it is None)
        h = v + (x - (v - Vr)) k         charge, decay_input=True
        s = 1 where h >= v_threshold     fire
        v = (1 - s) h + s Vr             reset   (h - s v_threshold where v_reset is None)

    Args:
        x: Input of this step, `(N, *features)`, in the unit of `v`. Booleans and integers become float32.
        v: Membrane potential after the previous step, of `x`'s shape.
        params: Leaves; changing a value never recompiles. Or by keyword: `plif_step(x, v, w=0.0)`.
            `PLIFParams.from_tau(2.0)` gives the `w` of a time constant.
        decay_input: Whether the input is multiplied by `k` too. Static. SpikingJelly's default is True.
        surrogate: The spike function with its surrogate derivative. Static but for its sharpness.
        detach_reset: Whether the reset passes no gradient through the spike. Static.

    Returns:
        The spikes (0 or 1) and the next membrane potential, both of `x`'s shape and dtype.

    Raises:
        ShapeError: `x` and `v` differ in shape, or a leaf does not broadcast to them.
        ParameterError: A leaf is out of its range, or `surrogate` no spike function.
        TypeError: A leaf is unknown, or `params` has not those of `PLIFParams`.

    Example:
        >>> import numpy as np
        >>> spike, v = plif_step(np.array([0.25, 1.0]), np.array([0.5, 0.5]), PLIFParams.from_tau(2.0))
        >>> spike.tolist(), v.tolist()
        ([0.0, 1.0], [0.5, 0.0])

    References:
        W. Fang et al., "Incorporating learnable membrane time constant to enhance learning of spiking neural
        networks", ICCV 2021.
    """
    params = chosen(PLIFParams, params, leaves)
    x, v = as_float(x, "x"), as_float(v, "v")
    alike(x, v)
    k = fitted(jax.nn.sigmoid(jnp.asarray(params.w, x.dtype)), x, "w")
    leak = v - _rest(params, x)
    h = v + (x - leak) * k if decay_input else v - leak * k + x
    return _fire(h, params, surrogate, detach_reset)


def initial_v(x: ArrayLike, params: IFParams | LIFParams | PLIFParams) -> jax.Array:
    """The membrane potential before the first step: `v_reset` everywhere, or 0 where that is None.

    Args:
        x: One step's input, `(N, *features)`; of it only the shape and the dtype matter.
        params: The neuron's leaves.

    Example:
        >>> import numpy as np
        >>> initial_v(np.ones(3), LIFParams(v_reset=-0.5)).tolist()
        [-0.5, -0.5, -0.5]
    """
    x = as_float(x, "x")
    return jnp.broadcast_to(jnp.asarray(_rest(params, x), x.dtype), x.shape)


def _rest(params: Any, x: jax.Array) -> Any:
    return 0.0 if params.v_reset is None else fitted(params.v_reset, x, "v_reset")


def _fire(h: jax.Array, params: Any, surrogate: Surrogate, detach_reset: bool) -> tuple[jax.Array, jax.Array]:
    """The spikes of a charged membrane, and the membrane after its reset."""
    check_surrogate("surrogate", surrogate)
    v_threshold = fitted(params.v_threshold, h, "v_threshold")
    s = surrogate(h - v_threshold)
    fired = jax.lax.stop_gradient(s) if detach_reset else s
    if params.v_reset is None:
        return s, h - fired * v_threshold
    return s, (1 - fired) * h + fired * fitted(params.v_reset, h, "v_reset")
