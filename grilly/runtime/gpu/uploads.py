"""Memory that NumPy arguments pass through on their way to the device."""

from collections.abc import Sequence, Set
from typing import Any

import numpy as np

from ..border import COMPLEX
from ..ir import Aval
from ..memory import padded
from .commands import Recording
from .device import VulkanDevice
from .recordings import Recordings


class Upload:
    """Memory for the NumPy arguments of one call: on the host, and beside each other on the device.

    Args:
        device: Where.
        avals: The arguments' shapes and dtypes, by number; those that are kept come last.
        kept: Which of them are results too: on the device they have memory of their own.
    """

    def __init__(self, device: VulkanDevice, avals: dict[int, Aval], kept: Set[int]) -> None:
        sizes = [padded(aval) for aval in avals.values()]
        starts = [int(start) for start in np.cumsum([0, *sizes])]
        passing = len(avals) - len(kept)
        self._passing_bytes = starts[passing]
        self.kept = {k: (starts[n], sizes[n]) for n, k in enumerate(avals) if n >= passing}
        self.staging = device.host_heap.allocate(starts[-1], "an upload slot")
        self.buffer = device.heap.allocate(self._passing_bytes, "an upload slot")
        self.addresses = {k: self.buffer.address + starts[n] for n, k in enumerate(avals) if n < passing}
        self._views = {
            k: self.staging.view(aval.dtype, aval.shape, start)
            for (k, aval), start in zip(avals.items(), starts, strict=False)
        }
        self.recordings = Recordings()

    def fill(self, values: Sequence[Any]) -> None:
        for k, view in self._views.items():
            is_complex = values[k].dtype == COMPLEX
            np.copyto(view.view(COMPLEX)[..., 0] if is_complex else view, values[k])

    def upload(self, recording: Recording, values: Sequence[Any]) -> None:
        """Copies to the device: to the slot's own memory, and to the buffers of those that are kept."""
        if self._passing_bytes:
            recording.copy(self.staging, self.buffer, self._passing_bytes)
        for k, (start, nbytes) in self.kept.items():
            recording.copy(self.staging, values[k], nbytes, start)


class Uploads:
    """Two slots in turn: the host fills one while the device reads the other."""

    def __init__(self, device: VulkanDevice, avals: dict[int, Aval], kept: Set[int]) -> None:
        self._device = device
        self._pair = (Upload(device, avals, kept), Upload(device, avals, kept))

    def forget(self) -> None:
        """Drops the recordings."""
        for slot in self._pair:
            slot.recordings.clear()

    def next(self) -> Upload:
        """The slot that was used longest ago, once the device is done with it."""
        self._pair = self._pair[::-1]
        self._device.wait_for(self._pair[0].staging.value)
        return self._pair[0]
