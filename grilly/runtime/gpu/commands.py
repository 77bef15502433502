"""Command buffers: what the device is told to do, recorded once, submitted as often as wanted."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..plan import Binding
from .descriptors import Bound, seem_to_meet
from .heap import Buffer
from .vulkan import COMPUTE_BIND_POINT, COMPUTE_STAGE, ENUM, NULL, check, ffi, lib, new

if TYPE_CHECKING:
    from .device import VulkanDevice

_STAGES, _ACCESS = ENUM.VkPipelineStageFlagBits, ENUM.VkAccessFlagBits
COMPUTE, TRANSFER = _STAGES["VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT"], _STAGES["VK_PIPELINE_STAGE_TRANSFER_BIT"]
HOST, BOTTOM = _STAGES["VK_PIPELINE_STAGE_HOST_BIT"], _STAGES["VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT"]
WORK = COMPUTE | TRANSFER
WRITES = _ACCESS["VK_ACCESS_SHADER_WRITE_BIT"] | _ACCESS["VK_ACCESS_TRANSFER_WRITE_BIT"]
READS = _ACCESS["VK_ACCESS_SHADER_READ_BIT"] | _ACCESS["VK_ACCESS_TRANSFER_READ_BIT"]
HOST_READ = _ACCESS["VK_ACCESS_HOST_READ_BIT"]
SIMULTANEOUS_USE = 4  # a loop submits a recording again while the device still works on it
# One barrier serves everything: all earlier work before all later work.
_BARRIER = new("VkMemoryBarrier", srcAccessMask=WRITES, dstAccessMask=WRITES | READS)
_TO_HOST = new("VkMemoryBarrier", srcAccessMask=WRITES, dstAccessMask=HOST_READ)


class Recording:
    """A command buffer. It begins with a barrier, so that it sees whatever was submitted before it.

    Attributes:
        handle: Vulkan's.
        value: The timeline value of its last submission; freed after that.
        kept: What must live as long as the recording.
        staging: Memory on the host that it copies from.
    """

    def __init__(self, device: "VulkanDevice") -> None:
        self._device = device
        self.handle = device.create("CommandBuffer", device.command_buffer_info)
        self.value = 0
        self.kept: list[Any] = []
        self.staging: list[Buffer] = []
        self._push = ffi.new("uint64_t[]", device.target.push_constant_bytes // 8)
        self._region = ffi.new("VkBufferCopy*")
        self._bound: set[Bound] = set()  # since the last barrier
        check(
            lib.vkBeginCommandBuffer(self.handle, new("VkCommandBufferBeginInfo", flags=SIMULTANEOUS_USE)),
            "vkBeginCommandBuffer",
        )
        self.barrier()

    def barrier(self) -> None:
        """Everything before it is done, and seen, by everything after it."""
        self._bound.clear()
        lib.vkCmdPipelineBarrier(self.handle, WORK, WORK, 0, 1, _BARRIER, 0, NULL, 0, NULL)

    def barrier_to_host(self) -> None:
        """The host will see everything before it."""
        lib.vkCmdPipelineBarrier(self.handle, WORK, HOST, 0, 1, _TO_HOST, 0, NULL, 0, NULL)

    def copy(self, source: Buffer, target: Buffer, nbytes: int, source_start: int = 0, target_start: int = 0) -> None:
        region = self._region
        region.srcOffset, region.dstOffset = source.offset + source_start, target.offset + target_start
        region.size = nbytes
        lib.vkCmdCopyBuffer(self.handle, source.block.buffer, target.block.buffer, 1, region)

    def dispatch(
        self, pipeline: Any, addresses: Sequence[int], groups: tuple[int, int, int], bindings: Sequence[Binding] = ()
    ) -> None:
        """Runs a pipeline whose push constants are `addresses`, or that binds what lies there."""
        lib.vkCmdBindPipeline(self.handle, COMPUTE_BIND_POINT, pipeline)
        if bindings:
            self._bind(addresses, bindings)
        else:
            self._push[0 : len(addresses)] = addresses
            self._push_constants(self._push, 8 * len(addresses))
        lib.vkCmdDispatch(self.handle, *groups)

    def _bind(self, addresses: Sequence[int], bindings: Sequence[Binding]) -> None:
        buffers = self._device.descriptors.bound(addresses, bindings)
        if seem_to_meet(buffers, self._bound):
            self.barrier()  # it waits for nothing, but keeps synchronization validation silent
        self._bound.update(buffers)
        self._device.descriptors.push(self.handle, buffers)
        before = ffi.new("uint32_t[]", [buffer.own.start - buffer.bound.start for buffer in buffers])
        self._push_constants(before, 4 * len(before))

    def _push_constants(self, constants: Any, nbytes: int) -> None:
        lib.vkCmdPushConstants(self.handle, self._device.layout, COMPUTE_STAGE, 0, nbytes, constants)

    def reset_timestamps(self, pool: Any, count: int) -> None:
        lib.vkCmdResetQueryPool(self.handle, pool, 0, count)

    def timestamp(self, pool: Any, number: int) -> None:
        """Notes when everything before it was done."""
        lib.vkCmdWriteTimestamp(self.handle, BOTTOM, pool, number)

    def end(self) -> "Recording":
        check(lib.vkEndCommandBuffer(self.handle), "vkEndCommandBuffer")
        return self

    def __del__(self) -> None:
        if hasattr(self, "handle"):
            self._device.retired.append((self.value, self.handle))
