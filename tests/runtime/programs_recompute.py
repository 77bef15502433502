"""Scans and their reverse twins: what only the twin would read is computed again, in one chunk, in many, or in groups.

The chunks of the tests' target are of 4 steps: T = 3 is one, 61 are some, and 200 are so many that they are grouped.
"""

from functools import partial

import jax
from jax import lax
from jax import numpy as jnp
from programs import Program, lif

LENGTHS = (1, 3, 4, 5, 61, 200)


def sequence(step, state, x, reverse=False):
    return lax.scan(jax.checkpoint(step, prevent_cse=False), state, x, reverse=reverse)


def by_output(x, g, v, reverse=False):
    """Nothing between a scan and its twin: the cotangent is an argument."""
    spikes, vjp = jax.vjp(lambda x, v: sequence(lif, v, x, reverse)[1], x, v)
    return spikes, *vjp(g)


def by_everything(x, g, v):
    """The twin starts from the last carry."""
    (v, spikes), vjp = jax.vjp(lambda x, v: sequence(lif, v, x), x, v)
    return spikes, v, *vjp((v * v, g))


def adaptive(x, g, v):
    """Two states; what the step puts out is no spike."""

    def step(state, x):
        v, a = state
        h = 0.75 * v + x - a
        s = jnp.where(h >= 1, 1.0, 0.0)
        return (h * (1 - s), 0.5 * a + s), h * s

    out, vjp = jax.vjp(lambda x, v: sequence(step, (v, v), x)[1], x, v)
    return out, *vjp(g)


def refractory(x, g, v):
    """Integers and booleans are carried along, and the step puts out two arrays."""

    def step(state, x):
        v, rest, fired = state
        h = jnp.where(rest > 0, v, 0.75 * v + x)
        s = h >= 1
        out = jnp.where(fired, h * x, h)
        return (jnp.where(s, 0.25 * h, h), jnp.where(s, 3, jnp.maximum(rest - 1, 0)), s ^ fired), (out, 0.5 * h)

    def both(x, v):
        return sequence(step, (v, jnp.zeros(v.shape, jnp.int32), v > 1), x)[1]

    outs, vjp = jax.vjp(both, x, v)
    return *outs, *vjp((g, g * g))


def growing(x, g, v):
    """One number that all elements share is carried along."""

    def step(state, x):
        v, scale = state
        return (v / 2 + x * scale, scale / 2 + 1), v * scale

    out, vjp = jax.vjp(lambda x, v: sequence(step, (v, 1.0), x)[1], x, v)
    return out, *vjp(g)


def two_layers(x, g, v):
    """A loss between forward and backward, and a scan that reads another's output."""

    def loss(x):
        s = sequence(lif, v, x)[1]
        v_last, s = sequence(lif, v, 2 * s)
        return (jnp.square(s - g)).sum() + v_last.sum()

    return jax.grad(loss)(x)


def twice_read(x, g, v):
    """A stack that is a result, too, is stored."""

    def step(v, x):
        return v / 2 + x * x, v

    stack, vjp = jax.vjp(lambda x: sequence(step, v, x)[1], x)
    return stack, vjp(g * stack)[0]


def last_total(x, v):
    """The sum over elements of a last carry is no sum over time."""
    v, ys = lax.scan(lambda v, x: (v / 2 + x, v), v, x)
    return v.sum(), ys.sum(0)


def rows(name, function, kernels):
    return {
        f"{name}_{length}": Program(function, ((length, 6), (length, 6), (6,)), kernels(length)) for length in LENGTHS
    }


RECOMPUTED: dict[str, Program] = {
    **rows("twin", by_output, lambda t: 1 if t <= 4 else 2),
    **rows("reversed_twin", partial(by_output, reverse=True), lambda t: 1 if t <= 4 else 2),
    **rows("twin_of_all", by_everything, lambda t: 2),
    **rows("adaptive_twin", adaptive, lambda t: 1 if t <= 4 else 2),
    **rows("refractory_twin", refractory, lambda t: 1 if t <= 4 else 2),
    **rows("growing_twin", growing, lambda t: 1 if t <= 4 else 2),
    **rows("two_layers_and_twins", two_layers, lambda t: 4),
    **rows("stack_put_out", twice_read, lambda t: 2),
    "twin_of_no_step": Program(by_output, ((0, 6), (0, 6), (6,)), 1),
    "last_total": Program(last_total, ((7, 5), (5,)), 2, error=1e-6),
}
