"""Stochastic gradient descent."""

from typing import Any

import optax

from ..errors import ParameterError
from .optimizer import Optimizer, Parameters, Rate, refuse_outside


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum if asked for.

        g = grad + weight_decay p
        m = momentum m + g
        p = p - lr m            (nesterov: p - lr (g + momentum m))

    Args:
        params: Parameters, or groups of them: see `Optimizer`.
        lr: Learning rate, >= 0; or a function of the step's number.
        momentum: In [0, 1).
        weight_decay: >= 0.
        nesterov: Whether the momentum, then above 0, looks one step ahead.
        clip_grad_norm: See `Optimizer`.

    Raises:
        ParameterError: A number is out of range.

    Example:
        >>> import numpy as np
        >>> from grilly import nn
        >>> layer = nn.Linear(1, 1, init=lambda key, shape: np.zeros(shape))
        >>> optimizer = SGD(layer.parameters(), lr=0.5)
        >>> y = layer(np.ones((1, 1), np.float32)); _ = layer.backward(np.ones((1, 1)))
        >>> optimizer.step(); layer.weight.data.tolist()
        [[-0.5]]

    References:
        I. Sutskever et al., "On the importance of initialization and momentum in deep learning", ICML 2013.
    """

    def __init__(
        self,
        params: Parameters,
        lr: Rate,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        *,
        clip_grad_norm: float | None = None,
    ) -> None:
        choices = {"momentum": momentum, "weight_decay": weight_decay, "nesterov": nesterov}
        super().__init__(params, lr, choices, clip_grad_norm)

    def check(self, group: dict[str, Any]) -> None:
        refuse_outside("momentum", group["momentum"], 0, 1)
        refuse_outside("weight_decay", group["weight_decay"], 0)
        if group["nesterov"] and not group["momentum"]:
            raise ParameterError(
                f"nesterov is True, but momentum is {group['momentum']}: it looks ahead by the momentum. "
                "Give one above 0."
            )

    def transform(self, momentum: float, weight_decay: float, nesterov: bool) -> optax.GradientTransformation:
        decay = optax.add_decayed_weights(weight_decay) if weight_decay else optax.identity()
        return optax.chain(decay, optax.trace(momentum, nesterov) if momentum else optax.identity())
