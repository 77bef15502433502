"""Timing a call that returns before the device is done, and showing it beside the peers'."""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import NamedTuple

WARM_UP, REPEATS, PIPELINED = 0.5, 30, 100  # a GPU needs half a second to leave its idle clock
PROFILED = 50  # calls; their median counts
PATIENCE = 300  # seconds that a peer may take, with its imports and its choice of kernels


class Times(NamedTuple):
    """Milliseconds of one call."""

    waited: float  # the median, waiting for each call
    pipelined: float  # the mean of many calls with one wait
    mib: float = 0.0  # the peak of device memory, where it was asked
    error: float = 0.0  # against float64, relative, where it was asked


def warm_up(call: Callable[[], object], wait: Callable[[object], object]) -> None:
    """Calls for as long as a GPU needs to leave its idle clock; before any measurement, a profile's too."""
    start = time.perf_counter()
    while time.perf_counter() < start + WARM_UP:
        wait(call())


def timed(call: Callable[[], object], wait: Callable[[object], object]) -> Times:
    """Times `call`; `wait` blocks until what a call returned is there."""
    warm_up(call, wait)
    waited = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        wait(call())
        waited.append((time.perf_counter() - start) * 1e3)
    many = max(5, min(PIPELINED, int(2e3 / statistics.median(waited))))  # of slow calls a few will do
    _in_a_row(call, wait, 5)  # calls that overlap hold more memory, which takes milliseconds to get
    return Times(statistics.median(waited), _in_a_row(call, wait, many))


def _in_a_row(call: Callable[[], object], wait: Callable[[object], object], many: int) -> float:
    """The mean of so many calls with one wait."""
    start = time.perf_counter()
    for _ in range(many):
        out = call()
    wait(out)
    return (time.perf_counter() - start) * 1e3 / many


def peer(name: str, work: str, *sizes: int) -> Times | None:
    """A peer's times, measured in a process of its own; None where it is not installed, or takes too long."""
    command = [sys.executable, "-m", "benchmarks.peers", name, work, *map(str, sizes)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        print(f"  {name:24s} not measured: it took more than {PATIENCE} s")
        return None
    if done.returncode:
        print(f"  {name:24s} not measured: {(done.stderr.strip().splitlines() or ['failed'])[-1][:90]}")
        return None
    return Times(*json.loads(done.stdout.splitlines()[-1]))


def each_size(measure: Callable[[int, int], None], description: str | None) -> None:
    """Measures a layer for each T and N on the command line."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("sizes", nargs="*", type=int, default=[16, 1 << 22, 512, 1 << 17], help="T N, T N ...")
    sizes = parser.parse_args().sizes
    for steps, neurons in zip(sizes[::2], sizes[1::2], strict=True):
        measure(steps, neurons)


PEERS = {
    "conv": ("spikingjelly tf32",),
    "conv_inference": ("spikingjelly tf32",),
    "linear_lif": ("spikingjelly",),
    "user_neuron": ("spikingjelly",),
}  # of a work; else both


def compare(ours: Times, work: str, *sizes: int) -> None:
    """Prints our times and those of all peers on the same work."""
    print(f"  {'grilly':24s} {ours.waited:9.4f} ms waited  {ours.pipelined:9.4f} ms pipelined")
    for name in PEERS.get(work, ("jax", "spikingjelly")):
        if times := peer(name, work, *sizes):
            shares = f"{times.waited / ours.waited:6.2f}x {times.pipelined / ours.pipelined:6.2f}x"
            memory = f"  peak {times.mib:.0f} MiB" if times.mib else ""
            line = f"{times.waited:9.4f} ms waited  {times.pipelined:9.4f} ms pipelined  {shares} ours{memory}"
            print(f"  {name:24s} {line}")
