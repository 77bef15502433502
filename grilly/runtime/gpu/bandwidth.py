"""How fast a device copies: the ceiling that profiles compare kernels with."""

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from ..dtypes import F32
from ..ir import Aval
from ..lower import lower
from ..plan import Argument, Dispatch, Output, Slot
from .commands import Recording
from .heap import Buffer
from .timestamps import Timestamps

if TYPE_CHECKING:
    from .device import VulkanDevice

COPIES = 12  # in a recording
COPIED_BYTES = 120 << 20  # beyond most caches, and what the least of drivers can bind
WARM_UP = 0.3  # seconds that a GPU which idled takes to reach its clock


def copy_bandwidth(device: "VulkanDevice") -> float:
    """Bytes a second, read and written, of a kernel that only moves a large array: what none exceeds for long.

    (A driver may copy buffers by other means, several times slower than kernels.)
    """
    count = min(COPIED_BYTES, device.physical.memory_bytes // 32) // 4
    plan = lower(lambda x: [-x], [Aval((count,), F32)], target=device.target).plan
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
