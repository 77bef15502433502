"""When the device did what: points in time that it notes by itself while it works on a recording."""

from typing import TYPE_CHECKING

import numpy as np

from .commands import Recording
from .vulkan import check, ffi, lib, new

if TYPE_CHECKING:
    from .device import VulkanDevice

QUERY_TYPE, IN_64_BITS_WHEN_READY = 2, 1 | 2  # a VkQueryType, and VkQueryResultFlags


class Timestamps:
    """Room for `count` points in time, of a recording that is submitted once."""

    def __init__(self, device: "VulkanDevice", count: int) -> None:
        self._device, self._count, self._noted = device, count, 0
        self._pool = device.create("QueryPool", new("VkQueryPoolCreateInfo", queryType=QUERY_TYPE, queryCount=count))

    def begin(self, recording: Recording) -> None:
        """The first moment. Says which recording it is that notes the others, too."""
        self._recording = recording
        recording.reset_timestamps(self._pool, self._count)
        self.note(recording)

    def note(self, recording: Recording) -> None:
        """The moment when everything before is done."""
        recording.timestamp(self._pool, self._noted)
        self._noted += 1

    def discard(self) -> None:
        """Gives them back unread: what should have noted them was not submitted."""
        self._device.destroy("QueryPool", self._pool)

    def read(self) -> np.ndarray:
        """The moments, in seconds of the device's own clock, once they are noted. Asked for once: it is given back."""
        ticks = np.empty(self._count, np.uint64)
        pointer = ffi.cast("void*", ticks.ctypes.data)
        arguments = (self._pool, 0, self._count, ticks.nbytes, pointer, 8, IN_64_BITS_WHEN_READY)
        with self._device.lock:
            self._device.check_open()
            self._device.wait_for(self._recording.value)
            check(lib.vkGetQueryPoolResults(self._device.handle, *arguments), "vkGetQueryPoolResults")
            self._device.destroy("QueryPool", self._pool)
        del self._recording
        return ticks * (self._device.physical.limits.timestampPeriod * 1e-9)
