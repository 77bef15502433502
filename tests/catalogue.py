"""The tables of what is under test. A new neuron, surrogate or layer is a new row, and gets every law."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import oracles

from grilly import functional as F


@dataclasses.dataclass(frozen=True)
class Neuron:
    """A step with its static choices bound, the params it takes, and its definition."""

    step: Callable[..., Any]
    params: Callable[..., Any]  # of its fields by keyword
    oracle: Callable[[Any], oracles.Neuron]  # of params whose leaves are NumPy
    leak: str | None = None  # the leaf behind k, with dk/dleaf as a function of k
    leak_slope: Callable[[Any], Any] = lambda k: 0.0


def _if(params):
    return oracles.Neuron(k=0.0, v_threshold=params.v_threshold, v_reset=params.v_reset)


def _lif(params, decay_input=False):
    k = 1 / np.asarray(params.tau)
    return oracles.Neuron(k, params.v_threshold, params.v_reset, decay_input, tau=params.tau)


def _plif(params, decay_input=False):
    k = 1 / (1 + np.exp(-np.asarray(params.w)))
    return oracles.Neuron(k, params.v_threshold, params.v_reset, decay_input)


def _decays(function):
    return functools.partial(function, decay_input=True)


_tau = {"leak": "tau", "leak_slope": lambda k: -k * k}
_w = {"leak": "w", "leak_slope": lambda k: k * (1 - k)}
NEURONS = {
    "if": Neuron(F.if_step, F.IFParams, _if),
    "lif": Neuron(F.lif_step, F.LIFParams, _lif, **_tau),
    "lif_decay_input": Neuron(_decays(F.lif_step), F.LIFParams, _decays(_lif), **_tau),
    "plif": Neuron(F.plif_step, F.PLIFParams, _plif, **_w),
    "plif_decay_input": Neuron(_decays(F.plif_step), F.PLIFParams, _decays(_plif), **_w),
}


@dataclasses.dataclass(frozen=True)
class Surrogate:
    """A spike function, the definition of its slope, and its name in the golden arrays."""

    kind: Callable[..., Any]
    slope: Callable[..., Any]
    golden: str


SURROGATES = {
    "atan": Surrogate(F.ATan, oracles.atan_slope, "atan2"),
    "sigmoid": Surrogate(F.Sigmoid, oracles.sigmoid_slope, "sigmoid4"),
    "fast_sigmoid": Surrogate(F.FastSigmoid, oracles.fast_sigmoid_slope, "softsign2"),
}


@dataclasses.dataclass(frozen=True)
class Layer:
    """A pure function of arrays, its definition, and the shapes that it is tried on."""

    function: Callable[..., Any]
    oracle: Callable[..., Any]
    shapes: tuple[tuple[int, ...], ...]
    exact: bool = True  # on multiples of a small power of two: there, no sum or product of it has to round
    pointwise: bool = False  # no element of the output or of the input's gradient is a sum


def _statistics(scale):
    return np.linspace(-0.5, 0.5, len(scale)).astype(np.float32), np.linspace(0.5, 2, len(scale)).astype(np.float32)


def _batch_norm(x, scale, bias, **choices):
    return F.batch_norm(x, scale, bias, *_statistics(scale), **{"training": True} | choices)[0]


def _line(x, scale, bias):
    """Batch normalization in evaluation."""
    mean, var = (each.astype(np.float64) for each in _statistics(scale))
    return (x - mean) / np.sqrt(var + 1e-5) * scale + bias


def _conv(shapes, **choices):
    return Layer(functools.partial(F.conv2d, **choices), functools.partial(oracles.conv2d, **choices), shapes)


def _pool(function, oracle, pointwise=False, **choices):
    shapes = ((2, 3, 7, 6),)
    return Layer(
        functools.partial(function, **choices), functools.partial(oracle, **choices), shapes, pointwise=pointwise
    )


def _norm(*shape, **choices):
    channels = shape[choices.get("axis", 1)]
    function, oracle = (functools.partial(f, **choices) for f in (_batch_norm, oracles.batch_norm))
    return Layer(function, oracle, (shape, (channels,), (channels,)), exact=False)


LAYERS = {
    "linear": Layer(F.linear, oracles.linear, ((5, 7), (4, 7), (4,))),
    "linear_sequence": Layer(F.linear, oracles.linear, ((3, 5, 7), (4, 7), (4,))),
    "linear_no_bias": Layer(F.linear, lambda x, w: x @ w.T, ((5, 7), (4, 7))),
    "conv2d": _conv(((2, 3, 6, 5), (4, 3, 3, 3), (4,))),
    "conv2d_strided": _conv(((2, 3, 7, 6), (4, 3, 3, 2), (4,)), stride=(2, 3), padding=(1, 0)),
    "conv2d_dilated": _conv(((2, 3, 9, 8), (4, 3, 3, 3), (4,)), dilation=(2, 1), padding=(2, 2)),
    "conv2d_groups": _conv(((2, 4, 5, 5), (6, 2, 3, 3), (6,)), groups=2, padding=(1, 1)),
    "max_pool2d": _pool(F.max_pool2d, oracles.max_pool2d, pointwise=True, kernel=(2, 2), stride=(2, 2)),
    "max_pool2d_overlapping": _pool(F.max_pool2d, oracles.max_pool2d, kernel=(3, 2), stride=(1, 2), padding=(1, 1)),
    "avg_pool2d": _pool(F.avg_pool2d, oracles.avg_pool2d, kernel=(2, 2), stride=(2, 2)),
    "avg_pool2d_overlapping": _pool(F.avg_pool2d, oracles.avg_pool2d, kernel=(4, 2), stride=(1, 2), padding=(1, 1)),
    "relu": Layer(F.relu, lambda x: np.maximum(x, 0), ((4, 5),), pointwise=True),
    "flatten": Layer(F.flatten, lambda x: x.reshape(len(x), -1), ((2, 3, 4, 5),), pointwise=True),
    "batch_norm": _norm(6, 3),
    "batch_norm_images": _norm(4, 3, 5, 5),
    "batch_norm_last_axis": _norm(4, 5, 3, axis=2, eps=0.1),
    "batch_norm_evaluation": Layer(
        functools.partial(_batch_norm, training=False), _line, ((6, 3), (3,), (3,)), exact=False, pointwise=True
    ),
}
