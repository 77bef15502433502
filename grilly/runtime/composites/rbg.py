"""JAX's keys of the kinds `rbg` and `unsafe_rbg`: XLA's bit generators, bit-equal to its CPU backend.

Such a key is uint32[..., 4]: two words of key, two of counter. Bits come from Philox-4x32-10. Of an array of keys only
the first gives bits, for all: that is what `jax.vmap` makes of this generator in JAX, too.

References:
    J. K. Salmon, M. A. Moraes, R. O. Dror, D. E. Shaw, "Parallel random numbers: as easy as 1, 2, 3" (2011).
"""

import math
from collections.abc import Callable, Sequence

import jax
from jax import lax
from jax import numpy as jnp

from . import random
from .numeric import high_product

MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
WEYL = (0x9E3779B9, 0xBB67AE85)
APART = 10  # of unsafe_rbg's blocks of bits, every tenth becomes a key


def philox4x32(words: Sequence[jax.Array], key: Sequence[jax.Array]) -> list[jax.Array]:
    """The block cipher: ten rounds, and a key that grows after each."""
    x, key = list(words), list(key)
    for _ in range(10):
        low = [x[2 * k] * jnp.uint32(MULTIPLIERS[k]) for k in range(2)]
        high = [high_product(x[2 * k], jnp.full_like(x[2 * k], MULTIPLIERS[k])) for k in range(2)]
        x = [high[1] ^ x[1] ^ key[0], low[1], high[0] ^ x[3] ^ key[1], low[0]]
        key = [k + jnp.uint32(step) for k, step in zip(key, WEYL, strict=True)]
    return x


def rng_bit_generator(
    key: jax.Array, *, shape: tuple[int, ...], dtype: jnp.dtype, algorithm: lax.RandomAlgorithm
) -> tuple[jax.Array, jax.Array]:
    """The key with a counter moved on, and unsigned integers; 8 and 16 bits are the low ones of 32."""
    generate = _threefry_bits if algorithm == lax.RandomAlgorithm.RNG_THREE_FRY else _philox_bits
    bits, blocks = generate(key, shape)
    moved = _plus([key[2], key[3]], jnp.uint32(blocks))
    return jnp.stack([key[0], key[1], *moved]), bits.astype(dtype)


def _philox_bits(key: jax.Array, shape: tuple[int, ...]) -> tuple[jax.Array, int]:
    """Four words from each block, the counter's 128 bits being its own two words and then the key's."""
    blocks = -(-math.prod(shape) // 4)
    counters = _plus([key[2], key[3], key[0], key[1]], lax.iota(jnp.uint32, blocks))
    words = jnp.stack(philox4x32(counters, [key[0], key[1]]), -1)
    return words.reshape(-1)[: math.prod(shape)].reshape(shape), blocks


def _threefry_bits(key: jax.Array, shape: tuple[int, ...]) -> tuple[jax.Array, int]:
    """Two words from each block, neighbours along the first even axis; without one, along the longest."""
    extents = shape or (1,)
    even = [axis for axis, extent in enumerate(extents) if extent % 2 == 0]
    axis = even[0] if even else extents.index(max(extents))
    half = (*extents[:axis], -(-extents[axis] // 2), *extents[axis + 1 :])
    blocks = math.prod(half)
    counters = _plus([key[2], key[3]], lax.iota(jnp.uint32, blocks))
    words = random.threefry2x32(key[0], key[1], *counters)
    pairs = jnp.stack([word.reshape(half) for word in words], axis + 1)
    joined = pairs.reshape(*half[:axis], 2 * half[axis], *half[axis + 1 :])
    return lax.slice_in_dim(joined, 0, extents[axis], axis=axis).reshape(shape), blocks


def _plus(words: Sequence[jax.Array], number: jax.Array) -> list[jax.Array]:
    """A long integer, its low word first, plus a number of one word."""
    total, carry = [], number
    for word in words:
        total.append(word + carry)
        carry = (total[-1] < carry).astype(jnp.uint32)
    return total


def _bits(keys: jax.Array, shape: tuple[int, ...], dtype: str = "uint32") -> jax.Array:
    """Bits of this shape for each key, all of them from the first."""
    batch = keys.shape[:-1]
    algorithm = lax.RandomAlgorithm.RNG_DEFAULT
    first = keys.reshape(-1, 4)[0]
    return rng_bit_generator(first, shape=(*batch, *shape), dtype=jnp.dtype(dtype), algorithm=algorithm)[1]


def random_bits(keys: jax.Array, *, bit_width: int, shape: tuple[int, ...]) -> jax.Array:
    """An array of unsigned integers from each key."""
    return _bits(keys, shape, f"uint{bit_width}")


def random_seed(seeds: jax.Array) -> jax.Array:
    """A Threefry key of each integer, twice."""
    half = random.random_seed(seeds)
    return jnp.concatenate([half, half], -1)


def random_fold_in(keys: jax.Array, data: jax.Array) -> jax.Array:
    """Either half is a Threefry key of its own."""
    halves = [random.random_fold_in(keys[..., k : k + 2], data) for k in (0, 2)]
    return jnp.concatenate(halves, -1)


def random_split(keys: jax.Array, *, shape: tuple[int, ...]) -> jax.Array:
    """Either half is a Threefry key of its own."""
    return jnp.concatenate([random.random_split(keys[..., k : k + 2], shape=shape) for k in (0, 2)], -1)


def unsafe_fold_in(keys: jax.Array, data: jax.Array) -> jax.Array:
    """The key, and bits that the integer seeds."""
    return keys ^ _bits(random_seed(data), (APART, 4))[..., -1, :]


def unsafe_split(keys: jax.Array, *, shape: tuple[int, ...]) -> jax.Array:
    """Keys are bits."""
    blocks = _bits(keys, (APART * math.prod(shape), 4))[..., ::APART, :]
    return blocks.reshape(*keys.shape[:-1], *shape, 4)


safe: dict[str, Callable] = {
    "random_seed": random_seed,
    "random_fold_in": random_fold_in,
    "random_split": random_split,
    "random_bits": random_bits,
}
unsafe: dict[str, Callable] = safe | {"random_fold_in": unsafe_fold_in, "random_split": unsafe_split}
