"""The recordings of an executable that were used last."""

from collections import OrderedDict
from typing import NamedTuple

from .heap import Buffer
from .script import Part

RECORDINGS = 16  # kept for each executable; a loop needs two


class Recorded(NamedTuple):
    """What a call submits, and the memory on the host that it copies from."""

    parts: list[Part]
    staging: list[Buffer]


class Recordings:
    """The recordings used last, by their addresses."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[int, ...], Recorded] = OrderedDict()

    def get(self, addresses: tuple[int, ...]) -> Recorded | None:
        known = self._kept.get(addresses)
        if known is not None:
            self._kept.move_to_end(addresses)
        return known

    def clear(self) -> None:
        self._kept.clear()

    def add(self, addresses: tuple[int, ...], known: Recorded) -> None:
        self._kept[addresses] = known
        if len(self._kept) > RECORDINGS:
            self._kept.popitem(last=False)
