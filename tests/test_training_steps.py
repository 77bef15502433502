"""Whole training steps of nets that people write: compiled as one, JAX's values, one submit each."""

import jax
import numpy as np
import optax
import pytest
from jax import numpy as jnp

import grilly
from grilly import functional as F

T, N, D, H, C = 100, 4, 6, 16, 3


def weights(*shapes, seed=0):
    random = np.random.default_rng(seed)
    return [(random.standard_normal(shape) / np.sqrt(shape[-1])).astype(np.float32) for shape in shapes]


def spikes(*shape):
    return (np.random.default_rng(1).random(shape) < 0.3).astype(np.float32)


LABELS = np.array([0, 1, 2, 1], np.int32)


def training_step(loss):
    """`step(params, state, x, labels) -> params, state, loss` with AdamW."""
    optimizer = optax.adamw(1e-3)

    def step(params, state, x, labels):
        value, grads = jax.value_and_grad(loss)(params, x, labels)
        updates, state = optimizer.update(grads, state, params)
        return optax.apply_updates(params, updates), state, value

    return step, optimizer.init


def lif(current):
    return F.sequence(F.lif_step, current, jnp.zeros_like(current[0]), F.LIFParams())[0]


def recurrent_lif(params, x, labels):
    """Hidden spikes come back one step later through a matrix of their own."""
    w_in, w, w_out = params

    def step(x, state, w):
        v, s = state
        s, v = F.lif_step(x + F.linear(s, w), v, F.LIFParams())
        return s, (v, s)

    current = F.linear(x, w_in)
    hidden, _ = F.sequence(step, current, (jnp.zeros_like(current[0]),) * 2, w)
    return F.cross_entropy(F.linear(hidden, w_out).mean(0), labels)


def gated(params, x, labels):
    """An LSTM."""
    w_in, w, w_out = params

    def step(x, state, w):
        h, c = state
        i, f, g, o = jnp.split(x + F.linear(h, w), 4, axis=1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        return h, (h, c)

    hidden, _ = F.sequence(step, F.linear(x, w_in), (jnp.zeros((N, H)),) * 2, w)
    return F.cross_entropy(F.linear(hidden[-1], w_out), labels)


def residual_block(params, x, labels):
    """Two convolutions with batch normalization and a skip, over T steps at once."""
    w0, w1, w2, scale, bias, w_out = params
    steps = len(x)

    def block(x, w):
        flat = F.conv2d(x.reshape(-1, *x.shape[2:]), w, padding=1)
        flat = F.batch_norm(flat, scale, bias, jnp.zeros(4), jnp.ones(4), training=True)[0]
        return flat.reshape(steps, N, *flat.shape[1:])

    first = lif(block(x, w0))
    second = lif(block(lif(block(first, w1)), w2) + first)
    return F.cross_entropy(F.linear(second.mean((0, 3, 4)), w_out), labels)


def attention(params, x, labels):
    """Spiking queries, keys and values; their product without a softmax, scaled, spiking again."""
    wq, wk, wv, w_out = params  # x: (T, N, tokens, features)
    q, k, v = (lif(F.linear(x, w) * 2) for w in (wq, wk, wv))
    scores = jnp.einsum("tnqd,tnkd->tnqk", q, k) * 0.25
    mixed = lif(jnp.einsum("tnqk,tnkd->tnqd", scores, v))
    return F.cross_entropy(F.linear(mixed.mean((0, 2)), w_out), labels)


def eprop(params, state, x, labels):
    """An adaptive LIF net that learns by e-prop, eligibility traces by hand (Bellec et al., 2020)."""
    w_in, w, w_out = params
    decay, adapting, beta, kappa = 0.9, 0.95, 0.2, 0.8
    target = jax.nn.one_hot(labels, C)

    def step(carry, x):
        v, a, z, out, trace_in, trace, eligible_in, eligible, dw_in, dw, dw_out = carry
        v = decay * v + x @ w_in.T + z @ w.T - z
        slope = 0.3 * jnp.maximum(0.0, 1 - jnp.abs(v - 1 - beta * a))
        trace_in, trace = decay * trace_in + x, decay * trace + z
        here_in = slope[:, :, None] * (trace_in[:, None] - beta * eligible_in)
        here = slope[:, :, None] * (trace[:, None] - beta * eligible)
        eligible_in = here_in + adapting * eligible_in
        eligible = here + adapting * eligible
        a = adapting * a + z
        z = (v >= 1 + beta * a).astype(jnp.float32)
        out = kappa * out + z @ w_out.T
        error = jax.nn.softmax(out) - target
        signal = error @ w_out
        dw_in += jnp.einsum("nh,nhd->hd", signal, here_in)
        dw += jnp.einsum("nh,nhd->hd", signal, here)
        dw_out += error.T @ z
        return (v, a, z, out, trace_in, trace, eligible_in, eligible, dw_in, dw, dw_out), error

    zeros = jnp.zeros((N, H))
    carry = (zeros, zeros, zeros, jnp.zeros((N, C)), jnp.zeros((N, D)), zeros, jnp.zeros((N, H, D)),
             jnp.zeros((N, H, H)), jnp.zeros_like(w_in), jnp.zeros_like(w), jnp.zeros_like(w_out))  # fmt: skip
    last, errors = jax.lax.scan(step, carry, x)
    updated = [p - 1e-2 * g for p, g in zip(params, last[-3:], strict=True)]
    return updated, state, jnp.square(errors).mean()


NETS = {
    "recurrent_lif": (*training_step(recurrent_lif), weights((H, D), (H, H), (C, H)), spikes(T, N, D) * 3),
    "gated": (*training_step(gated), weights((4 * H, D), (4 * H, H), (C, H)), spikes(T, N, D)),
    "residual_block": (
        *training_step(residual_block),
        [*weights((4, 2, 3, 3), (4, 4, 3, 3), (4, 4, 3, 3)), np.ones(4, np.float32), *weights((4,), (C, 4))],
        spikes(5, N, 2, 6, 6),
    ),
    "attention": (*training_step(attention), weights((D, D), (D, D), (D, D), (C, D)), spikes(8, N, 5, D) * 2),
    "eprop": (eprop, lambda params: (), weights((H, D), (H, H), (C, H)), spikes(T, N, D)),
}


@pytest.mark.parametrize("name", NETS)
def test_a_training_step_compiles_whole(name, device):
    step, init, params, x = NETS[name]
    arguments = params, init(params), x, LABELS
    expected = jax.jit(step)(*arguments)
    compiled = grilly.jit(step, device=device)
    for _ in range(3):  # the two slots for uploads get their recordings
        compiled(*arguments)
    before = device.submits
    got = compiled(*arguments)
    assert device.submits == before + 1
    for ours, theirs in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        theirs = np.asarray(theirs)
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5 * max(np.abs(theirs).max(), 1e-3))
