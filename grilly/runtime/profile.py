"""`grilly.profile()`: how long each kernel took on the device, beside what the compiler predicted of it.

While a profile is active, every call is recorded anew, with a timestamp after each dispatch; so the dispatches of a
call run one after another, and their sum may exceed the time that the call takes otherwise.
"""

import json
import statistics
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TextIO

import numpy as np

from .plan import Cost, Dispatch

UNREAD = 256  # calls whose timestamps may wait to be read
PROCESS, HOST = 1, 1  # numbers of a process and a row in the trace


class Clock(Protocol):
    """What notes the moments of a call: one before its first dispatch, and one after each."""

    def read(self) -> np.ndarray: ...


@dataclass(frozen=True)
class Noted:
    """Moments on the host's own clock."""

    moments: np.ndarray

    def read(self) -> np.ndarray:
        return self.moments


@dataclass
class Call:
    """One call of an executable under a profile: what ran, and when.

    Attributes:
        name: Of the function.
        device: Where it ran.
        dispatches: What ran.
        began: When the host made the call, by time.perf_counter.
        took: How long the host was busy with it, in seconds.
    """

    name: str
    device: Any
    dispatches: Sequence[Dispatch]
    began: float
    took: float
    clock: Clock

    @cached_property
    def moments(self) -> np.ndarray:
        """Seconds of the device's own clock: before the first dispatch, and after each."""
        return self.clock.read()

    @property
    def seconds(self) -> np.ndarray:
        """How long each dispatch took."""
        return np.diff(self.moments)


class Row(NamedTuple):
    """One kernel of a profile, all its dispatches together.

    Attributes:
        function: The compiled function that it belongs to.
        kernel: What it is and over what.
        cost: What the compiler predicts of one dispatch, its layer, and the user's line.
        device: The device's name.
        calls: Dispatches.
        total: Milliseconds of all of them.
        ms: Milliseconds of one, the median.
        gb_s: Gigabytes a second that it moves, as predicted. 0 on `cpu`, where nothing is.
        gflop_s: Billions of operations a second, likewise.
        ceiling: `gb_s` as a share of the device's copy bandwidth; 0 on `cpu`.
    """

    function: str
    kernel: str
    cost: Cost
    device: str
    calls: int
    total: float
    ms: float
    gb_s: float
    gflop_s: float
    ceiling: float


@dataclass
class Profile:
    """What `profile` returns.

    Attributes:
        calls: What ran while it was active, in order.
    """

    output: TextIO | None = None  # where it is printed; None: standard output
    calls: list[Call] = field(default_factory=list)
    _unread: list[Call] = field(default_factory=list)

    def __enter__(self) -> "Profile":
        active.append(self)
        return self

    def __exit__(self, kind: Any, error: Any, traceback: Any) -> None:
        active[:] = [profile for profile in active if profile is not self]
        self._read()
        if error is None:
            print(self, file=self.output or sys.stdout)

    def add(self, call: Call) -> None:
        """Takes a call to what is measured."""
        self.calls.append(call)
        self._unread.append(call)
        if len(self._unread) > UNREAD:
            self._read()

    def _read(self) -> None:
        unread, self._unread = self._unread, []
        for call in unread:
            _ = call.moments

    @property
    def rows(self) -> list[Row]:
        """One row a kernel, what took longest first."""
        found: dict[tuple, list[float]] = {}
        for call in self.calls:
            for dispatch, seconds in zip(call.dispatches, call.seconds, strict=True):
                found.setdefault((call.name, dispatch.label, dispatch.cost, call.device), []).append(float(seconds))
        rows = [_row(name, label, cost, device, seconds) for (name, label, cost, device), seconds in found.items()]
        return sorted(rows, key=lambda row: -row.total)

    def __str__(self) -> str:
        rows = self.rows
        total = sum(row.total for row in rows)
        heads = [f"{len(self.calls)} calls, {sum(row.calls for row in rows)} dispatches, {total:.3f} ms"]
        for device in dict.fromkeys(call.device for call in self.calls if call.device.kind != "cpu"):
            heads.append(f"{device.name} copies {device.copy_bandwidth / 1e9:.1f} GB/s: the ceiling")
        title = f"{'calls':>7} {'ms':>9} {'share':>6} {'ms each':>9} {'GB/s':>8} {'GFLOP/s':>9} {'ceiling':>7}"
        lines = [f"{title}  kernel, layer, line", *(_line(row, total) for row in rows)]
        return "\n".join(["grilly.profile: " + "; ".join(heads), *lines])

    def save(self, path: str | Path) -> None:
        """Writes a trace that chrome://tracing and ui.perfetto.dev show: the host's calls, and the device's kernels.

        A device's clock is set by its first kernel, which is taken to begin when the call does.
        """
        events: list[dict[str, Any]] = [_named(HOST, "host")]
        threads: dict[Any, tuple[int, float]] = {}  # each device's row, and from its clock to the host's
        for call in self.calls:
            if call.device not in threads:
                threads[call.device] = HOST + 1 + len(threads), call.began - float(call.moments[0])
                events.append(_named(threads[call.device][0], call.device.name))
            events += _events(call, *threads[call.device])
        Path(path).write_text(json.dumps({"traceEvents": events, "displayTimeUnit": "ms"}))


