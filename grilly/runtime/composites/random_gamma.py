"""Samples of the gamma distribution, from the same random bits as `jax.random.gamma`.

The acceptance of a sample hangs on logarithms: where ours differ from XLA's in the last bit, it may be another one.

References:
    G. Marsaglia, W. W. Tsang, "A simple method for generating gamma variables" (2000).
"""

import math
from collections.abc import Callable

import jax
from jax import lax, random
from jax import numpy as jnp

IMPLEMENTATIONS = {"key<fry>": "threefry2x32", "key<rbg>": "rbg", "key<urbg>": "unsafe_rbg"}


def random_gamma(keys: jax.Array, a: jax.Array, *, kind: str, log_space: bool) -> jax.Array:
    """A sample for each element, with a key of its own; of shorter floats, the sample is rounded."""
    typed = random.wrap_key_data(keys, impl=IMPLEMENTATIONS[kind])
    count = math.prod(a.shape[typed.ndim :])
    each = jax.vmap(lambda key: random.split(key, count))(typed.reshape(-1)).reshape(-1)
    sample = lambda pair: _logarithm(*pair) if log_space else _sample(*pair)  # noqa: E731
    return lax.map(sample, (each, a.reshape(-1).astype(jnp.float32))).reshape(a.shape).astype(a.dtype)


def _sample(key: jax.Array, a: jax.Array) -> jax.Array:
    """A sample; below a = 1, that of a + 1 times `uniform ** (1 / a)`."""
    d, cube, boost = _accepted(key, a)
    return d * cube * jnp.where(a >= 1, 1.0, (1.0 - random.uniform(boost)) ** (1.0 / a))


def _logarithm(key: jax.Array, a: jax.Array) -> jax.Array:
    """The logarithm of a sample, which small `a` do not make infinite."""
    d, cube, boost = _accepted(key, a)
    exponent = -random.exponential(boost)
    return jnp.log(d) + jnp.log(cube) + jnp.where((a >= 1) | (exponent == 0), 0.0, exponent * (1.0 / a))


def _accepted(key: jax.Array, a: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """The factors d and v^3 of a sample of the distribution of a, or of a + 1 below 1; and a key for what is left."""
    d = jnp.where(a >= 1, a, a + 1.0) - 1.0 / 3
    scale = (1.0 / 3) / jnp.sqrt(d)

    def normal(carry: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
        key, draw = random.split(carry[0])
        x = random.normal(draw)
        return key, x, 1.0 + x * scale

    def refused(carry: tuple[jax.Array, ...]) -> jax.Array:
        _, square, cube, u = carry
        below = square * 0.5 + d * ((1.0 - cube) + jnp.log(cube))
        return (u >= 1.0 - 0.0331 * (square * square)) & (jnp.log(u) >= below)

    def again(carry: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
        key, normals, uniforms = random.split(carry[0], 3)
        _, x, v = lax.while_loop(lambda c: c[2] <= 0.0, normal, (normals, jnp.float32(0), jnp.float32(-1)))
        return key, x * x, v * v * v, random.uniform(uniforms)

    key, boost = random.split(key)
    start = key, jnp.float32(0), jnp.float32(1), jnp.float32(2)  # refused
    return d, lax.while_loop(refused, again, start)[2], boost


composites: dict[str, Callable] = {"random_gamma": random_gamma}
