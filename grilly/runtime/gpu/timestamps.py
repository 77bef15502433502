"""When the device did what: points in time that it notes by itself while it works on a recording."""

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from ..ir import Aval
from ..lower import lower
from ..plan import Argument, Dispatch, Output, Slot
from .commands import Recording
from .heap import Buffer
from .vulkan import check, ffi, lib, new

if TYPE_CHECKING:
    from .device import VulkanDevice

QUERY_TYPE, IN_64_BITS_WHEN_READY = 2, 1 | 2  # a VkQueryType, and VkQueryResultFlags
COPIES = 12  # in a recording
COPIED_BYTES = 120 << 20  # beyond most caches, and what the least of drivers can bind
WARM_UP = 0.3  # seconds that a GPU which idled takes to reach its clock


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


def copy_bandwidth(device: "VulkanDevice") -> float:
    """Bytes a second, read and written, of a kernel that only moves a large array: what none exceeds for long.

    (A driver may copy buffers by other means, several times slower than kernels.)
    """
    count = min(COPIED_BYTES, device.physical.memory_bytes // 32) // 4
    plan = lower(lambda x: [-x], [Aval((count,), np.dtype(np.float32))], target=device.target).plan
    shortest, until = np.inf, time.perf_counter() + WARM_UP
    with device.lock:
        device.check_open()
        ends = {Argument(0): device.heap.allocate(4 * count), Output(0): device.heap.allocate(4 * count)}
        while True:
            shortest = min(shortest, _shortest(device, plan.dispatches[0], ends))
            if time.perf_counter() > until:
                break
        ends.clear()
        device.trim()  # so much memory is not kept for later
    return 8 * count / shortest


def _shortest(device: "VulkanDevice", dispatch: Dispatch, ends: Mapping[Slot, Buffer]) -> float:
    """Seconds of the fastest of some runs of a kernel."""
    timestamps, recording = Timestamps(device, COPIES + 1), Recording(device)
    pipeline, addresses = device.pipeline(dispatch.shader), [ends[slot].address for slot in dispatch.slots]
    timestamps.begin(recording)
    for _ in range(COPIES):
        recording.barrier()
        recording.dispatch(pipeline, addresses, dispatch.groups, dispatch.shader.bindings)
        timestamps.note(recording)
    device.submit(recording.end())
    return float(np.diff(timestamps.read()).min())
