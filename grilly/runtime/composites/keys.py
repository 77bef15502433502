"""What JAX's typed keys can do, by the kind of key: Threefry (the default), rbg, unsafe_rbg."""

from collections.abc import Callable

import jax
from jax import lax
from jax import numpy as jnp

from . import random, rbg, scatter

# By the name of the keys' dtype.
KINDS: dict[str, dict[str, Callable]] = {
    "key<fry>": random.composites,
    "key<rbg>": rbg.safe,
    "key<urbg>": rbg.unsafe,
}


def _of_kind(name: str) -> Callable:
    def composite(*args: jax.Array, kind: str, **params: object) -> jax.Array:
        return KINDS[kind][name](*args, **params)

    return composite


def select(which: jax.Array, *cases: jax.Array, **_: object) -> jax.Array:
    """Keys chosen one by one, all words of each."""
    return lax.select_n(jnp.broadcast_to(which[..., None], cases[0].shape) if which.ndim else which, *cases)


def write(keys: jax.Array, indices: jax.Array, updates: jax.Array, **params: object) -> jax.Array:
    """Keys written over where indices name them, one word after another."""
    words = range(keys.shape[-1])
    written = [scatter.composites["scatter"](keys[..., k], indices, updates[..., k], **params) for k in words]
    return jnp.stack(written, -1)


def equal(x: jax.Array, y: jax.Array) -> jax.Array:
    """Whether all words of keys are equal."""
    return (x == y).all(-1)


composites: dict[str, Callable] = {
    "keys_select_n": select,
    "keys_scatter": write,
    "keys_eq": equal,
    "keys_ne": lambda x, y: ~equal(x, y),
    "threefry2x32": random.threefry2x32,
    "iota_2x32_shape": random.iota_2x32_shape,
    "rng_bit_generator": rbg.rng_bit_generator,
    **{name: _of_kind(name) for name in rbg.safe},
}
