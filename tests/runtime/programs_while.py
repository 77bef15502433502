"""Whiles: in registers where elements are on their own, else ended by the host; in scans and in each other."""

import jax
import numpy as np
from jax import lax
from jax import numpy as jnp
from programs import F32, Program

I32, F16 = np.int32, np.float16


def collatz(n):
    """The steps from a number to 1."""

    def step(carry):
        n, count = carry
        return jnp.where(n % 2 == 0, n // 2, 3 * n + 1), count + 1

    return lax.while_loop(lambda carry: carry[0] != 1, step, (n, 0))[1]


def root(a):
    """Newton's iteration, as long as a number needs it."""
    return lax.while_loop(lambda x: jnp.abs(x * x - a) > 1e-3 * a, lambda x: 0.5 * (x + a / x), a)


def roots(a):
    """Newton's iteration, as long as any number needs it."""
    return lax.while_loop(lambda x: jnp.any(jnp.abs(x * x - a) > 1e-3 * a), lambda x: 0.5 * (x + a / x), a)


def nested(x):
    """The inner one ends where the outer one says."""

    def step(carry):
        count, v = carry
        n = lax.while_loop(lambda c: c[0] < v, lambda c: (c[0] * 1.5 + 0.1, c[1] + 1), (F32(0.1), 0))[1]
        return count + 1, v * 0.3 + n * 0.1

    return lax.while_loop(lambda carry: carry[1] > 1, step, (0, x))


def chased(table, i):
    """Along a table, to an element that points to itself."""
    table = jnp.minimum(abs(table) % 7, jnp.arange(7))
    return jax.vmap(lambda i: lax.while_loop(lambda at: at != table[at], lambda at: table[at], i % 7))(i)


def power(a, most=100):
    """The largest eigenvector, by power iteration."""

    def step(carry):
        v, _, count = carry
        w = a @ v
        return w / jnp.sqrt(jnp.square(w).sum()), v, count + 1

    def going(carry):
        v, before, count = carry
        return (jnp.abs(v - before).max() > 1e-5) & (count < most)

    a = a @ a.T
    return lax.while_loop(going, step, (jnp.full(len(a), 0.4, F32), jnp.zeros(len(a)), 0))


def shrunk(a, x, least):
    return lax.while_loop(lambda c: jnp.abs(c).sum() > least, lambda c: c @ a * 0.1, x)


def scan_in_while(a):
    def step(carry):
        h, count = carry
        return lax.scan(lambda h, x: (h @ a * 0.1 + x, None), h, jnp.ones((3, 5, 5)))[0], count + 1

    return lax.while_loop(lambda carry: carry[1] < 3, step, (a, 0))


def while_in_scan(a):
    return lax.scan(lambda h, x: (shrunk(a, h + x, 9.0), h.sum()), a, jnp.ones((3, 5, 5)))


def while_in_while(a):
    return lax.while_loop(lambda c: c[1] < 3, lambda c: (shrunk(a, c[0] + 3, 9.0), c[1] + 1), (a, 0))


def going_while(a):
    """The condition has a while of its own."""
    return lax.while_loop(lambda c: shrunk(a, c, 1.0).max() > 0.01, lambda c: c * 0.1, a)


def passing(x, w):
    """Carries that change places, and are seen in each other's shape."""
    return lax.while_loop(
        lambda c: jnp.cumsum(c[0]).sum() < 60, lambda c: (c[1].reshape(2, 3), c[0].reshape(3, 2) + w.T), (x, w.T)
    )


def constant_carry(a):
    """What is carried as it is, is not copied from turn to turn."""
    return lax.while_loop(lambda c: jnp.abs(c[0]).sum() > 9, lambda c: (c[0] @ c[1] * 0.1, c[1], c[2]), (a, a, 1.5))


def until(key, least):
    """Draws until one is large."""

    def draw(carry):
        key, more = jax.random.split(carry[0])
        return key, jax.random.uniform(more)

    return lax.while_loop(lambda carry: carry[1] < least, draw, (key, F32(0)))[1]


def drawn(data):
    keys = jax.random.split(jax.random.wrap_key_data(data), (3, 5))
    one, both = until(keys[0, 0], 0.5), each(each(lambda key: until(key, 0.7)))(keys)
    return one, both, lax.map(lambda key: until(key, 0.6), keys[0])


def noisy(x, data):
    """A key in the carry of a scan."""

    def step(carry, x):
        v, key = carry
        key, more = jax.random.split(key)
        v = v / 2 + x + jax.random.uniform(more, x.shape)
        return (v, key), v

    return lax.scan(step, (x[0], jax.random.wrap_key_data(data)), x)[1]


def mapped(x):
    return lax.map(lambda x: (x * 2, x[::-1].T, 3.0, collatz(x[0, 0].astype(I32) ** 2 + 1)), x)


def passing_scan(x, w):
    return lax.scan(
        lambda c, x: ((c[1].reshape(2, 3), c[0].reshape(3, 2) + jnp.cumsum(x)[0]), x @ w), (x[0], x[0].T), x
    )[0]


def each(function):
    return lambda *args: jax.vmap(function)(*args)


VECTOR = ((33,), I32)
WHILES = {
    # In registers
    "collatz": Program(lambda n: each(collatz)(abs(n) + 1), (VECTOR,), 1),
    "collatz_of_a_matrix": Program(lambda n: each(each(collatz))(abs(n) + 1), (((5, 7), I32),), 1),
    "collatz_one": Program(lambda n: collatz(abs(n) + 27), (((), I32),), 1),
    "collatz_none": Program(lambda n: each(collatz)(n), (((0,), I32),), 1),
    "collatz_wide": Program(lambda n: each(collatz)(abs(n) + 1), (((1 << 16,), I32),), 1),
    "collatz_sum": Program(lambda n: (each(collatz)(abs(n) + 1) * 2).sum(), (VECTOR,), 1),
    "newton": Program(each(root), ((33,),), 1, low=0.1),
    "newton_tangent": Program(lambda a, t: jax.jvp(each(root), (a,), (t,)), ((33,), (33,)), 1, low=0.1),
    "newton_in_a_scan": Program(
        lambda a: lax.scan(lambda c, x: (c + each(root)(x), c), a[0], a), ((5, 7),), 1, low=0.1
    ),
    "count_up": Program(lambda n, x: lax.fori_loop(n[0] % 5, 9, lambda i, x: x / 2 + i, x), (((1,), I32), (5, 7)), 1),
    "count_and_more": Program(
        lambda x: lax.while_loop(lambda c: c[0] < 5, lambda c: (c[0] + 2, c[1] / 2 + c[0]), (0, x)), ((5, 7),), 1
    ),
    "nested_in_registers": Program(each(nested), ((33,),), 1, low=0.1, high=50.0),
    "chase": Program(chased, (((7,), I32), VECTOR), 1),
    "bools": Program(
        each(lambda x: lax.while_loop(lambda c: c[0], lambda c: (c[1] < 3, c[1] * 1.5), (True, x))),
        ((33,),),
        1,
        low=0.1,
    ),
    "halves": Program(
        each(lambda x: lax.while_loop(lambda c: c < 3, lambda c: c * F16(1.5), x)), (((33,), F16),), 1, low=0.1
    ),
    "incomplete_gamma": Program(
        lambda a, x: (lax.igamma(a, x), lax.igammac(a, x)), ((33,), (33,)), 1, 1e-5, low=0.01, high=9.0
    ),
    "incomplete_gamma_gradient": Program(
        lambda a, x: jax.grad(lambda a, x: jnp.sin(lax.igamma(a, x)).sum(), (0, 1))(a, x),
        ((33,), (33,)),
        1,
        1e-5,
        low=0.1,
        high=9.0,
    ),
    "incomplete_beta": Program(lax.betainc, ((33,), (33,), (33,)), 1, 1e-5, low=0.01, high=1.0),
    "draw_until": Program(drawn, (((2,), np.uint32),), 1),
    "noise_in_a_scan": Program(noisy, ((5, 7), ((2,), np.uint32)), 1),
    "scan_without_a_carry": Program(mapped, ((5, 2, 3),), 1),
    # Ended by the host
    "newton_until_all": Program(roots, ((33,),), 4, low=0.1),
    "power_iteration": Program(power, ((5, 5),), 7, 1e-5),
    "constant_carry": Program(constant_carry, ((5, 5),), 5, 1e-5),
    "no_carry_that_changes": Program(lambda a: lax.while_loop(lambda c: c.max() > 99, lambda c: c, a), ((3,),), 0),
    "no_turn": Program(lambda a: shrunk(a, a, 1e9), ((5, 5),), 4),
    "one_turn": Program(lambda a: power(a, 1), ((5, 5),), 7, 1e-6),
    "no_elements": Program(lambda a: lax.while_loop(lambda c: c.sum() > 0, lambda c: jnp.cumsum(c) + 1, a), ((0,),), 4),
    "scan_in_while": Program(scan_in_while, ((5, 5),), 8, 1e-6, -1.0, 1.0),
    "while_in_scan": Program(while_in_scan, ((5, 5),), 16, 1e-5),
    "while_in_while": Program(while_in_while, ((5, 5),), 9, 1e-5),
    "while_in_a_condition": Program(going_while, ((5, 5),), 8, 1e-5),
    "products_with_ends_of_their_own": Program(
        lambda a, x: each(lambda v: shrunk(a, v, 1.0))(x), ((5, 5), (6, 5)), 5, 1e-6, -1.0, 1.0
    ),
    "passing_carries_in_turns": Program(passing, ((2, 3), (2, 3)), 6, low=0.5),
    "passing_carries_seen_otherwise": Program(passing_scan, ((4, 2, 3), (3, 3)), 9, 1e-6),
    "while_tangent": Program(lambda a, t: jax.jvp(lambda a: shrunk(a, a, 9.0), (a,), (t,)), ((5, 5), (5, 5)), 7, 1e-5),
}
