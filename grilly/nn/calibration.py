"""Calibration: what the outputs of each ReLU of an ANN are on data, or can be at all. `converter` uses it."""

from collections.abc import Iterable
from typing import Any

import jax
import numpy as np
from tqdm import tqdm

from .. import functional as F
from ..errors import DataError, ParameterError
from ..functional import conversion
from ..functional.interval import UNIT, Interval, affine_interval, line_interval, padded_interval, relu_interval
from ..runtime import Array, Device
from .image import AvgPool2d, Conv2d
from .linear import Linear, ReLU
from .module import Module
from .norm import BatchNorm1d, BatchNorm2d

Layers = dict[str, Module]  # the layers of an ANN one after another, by their names in it


class Observed(Module):
    """The layers of an ANN; a call gives, for each ReLU, what has to be kept of its outputs."""

    def __init__(self, layers: Layers, mode: conversion.Mode) -> None:
        for name, layer in layers.items():
            setattr(self, name, layer)
        self.mode = mode

    def forward(self, x: Any) -> dict[str, Any]:
        outputs = {}
        for name, layer in self.named_children():
            x = layer(x)
            if isinstance(layer, ReLU):
                outputs[name] = conversion.seen(x, self.mode)
        return outputs


def scales_on_data(layers: Layers, data: Any, mode: conversion.Mode, device: Device) -> dict[str, float]:
    """The scale of each ReLU, from its outputs on data. The layers are in evaluation mode.

    Raises:
        DataError: There is no batch, or one is empty or not finite; or a ReLU never activates.
        ParameterError: `data` is no array and no iterable; or the percentile is 0.
        ShapeError: A batch does not fit the ANN.
    """
    net = Observed(layers, mode).eval().to(device)
    kept: dict[str, list[np.ndarray]] = {name: [] for name, layer in layers.items() if isinstance(layer, ReLU)}
    # The bar shows up only if it takes longer than two seconds.
    for number, batch in enumerate(tqdm(_batches(data), "calibrate", unit=" batches", delay=2, leave=False)):
        x = np.asarray(batch[0] if isinstance(batch, tuple | list) else batch)
        conversion.check_batch(x, number)
        for name, outputs in net(x).items():
            kept[name].append(np.asarray(outputs))
    if not any(kept.values()):
        raise DataError(
            "the calibration data has no batch: at least one was expected. An iterator can be gone through "
            "only once: give a list, or make a new one."
        )
    return {name: F.activation_scale(outputs, mode, _title(name)) for name, outputs in kept.items()}


def scales_of_weights(layers: Layers, mode: conversion.Mode) -> dict[str, float]:
    """The scale of each ReLU, from the largest output that it can have for inputs from 0 to 1.

    Raises:
        ParameterError: `mode` is a percentile, or a ReLU can never activate.
    """
    interval, scales = UNIT, {}
    for name, layer in layers.items():
        if isinstance(layer, ReLU):
            scales[name] = F.bound_scale(interval, mode, _title(name))
        interval = _interval(layer, interval)
    return scales


def affine_arguments(layer: Any) -> tuple[Any, Any]:
    """The weight and the bias, or None, of a linear layer or a convolution."""
    return layer.weight, layer.bias


def batch_norm_arguments(norm: Any) -> tuple[Any, ...]:
    """What `F.batch_norm` in evaluation normalizes by: scale, shift, mean, variance and eps."""
    return norm.weight, norm.bias, norm.running_mean, norm.running_var, norm.eps


def _interval(layer: Module, interval: Interval) -> Interval:
    """What a layer can give for inputs in an interval."""
    match layer:
        case ReLU():
            return relu_interval(interval)
        case Linear():
            return affine_interval(interval, *affine_arguments(layer))
        case Conv2d():
            padded = padded_interval(interval, layer.padding)
            return affine_interval(padded, *affine_arguments(layer), layer.groups)
        case BatchNorm1d() | BatchNorm2d():
            return line_interval(interval, *conversion.batch_norm_line(*batch_norm_arguments(layer)))
        case AvgPool2d():
            return padded_interval(interval, layer.padding)
    return interval  # the elements of max pooling's and Flatten's outputs are elements of their inputs


def _batches(data: Any) -> Iterable[Any]:
    """An array is one batch; anything else is gone through."""
    if isinstance(data, np.ndarray | jax.Array | Array):
        return [data]
    if not isinstance(data, Iterable):
        raise ParameterError(
            f"the calibration data is a {type(data).__name__}: an array (N, *) was expected, or an iterable of "
            "batches, each an array or a tuple that begins with one."
        )
    return data


def _title(name: str) -> str:
    return f'layer "{name}" (ReLU)'
