"""Scans whose steps mix elements: recurrent nets and their gradients. Products bound their exactness."""

import jax
import numpy as np
from jax import lax
from jax import numpy as jnp
from programs import Program, lif


def recurrent(x, h, w_in, w):
    """`h' = tanh(x w_in + h w)`: the first product waits for no step before it."""

    def step(h, x):
        h = jnp.tanh(x @ w_in + h @ w)
        return h, h

    return lax.scan(step, h, x)


def recurrent_lif(x, v, w):
    """Spikes come back through a matrix of their own."""

    def step(carry, x):
        v, s = carry
        v, s = lif(v, x + s @ w)
        return (v, s), s

    return lax.scan(jax.checkpoint(step, prevent_cse=False), (v, jnp.zeros_like(v)), x)[1]


def gated(x, h, c, w, u):
    """An LSTM's step."""

    def step(carry, x):
        h, c = carry
        i, f, g, o = jnp.split(x @ w + h @ u, 4, axis=1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        return (h, c), h

    return lax.scan(step, (h, c), x)[1]


def squared(function):
    return lambda *args: sum(jnp.square(y).sum() for y in jax.tree.leaves(function(*args)))


def gradients(function, *positions):
    return lambda *args: jax.grad(squared(function), positions)(*args)


def nested(x, w):
    """A loop in a loop, and an elementwise scan in both."""

    def inner(h, x):
        return h @ w, x + h.sum()

    def outer(h, x):
        h, ys = lax.scan(inner, h, x)
        return h, lax.scan(lambda v, y: (v / 2 + y, v), jnp.zeros(4), ys)[1]

    return lax.scan(outer, jnp.ones((2, 3)), x)


def passing(x, a, b):
    """Carries that change places, and one that stays."""

    def step(carry, x):
        a, b, c = carry
        return (b, (a @ c) + x, c), (a, x)

    return lax.scan(step, (a, b, 0.5 * jnp.eye(3)), x, reverse=True)


RECURRENT = ((6, 4, 5), (4, 3), (5, 3), (3, 3))
LOOPS = {
    "recurrent": Program(recurrent, RECURRENT, 7, 1e-5, -1.0, 1.0),
    "recurrent_one_step": Program(recurrent, ((1, 4, 5), *RECURRENT[1:]), 2, 1e-5, -1.0, 1.0),
    "recurrent_no_step": Program(recurrent, ((0, 4, 5), *RECURRENT[1:]), 1, 0.0, -1.0, 1.0),
    "recurrent_gradients": Program(gradients(recurrent, 0, 1, 2, 3), RECURRENT, 29, 1e-5, -1.0, 1.0),
    "recurrent_lif": Program(recurrent_lif, ((7, 4, 6), (4, 6), (6, 6)), 8, 1e-5, -1.0, 1.0),
    "recurrent_lif_gradients": Program(
        gradients(recurrent_lif, 0, 1, 2), ((7, 4, 6), (4, 6), (6, 6)), 27, 1e-5, -1.0, 1.0
    ),
    "gated": Program(gated, ((5, 4, 3), (4, 6), (4, 6), (3, 24), (6, 24)), 11, 1e-5, -1.0, 1.0),
    "gated_gradients": Program(
        gradients(gated, 0, 1, 2, 3, 4), ((5, 4, 3), (4, 6), (4, 6), (3, 24), (6, 24)), 31, 1e-5, -1.0, 1.0
    ),
    "nested_loops": Program(nested, ((2, 3, 4), (3, 3)), 15, 1e-5, -1.0, 1.0),
    "passing_carries": Program(passing, ((5, 2, 3), (2, 3), (2, 3)), 12, 1e-5, -1.0, 1.0),
    "cond": Program(
        lambda x: lax.cond(x[0, 0] > 0, lambda x: (x * 2, x.sum()), lambda x: (x - 1, x.max()), x), ((4, 5),), 1, 1e-6
    ),
    "switch": Program(
        lambda i, x: lax.switch(i[0], [lambda x: x, jnp.negative, jnp.zeros_like], x), (((1,), np.int32), (4, 5))
    ),
    "cond_in_a_scan": Program(
        lambda x: lax.scan(lambda c, x: (c + x, lax.cond(c.sum() > 1, jnp.negative, jnp.square, x)), jnp.zeros(5), x),
        ((4, 5),),
        5,
        1e-6,
    ),
    "cond_gradient": Program(
        jax.grad(lambda x: lax.cond(x[0] > 0, lambda x: (x**2).sum(), lambda x: (3 * x).sum(), x)), ((5,),)
    ),
    "moving_carry": Program(lambda x, h: lax.scan(lambda h, x: (jnp.roll(h, 1) + x, h), h, x), ((5, 9), (9,)), 6),
    "carries_of_sizes": Program(
        lambda x: lax.scan(lambda c, x: ((c[0] + x, c[1] + x[:2]), c[1]), (jnp.zeros(5), jnp.zeros(2)), x), ((4, 5),), 6
    ),
}
