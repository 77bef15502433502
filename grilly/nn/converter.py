"""`Converter`: a trained ReLU network becomes a spiking one with the same weights. Scales are in `calibration`."""

import copy
from collections.abc import Iterator
from typing import Any

from .. import functional as F
from ..errors import GrillyError, ParameterError
from ..functional.conversion import Mode, check_mode
from .calibration import Layers, affine_arguments, batch_norm_arguments, scales_of_weights, scales_on_data
from .container import SeqToANNContainer, Sequential
from .image import AvgPool2d, Conv2d, MaxPool2d
from .layout import Layout
from .linear import Dropout, Flatten, Linear, ReLU
from .module import Module
from .neuron import IFNode
from .norm import BatchNorm1d, BatchNorm2d
from .parameter import Parameter
from .rate import HalfwayIFNode, RateMaxPool2d
from .scaler import VoltageScaler
from .stateful import StatefulModule

KINDS = (Linear, Conv2d, BatchNorm1d, BatchNorm2d, ReLU, MaxPool2d, AvgPool2d, Flatten, Dropout)
FUSED = {BatchNorm1d: Linear, BatchNorm2d: Conv2d}  # batch normalization, and what it is fused into


class Converter:
    """Converts a trained ReLU network into a spiking one that approximates it by rate coding.

    The spiking net takes the same input at each of T steps, and the mean over time of what it gives tends to
    what the ANN gives as T grows. Each ReLU becomes `VoltageScaler(1/s)`, `IFNode` with soft reset,
    `VoltageScaler(s)`: a spike stands for the activation s, which is the largest that can be told. A batch
    normalization behind `Linear` or `Conv2d` is fused into it, dropout is left out, and max pooling pools
    rates (`RateMaxPool2d`). The ANN stays as it is.

    With calibration data s is the maximum, a percentile or a fraction of what each ReLU gives on it. Without,
    it is a bound from the weights alone, for inputs from 0 to 1: 2 to 5 times the true maximum for the first
    ReLUs, and much more in a deep net. A rate is so many times coarser, and as many more steps are needed;
    the neurons start at half their threshold there, which makes up for a part of it. Calibrate wherever there
    is data.

    Args:
        ann: `Sequential`, nested or not, of Linear, Conv2d, BatchNorm1d, BatchNorm2d, ReLU, MaxPool2d,
            AvgPool2d, Flatten and Dropout. Inputs `(N, features)` or `(N, C, H, W)`; images are flattened
            before a Linear.
        mode: What s is: 'max'; a percentile in (0, 100] as text, such as '99.9%', over all outputs of all
            batches (all are kept, 4 bytes each: some hundred inputs are enough); or a fraction of the maximum
            in (0, 1]. Less than the maximum gives finer rates, and clips what lies above.
        dataloader: Calibration data: an array `(N, *)`, which is one batch, or an iterable of batches, each
            an array or a tuple that begins with one. None to do without.

    Raises:
        ParameterError: `mode` is none of these, or `ann` is no module.

    Example:
        >>> import numpy as np
        >>> from grilly import functional as F, nn
        >>> ann = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
        >>> images = np.random.default_rng(0).random((16, 4), np.float32)
        >>> snn = nn.Converter(ann, mode="max", dataloader=images).convert()
        >>> rate = sum(snn(images) for _ in range(64)) / 64  # one step at a time
        >>> F.reset_net(snn)
        >>> F.set_step_mode(snn, "m")
        >>> rate = snn(F.direct(images, T=64)).mean(axis=0)  # or all at once
        >>> bool(np.abs(rate - ann.eval()(images)).max() < 0.2)
        True

    References:
        B. Rueckauer et al., "Conversion of continuous-valued deep networks to efficient event-driven networks
        for image classification", Frontiers in Neuroscience 11 (2017). SpikingJelly's `ann2snn.Converter` has
        the same modes; it takes them of each batch, and keeps a moving average.
    """

    def __init__(self, ann: Module, mode: Mode = "max", dataloader: Any = None) -> None:
        if not isinstance(ann, Module):
            raise ParameterError(f"a {type(ann).__name__} was given: a grilly.nn.Module was expected as the ann.")
        self.ann, self.mode, self.dataloader = ann, check_mode(mode), dataloader

    def convert(self, data: Any = None) -> Sequential:
        """The spiking net, in evaluation mode and step mode 's', on the ANN's device.

        Call `F.reset_net` between batches; `F.set_step_mode(net, 'm')` for whole sequences `(T, N, *)`.

        Args:
            data: Calibration data, as `dataloader`, and instead of it.

        Raises:
            ParameterError: The ANN has a layer that cannot be converted, or no ReLU, or one that can never
                activate; or `mode` is a percentile, and there is no data.
            DataError: The data has no batch, or one that is empty or not finite; or a ReLU never activates.
            ShapeError: A batch does not fit the ANN, or batch normalization the layer before it.
        """
        layers = _fused(_copied(self.ann))
        data = self.dataloader if data is None else data
        device = Layout(self.ann).device
        if data is None:
            scales, node = scales_of_weights(layers, self.mode), HalfwayIFNode
        else:
            scales, node = scales_on_data(layers, data, self.mode, device), IFNode
        return Sequential(*_spiking(layers, scales, node)).eval().to(device)


