"""Device memory: a few large blocks from the driver, cut into buffers.

vkAllocateMemory with its VkBuffer takes 150 us, so a block holds many buffers and is kept when they are gone.
"""

import gc
import math
from collections import deque
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import DeviceMemoryError
from ..memory import ALIGNMENT, aligned
from .holders import exhausted
from .space import Space
from .vulkan import ENUM, check, ffi, lib, new

if TYPE_CHECKING:
    from .device import VulkanDevice

USAGE = sum(
    ENUM.VkBufferUsageFlagBits[f"VK_BUFFER_USAGE_{name}_BIT"]
    for name in ("STORAGE_BUFFER", "TRANSFER_SRC", "TRANSFER_DST", "SHADER_DEVICE_ADDRESS")
)
DEVICE_LOCAL, HOST_VISIBLE, HOST_COHERENT, HOST_CACHED = 1, 2, 4, 8
WHOLE = (1 << 64) - 1
GARBAGE = 256 << 20  # bytes that are asked of the driver before Python looks for garbage


class Block:
    """One vkAllocateMemory: memory, the buffer that spans it, its address, and where the host sees it."""

    def __init__(self, device: "VulkanDevice", size: int, memory_type: int, mapped: bool) -> None:
        self.space = Space(size)
        self.buffer = device.create("Buffer", new("VkBufferCreateInfo", size=size, usage=USAGE))
        flags = new("VkMemoryAllocateFlagsInfo", flags=2)  # VK_MEMORY_ALLOCATE_DEVICE_ADDRESS_BIT
        info = new("VkMemoryAllocateInfo", pNext=flags, allocationSize=size, memoryTypeIndex=memory_type)
        try:
            self.memory = device.create("DeviceMemory", info)
        except DeviceMemoryError:
            device.destroy("Buffer", self.buffer)
            raise
        check(lib.vkBindBufferMemory(device.handle, self.buffer, self.memory, 0), "vkBindBufferMemory")
        self.address = lib.vkGetBufferDeviceAddress(device.handle, new("VkBufferDeviceAddressInfo", buffer=self.buffer))
        self.mapped: Any = None
        if mapped:
            pointer = ffi.new("void**")
            check(lib.vkMapMemory(device.handle, self.memory, 0, WHOLE, 0, pointer), "vkMapMemory")
            self.mapped = ffi.cast("char*", pointer[0])

    def destroy(self, device: "VulkanDevice") -> None:
        device.destroy("Buffer", self.buffer)
        device.destroy("DeviceMemory", self.memory)


class Buffer:
    """Some bytes of a block; freed when nobody refers to it any more.

    Attributes:
        value: The device's timeline has to pass this before the host may read or overwrite the bytes.
        shared: Whether two arrays may see these bytes, so that a donation has to copy them.
    """

    __slots__ = ("_heap", "address", "block", "nbytes", "offset", "shared", "value")

    def __init__(self, heap: "Heap", block: Block, offset: int, nbytes: int) -> None:
        self._heap, self.block, self.offset, self.nbytes = heap, block, offset, nbytes
        self.address = block.address + offset
        self.value = 0
        self.shared = False

    def __del__(self) -> None:
        # A finalizer may run in any thread, at any moment: it only says that the bytes are free.
        self._heap.retired.append((self.value, self.block, self.offset, self.nbytes))

    def view(self, dtype: np.dtype, shape: tuple[int, ...], start: int = 0) -> np.ndarray:
        """The bytes from `start` on as a NumPy array; of host memory only. It must not outlive the buffer."""
        count = math.prod(shape)
        if not count:
            return np.empty(shape, dtype)
        memory = ffi.buffer(self.block.mapped + self.offset + start, count * dtype.itemsize)
        return np.frombuffer(memory, dtype, count).reshape(shape)


