"""Signs, rounding, neighbours, shorter significands: exact, by comparisons and by the bits of floats."""

from collections.abc import Callable

import jax
from jax import lax
from jax import numpy as jnp

from .numeric import high_product, in_float32, with_sign_of

WHOLE = 2.0**23  # from here on, every float32 is a whole number


def sign(x: jax.Array) -> jax.Array:
    """-1, 0 or 1; zeros and NaN stay what they are."""
    below = jnp.zeros_like(x) if x.dtype.kind == "u" else jnp.where(x < 0, -jnp.ones_like(x), x)
    return jnp.where(x > 0, jnp.ones_like(x), below)


def is_finite(x: jax.Array) -> jax.Array:
    """Whether x is neither infinite nor NaN."""
    return jnp.abs(x) < jnp.inf


def nearest(x: jax.Array, *, rounding_method: lax.RoundingMethod) -> jax.Array:
    """The nearest whole number; of two equally near ones the even one, or the one away from 0."""
    size = jnp.abs(x)
    if rounding_method == lax.RoundingMethod.TO_NEAREST_EVEN:
        whole = jnp.where(size < WHOLE, (size + WHOLE) - WHOLE, size)
    else:
        whole = jnp.floor(size)
        whole = whole + jnp.where(size - whole >= 0.5, 1.0, 0.0)
    return with_sign_of(whole, x)


def nextafter(x: jax.Array, y: jax.Array) -> jax.Array:
    """The float next to x on the way to y."""
    dtype = x.dtype
    kind = jnp.dtype(f"int{8 * dtype.itemsize}")
    bits = lax.bitcast_convert_type(x, kind)
    away = (x < y) == (x > 0)
    moved = bits + jnp.where(away, 1, -1).astype(kind)
    least = jnp.where(y < 0, jnp.iinfo(kind).min + 1, 1).astype(kind)  # on either side of 0
    result = lax.bitcast_convert_type(jnp.where(x == 0, least, moved), dtype)
    return jnp.where((x != x) | (y != y), jnp.asarray(jnp.nan, dtype), jnp.where(x == y, y, result))


def reduce_precision(x: jax.Array, *, exponent_bits: int, mantissa_bits: int) -> jax.Array:
    """The nearest number that has so few bits; beyond their exponents, 0 or infinity."""
    info, width = jnp.finfo(x.dtype), 8 * x.dtype.itemsize
    kind = jnp.dtype(f"uint{width}")
    bits = lax.bitcast_convert_type(x, kind)
    top = kind.type(1 << width - 1)
    sign, size = bits & top, bits & kind.type(top - 1)
    lost = info.nmant - mantissa_bits
    if lost > 0:
        odd = (size >> kind.type(lost)) & kind.type(1)
        size = (size + (odd + kind.type((1 << lost - 1) - 1))) & ~kind.type((1 << lost) - 1)
    infinity = kind.type(((1 << info.nexp) - 1) << info.nmant)
    if exponent_bits < info.nexp:
        bias, own = (1 << info.nexp - 1) - 1, (1 << exponent_bits - 1) - 1
        size = jnp.where(size >= kind.type(bias + own + 1 << info.nmant), infinity, size)
        size = jnp.where(size < kind.type(bias - own + 1 << info.nmant), kind.type(0), size)
    return jnp.where(x == x, lax.bitcast_convert_type(size | sign, x.dtype), x)


def mulhi(x: jax.Array, y: jax.Array) -> jax.Array:
    """The upper half of the product of two integers."""
    width = 8 * x.dtype.itemsize
    if width < 32:
        wide = jnp.int32 if x.dtype.kind == "i" else jnp.uint32
        return ((x.astype(wide) * y.astype(wide)) >> width).astype(x.dtype)
    unsigned = [lax.bitcast_convert_type(z, jnp.uint32) for z in (x, y)]
    high = lax.bitcast_convert_type(high_product(*unsigned), x.dtype)
    if x.dtype.kind == "u":
        return high
    return high - jnp.where(x < 0, y, 0) - jnp.where(y < 0, x, 0)


composites: dict[str, Callable] = {
    "sign": sign,
    "is_finite": is_finite,
    "round": in_float32(nearest),
    "nextafter": nextafter,
    "reduce_precision": reduce_precision,
    "mulhi": mulhi,
}
