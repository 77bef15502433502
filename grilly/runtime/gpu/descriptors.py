"""What a device binds for kernels that take no addresses: its storage buffers, pushed anew for each dispatch."""

import itertools
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ...errors import DeviceError
from ..plan import Binding, Shader
from .vulkan import COMPUTE_BIND_POINT, COMPUTE_STAGE, ENUM, ffi, lib, new

if TYPE_CHECKING:
    from .device import VulkanDevice

STORAGE_BUFFER = ENUM.VkDescriptorType["VK_DESCRIPTOR_TYPE_STORAGE_BUFFER"]
PUSHED = 1  # VK_DESCRIPTOR_SET_LAYOUT_CREATE_PUSH_DESCRIPTOR_BIT_KHR


class Bound(NamedTuple):
    """Bytes of Vulkan's buffer: what a kernel's buffer is there, and what is bound, from an aligned place on."""

    handle: Any
    own: range
    bound: range
    written: bool


def seem_to_meet(buffers: Sequence[Bound], earlier: Iterable[Bound]) -> bool:
    """Whether bytes that are bound beside a kernel's buffers are all that looks like a hazard."""
    near = [
        (one, other)
        for one, other in itertools.product(buffers, earlier)
        if one.handle == other.handle and (one.written or other.written) and _meet(one.bound, other.bound)
    ]
    return bool(near) and not any(_meet(one.own, other.own) for one, other in near)


def _meet(one: range, other: range) -> bool:
    return max(one.start, other.start) < min(one.stop, other.stop)


class Descriptors:
    """The bindings of all kernels: as many storage buffers as a kernel may have, of which each uses the first few.

    Args:
        device: Where.

    Attributes:
        layouts: Of descriptor set 0, the only one.
    """

    def __init__(self, device: "VulkanDevice") -> None:
        self._device, self._limits = device, device.physical.limits
        count = device.target.bindings
        bindings = ffi.new("VkDescriptorSetLayoutBinding[]", count)
        for k in range(count):
            bindings[k].binding, bindings[k].descriptorCount = k, 1
            bindings[k].descriptorType, bindings[k].stageFlags = STORAGE_BUFFER, COMPUTE_STAGE
        info = new("VkDescriptorSetLayoutCreateInfo", flags=PUSHED, bindingCount=count, pBindings=bindings)
        self.layouts = ffi.new("VkDescriptorSetLayout[]", [device.create("DescriptorSetLayout", info)])
        function = lib.vkGetDeviceProcAddr(device.handle, b"vkCmdPushDescriptorSetKHR")
        self._push = ffi.cast("PFN_vkCmdPushDescriptorSetKHR", function)
        self._buffers = ffi.new("VkDescriptorBufferInfo[]", count)
        self._writes = ffi.new("VkWriteDescriptorSet[]", count)
        for k in range(count):
            write = self._writes[k]
            write.sType = ENUM.VkStructureType["VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET"]
            write.dstBinding, write.descriptorCount, write.descriptorType = k, 1, STORAGE_BUFFER
            write.pBufferInfo = self._buffers + k

    def check(self, shader: Shader) -> None:
        """Raises DeviceError where a kernel has a buffer that is too large to be bound."""
        limit, largest = self._limits.maxStorageBufferRange, max(binding.nbytes for binding in shader.bindings)
        if largest > limit:
            raise DeviceError(
                f"{self._device.name} binds at most {limit} bytes of a buffer: the kernel {shader.name!r} has one of "
                f"{largest} bytes. Unset GRILLY_BINDINGS, or make the array smaller."
            )

    def bound(self, addresses: Sequence[int], bindings: Sequence[Binding]) -> list[Bound]:
        """What to bind for the buffers that lie at these addresses."""
        alignment, found = self._limits.minStorageBufferOffsetAlignment, []
        for address, binding in zip(addresses, bindings, strict=True):
            block = self._device.heap.block_at(address)
            own = range(address - block.address, address - block.address + binding.nbytes)
            bound = range(own.start - own.start % alignment, own.start + max(binding.nbytes, 1))  # no binding is empty
            found.append(Bound(block.buffer, own, bound, binding.written))
        return found

    def push(self, commands: Any, buffers: Sequence[Bound]) -> None:
        """Binds the buffers of the next dispatch."""
        for place, buffer in zip(self._buffers, buffers, strict=False):
            place.buffer, place.offset, place.range = buffer.handle, buffer.bound.start, len(buffer.bound)
        self._push(commands, COMPUTE_BIND_POINT, self._device.layout, 0, len(buffers), self._writes)
