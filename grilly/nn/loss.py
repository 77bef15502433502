"""Losses: a 0-d mean over the batch, and its gradient. The functions are in `grilly.functional.loss`."""

from abc import ABC, abstractmethod
from typing import Any

import jax
import numpy as np
from jax.core import Tracer

from .. import functional as F
from ..errors import ShapeError
from ..functional.arguments import as_float
from ..runtime import Array, jit
from .arrays import as_array


class Loss(ABC):
    """What the losses share: one compiled call for the value, and one for the gradient."""

    def __init__(self) -> None:
        self._value, self._gradient = jit(self.function), jit(self._pulled_back)

    @staticmethod
    @abstractmethod
    def function(inputs: Any, target: Any, /) -> jax.Array:
        """The loss as a pure function."""

    def __call__(self, inputs: Any, target: Any) -> Any:
        """The loss, a 0-d Array; where JAX is tracing, the pure function's own result."""
        return self._value(inputs, self.checked(target, np.shape(inputs)))

    def backward(self, grad_loss: Any, inputs: Any, target: Any) -> Array:
        """The gradient by the inputs, of their shape.

        Args:
            grad_loss: The derivative by the loss: one number, `np.ones_like(loss)` as a rule.
            inputs, target: As for the call.

        Raises:
            ShapeError: `grad_loss` is not one number, or `inputs` and `target` do not fit.
        """
        grad_loss = as_array(grad_loss, "grad_loss")
        if grad_loss.shape != ():
            raise ShapeError(
                f"grad_loss has shape {grad_loss.shape}: a 0-d array was expected, as the loss is. "
                "Give np.ones_like(loss)."
            )
        return self._gradient(grad_loss, inputs, self.checked(target, np.shape(inputs)))

    def checked(self, target: Any, shape: tuple[int, ...]) -> Any:
        """The target, after a look at those values that are on the host; `shape` is that of the inputs."""
        return target

    def _pulled_back(self, grad_loss: Any, inputs: Any, target: Any) -> Any:
        value, vjp = jax.vjp(lambda inputs: self.function(inputs, target), as_float(inputs, "inputs"))
        return vjp(jax.numpy.asarray(grad_loss, value.dtype))[0]

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class CrossEntropyLoss(Loss):
    """The mean negative log probability of the labels, `F.cross_entropy`.

    `loss_fn(inputs, labels)` takes inputs `(N, C)`: scores, or the firing rates of C output neurons; and
    labels `(N,)`, integers from 0 to C - 1. Of ten rates in [0, 1] it cannot fall below 1.461.

    Raises:
        DataError: A label is no integer or out of range (looked at where labels are on the host).
        ShapeError: `inputs` is not `(N, C)`, or `labels` not `(N,)`.

    Example:
        >>> import numpy as np
        >>> loss_fn, rates, labels = CrossEntropyLoss(), np.zeros((4, 10), np.float32), np.array([0, 1, 2, 9])
        >>> loss = loss_fn(rates, labels)
        >>> grad = loss_fn.backward(np.ones_like(loss), rates, labels)
        >>> f"{loss:.4f}", grad.shape
        ('2.3026', (4, 10))
    """

    function = staticmethod(F.cross_entropy)

    def checked(self, target: Any, shape: tuple[int, ...]) -> Any:
        on_device = isinstance(target, Array | Tracer)
        return target if on_device or len(shape) != 2 else F.check_labels(target, shape[1])


class MSELoss(Loss):
    """The mean squared difference, `F.mse`: `loss_fn(inputs, target)` takes two arrays of the same shape.

    Example:
        >>> import numpy as np
        >>> float(MSELoss()(np.array([1.0, 3.0]), np.array([1.0, 1.0])))
        2.0
    """

    function = staticmethod(F.mse)
