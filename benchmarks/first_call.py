"""The first call of the training step of README's net, stage by stage, with an empty cache and with a full one.

Each run is a process of its own; imports, and opening the device, are over before it starts. The driver's own cache
(NVIDIA's, Mesa's) lies in the same folder, so that an empty cache is empty.
"""

import json
import os
import pkgutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

import grilly
from grilly import nn, optim

from .train_step import SIZES, N, T, net

DRIVERS_OWN = ("__GL_SHADER_DISK_CACHE_PATH", "MESA_SHADER_CACHE_DIR")
STAGES = {  # where each of them is entered
    "trace": ("plans.trace",),
    "simplify": ("plans.simplify",),
    "partition": ("lower.partition",),
    "emit": ("lower.emitted",),
    "plan": ("lower.planned", "lower._plan"),
    "cache of plans": ("plans.fingerprint", "plans.packed", "plans.unpacked", "cache.Cache.get", "cache.Cache.put"),
    "pipelines": ("gpu.device.VulkanDevice.make_pipelines",),
    "record": ("gpu.executable.Executable._recorded",),
}


class Stopwatch:
    """Seconds that the main thread spent in each stage; those of a stage inside another are its own."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._running: list[str] = []
        self._since = 0.0

    def watch(self, stage: str, path: str) -> None:
        """Counts the time in a function of grilly.runtime as the stage's."""
        where, _, name = path.rpartition(".")
        owner: Any = pkgutil.resolve_name(f"grilly.runtime.{where}")
        function = getattr(owner, name)

        def watched(*args: Any, **kwargs: Any) -> Any:
            if threading.current_thread() is not threading.main_thread():
                return function(*args, **kwargs)
            self._turn(stage)
            try:
                return function(*args, **kwargs)
            finally:
                self._turn(None)

        setattr(owner, name, watched)

    def _turn(self, stage: str | None) -> None:
        now = time.perf_counter()
        if self._running:
            self.seconds[self._running[-1]] += now - self._since
        if stage is None:
            self._running.pop()
        else:
            self._running.append(stage)
        self._since = now


def first_call() -> dict[str, float]:
    """Milliseconds of each stage, in this process."""
    snn = net()
    step = grilly.train_step(snn, nn.CrossEntropyLoss(), optim.AdamW(snn.parameters(), lr=1e-3))
    x = np.ones((T, N, SIZES[0]), np.float32)
    stopwatch = Stopwatch()
    for stage, paths in STAGES.items():
        for path in paths:
            stopwatch.watch(stage, path)
    start = time.perf_counter()
    loss, _ = step(x, np.zeros(N, np.int32))
    called = time.perf_counter()
    loss.block_until_ready()
    end = time.perf_counter()
    rows = dict(stopwatch.seconds)
    rows["everything else"] = called - start - sum(rows.values())
    rows["until the device is done"] = end - called
    rows["in all"] = end - start
    return {row: 1e3 * seconds for row, seconds in rows.items()}


def measured(folder: str) -> dict[str, float]:
    """`first_call` in a new process that keeps what it compiles in this folder."""
    environment = os.environ | dict.fromkeys(("GRILLY_CACHE", *DRIVERS_OWN), folder)
    command = [sys.executable, "-m", "benchmarks.first_call", "here"]
    return json.loads(subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout)


def compare() -> None:
    with tempfile.TemporaryDirectory() as folder:
        cold, warm = measured(folder), measured(folder)
        kept = sum(path.stat().st_size for path in Path(folder).rglob("*.grilly"))
    print(f"first call of the training step {'-'.join(map(str, SIZES))}, T={T}, batch {N}, in milliseconds")
    print(f"  {'':26s}{'empty cache':>12s}{'full cache':>12s}")
    for row in (*STAGES, "everything else", "until the device is done", "in all"):
        print(f"  {row:26s}{cold.get(row, 0):12.1f}{warm.get(row, 0):12.1f}")
    print(f"  {kept} bytes kept")


if __name__ == "__main__":
    if sys.argv[1:] == ["here"]:
        print(json.dumps(first_call()))
    else:
        compare()
