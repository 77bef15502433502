"""Adam, and AdamW."""

from typing import Any

import numpy as np
import optax

from ..errors import ParameterError
from .optimizer import Optimizer, Parameters, Rate, refuse_outside


class Adam(Optimizer):
    """Steps of the gradient's running mean, divided by the root of its running square.

        m = b1 m + (1 - b1) grad         v = b2 v + (1 - b2) grad^2
        p = p - lr (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + eps)

    Args:
        params: Parameters, or groups of them: see `Optimizer`.
        lr: Learning rate, >= 0; or a function of the step's number.
        betas: b1 and b2, each in [0, 1).
        eps: Added to the root, > 0, in the gradient's unit.
        clip_grad_norm: See `Optimizer`.

    Raises:
        ParameterError: A number is out of range.

    References:
        D. Kingma and J. Ba, "Adam", ICLR 2015.
    """

    def __init__(
        self,
        params: Parameters,
        lr: Rate = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        *,
        clip_grad_norm: float | None = None,
    ) -> None:
        super().__init__(params, lr, {"betas": betas, "eps": eps}, clip_grad_norm)

    def check(self, group: dict[str, Any]) -> None:
        _check(**group)

    def transform(self, betas: tuple[float, float], eps: float) -> optax.GradientTransformation:
        return optax.scale_by_adam(*betas, eps=eps)


class AdamW(Optimizer):
    """Adam, with weights that decay by themselves: `p = p - lr (Adam's step + weight_decay p)`.

    Args:
        params, lr, betas, eps, clip_grad_norm: As for `Adam`.
        weight_decay: >= 0.

    Raises:
        ParameterError: A number is out of range.

    Example:
        >>> from grilly import nn
        >>> net = nn.Sequential(nn.Linear(4, 3), nn.ParametricLIFNode())
        >>> optimizer = AdamW([
        ...     {"params": net[0].parameters()},
        ...     {"params": net[1].parameters(), "lr": 1e-2, "weight_decay": 0.0},
        ... ])
        >>> [group["lr"] for group in optimizer.param_groups]
        [0.001, 0.01]

    References:
        I. Loshchilov and F. Hutter, "Decoupled weight decay regularization", ICLR 2019.
    """

    def __init__(
        self,
        params: Parameters,
        lr: Rate = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
        *,
        clip_grad_norm: float | None = None,
    ) -> None:
        choices = {"betas": betas, "eps": eps, "weight_decay": weight_decay}
        super().__init__(params, lr, choices, clip_grad_norm)

    def check(self, group: dict[str, Any]) -> None:
        _check(**group)
        refuse_outside("weight_decay", group["weight_decay"], 0)

    def transform(self, betas: tuple[float, float], eps: float, weight_decay: float) -> optax.GradientTransformation:
        return optax.chain(optax.scale_by_adam(*betas, eps=eps), optax.add_decayed_weights(weight_decay))


def _check(betas: Any, eps: Any, **_: Any) -> None:
    """What both refuse."""
    if not isinstance(betas, tuple | list) or len(betas) != 2:
        raise ParameterError(f"betas is {betas!r}: two numbers were expected.")
    for number, beta in enumerate(betas):
        refuse_outside(f"betas[{number}]", beta, 0, 1)
    if not (isinstance(eps, int | float | np.number) and eps > 0):
        raise ParameterError(f"eps is {eps!r}: a number above 0 was expected.")