class Heap:
    """Buffers of one kind of memory.

    Args:
        device: Whose memory.
        block_bytes: Bytes of an ordinary block; a larger buffer gets a block of its own size.
        host: Whether it is memory that the host reads and writes. Then bytes are given out again only once
            the timeline has passed their buffer's `value`. The device's own memory is given out at once:
            whoever uses it next does so in a later submission to the same queue, behind a barrier.
    """

    def __init__(self, device: "VulkanDevice", block_bytes: int, host: bool) -> None:
        self._device, self._block_bytes, self._host = device, block_bytes, host
        self.memory_type = _memory_type(device, host)
        self._limit = device.physical.largest_allocation
        self.blocks: list[Block] = []
        self.retired: deque[tuple[int, Block, int, int]] = deque()
        # Free buffers by length, the lowest address first, so that a loop gets its old addresses back.
        self._spare: dict[int, list[tuple[int, Block, int]]] = {}
        self._grown = GARBAGE  # bytes of blocks from which on a look for garbage is due

    def allocate(self, nbytes: int, purpose: str = "an array") -> Buffer:
        """A buffer of at least `nbytes`; `purpose` is for the error.

        Raises:
            DeviceMemoryError: There is no room.
        """
        length = aligned(nbytes)
        if self.retired:
            self.collect()
        if spare := self._spare.get(length):
            _, block, offset = heappop(spare)
            return Buffer(self, block, offset, length)
        return self._taken(length) or self._joined(length, purpose)

    def _taken(self, length: int) -> Buffer | None:
        for block in self.blocks:
            offset = block.space.take(length)
            if offset is not None:
                return Buffer(self, block, offset, length)
        return None

    def _joined(self, length: int, purpose: str) -> Buffer:
        """From what spare buffers leave free once joined with their neighbours, or from a new block."""
        self._join()
        found = self._taken(length) or self._found_in_garbage(length)
        if found is None:
            self.blocks.append(self._block(length, purpose))
            found = self._taken(length)
        assert found is not None
        return found

    def _found_in_garbage(self, length: int) -> Buffer | None:
        """From what Python's cycles hold: a net that nobody uses any more, say.

        A look takes 0.1 s: it is due when the blocks would be twice what they were at the last look that found too
        little.
        """
        total = sum(block.space.size for block in self.blocks)
        if total + length <= self._grown:
            return None
        gc.collect()
        self.collect()
        self._join()
        found = self._taken(length)
        if found is None:
            self._grown = 2 * (total + length)
        return found

    def _join(self) -> None:
        for length, spare in self._spare.items():
            for _, block, offset in spare:
                block.space.give(offset, length)
        self._spare.clear()

    def block_at(self, address: int) -> Block:
        """The block that holds an address."""
        return next(block for block in self.blocks if 0 <= address - block.address < block.space.size)

    def collect(self) -> None:
        """Takes back what finalizers said is free."""
        completed = self._device.completed() if self._host and self.retired else WHOLE
        for _ in range(len(self.retired)):
            value, block, offset, length = self.retired.popleft()
            if value <= completed:
                heappush(self._spare.setdefault(length, []), (block.address + offset, block, offset))
            else:
                self.retired.append((value, block, offset, length))

    @property
    def used(self) -> int:
        """Bytes in buffers."""
        spare = sum(length * len(buffers) for length, buffers in self._spare.items())
        return sum(block.space.size - block.space.free for block in self.blocks) - spare

    @property
    def free(self) -> int:
        """Bytes of blocks that are in no buffer."""
        return sum(block.space.size for block in self.blocks) - self.used

    @property
    def largest(self) -> int:
        """Bytes of the longest free range."""
        return max((block.space.largest for block in self.blocks), default=0)

    def _block(self, length: int, purpose: str) -> Block:
        size = max(length, min(self._block_bytes, self._limit))
        if size > self._limit:
            raise DeviceMemoryError(
                f"{self._device.name} allocates at most {self._limit} bytes at once: {length} were asked "
                "for. Make the array smaller, for example by a smaller batch or fewer time steps."
            )
        try:
            return Block(self._device, size, self.memory_type, self._host)
        except DeviceMemoryError:
            gc.collect()  # arrays in cycles: those of an exception that was caught, say
            self._device.trim()
            return self._last_try(length, purpose)

    def _last_try(self, length: int, purpose: str) -> Block:
        """A block of just the size that is needed, now that all unused ones are gone."""
        try:
            return Block(self._device, length, self.memory_type, self._host)
        except DeviceMemoryError as error:
            raise DeviceMemoryError(exhausted(self._device, self, length, purpose)) from error

    def trim(self) -> None:
        """Gives blocks without any buffer back to the driver. Nothing may be running."""
        self.collect()
        self._join()
        for block in [block for block in self.blocks if block.space.empty]:
            self.blocks.remove(block)
            block.destroy(self._device)


def _memory_type(device: "VulkanDevice", host: bool) -> int:
    """The first memory type of the wished kind, in order of preference."""
    coherent = HOST_VISIBLE | HOST_COHERENT
    wishes = (coherent | HOST_CACHED, coherent) if host else (DEVICE_LOCAL, 0)
    allowed = _allowed_types(device)
    for wish in wishes:
        for k, kind in enumerate(device.physical.memory_types):
            if allowed >> k & 1 and kind.propertyFlags & wish == wish:
                return k
    raise DeviceMemoryError(f"{device.name} has no memory that {'the host sees' if host else 'buffers can use'}.")


def _allowed_types(device: "VulkanDevice") -> int:
    """A bit for each memory type that our buffers may lie in."""
    probe = device.create("Buffer", new("VkBufferCreateInfo", size=ALIGNMENT, usage=USAGE))
    requirements = ffi.new("VkMemoryRequirements*")
    lib.vkGetBufferMemoryRequirements(device.handle, probe, requirements)
    device.destroy("Buffer", probe)
    return requirements.memoryTypeBits
