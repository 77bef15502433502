"""Linear(n, n) and LIF, T = 500, batch 16, forward and backward: the Open Neuromorphic benchmark's work, waited for."""

import argparse

import jax
import numpy as np

import grilly
from grilly import functional as F

from .measure import PROFILED, compare, timed, warm_up

T, N = 500, 16
PARAMS = F.LIFParams(tau=2.0, v_threshold=1.0, v_reset=0.0)


def both_ways(weight, x_seq, g_spikes):
    """The spikes, and the gradient by the weight."""
    v = jax.numpy.zeros((N, weight.shape[0]))
    spikes, vjp = jax.vjp(lambda weight: F.sequence(F.lif_step, F.linear(x_seq, weight), v, PARAMS)[0], weight)
    return spikes, vjp(g_spikes)[0]


def measure(n: int) -> None:
    """Prints the row of one width."""
    print(f"Linear({n}, {n}) + LIF, T={T}, batch {N}, forward + backward")
    device = grilly.runtime.find_device("vulkan")
    random = np.random.default_rng(0)
    weight = grilly.put(random.standard_normal((n, n), np.float32) * np.float32(2 / n**0.5), device)
    x_seq = grilly.put((random.random((T, N, n), np.float32) < 0.1).astype(np.float32), device)
    g_spikes = grilly.put(random.standard_normal((T, N, n), np.float32), device)
    run = grilly.jit(both_ways)

    def call():
        return run(weight, x_seq, g_spikes)[1]

    warm_up(call, grilly.Array.block_until_ready)
    with grilly.profile():
        for _ in range(PROFILED // 10):
            call()
    compare(timed(call, grilly.Array.block_until_ready), "linear_lif", n)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("widths", nargs="*", type=int, default=[512, 1024, 2048, 4096, 8192, 16384])
    for width in parser.parse_args().widths:
        measure(width)
