"""A compiler and a device: `jit` and the arrays it returns. It has never heard of a neuron."""

from .array import Array as Array
from .array import put as put
from .carried import Carried as Carried
from .compile import Jit as Jit
from .compile import jit as jit
from .devices import Description as Description
from .devices import Device as Device
from .devices import default_device as default_device
from .devices import devices as devices
from .devices import find_device as find_device
from .profile import Profile as Profile
from .profile import profile as profile
from .report import MemoryReport as MemoryReport
from .stages import Stages as Stages

__all__ = [
    "Array",
    "Carried",
    "Description",
    "Device",
    "Jit",
    "MemoryReport",
    "Profile",
    "Stages",
    "default_device",
    "devices",
    "find_device",
    "jit",
    "profile",
    "put",
]