active: list[Profile] = []


def note(call: Call) -> None:
    """Says to the active profiles that something ran."""
    for profile in active:
        profile.add(call)


def profile() -> Profile:
    """Measures, while the `with` block runs, how long each kernel takes; prints a table at its end.

    Works around anything that computes with grilly: `nn`, `grilly.jit`, `grilly.train_step`, arithmetic on Arrays. A
    row is a kernel: dispatches, milliseconds and their share of all, gigabytes and billions of operations a second
    (bytes and operations are what the compiler predicts), the share of the device's ceiling (its copy bandwidth, which
    is measured once), the layer, and the line of your code. Call a function once before: its first call compiles. On
    `cpu` a row is a whole function, and times are the host's.

    Returns:
        A `Profile`: its `rows` are the table, `save(path)` writes a trace for chrome://tracing.

    Example:
        >>> import grilly, numpy as np
        >>> step = grilly.jit(lambda v, x: v / 2 + x)
        >>> with grilly.profile() as p:  # doctest: +ELLIPSIS
        ...     v = step(np.float32(1), np.ones(3, np.float32))
        grilly.profile: 1 calls, 1 dispatches...
        >>> p.rows[0].calls
        1
    """
    return Profile()


def _row(function: str, kernel: str, cost: Cost, device: Any, seconds: list[float]) -> Row:
    one = statistics.median(seconds)
    gb_s, gflop_s = (amount / max(one, 1e-9) / 1e9 for amount in (cost.nbytes, cost.operations))
    ceiling = 1e9 * gb_s / device.copy_bandwidth if device.kind != "cpu" else 0.0
    return Row(function, kernel, cost, device.name, len(seconds), 1e3 * sum(seconds), 1e3 * one, gb_s, gflop_s, ceiling)


def _line(row: Row, total: float) -> str:
    layer = f'layer "{row.cost.layer}"' if row.cost.layer else ""
    what = "  ".join(filter(None, [row.function, row.kernel, layer, row.cost.line]))
    rates = [f"{row.gb_s:.1f}", f"{row.gflop_s:.1f}", f"{row.ceiling:.1%}"] if row.cost.nbytes else ["-"] * 3
    speed = f"{rates[0]:>8} {rates[1]:>9} {rates[2]:>7}"
    return f"{row.calls:7d} {row.total:9.3f} {row.total / max(total, 1e-9):6.1%} {row.ms:9.4f} {speed}  {what}"


def _events(call: Call, thread: int, offset: float) -> Iterator[dict[str, Any]]:
    """Chrome's trace events of a call: one on the host's row, one for each dispatch on the device's."""
    yield _event(call.name, HOST, call.began, call.took, {})
    for dispatch, start, seconds in zip(call.dispatches, call.moments, call.seconds, strict=False):
        cost = dispatch.cost
        said = {"function": call.name, "layer": cost.layer, "line": cost.line}
        said |= {"bytes": cost.nbytes, "operations": cost.operations}
        yield _event(dispatch.label, thread, float(start) + offset, float(seconds), said)


def _event(name: str, thread: int, start: float, seconds: float, said: dict[str, Any]) -> dict[str, Any]:
    """Something that took time; chrome counts in microseconds."""
    times = {"ts": 1e6 * start, "dur": 1e6 * seconds}
    return {"name": name, "ph": "X", "pid": PROCESS, "tid": thread, **times, "args": said}


def _named(thread: int, name: str) -> dict[str, Any]:
    return {"name": "thread_name", "ph": "M", "pid": PROCESS, "tid": thread, "args": {"name": name}}
