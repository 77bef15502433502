"""Memory with something in it: what a kernel forgets to write, or reads before it is written, is seen."""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from grilly.runtime.gpu.commands import Recording
from grilly.runtime.gpu.device import VulkanDevice
from grilly.runtime.gpu.heap import Buffer
from grilly.runtime.gpu.vulkan import lib

ONES = 0xFFFFFFFF  # in every float format NaN, in every integer one that few programs compute


@contextmanager
def stale_memory(device: VulkanDevice) -> Iterator[None]:
    """What the device allocates meanwhile, for results and between kernels, is full of ones."""
    allocate = device.heap.allocate

    def filled(nbytes: int, purpose: str = "an array") -> Buffer:
        buffer = allocate(nbytes, purpose)
        recording = Recording(device)
        lib.vkCmdFillBuffer(recording.handle, buffer.block.buffer, buffer.offset, buffer.nbytes, ONES)
        buffer.value = device.submit(recording.end())
        return buffer

    with patch.object(device.heap, "allocate", filled):
        yield
