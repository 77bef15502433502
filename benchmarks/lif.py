"""LIF forward and backward over a whole sequence: the neuron kernel alone.

At the least x, the incoming gradient, the spikes and the outgoing gradient move once each: 16 bytes an element.
"""

from collections.abc import Callable

import jax
import numpy as np

import grilly
from grilly import functional as F

from .measure import PROFILED, compare, each_size, timed, warm_up

PARAMS = F.LIFParams(tau=2.0, v_threshold=1.0, v_reset=0.0)


def both_ways(x_seq, g_spikes, v):
    """The spikes, and the gradient by the input."""
    spikes, vjp = jax.vjp(lambda x_seq: F.sequence(F.lif_step, x_seq, v, PARAMS)[0], x_seq)
    return spikes, vjp(g_spikes)[0]


def layer(steps: int, neurons: int, device: str = "vulkan") -> Callable[[], grilly.Array]:
    """A call of `both_ways` for T = `steps` and N = `neurons`."""
    place = grilly.runtime.find_device(device)
    random = np.random.default_rng(0)
    x_seq = grilly.put(random.random((steps, neurons), np.float32), place)
    g_spikes = grilly.put(random.standard_normal((steps, neurons), np.float32), place)
    v = grilly.put(np.zeros(neurons, np.float32), place)
    run = grilly.jit(both_ways)
    return lambda: run(x_seq, g_spikes, v)[1]


def measure(steps: int, neurons: int) -> None:
    """Prints one row."""
    print(f"LIF forward + backward, T={steps}, N={neurons}")
    call = layer(steps, neurons)
    warm_up(call, grilly.Array.block_until_ready)
    with grilly.profile() as profile:
        for _ in range(PROFILED):
            call()
    least = 16 * steps * neurons
    print(f"  at least {least / 1e6:.0f} MB: {least / 1e6 / sum(row.ms for row in profile.rows):.0f} GB/s of those")
    compare(timed(call, grilly.Array.block_until_ready), "lif", steps, neurons)


if __name__ == "__main__":
    each_size(measure, __doc__)
