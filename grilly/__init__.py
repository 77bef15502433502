"""Spiking neural networks on any GPU with a Vulkan driver, from pure JAX-style functions."""

from . import functional as functional
from . import nn as nn
from . import optim as optim
from .config import Config as Config
from .config import __version__ as __version__
from .errors import DataError as DataError
from .errors import DeviceError as DeviceError
from .errors import DeviceMemoryError as DeviceMemoryError
from .errors import GrillyError as GrillyError
from .errors import GrillyWarning as GrillyWarning
from .errors import ParameterError as ParameterError
from .errors import PlanError as PlanError
from .errors import ShaderError as ShaderError
from .errors import ShapeError as ShapeError
from .errors import StateError as StateError
from .errors import UnsupportedPrimitiveError as UnsupportedPrimitiveError
from .nn.random import seed as seed
from .runtime import Array as Array
from .runtime import devices as devices
from .runtime import jit as jit
from .runtime import profile as profile
from .runtime import put as put
from .train_step import train_step as train_step

__all__ = [
    "Array",
    "Config",
    "DataError",
    "DeviceError",
    "DeviceMemoryError",
    "GrillyError",
    "GrillyWarning",
    "ParameterError",
    "PlanError",
    "ShaderError",
    "ShapeError",
    "StateError",
    "UnsupportedPrimitiveError",
    "__version__",
    "devices",
    "functional",
    "jit",
    "nn",
    "optim",
    "profile",
    "put",
    "seed",
    "train_step",
]
