"""Addresses of buffers in device memory, for shaders that have more than push constants hold."""

from collections.abc import Sequence

import numpy as np

from ..plan import Dispatch
from .commands import Recording
from .device import VulkanDevice


class Tables:
    """Addresses in device memory, for shaders with many. The recording that needs them copies them there itself."""

    def __init__(self, device: VulkanDevice, addresses: list[int]) -> None:
        values = np.array(addresses, np.uint64)
        self.buffer = device.heap.allocate(values.nbytes)
        self._staging = device.host_heap.allocate(values.nbytes)
        self._staging.view(values.dtype, values.shape)[:] = values
        self._nbytes = values.nbytes

    def upload(self, recording: Recording) -> None:
        recording.kept.append(self.buffer)
        recording.staging.append(self._staging)
        recording.copy(self._staging, self.buffer, self._nbytes)


def tabled(device: VulkanDevice, dispatches: Sequence[Dispatch], places: list[list[int]]) -> Tables | None:
    """Moves the addresses of shaders with many to tables, and puts one address in their place."""
    many = [k for k, dispatch in enumerate(dispatches) if dispatch.shader.table]
    if not many:
        return None
    starts = np.cumsum([0, *(len(places[k]) for k in many)])
    tables = Tables(device, [address for k in many for address in places[k]])
    for k, start in zip(many, starts[:-1], strict=True):
        places[k] = [tables.buffer.address + 8 * int(start)]
    return tables
