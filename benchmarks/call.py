"""What a call of a known signature costs the host: Python above vkQueueSubmit, in microseconds of the thread's time.

Not of the clock's, because a driver on the CPU works on the same cores.
"""

import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

import grilly
from grilly import functional as F
from grilly import nn, optim
from grilly.runtime import find_device

from .train_step import net

CALLS, ROUNDS = 100, 100  # few calls in a round, so that no call waits for the device
LEAVES = 20


class Submits:
    """The time inside vkQueueSubmit; takes the place of a device's submission."""

    def __init__(self, submission: Any) -> None:
        self._submission, self.seconds = submission, 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._submission, name)

    def to(self, *arguments: Any) -> None:
        start = time.thread_time()
        self._submission.to(*arguments)
        self.seconds += time.thread_time() - start


def measure(title: str, call: Callable[[], object]) -> None:
    """Prints one row: the best of some rounds, since others may use the same cores."""
    device = find_device("vulkan")
    submits = device._submission = Submits(device._submission)
    call(), call(), call()
    rows = []
    for _ in range(ROUNDS):
        device.wait_idle()
        submits.seconds, start = 0.0, time.thread_time()
        for _ in range(CALLS):
            call()
        total = time.thread_time() - start
        rows.append(((total - submits.seconds) / CALLS * 1e6, submits.seconds / CALLS * 1e6))
    device._submission = submits._submission
    above, inside = min(rows)
    print(f"  {title:44s} {above:6.1f} us above the submit, {inside:6.1f} us in it")


def increments() -> None:
    increment = grilly.jit(lambda x: x + 1, device="vulkan")
    x = np.ones(16, np.float32)
    resident = grilly.put(x, find_device("vulkan"))
    measure("x + 1", lambda: increment(resident))
    measure("x + 1, x from NumPy", lambda: increment(x))


def update() -> None:
    """A pytree that each call hands over to the next."""
    halve = grilly.jit(lambda tree: jax.tree.map(lambda leaf: leaf * 0.5, tree), device="vulkan", donate_argnums=0)
    tree = {str(k): {"w": np.ones(8, np.float32), "b": np.ones(4, np.float32)} for k in range(LEAVES // 2)}
    tree = halve(tree)

    def call() -> None:
        nonlocal tree
        tree = halve(tree)

    measure(f"a pytree of {LEAVES} leaves, donated", call)


def training_step() -> None:
    """Of the layers of README's net, smaller: the host does the same for all sizes."""
    snn, device = net((16, 16, 10)), find_device("vulkan")
    step = grilly.train_step(snn, nn.CrossEntropyLoss(), optim.AdamW(snn.parameters()))
    x_seq = grilly.put(np.ones((2, 4, 16), np.float32), device)
    labels = grilly.put(np.zeros(4, np.int32), device)

    def call() -> None:
        F.reset_net(snn)
        step(x_seq, labels)

    measure("a training step, with F.reset_net", call)


if __name__ == "__main__":
    print("a call of a known signature")
    increments()
    update()
    training_step()
