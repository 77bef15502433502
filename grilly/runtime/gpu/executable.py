"""A plan on a device: its constants and arena in memory, its dispatches recorded once and replayed.

A recording holds addresses, so there is one for each set of argument and result buffers. A training loop
sees few: donated arguments stay where they are, NumPy arguments go to two upload slots in turn, freed results
come back.
"""

import time
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...errors import GrillyError
from ..plan import Arena, Argument, Constant, Dispatch, Output, Plan, Preparation, Repeat, Shader, Slot
from ..profile import Call, Noted, active, note
from .commands import Recording
from .device import MIB, VulkanDevice
from .heap import Buffer
from .holders import Held
from .recordings import Recorded, Recordings
from .script import Writer, recorded, staging_of, submit
from .tables import tabled
from .timestamps import Timestamps
from .uploads import Upload, Uploads

TURNS = Dispatch(Shader("turns", b""), (), (1, 1, 1), False, "ended by the host")  # a call, as a profile shows it
SLOT_SETS = 4  # which arguments were NumPy arrays: so many combinations are kept
LARGEST_UPLOAD = 64 * MIB  # a larger NumPy argument gets a buffer of its own for each call


class Executable:
    """A compiled function of flat arrays on a Vulkan device.

    Args:
        device: Where it runs.
        plan: What to run.
        name: What to call it, in a profile and where memory runs out.

    Attributes:
        results: The shape and dtype of each result.
    """

    def __init__(self, device: VulkanDevice, plan: Plan, name: str = "an executable") -> None:
        self._device, self._plan, self.name = device, plan, name
        self.results = plan.results
        self._constants = [device.put(array) for array in plan.constants]
        for constant in self._constants:
            constant.shared = True
        with device.lock:
            device.check_open()
            device.make_pipelines([dispatch.shader for dispatch in plan.dispatches])
            self._arena = device.heap.allocate(plan.arena_bytes, f"the arena of {name}") if plan.arena_bytes else None
        self._prepared = _Prepared(device, plan.preparation, name) if plan.preparation else None
        self._fresh = [k for k, source in enumerate(plan.outputs) if source == Output(k)]
        self._fresh_bytes = [plan.results[k].nbytes for k in self._fresh]
        self._returned = frozenset(s.index for s in plan.outputs if isinstance(s, Argument))
        self._in_place = tuple(self._returned & plan.donated)
        self._places = _places(plan, self._fresh)
        self._shared = _shared_results(plan)
        self._recordings = Recordings()
        self._slots: OrderedDict[tuple[int, ...], Uploads] = OrderedDict()
        device.executables.add(self)

    def __call__(self, values: Sequence[Any]) -> list[Buffer]:
        """Runs it, without waiting.

        Args:
            values: Buffers, or NumPy arrays, which are copied before the call returns.

        Returns:
            The results' buffers; where an argument was donated, its own.
        """
        values = [*values, *self._prepared(values)] if self._prepared else list(values)
        return self._profiled(values) if active and self._plan.dispatches else self._run(values)

    def _profiled(self, values: list[Any]) -> list[Buffer]:
        """Runs it, and has the active profiles know of it: of a loop that the host ends, only how long it took."""
        began = time.perf_counter()
        if any(isinstance(item, Repeat) for item in self._plan.work):
            results = self._run(values)
            self._device.wait_for(max(buffer.value for buffer in results))
            ended = time.perf_counter()
            note(Call(self.name, self._device, [TURNS], began, ended - began, Noted(np.array([began, ended]))))
            return results
        timestamps = Timestamps(self._device, len(self._plan.dispatches) + 1)
        try:
            results = self._run(values, timestamps)
        except GrillyError:  # before it was submitted
            timestamps.discard()
            raise
        took = time.perf_counter() - began
        note(Call(self.name, self._device, self._plan.dispatches, began, took, timestamps))
        return results

    def _run(self, values: list[Any], timestamps: Timestamps | None = None) -> list[Buffer]:
        device = self._device
        with device.lock:
            device.check_open()
            if device.retired:
                device.collect()
            addresses, slot = self._placed(values)
            fresh = [device.heap.allocate(nbytes) for nbytes in self._fresh_bytes]
            if self._plan.work or (slot and slot.kept):
                addresses += [buffer.address for buffer in fresh]
                recordings = slot.recordings if slot else self._recordings
                known = recordings.get(tuple(addresses)) if timestamps is None else None
                if known is None:
                    known = self._recorded(addresses, slot, values, timestamps)
                    if timestamps is None:
                        recordings.add(tuple(addresses), known)
                done = submit(device, known.parts)
                used = [*fresh, *known.staging, *[values[k] for k in self._in_place]]
                if slot:
                    used += [slot.staging, *[values[k] for k in slot.kept]]
                for buffer in used:
                    buffer.value = done
            return self._results(values, fresh)

    def forget(self) -> None:
        """Drops recordings and upload slots. Recordings are found by addresses, but name buffers too: where memory is
        given back, another buffer may come to lie at the same address.
        """
        self._recordings.clear()
        for uploads in self._slots.values():
            uploads.forget()  # a call may be under way with one of its slots
        self._slots.clear()

    def held(self) -> Held:
        """What it holds of the device's memory."""
        arena = (self._arena.nbytes if self._arena else 0) + (self._prepared.nbytes if self._prepared else 0)
        return Held(self.name, arena, sum(constant.nbytes for constant in self._constants))

    # Arguments and results ----------------------------------------------------------------------------------

    def _placed(self, values: list[Any]) -> tuple[list[int], Upload | None]:
        """Sees to it that the arguments lie in device memory: gives their addresses, and the slot of uploads.

        An upload that is a result too gets a buffer of its own, which outlives the slot's next use.
        """
        slot = self._uploaded(values) if set(map(type, values)) - {Buffer} else None
        if self._in_place:
            self._unshare(values)
        if slot is None:
            return [value.address for value in values], None
        return [slot.addresses.get(k) or value.address for k, value in enumerate(values)], slot

    def _uploaded(self, values: list[Any]) -> Upload | None:
        """Puts large NumPy arguments into buffers, and the others, if there are any, into a slot."""
        for k, value in enumerate(values):
            if type(value) is not Buffer and value.nbytes > LARGEST_UPLOAD:
                values[k] = self._device.put(value)
        uploads = tuple([k for k, value in enumerate(values) if type(value) is not Buffer])
        if not uploads:
            return None
        slot = self._slot(uploads)
        slot.fill(values)
        for k in slot.kept:
            values[k] = self._device.heap.allocate(values[k].nbytes)
        return slot

    def _unshare(self, values: list[Any]) -> None:
        """Gives arguments that will be updated in place memory of their own, where others see theirs."""
        repeated = len(set(map(id, values))) < len(values)
        if not repeated and True not in [values[j].shared for j in self._in_place]:
            return
        for j in self._in_place:
            buffer = values[j]
            if buffer.shared or sum(value is buffer for value in values) > 1:
                values[j] = self._device.copy(buffer, self._plan.arguments[j])

    def _slot(self, uploads: tuple[int, ...]) -> Upload:
        """Where the next call's NumPy arguments go."""
        if uploads not in self._slots:
            avals = {k: self._plan.arguments[k] for k in sorted(uploads, key=self._returned.__contains__)}
            self._slots[uploads] = Uploads(self._device, avals, self._returned & avals.keys())
            if len(self._slots) > SLOT_SETS:
                self._slots.popitem(last=False)
        self._slots.move_to_end(uploads)
        return self._slots[uploads].next()

    def _results(self, values: list[Any], fresh: list[Buffer]) -> list[Buffer]:
        buffers = (*values, *fresh, *self._constants)
        results = [buffers[place] for place in self._places]
        for k in self._shared:
            results[k].shared = True
        return results

    # Recordings ---------------------------------------------------------------------------------------------

    def _recorded(
        self, addresses: list[int], slot: Upload | None, values: Sequence[Any], timestamps: Timestamps | None
    ) -> Recorded:
        """All work, for arguments and results at these addresses. The first part is a recording."""
        every = list(recorded(self._plan.work))
        places = [[self._address(s, addresses) for s in dispatch.slots] for dispatch in every]
        tables = tabled(self._device, every, places)
        recording = self._empty()
        if tables:
            tables.upload(recording)
        if slot:
            slot.upload(recording, values)
        if tables or slot:
            recording.barrier()
        if timestamps is not None:
            timestamps.begin(recording)
        writer = Writer(self._device, recording, self._arena, iter(places), self._empty, timestamps)
        writer.write(self._plan.work)
        parts = writer.done()
        return Recorded(parts, staging_of(parts))

    def _empty(self) -> Recording:
        recording = Recording(self._device)
        recording.kept += [self._constants, self._arena]
        return recording

    def _address(self, slot: Slot, addresses: list[int]) -> int:
        match slot:
            case Argument(k, offset):
                return addresses[k] + offset
            case Output(k, offset):
                return addresses[len(self._plan.arguments) + self._fresh.index(k)] + offset
            case Constant(k, offset):
                return self._constants[k].address + offset
            case Arena(offset):
                assert self._arena is not None
                return self._arena.address + offset


