"""The C interface of Vulkan, through the cffi module of the `vulkan` package, and what makes it bearable.

Importing this file needs a Vulkan loader, so nothing imports it before a Vulkan device is looked for.
"""

import functools
import re
import weakref
from collections.abc import Sequence
from typing import Any

from ...errors import DeviceError, DeviceMemoryError

try:
    from vulkan import _vulkan  # its cffi module: the package's own wrappers cost 16-44 us a call
except OSError as error:
    raise DeviceError(
        "there is no Vulkan loader (libvulkan) on this machine. Install it with the GPU's driver; on Debian "
        "and Ubuntu: apt-get install libvulkan1 mesa-vulkan-drivers "
        "(the latter has a driver for the CPU too)."
    ) from error

ffi: Any = _vulkan.ffi
lib: Any = _vulkan.lib
NULL = ffi.NULL
COMPUTE_BIND_POINT, COMPUTE_STAGE = 1, 0x20  # VkPipelineBindPoint, VkShaderStageFlagBits
OUT_OF_MEMORY = ("VK_ERROR_OUT_OF_HOST_MEMORY", "VK_ERROR_OUT_OF_DEVICE_MEMORY")
RESULTS: dict[int, str] = ffi.typeof("VkResult").elements

# What a struct's fields point to must live as long as the struct.
_kept: "weakref.WeakKeyDictionary[Any, Any]" = weakref.WeakKeyDictionary()


class _Enum:
    """Vulkan's constants: `ENUM.VkBufferUsageFlagBits["VK_BUFFER_USAGE_STORAGE_BUFFER_BIT"]`."""

    def __getattr__(self, kind: str) -> dict[str, int]:
        return ffi.typeof(kind).relements


ENUM = _Enum()


def new(kind: str, **fields: Any) -> Any:
    """A pointer to a new struct, its sType filled in. What its fields point to is kept alive with it."""
    struct = ffi.new(f"{kind}*")
    if kind_number := _structure_type(kind):
        struct.sType = kind_number
    for name, value in fields.items():
        setattr(struct, name, value)
    _kept[struct] = tuple(fields.values())
    return struct


@functools.cache
def _structure_type(kind: str) -> int | None:
    """VkPhysicalDeviceVulkan12Features -> VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES."""
    name = re.sub(r"(?<=[a-z])(?=[A-Z0-9])|(?<=[0-9])(?=[A-Z])", "_", kind.removeprefix("Vk")).upper()
    name = re.sub(r"VULKAN_1(\d)", r"VULKAN_1_\1", name)
    return ENUM.VkStructureType.get(f"VK_STRUCTURE_TYPE_{name}")


def strings(texts: Sequence[str]) -> Any:
    """A C array of C strings."""
    each = [ffi.new("char[]", text.encode()) for text in texts]
    array = ffi.new("char*[]", each)
    _kept[array] = each
    return array


def check(result: int, doing: str) -> None:
    """Raises unless Vulkan says that `doing` succeeded.

    Raises:
        DeviceMemoryError: There was no memory left.
        DeviceError: Anything else, by its name.
    """
    if result >= 0:
        return
    name = RESULTS.get(result, f"VkResult {result}")
    if name in OUT_OF_MEMORY:
        raise DeviceMemoryError(f"{doing} failed: {name}.")
    if name == "VK_ERROR_DEVICE_LOST":
        raise DeviceError(f"{doing} failed: {name}. The driver gave the device up; its arrays are gone. Start again.")
    raise DeviceError(f"{doing} failed: {name}.")


def enumerated(kind: str, function: Any, *arguments: Any) -> list[Any]:
    """What one of Vulkan's functions lists that are called twice, for the count and for the items."""
    count = ffi.new("uint32_t*")
    function(*arguments, count, NULL)
    items = ffi.new(f"{kind}[]", count[0])
    if kind_number := _structure_type(kind):
        for item in items:
            item.sType = kind_number
    function(*arguments, count, items)
    return list(items[0 : count[0]])


def version(number: int) -> tuple[int, int, int]:
    """(major, minor, patch) of a packed version number."""
    return number >> 22, number >> 12 & 0x3FF, number & 0xFFF