def _copied(ann: Module) -> Layers:
    """The layers of an ANN one after another, in evaluation mode and without dropout.

    Raises:
        ParameterError: One cannot be converted or has a state, or none is a ReLU.
    """
    _refuse_states(ann)
    layers: Layers = {}
    for name, layer in _chain("", ann):
        _refuse_unknown(name, layer)
        if not isinstance(layer, Dropout):
            layers[name] = copy.deepcopy(layer).eval()
            layers[name].zero_grad()
    if not any(isinstance(layer, ReLU) for layer in layers.values()):
        raise ParameterError(
            "the ann has no ReLU, and only ReLUs become spiking neurons. Put nn.ReLU() between its layers and "
            "train it so: F.relu in a forward cannot be seen."
        )
    return layers


def _chain(name: str, module: Module) -> Iterator[tuple[str, Module]]:
    """The layers of nested Sequentials in order, by their names in the outermost."""
    if type(module).forward is not Sequential.forward:
        yield name, module
        return
    for inner, child in module.named_children():
        yield from _chain(f"{name}.{inner}" if name else inner, child)


def _refuse_states(ann: Module) -> None:
    for name, module in ann.named_modules():
        if isinstance(module, StatefulModule):
            raise ParameterError(
                f"{_place(name)} is a {type(module).__name__}, which carries a state through time already: an "
                "ANN of ReLUs was expected. Put nn.ReLU() in its place and train that, or use the net as it is."
            )


def _refuse_unknown(name: str, layer: Module) -> None:
    if type(layer).forward not in {kind.forward for kind in KINDS}:
        raise ParameterError(
            f"{_place(name)} is a {type(layer).__name__}, which cannot be converted: what its forward does is "
            f"unknown. Build the ann of nn.Sequential and of {', '.join(kind.__name__ for kind in KINDS)}."
        )


def _place(name: str) -> str:
    return f'layer "{name}" of the ann' if name else "the ann"


def _fused(layers: Layers) -> Layers:
    """The layers, with each batch normalization that follows a linear layer or a convolution fused into it."""
    fused: Layers = {}
    before: Module | None = None
    for name, layer in layers.items():
        if any(isinstance(layer, norm) and isinstance(before, kind) for norm, kind in FUSED.items()):
            _fuse(before, layer, name)
        else:
            fused[name] = before = layer
    return fused


def _fuse(layer: Any, norm: Module, name: str) -> None:
    try:
        weight, bias = F.fuse_batch_norm(*affine_arguments(layer), *batch_norm_arguments(norm))
    except GrillyError as error:
        error.add_note(f'in layer "{name}": {norm._line()}')
        raise
    layer.weight, layer.bias = Parameter(weight), Parameter(bias)


def _spiking(layers: Layers, scales: dict[str, float], node: type[IFNode]) -> Iterator[Module]:
    """The modules of the spiking net: layers that know no time together in a container, until time matters."""
    plain: list[Module] = []
    for name, layer in layers.items():
        if not isinstance(layer, ReLU | MaxPool2d):
            plain.append(layer)
            continue
        if plain:
            yield SeqToANNContainer(*plain, step_mode="s")
            plain = []
        yield RateMaxPool2d(layer) if isinstance(layer, MaxPool2d) else _neurons(scales[name], node)
    if plain:
        yield SeqToANNContainer(*plain, step_mode="s")


def _neurons(scale: float, node: type[IFNode]) -> Sequential:
    """What stands for a ReLU whose outputs go up to `scale`."""
    return Sequential(VoltageScaler(1 / scale), node(v_threshold=1.0, v_reset=None), VoltageScaler(scale))
