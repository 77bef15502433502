"""Ctrl-C, taken as a request: the loop that asks finishes its step first. A second Ctrl-C stops at once."""

import signal
from types import FrameType

INTERRUPTED = 130  # the exit status of a program that Ctrl-C ended


class StopRequest:
    """While this context is open, Ctrl-C sets `asked`. For the main thread only."""

    def __init__(self) -> None:
        self.asked = False

    def __enter__(self) -> "StopRequest":
        self._before = signal.signal(signal.SIGINT, self._ask)
        return self

    def __exit__(self, *exception: object) -> None:
        signal.signal(signal.SIGINT, self._before)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
