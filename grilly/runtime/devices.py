"""Which devices there are, which one a name means, and which one is the default."""

import atexit
import functools
import logging
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ..config import config
from ..errors import DeviceError
from .cpu import cpu
from .ir import Aval

if TYPE_CHECKING:
    from .gpu.device import VulkanDevice
    from .gpu.instance import Instance, Message
    from .gpu.physical import PhysicalDevice

log = logging.getLogger("grilly")
BEST_FIRST = ("discrete", "integrated", "virtual", "other", "software")
REAL = BEST_FIRST[:3]
_opening = threading.RLock()  # threads that ask for a device at once get the same one


class Device(Protocol):
    """Something that holds arrays and runs compiled functions: `cpu`, or a Vulkan device.

    Its storages are what `Array` wraps: a jax.Array, or a buffer.
    """

    @property
    def name(self) -> str: ...

    @property
    def kind(self) -> str: ...

    def put(self, array: np.ndarray) -> Any: ...

    def get(self, storage: Any, aval: Aval) -> np.ndarray: ...

    def copy(self, storage: Any, aval: Aval) -> Any: ...

    def wait(self, storage: Any) -> None: ...


@dataclass(frozen=True)
class Description:
    """A device that grilly can use, or a reason why not.

    Attributes:
        name: The driver's name for it, or `cpu`.
        kind: `cpu`, `discrete`, `integrated`, `virtual`, `software` or `other`.
        index: Its number in the name `vulkan:1`; None for `cpu`.
        memory_bytes: Bytes of its own memory; None for `cpu`.
        api: Its version of Vulkan, as text; empty for `cpu`.
        driver: Its driver's name and version; empty for `cpu`.
        default: Whether compiled functions run there unless told otherwise.
        why: Why it is, or is not, the default.
    """

    name: str
    kind: str
    index: int | None
    memory_bytes: int | None
    api: str
    driver: str
    default: bool
    why: str


def devices() -> list[Description]:
    """What there is to compute on, `cpu` first.

    Example:
        >>> import grilly
        >>> grilly.devices()[0].name
        'cpu'
    """
    with _opening:
        chosen, why = _choice()
    index = None if chosen is None else chosen.index
    found = [Description("cpu", "cpu", None, None, "", "", chosen is None, why if chosen is None else "not chosen")]
    for physical in _present():
        default = physical.index == index
        found.append(_described(physical, default, why if default else _why_not(physical)))
    return found


def default_device() -> Device:
    """The device of functions that were not told where to run."""
    with _opening:
        return _default()


def find_device(name: str | Device) -> Device:
    """The device that a name means; it is opened when it is first asked for. A device is itself.

    Args:
        name: `cpu`; `vulkan`, the best Vulkan device, a CPU driver included; `vulkan:1`; a kind, `discrete`,
            `integrated`, `virtual` or `software`, for the first of it; or a part of a name, likewise.

    Raises:
        DeviceError: There is none, or it cannot be used; or it is neither a name nor a device.

    Example:
        >>> import grilly
        >>> grilly.runtime.find_device("cpu").name
        'cpu'
    """
    if not isinstance(name, str):
        if hasattr(name, "put") and hasattr(name, "kind"):  # NumPy's arrays have a method put
            return name
        raise DeviceError(
            f"{name!r} is no device: a name as for GRILLY_DEVICE was expected, such as 'cpu' or 'vulkan', or the "
            "device of an array, array.device."
        )
    with _opening:
        physical = _physical(name)
        return cpu if physical is None else _opened(physical)


def validation_messages() -> "list[Message]":
    """What the validation layer said so far, on every device; the list is the live one, to be cleared."""
    return _instance().messages if _instance.cache_info().currsize else []


@functools.cache
def _default() -> Device:
    physical, why = _choice()
    device = cpu if physical is None else _opened(physical)
    log.info("device: %s (%s)", device.name, why)
    return device


def _choice() -> "tuple[PhysicalDevice | None, str]":
    """The default device, None for `cpu`, and why it is."""
    if config.device is not None:
        return _physical(config.device), f"GRILLY_DEVICE={config.device}"
    real = [physical for physical in _by_quality() if physical.kind in REAL]
    if real:
        return real[0], "the first real GPU"
    return None, "no GPU with a Vulkan driver" if _absent() is None else f"no Vulkan: {_absent()}"


def _physical(name: str) -> "PhysicalDevice | None":
    """The physical device that a name means; None for `cpu`."""
    if name == "cpu":
        return None
    if (absent := _absent()) is not None:
        raise DeviceError(f"there is no device {name!r}: {absent}")
    if name.isdecimal():  # as a part of a name, it would mean any card that has the digit in its name
        raise DeviceError(f"there is no device {name!r}: a number alone names none. Give vulkan:{name}.")
    if name == "vulkan":
        found = _by_quality()
    elif name in BEST_FIRST:
        found = [physical for physical in _by_quality() if physical.kind == name]
    elif name.startswith("vulkan:"):
        found = [physical for physical in _present() if f"vulkan:{physical.index}" == name]
    else:
        found = [physical for physical in _present() if name.lower() in physical.name.lower()]
    if not found:
        known = ", ".join(["cpu", *(f"vulkan:{p.index} ({p.name}, {p.kind})" for p in _present())])
        raise DeviceError(
            f"there is no device {name!r}. There are: {known}. Give one of these, a kind, or a part of a name."
        )
    return found[0]


def _by_quality() -> "list[PhysicalDevice]":
    """Those that can be used, the best first."""
    usable = [physical for physical in _present() if not physical.lacking]
    return sorted(usable, key=lambda physical: BEST_FIRST.index(physical.kind))


def _why_not(physical: "PhysicalDevice") -> str:
    if physical.lacking:
        return f"cannot be used: {physical.lacking}"
    return "a driver on the CPU, used when asked for" if physical.kind == "software" else "not chosen"


def _described(physical: "PhysicalDevice", default: bool, why: str) -> Description:
    api = ".".join(map(str, physical.api))
    index, memory = physical.index, physical.memory_bytes
    return Description(physical.name, physical.kind, index, memory, api, physical.driver, default, why)


def _present() -> "list[PhysicalDevice]":
    """Vulkan's devices, in its order; none where there is no Vulkan."""
    return [] if _absent() is not None else _found()


@functools.cache
def _absent() -> str | None:
    """Why there is no Vulkan at all; None where there is."""
    try:
        _found()
    except DeviceError as error:
        return str(error)
    return None


@functools.cache
def _found() -> "list[PhysicalDevice]":
    from .gpu.physical import PhysicalDevice

    instance = _instance()
    handles = enumerate(instance.physical_devices())
    return [PhysicalDevice(handle, k, instance.handle, config.bindings) for k, handle in handles]


@functools.cache
def _instance() -> "Instance":
    from .gpu.instance import Instance  # this is where a Vulkan loader is needed

    instance = Instance(config.validation)
    atexit.register(instance.close)
    return instance


@functools.cache
def _opened(physical: "PhysicalDevice") -> "VulkanDevice":
    from .gpu.device import VulkanDevice

    device = VulkanDevice(_instance(), physical)
    if sum(other.name == physical.name for other in _present()) > 1:
        device.name += f" (vulkan:{physical.index})"  # so that messages tell equal cards apart
    atexit.register(device.close)  # before the instance is
    return device