def _places(plan: Plan, fresh: Sequence[int]) -> list[int]:
    """The place of each result among all buffers: the arguments', the fresh ones, the constants'."""
    outputs, constants = map(Output, fresh), map(Constant, range(len(plan.constants)))
    buffers = (*map(Argument, range(len(plan.arguments))), *outputs, *constants)
    places = {buffer: place for place, buffer in enumerate(buffers)}
    return [places[source] for source in plan.outputs]


def _shared_results(plan: Plan) -> tuple[int, ...]:
    """Results whose memory another array has too: an argument that was not donated, or another result."""
    seen, shared = set(), []
    for k, source in enumerate(plan.outputs):
        if source in seen or (isinstance(source, Argument) and source.index not in plan.donated):
            shared.append(k)
        seen.add(source)
    return tuple(shared)


class _Prepared:
    """The results of a preparation, for as long as its arguments stay the same.

    Their bytes are the same where the buffers are and nothing was written to them since.
    """

    def __init__(self, device: VulkanDevice, preparation: Preparation, name: str) -> None:
        self._executable, self._arguments = Executable(device, preparation.plan, name), preparation.arguments
        self._kept: tuple[list, list[Buffer]] = ([], [])

    @property
    def nbytes(self) -> int:
        return sum(buffer.nbytes for buffer in self._kept[1])

    def __call__(self, values: Sequence[Any]) -> list[Buffer]:
        given = [values[k] for k in self._arguments]
        seen, results = self._kept
        now = [(value, value.value) for value in given if type(value) is Buffer]
        if now != seen or len(now) < len(given):
            results = self._executable(given)
            self._kept = now, results
        return results
