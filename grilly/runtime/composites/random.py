"""JAX's random keys and bits: Threefry-2x32, bit-equal to `jax.random`. A key is its data, uint32[..., 2].

The counters are those of jax_threefry_partitionable, the default since jax 0.5. Samplers (uniform, normal, ...)
are plain JAX on top of these bits.

References:
    J. K. Salmon, M. A. Moraes, R. O. Dror, D. E. Shaw, "Parallel random numbers: as easy as 1, 2, 3" (2011).
"""

import math
from collections.abc import Callable

import jax
from jax import lax
from jax import numpy as jnp

ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
PARITY = 0x1BD11BDA


def threefry2x32(key0: jax.Array, key1: jax.Array, x0: jax.Array, x1: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The block cipher: 20 rounds, and a key added after every fourth."""
    keys = (key0, key1, key0 ^ key1 ^ jnp.uint32(PARITY))
    x0, x1 = x0 + keys[0], x1 + keys[1]
    for group in range(5):
        for distance in ROTATIONS[group % 2]:
            x0 = x0 + x1
            x1 = x0 ^ _rotated(x1, distance)
        x0 = x0 + keys[(group + 1) % 3]
        x1 = x1 + (keys[(group + 2) % 3] + jnp.uint32(group + 1))
    return x0, x1


def iota_2x32_shape(*, shape: tuple[int, ...]) -> tuple[jax.Array, jax.Array]:
    """The high and the low words of the numbers 0, 1, 2..."""
    low = lax.iota(jnp.uint32, math.prod(shape)).reshape(shape)
    return jnp.zeros_like(low), low


def _rotated(x: jax.Array, distance: int) -> jax.Array:
    return (x << jnp.uint32(distance)) | (x >> jnp.uint32(32 - distance))


def random_seed(seeds: jax.Array) -> jax.Array:
    """A key of each integer: its 32 bits below 32 zeros."""
    low = seeds.astype(jnp.uint32)
    return jnp.stack([jnp.zeros_like(low), low], -1)


def random_fold_in(keys: jax.Array, data: jax.Array) -> jax.Array:
    """The key's cipher of an integer, which makes another key."""
    low = data.astype(jnp.uint32)
    return jnp.stack(threefry2x32(keys[..., 0], keys[..., 1], jnp.zeros_like(low), low), -1)


def random_split(keys: jax.Array, *, shape: tuple[int, ...]) -> jax.Array:
    """An array of keys from each key."""
    return jnp.stack(_blocks(keys, shape), -1)


def random_bits(keys: jax.Array, *, bit_width: int, shape: tuple[int, ...]) -> jax.Array:
    """An array of unsigned integers from each key; 8 and 16 bits are the low ones of 32."""
    high, low = _blocks(keys, shape)
    return (high ^ low).astype(f"uint{bit_width}")


def _blocks(keys: jax.Array, shape: tuple[int, ...]) -> tuple[jax.Array, jax.Array]:
    """Each key's cipher of the counters 0, 1, 2..., of shape (*keys.shape[:-1], *shape)."""
    key0, key1 = (_against(keys[..., k], shape) for k in range(2))
    return threefry2x32(key0, key1, *iota_2x32_shape(shape=shape))


def _against(keys: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Keys with an axis of length 1 for each axis of `shape`; a single key stays a scalar."""
    return keys.reshape(*keys.shape, *(1 for _ in shape)) if keys.ndim else keys


composites: dict[str, Callable] = {
    "random_seed": random_seed,
    "random_fold_in": random_fold_in,
    "random_split": random_split,
    "random_bits": random_bits,
}
