"""Spike functions: the Heaviside step forward, a named smooth derivative backward.

The derivatives are written with + - * / alone where that is possible: those a compiler can lower exactly.
"""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from ..errors import ParameterError
from .arguments import fitted, refuse_unless
from .pytree import pytree

Surrogate = Callable[[jax.Array], jax.Array]


def check_alpha(alpha: ArrayLike) -> None:
    """Refuses a sharpness that is not positive.

    Raises:
        ParameterError: `alpha <= 0`, or NaN.
    """
    refuse_unless("alpha", alpha, lambda a: a > 0, "the sharpness of a surrogate must be > 0.")


def check_surrogate(name: str, surrogate: Surrogate) -> None:
    """Refuses what gives no spikes when it is called.

    Raises:
        ParameterError: It is a class, or cannot be called.
    """
    if isinstance(surrogate, type):
        raise ParameterError(
            f"{name} is the class {surrogate.__name__}: a spike function was expected, such as "
            f"{surrogate.__name__}(). Call the class."
        )
    if not callable(surrogate):
        raise ParameterError(
            f"{name} is {surrogate!r}: a spike function was expected, such as F.ATan(), or one of your own that "
            "takes v - v_threshold."
        )


@pytree
class ATan:
    """Spikes where `x >= 0`; in the backward pass, the derivative of an arctangent.

        sigma'(x) = (alpha / 2) / (1 + (pi alpha x / 2)^2)

    Args:
        alpha: Sharpness, > 0, a number or broadcasting to `x`; the larger, the closer to the step and the
            harder to train. A leaf, so that changing it recompiles nothing; its gradient is zero.

    Raises:
        ParameterError: `alpha <= 0`, or it is no number and no array.

    Example:
        >>> import jax
        >>> spike = ATan(alpha=2.0)
        >>> [float(spike(x)) for x in (-0.5, 0.0, 0.5)]
        [0.0, 1.0, 1.0]
        >>> float(jax.grad(spike)(0.0))
        1.0

    References:
        W. Fang et al., "Incorporating learnable membrane time constant to enhance learning of spiking neural
        networks", ICCV 2021. The ATan of SpikingJelly and of snnTorch.
    """

    alpha: ArrayLike = 2.0

    def check(self) -> None:
        check_alpha(self.alpha)

    def __call__(self, x: jax.Array) -> jax.Array:
        return _spike(_atan, x, self.alpha)


@pytree
class Sigmoid:
    """Spikes where `x >= 0`; in the backward pass, the derivative of a logistic function.

        sigma'(x) = alpha s (1 - s),  s = 1 / (1 + exp(-alpha x))

    Args:
        alpha: Sharpness, > 0, a number or broadcasting to `x`. A leaf with a gradient of zero.

    Raises:
        ParameterError: `alpha <= 0`, or it is no number and no array.

    Example:
        >>> import jax
        >>> float(jax.grad(Sigmoid(alpha=4.0))(0.0))
        1.0

    References:
        Y. Wu et al., "Spatio-Temporal Backpropagation for Training High-Performance Spiking Neural Networks",
        Frontiers in Neuroscience 2018: its third curve. The Sigmoid of SpikingJelly.
    """

    alpha: ArrayLike = 4.0

    def check(self) -> None:
        check_alpha(self.alpha)

    def __call__(self, x: jax.Array) -> jax.Array:
        return _spike(_sigmoid, x, self.alpha)


@pytree
class FastSigmoid:
    """Spikes where `x >= 0`; in the backward pass, the derivative of `x / (1 + |x|)`. The cheapest.

        sigma'(x) = (alpha / 2) / (1 + alpha |x|)^2

    This is SpikingJelly's SoftSign. snnTorch's function of the name FastSigmoid is `1 / (1 + 25 |x|)^2`.

    Args:
        alpha: Sharpness, > 0, a number or broadcasting to `x`. A leaf with a gradient of zero.

    Raises:
        ParameterError: `alpha <= 0`, or it is no number and no array.

    Example:
        >>> import jax
        >>> float(jax.grad(FastSigmoid(alpha=2.0))(0.5))
        0.25

    References:
        F. Zenke and S. Ganguli, "SuperSpike", Neural Computation 2018.
    """

    alpha: ArrayLike = 2.0

    def check(self) -> None:
        check_alpha(self.alpha)

    def __call__(self, x: jax.Array) -> jax.Array:
        return _spike(_fast_sigmoid, x, self.alpha)


def _spike(kind: Callable[..., jax.Array], x: jax.Array, alpha: ArrayLike) -> jax.Array:
    x = jnp.asarray(x)
    return kind(x, jnp.asarray(fitted(alpha, x, "alpha"), x.dtype))


def _with_slope(slope: Callable[[jax.Array, jax.Array], jax.Array]) -> Callable[..., jax.Array]:
    """The Heaviside step of `x`, with `slope(x, alpha)` for its derivative. It does not depend on alpha."""

    @jax.custom_jvp
    def spike(x: jax.Array, alpha: jax.Array) -> jax.Array:
        return (x >= 0).astype(x.dtype)

    @spike.defjvp
    def spike_jvp(primals, tangents):
        x, alpha = primals
        return spike(x, alpha), slope(x, alpha) * tangents[0]

    return spike


@_with_slope
def _atan(x: jax.Array, alpha: jax.Array) -> jax.Array:
    y = math.pi / 2 * alpha * x
    return alpha / 2 / (1 + y * y)


@_with_slope
def _sigmoid(x: jax.Array, alpha: jax.Array) -> jax.Array:
    # s (1 - s) by the exponential that cannot overflow: even in x, and accurate where s is almost 1.
    e = jnp.exp(-alpha * jnp.abs(x))
    return alpha * e / ((1 + e) * (1 + e))


@_with_slope
def _fast_sigmoid(x: jax.Array, alpha: jax.Array) -> jax.Array:
    y = 1 + alpha * jnp.abs(x)
    return alpha / 2 / (y * y)
