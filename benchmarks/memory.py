"""Device memory of a LIF layer, forward and backward, and its time, against the number of time steps."""

import argparse
import math

import jax
import numpy as np

import grilly
from grilly import functional as F

from .measure import timed

PARAMS = F.LIFParams(tau=2.0, v_threshold=1.0, v_reset=0.0)


def gradient(x_seq, v):
    """By the input, of a loss that waits for all spikes."""

    def loss(x_seq):
        spikes, _ = F.sequence(F.lif_step, x_seq, v, PARAMS)
        return (spikes.mean(axis=0) ** 2).sum()

    return jax.grad(loss)(x_seq)


def measure(steps: int, neurons: int, first: tuple[int, int] | None) -> tuple[int, int]:
    """Prints one row; gives T and the bytes beside arguments and results."""
    device = grilly.runtime.find_device("vulkan")
    x_seq = grilly.put(np.random.default_rng(0).random((steps, neurons), np.float32), device)
    v = grilly.put(np.zeros(neurons, np.float32), device)
    run = grilly.jit(gradient)
    report = run.memory(x_seq, v)
    times = timed(lambda: run(x_seq, v), lambda out: out.block_until_ready())
    growth = f"{report.arena / first[1]:6.2f}x (sqrt(T): {math.sqrt(steps / first[0]):5.2f}x)" if first else ""
    print(
        f"T={steps:5d} N={neurons:8d}  {times.pipelined:8.4f} ms  peak {report.peak / 2**20:8.1f} MiB, of that "
        f"arguments and results {(report.peak - report.arena) / 2**20:8.1f}, arena {report.arena / 2**20:6.2f} {growth}"
    )
    return steps, report.arena


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--neurons", type=int, default=1 << 16)
    parser.add_argument("steps", nargs="*", type=int, default=[64, 128, 256, 512, 1024, 2048, 4096])
    given = parser.parse_args()
    base = None
    for length in given.steps:
        row = measure(length, given.neurons, base)
        base = base or row
    elements = 1 << 26
    print(f"T x N = {elements}:")
    for length in (16, 64, 256, 1024, 4096):
        measure(length, elements // length, None)
