"""A neuron of a user's own, forward and backward over a whole sequence: adaptive and refractory, written in ten lines.

At the least x, the incoming gradient, the spikes and the outgoing gradient move once each: 16 bytes an element.
"""

import jax
import numpy as np
from jax import numpy as jnp

import grilly
from grilly import functional as F

from .measure import PROFILED, compare, each_size, timed, warm_up

spike = F.ATan(alpha=2.0)


def step(x, state, params):
    """Each spike raises the threshold, and silences the neuron for two steps."""
    v, a, rest = state  # membrane potential, adaptation, steps of rest left
    h = jnp.where(rest > 0, v, v + (x - v) / 2)
    s = spike(h - (1 + a))
    return s, ((1 - s) * h, 0.9 * a + 0.2 * s, 2 * s + (1 - s) * jnp.maximum(rest - 1, 0))


def both_ways(x_seq, g_spikes, zeros):
    """The spikes, and the gradient by the input."""
    spikes, vjp = jax.vjp(lambda x_seq: F.sequence(step, x_seq, (zeros, zeros, zeros))[0], x_seq)
    return spikes, vjp(g_spikes)[0]


def measure(steps: int, neurons: int) -> None:
    """Prints one row for T = `steps` and N = `neurons`."""
    print(f"a user's neuron, forward + backward, T={steps}, N={neurons}")
    device = grilly.runtime.find_device("vulkan")
    random = np.random.default_rng(0)
    x_seq = grilly.put(2 * random.random((steps, neurons), np.float32), device)
    g_spikes = grilly.put(random.standard_normal((steps, neurons), np.float32), device)
    zeros = grilly.put(np.zeros(neurons, np.float32), device)
    run = grilly.jit(both_ways)

    def call() -> grilly.Array:
        return run(x_seq, g_spikes, zeros)[1]

    warm_up(call, grilly.Array.block_until_ready)
    with grilly.profile():
        for _ in range(PROFILED):
            call()
    times = timed(call, grilly.Array.block_until_ready)
    least = 16 * steps * neurons
    floor = least / device.copy_bandwidth * 1e3
    print(
        f"  at least {least / 1e6:.0f} MB, {floor:.4f} ms at the copy's bandwidth: {times.pipelined / floor:.2f}x that"
    )
    compare(times, "user_neuron", steps, neurons)


if __name__ == "__main__":
    each_size(measure, __doc__)
