"""What a call submits: recordings, and between them loops after each turn of which the host looks whether to go on."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..dtypes import U8
from ..plan import Arena, Dispatch, Repeat, Work
from .commands import Recording
from .heap import Buffer
from .timestamps import Timestamps

if TYPE_CHECKING:
    from .device import VulkanDevice


@dataclass(frozen=True)
class HostLoop:
    """Turns on the device, each of which ends with a copy of the flag for the host.

    Attributes:
        flag: Memory on the host, where a bool says whether the next turn is taken.
        turns: What is submitted for one turn and for the other.
        back: What is submitted after an odd number of turns.
    """

    flag: Buffer
    turns: tuple[list["Part"], list["Part"]]
    back: list["Part"]

    def submit(self, device: "VulkanDevice", asked: int) -> int:
        """Takes turns, as long as the flag says; `asked` is when it is known for the first."""
        turn = 0
        while self._going(device, asked):
            asked = submit(device, self.turns[turn])
            turn = 1 - turn
        return submit(device, self.back) if turn else asked

    def _going(self, device: "VulkanDevice", asked: int) -> bool:
        device.wait_for(asked)
        return bool(self.flag.view(U8, (1,))[0])


Part = Recording | HostLoop


def submit(device: "VulkanDevice", parts: Sequence[Part]) -> int:
    """Hands parts to the device in their order; gives the timeline's value once all is done."""
    done = 0
    for part in parts:
        done = device.submit(part) if isinstance(part, Recording) else part.submit(device, done)
    return done


def staging_of(parts: Sequence[Part]) -> list[Buffer]:
    """Memory on the host that parts copy from."""
    return [buffer for part in parts if isinstance(part, Recording) for buffer in part.staging]


def recorded(work: Iterable[Work]) -> Iterator[Dispatch]:
    """Every dispatch that is recorded, in the order in which a `Writer` comes to them."""
    for item in work:
        if isinstance(item, Dispatch):
            yield item
        else:
            for some in _written(item):
                yield from recorded(some)


def _written(item: Repeat) -> Iterator[tuple[Work, ...]]:
    """What is recorded of a repeat: before its first turn, for each turn, and after an odd number of turns."""
    first, second = item.turns
    yield first.condition
    yield (*first.body, *second.condition)
    yield (*second.body, *first.condition)
    yield item.back


class Writer:
    """Writes work down.

    Args:
        device: Where it will run.
        recording: What it begins with.
        arena: The memory that flags lie in.
        places: The addresses of each dispatch, in the order of `recorded`.
        begun: Makes a further recording.
        timestamps: Note when each dispatch is done; then they run one after another.
    """

    def __init__(
        self,
        device: "VulkanDevice",
        recording: Recording,
        arena: Buffer | None,
        places: Iterator[list[int]],
        begun: Callable[[], Recording],
        timestamps: Timestamps | None = None,
    ) -> None:
        self.device, self.recording, self.arena, self.places, self.begun = device, recording, arena, places, begun
        self.timestamps = timestamps
        self.parts: list[Part] = []
        self._fresh = True  # a recording begins with a barrier

    def write(self, work: Iterable[Work]) -> None:
        for item in work:
            if isinstance(item, Repeat):
                self._repeat(item)
                continue
            if (item.barrier or self.timestamps) and not self._fresh:
                self.recording.barrier()
            pipeline = self.device.pipeline(item.shader)
            self.recording.dispatch(pipeline, next(self.places), item.groups, item.shader.bindings)
            if self.timestamps:
                self.timestamps.note(self.recording)
            self._fresh = False

    def done(self) -> list[Part]:
        """What was written."""
        self.parts.append(self.recording.end())
        return self.parts

    def _repeat(self, item: Repeat) -> None:
        flag = self.device.host_heap.allocate(1)
        before, first, second, back = _written(item)
        self.write(before)
        self._ask(item.flag, flag)
        turns = tuple(self._turn(work, item.flag, flag) for work in (first, second))
        inner = self._inner()
        inner.write(back)
        self.parts = [*self.done(), HostLoop(flag, turns, inner.done())]  # type: ignore[arg-type]
        self.recording, self._fresh = self.begun(), True

    def _turn(self, work: Iterable[Work], flag: Arena, host: Buffer) -> list[Part]:
        inner = self._inner()
        inner.write(work)
        inner._ask(flag, host)
        return inner.done()

    def _inner(self) -> "Writer":
        return Writer(self.device, self.begun(), self.arena, self.places, self.begun)

    def _ask(self, flag: Arena, host: Buffer) -> None:
        """Copies a flag to the host."""
        assert self.arena is not None
        self.recording.barrier()
        self.recording.copy(self.arena, host, 1, flag.offset)
        self.recording.barrier_to_host()
