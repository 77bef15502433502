"""Layers, neurons and containers: they hold arrays and state, and leave the computing to pure functions."""

from ..functional import ATan as ATan
from ..functional import FastSigmoid as FastSigmoid
from ..functional import Sigmoid as Sigmoid
from .container import MultiStepContainer as MultiStepContainer
from .container import SeqToANNContainer as SeqToANNContainer
from .container import Sequential as Sequential
from .converter import Converter as Converter
from .image import AvgPool2d as AvgPool2d
from .image import Conv2d as Conv2d
from .image import MaxPool2d as MaxPool2d
from .init import scaled_normal as scaled_normal
from .layout import functional_call as functional_call
from .linear import Dropout as Dropout
from .linear import Flatten as Flatten
from .linear import Linear as Linear
from .linear import ReLU as ReLU
from .loss import CrossEntropyLoss as CrossEntropyLoss
from .loss import MSELoss as MSELoss
from .module import Module as Module
from .neuron import IFNode as IFNode
from .neuron import LIFNode as LIFNode
from .neuron import ParametricLIFNode as ParametricLIFNode
from .norm import BatchNorm1d as BatchNorm1d
from .norm import BatchNorm2d as BatchNorm2d
from .parameter import Buffer as Buffer
from .parameter import Parameter as Parameter
from .random import random_key as random_key
from .random import seed as seed
from .scaler import VoltageScaler as VoltageScaler
from .stateful import StatefulModule as StatefulModule

__all__ = [
    "ATan",
    "AvgPool2d",
    "BatchNorm1d",
    "BatchNorm2d",
    "Buffer",
    "Conv2d",
    "Converter",
    "CrossEntropyLoss",
    "Dropout",
    "FastSigmoid",
    "Flatten",
    "IFNode",
    "LIFNode",
    "Linear",
    "MSELoss",
    "MaxPool2d",
    "Module",
    "MultiStepContainer",
    "Parameter",
    "ParametricLIFNode",
    "ReLU",
    "SeqToANNContainer",
    "Sequential",
    "Sigmoid",
    "StatefulModule",
    "VoltageScaler",
    "functional_call",
    "random_key",
    "scaled_normal",
    "seed",
]
