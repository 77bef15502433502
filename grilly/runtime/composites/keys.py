"""What JAX's typed keys can do, by the kind of key: Threefry (the default), rbg, unsafe_rbg."""

from collections.abc import Callable

import jax
from jax import lax
from jax import numpy as jnp

from . import random, rbg

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


composites: dict[str, Callable] = {
    "select_keys": select,
    "threefry2x32": random.threefry2x32,
    "iota_2x32_shape": random.iota_2x32_shape,
    "rng_bit_generator": rbg.rng_bit_generator,
    **{name: _of_kind(name) for name in rbg.safe},
}
