"""What turns a ReLU network into a spiking one: fused weights, and the scale of each ReLU's outputs on data.

Computed once and on the host, with NumPy. Scales without data are in `interval`; what the converted net then
does step by step is in `rate`.
"""

from numbers import Real

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from ..errors import DataError, ParameterError, ShapeError
from .arguments import first_broken

Mode = str | float


def fuse_batch_norm(
    weight: ArrayLike,
    bias: ArrayLike | None,
    scale: ArrayLike,
    shift: ArrayLike,
    mean: ArrayLike,
    var: ArrayLike,
    eps: float = 1e-5,
) -> tuple[np.ndarray, np.ndarray]:
    """The weight and bias of a linear layer or a convolution that does batch normalization's work too.

        factor = scale / sqrt(var + eps)
        weight = weight * factor     bias = (bias - mean) * factor + shift

    Args:
        weight: `(out, *)`, of `linear` or `conv2d`.
        bias: `(out,)`, or None.
        scale, shift, mean, var: `(out,)`: the learned scale and bias of `batch_norm`, and the running mean
            and variance that it normalizes by in evaluation.
        eps: Added to the variance.

    Returns:
        The new weight and bias, float32.

    Raises:
        ShapeError: The normalization has another number of channels than the layer has outputs.

    Example:
        >>> import numpy as np
        >>> one = np.ones(1)
        >>> weight, bias = fuse_batch_norm(np.array([[3.0]]), None, 2 * one, one, 4 * one, one, eps=0.0)
        >>> weight.tolist(), bias.tolist()
        ([[6.0]], [-7.0])

    References:
        B. Rueckauer et al., "Conversion of continuous-valued deep networks to efficient event-driven networks
        for image classification", Frontiers in Neuroscience 11 (2017).
    """
    weight = np.asarray(weight, np.float64)
    factor, offset = batch_norm_line(scale, shift, mean, var, eps)
    if factor.shape != weight.shape[:1]:
        raise ShapeError(
            f"the batch normalization has {factor.size} channels, the layer before it {weight.shape[0]} outputs: "
            "they cannot be fused. Give both the same number."
        )
    fused = weight * factor.reshape(-1, *[1] * (weight.ndim - 1))
    added = offset if bias is None else np.asarray(bias, np.float64) * factor + offset
    return fused.astype(np.float32), added.astype(np.float32)


def batch_norm_line(
    scale: ArrayLike, shift: ArrayLike, mean: ArrayLike, var: ArrayLike, eps: float
) -> tuple[np.ndarray, np.ndarray]:
    """Batch normalization in evaluation as `x * factor + offset`: both, `(C,)`, float64."""
    scale, shift, mean, var = (np.asarray(leaf, np.float64) for leaf in (scale, shift, mean, var))
    factor = scale / np.sqrt(var + eps)
    return factor, shift - mean * factor


def check_mode(mode: Mode) -> Mode:
    """Refuses what is no mode of choosing a scale.

    Raises:
        ParameterError: It is neither 'max', nor a percentile in (0, 100] as text, nor a fraction in (0, 1].
    """
    known = "'max', a percentile such as '99.9%', or a fraction of the maximum such as 0.5"
    if isinstance(mode, str):
        percentile = percentile_of(mode)
        if mode != "max" and percentile is None:
            raise ParameterError(f"mode is {mode!r}: {known} was expected.")
        if percentile is not None and not 0 < percentile <= 100:
            raise ParameterError(f"mode is {mode!r}: a percentile in (0, 100] was expected, such as '99.9%'.")
    elif isinstance(mode, bool) or not isinstance(mode, Real):
        raise ParameterError(f"mode is {mode!r}: {known} was expected.")
    elif not 0 < mode <= 1:
        raise ParameterError(
            f"mode is {mode!r}: a fraction of the maximum in (0, 1] was expected. A percentile is given as "
            "text, such as '99.9%'."
        )
    return mode


def percentile_of(mode: Mode) -> float | None:
    """The number in a mode such as '99.9%'; None for other modes."""
    if not isinstance(mode, str) or not mode.endswith("%"):
        return None
    try:
        return float(mode[:-1])
    except ValueError:
        return None


def seen(outputs: jax.Array, mode: Mode) -> jax.Array:
    """What has to be kept of a batch of outputs to choose a scale later: all for a percentile, else the largest."""
    return outputs if percentile_of(mode) is not None else jnp.max(outputs)


def activation_scale(outputs: list[np.ndarray], mode: Mode, name: str = "the layer") -> float:
    """The output of a ReLU that a spike in every step will stand for.

    Args:
        outputs: Its outputs on calibration data, in arrays of any shape, one or more a batch.
        mode: 'max', the largest output; '99.9%' or any other percentile in (0, 100], that of all elements of
            all batches taken together, linear between neighbours as `numpy.percentile` has it; or a fraction
            in (0, 1], of the largest output.
        name: What to call the layer in an error.

    Returns:
        The scale, > 0, in the unit of the outputs.

    Raises:
        ParameterError: `mode` is none of these, or the percentile that it names is 0.
        DataError: The layer's outputs are all 0, or not all finite.

    Example:
        >>> import numpy as np
        >>> outputs = [np.array([0.0, 1.0]), np.array([3.0, 2.0, 4.0])]
        >>> [activation_scale(outputs, mode) for mode in ("max", "50%", 0.25)]
        [4.0, 2.0, 1.0]

    References:
        P. U. Diehl et al., "Fast-classifying, high-accuracy spiking deep networks through weight and threshold
        balancing", IJCNN 2015 (the maximum). B. Rueckauer et al. (2017), as for `fuse_batch_norm` (the percentile).
    """
    check_mode(mode)
    values = np.concatenate([np.ravel(part) for part in outputs])
    largest, percentile = float(values.max()), percentile_of(mode)
    if not np.isfinite(largest):
        raise DataError(
            f"{name} gives {largest} on finite calibration data: a weight before it is not finite, or far too "
            "large. Train the ann again, or load other weights."
        )
    if largest <= 0:
        raise DataError(
            f"{name} never activates on the calibration data: all its outputs are 0, so no scale fits them. "
            "Calibrate with data as the ann was trained on, scaled as it was."
        )
    scale = float(np.percentile(values, percentile)) if percentile is not None else part_of(largest, mode)
    if scale <= 0:
        raise ParameterError(
            f"mode is {mode!r}, but that percentile of the outputs of {name} is 0: too many of them are. Use a "
            "higher one, such as '99.9%', or 'max'."
        )
    return scale


def check_batch(x: np.ndarray, number: int) -> None:
    """Refuses a calibration batch that is no array of numbers, or empty, or has an element that is not finite.

    Raises:
        DataError: It says which, and names the first such element.
    """
    if x.dtype.kind not in "fiubV":  # V: bfloat16
        raise DataError(
            f"calibration batch {number} has dtype {x.dtype}: an array of numbers was expected, or a tuple that "
            "begins with one."
        )
    if x.size == 0:
        raise DataError(f"calibration batch {number} is empty, its shape is {x.shape}: leave it out.")
    broken = first_broken(x, np.isfinite) if x.dtype.kind == "f" else None
    if broken is not None:
        where, element = broken
        raise DataError(f"calibration batch {number} has {element:g} at {where}: finite numbers were expected.")


def part_of(largest: float, mode: Mode) -> float:
    """The largest output, or the fraction of it that the mode is."""
    return largest if isinstance(mode, str) else largest * float(mode)
