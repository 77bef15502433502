"""PROGRAMS: small pure functions, each with the kernels it must take. A new row gets every law of test_programs."""

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np
from jax import lax
from jax import numpy as jnp

F32 = np.float32


@dataclass(frozen=True)
class Program:
    """A function of flat arrays, how many kernels it takes, and how near to `jax.jit` it must come.

    Args:
        function: Pure.
        shapes: Of its arguments; each may be (shape, dtype).
        kernels: How many dispatches it takes.
        error: Relative to the largest value; 0 asks for equal bits.
        low, high: The range of the arguments.
        donated: Which arguments results may take the memory of.
        elsewhere: How many dispatches it takes with releases of JAX that say it in other words.
    """

    function: Callable[..., Any]
    shapes: tuple[Any, ...]
    kernels: int = 1
    error: float = 0.0
    low: float = -4.0
    high: float = 4.0
    donated: frozenset[int] = field(default_factory=frozenset)
    elsewhere: int | None = None

    def arguments(self, seed: int = 0) -> list[np.ndarray]:
        random = np.random.default_rng(seed)
        return [self._argument(random, *_typed(shape)) for shape in self.shapes]

    def _argument(self, random: np.random.Generator, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        if dtype.kind in "fV":  # V: bfloat16
            return random.uniform(self.low, self.high, shape).astype(dtype)
        if dtype.kind == "c":
            return (random.uniform(self.low, self.high, (*shape, 2)) @ [1, 1j]).astype(dtype)
        if dtype.kind == "b":
            return random.integers(0, 2, shape).astype(dtype)
        info = np.iinfo(dtype)
        return random.integers(max(info.min, -100), min(info.max, 100), shape).astype(dtype)


def _typed(shape: Any) -> tuple[tuple[int, ...], np.dtype]:
    if shape and isinstance(shape[0], tuple):
        return shape[0], np.dtype(shape[1])
    return shape, np.dtype(F32)


def lif(v, x, tau=1.7):
    """A spiking step with ATan's slope, written out: the compiler has never heard of neurons."""

    @jax.custom_jvp
    def spike(x):
        return (x >= 0).astype(x.dtype)

    spike.defjvp(lambda p, t: (spike(p[0]), t[0] / (1 + (np.float32(np.pi) * p[0]) ** 2)))
    h = v - v / tau + x
    s = spike(h - 1.0)
    return (1 - s) * h, s


def scanned(x, v):
    return lax.scan(jax.checkpoint(lif, prevent_cse=False), v, x)


def backward(x, v, g_s, g_v):
    return jax.vjp(lambda x, v: scanned(x, v)[::-1], x, v)[1]((g_s, g_v))


def recurrent_sum(x, v):
    """A scan whose per-step output is only summed over time."""
    v, s = scanned(x, v)
    return s.mean(0), v


def recurrent_sizes(x, v):
    """A scan whose per-step output is only asked how large it becomes."""
    v, y = lax.scan(lambda v, x: (v / 2 + x, v - x), v, x)
    return jnp.abs(y).max(0), v


def mlp(x, w0, w1):
    hidden = lax.dot_general(x, w0, (((2,), (1,)), ((), ())))
    _, spikes = scanned(hidden, jnp.zeros(hidden.shape[1:]))
    out = lax.dot_general(spikes, w1, (((2,), (1,)), ((), ())))
    return jnp.square(out.mean(0)).sum()


def layer_gradients(x, w, b, g):
    """Of a linear layer that feeds a scan, which adds up the gradient of the bias."""

    def layer(w, b):
        hidden = (x.reshape(-1, x.shape[2]) @ w + b).reshape(*x.shape[:2], -1)
        return scanned(hidden, jnp.zeros(hidden.shape[1:]))[1]

    return jax.vjp(layer, w, b)[1](g)


def conv(x, w, stride=(1, 1), padding="SAME", groups=1, dilation=(1, 1)):
    return lax.conv_general_dilated(x, w, stride, padding, rhs_dilation=dilation, feature_group_count=groups)


def conv_gradients(x, w, **choices):
    y, vjp = jax.vjp(functools.partial(conv, **choices), x, w)
    return vjp(y)


def seen_by_a_scan(x, w, scale, spatial="HW", **choices):
    """A convolution of few terms, scaled, which only a scan reads."""
    numbers = ("NC" + spatial, "OI" + spatial, "NC" + spatial)
    choices = {"window_strides": (1,) * len(spatial), "padding": "SAME", **choices}
    y = lax.conv_general_dilated(x.reshape(-1, *x.shape[2:]), w, dimension_numbers=numbers, **choices)
    y = y * scale.reshape(-1, *(1,) * len(spatial))
    return decayed(y.reshape(len(x), -1, *y.shape[1:]))


def decayed(x):
    return lax.scan(lambda v, x: (v / 2 + x, v * x), jnp.zeros(x.shape[1:]), x)


def max_pool(x, window=(2, 2), strides=(2, 2)):
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, 1, *window), (1, 1, *strides), "VALID")


def max_pool_gradient(x, g, **choices):
    return jax.vjp(functools.partial(max_pool, **choices), x)[1](g)


def sgd(w, m, x):
    g = jax.grad(lambda w: jnp.square(x * w).sum())(w)
    m = 0.9 * m + g
    return w - 0.1 * m, m


def unary(function):
    return Program(function, ((5, 7),))


def binary(function, dtype=F32):
    return Program(function, (((5, 7), dtype), ((5, 7), dtype)))


PROGRAMS = {
    # One instruction or a few for each element
    "add": binary(lax.add),
    "subtract": binary(lax.sub),
    "multiply_add": binary(lambda x, y: x * y + x),
    "divide": binary(lax.div),
    "negate": unary(lax.neg),
    "absolute": unary(lax.abs),
    "floor": unary(lax.floor),
    "remainder": binary(lambda x, y: lax.rem(x, y | 1), np.int32),
    "square_root": unary(lambda x: lax.sqrt(abs(x))),
    "power": Program(lambda x, y: abs(x) ** y, ((5, 7), (5, 7)), 1, 1e-6),
    "power_of_step": Program(lambda x, n: lax.pow(abs(x), n & 15), ((5, 7), ((5, 7), np.int32)), 1, 1e-6),
    "maximum": binary(lax.max),
    "minimum": binary(lax.min),
    "clamp": unary(lambda x: lax.clamp(np.float32(-1), x, np.float32(1))),
    "compare": binary(lambda x, y: (x < y, x <= y, x > y, x >= y, x == y, x != y)),
    "select": binary(lambda x, y: jnp.where(x < y, x, y)),
    "int_arithmetic": binary(lambda x, y: (x + y, x - y, x * y, -x, abs(x)), np.int32),
    "int_divide": binary(lambda x, y: (lax.div(x, y | 1), lax.rem(x, y | 1)), np.int32),
    "uint_bits": binary(lambda x, y: (x & y, x | y, x ^ y, ~x, lax.population_count(x)), np.uint32),
    "shifts": binary(lambda x, y: (x << (y & 7), lax.shift_right_arithmetic(x, y & 7)), np.int32),
    "shift_beyond": Program(lambda x: (x << 32, lax.shift_right_logical(x, np.uint32(40))), (((9,), np.uint32),)),
    "placed": unary(lambda x: jax.device_put(x) + 1),
    "booleans": binary(lambda x, y: (x & y, x | y, x ^ y, ~x), np.bool_),
    "casts": unary(lambda x: (x.astype(jnp.int32), x.astype(jnp.uint8).astype(F32), x > 0, x.astype(bool))),
    "bitcast": unary(lambda x: lax.bitcast_convert_type(x, jnp.uint32)),
    "literals": Program(lambda: (jnp.float32(1.5), jnp.zeros((3, 2)), jnp.arange(5)), (), 1),
    # Views: never a kernel of their own
    "transpose": Program(lambda x: x.T + 1, ((5, 7),)),
    "reshape": Program(lambda x: (x + 1).reshape(7, 5), ((5, 7),)),
    "broadcast": Program(lambda x, y: x[:, None] * y, ((5,), (7,))),
    "slice": Program(lambda x: x[1:4, ::2] * 2, ((5, 7),)),
    "reverse": Program(lambda x: lax.rev(x, (0,)) - x, ((5, 7),)),
    "pad": Program(lambda x: lax.pad(x, np.float32(9), ((1, 2, 1), (0, 1, 0))), ((5, 7),)),
    "concatenate": Program(lambda x, y: jnp.concatenate([x, y * 2], 1), ((5, 7), (5, 3))),
    "iota": Program(lambda x: lax.broadcasted_iota(jnp.int32, x.shape, 1) == 3, ((5, 7),)),
    "split": Program(lambda x: [part + 1 for part in jnp.split(x, [2, 3], axis=1)], ((5, 7),)),
    # Reductions
    "sum_all": Program(jnp.sum, ((50, 70),), 1, 1e-6, low=0.0),
    "sum_rows": Program(lambda x: x.sum(1), ((50, 70),), 1, 1e-6),
    "long_rows": Program(
        lambda x: (x.max(1), jnp.abs(x).sum(1), (x.T * 2).T.sum((1,)), x.reshape(3, 8, 150).max((1, 2))),
        ((3, 1200),),
        1,
        1e-6,
    ),
    "many_rows": Program(lambda x: (x.sum(1), x.max(1)), ((8200, 512),), 1, 1e-6),
    "many_broken_rows": Program(lambda x, y: (x.sum(1), y.max(1)), ((8200, 261), (8200, 300)), 1, 1e-6),
    "sum_columns": Program(lambda x: x.sum(0), ((50, 70),), 1, 1e-6),
    "sum_middle": Program(lambda x: (x.sum((0, 2)), x.max((0, 2))), ((5, 7, 6),), 1, 1e-6),
    "max_min": Program(lambda x: (x.max(1), x.min(1)), ((5, 7),)),
    "any_all": Program(lambda x: ((x > 3).any(1), (x > -3).all(1)), ((5, 7),)),
    "prod": Program(lambda x: x.prod(1), ((5, 7),), 1, 1e-6),
    "sum_ints": Program(lambda x: x.sum(0), (((50, 7), np.int32),)),
    "variance": Program(lambda x: x.var((0,)), ((50, 70),), 1, 1e-6),
    "softmax_like": Program(lambda x: x / jnp.abs(x).sum(1, keepdims=True), ((8, 10),), 1, 1e-6),
    "sum_many": Program(jnp.sum, ((300, 1000),), 2, 1e-6, low=0.0),
    "sum_many_of_images": Program(lambda x: (x.sum((0, 2, 3)), (x * x).mean((0, 2, 3))), ((64, 3, 20, 20),), 2, 1e-5),
    "max_of_many": Program(lambda x: (x.max((0, 1)), x.min((0, 1))), ((300, 80, 5),), 2),
    "sum_many_of_a_prime": Program(jnp.sum, ((65537,),), 1, 1e-6, low=0.0),
    # Products
    "matmul": Program(jnp.matmul, ((17, 9), (9, 23)), 1, 1e-6),
    "matmul_transposed": Program(lambda x, w: x @ w.T, ((17, 9), (23, 9)), 1, 1e-6),
    "matmul_bias": Program(lambda x, w, b: x @ w.T + b, ((17, 9), (23, 9), (23,)), 1, 1e-6),
    "slice_of_much": Program(lambda x: x[:, 5:261] * 2, ((300, 264),)),
    "transpose_of_broken_rows": Program(lambda x: lax.transpose(x, (0, 2, 1)) + 1, ((8, 40, 300),)),
    "transpose_of_much": Program(lambda x: lax.transpose(x, (0, 2, 1)) + 1, ((2, 128, 300),)),
    "matmul_then_transpose": Program(lambda x, w: (x @ w).T + 1, ((17, 9), (9, 23)), 1, 1e-6),
    "matmul_of_bytes_then_transpose": Program(
        lambda x, w: lax.dot(x, w, preferred_element_type=np.int32).T, (((17, 9), np.int8), ((9, 23), np.int8))
    ),
    "matmul_batched": Program(jnp.matmul, ((3, 5, 9), (3, 9, 4)), 1, 1e-6),
    "matmul_vector": Program(jnp.matmul, ((5, 9), (9,)), 1, 1e-6),
    "matmul_large": Program(lambda x, w: x @ w.T, ((130, 70), (97, 70)), 1, 1e-6),
    "matmul_of_booleans": Program(lambda x, y: lax.dot(x > 3, y > 3), ((17, 9), (9, 23)), 1),
    "matmul_of_bits": Program(lambda x, w: (x > 0).astype(F32) @ w, ((20, 9), (9, 23)), 1, 1e-6),
    # Convolutions and windows
    "conv": Program(conv, ((2, 3, 8, 7), (4, 3, 3, 3)), 1, 1e-6),
    "conv_of_bytes": Program(
        lambda x, w: lax.conv_general_dilated(x, w, (1, 1), "SAME", preferred_element_type=np.int32),
        (((2, 3, 8, 7), np.int8), ((4, 3, 3, 3), np.int8)),
    ),
    "conv_strided": Program(functools.partial(conv, stride=(2, 3)), ((2, 3, 8, 7), (4, 3, 3, 3)), 1, 1e-6),
    "conv_grouped": Program(functools.partial(conv, groups=2), ((2, 4, 8, 7), (6, 2, 3, 3)), 1, 1e-6),
    "conv_gradients": Program(conv_gradients, ((2, 3, 8, 7), (4, 3, 3, 3)), 3, 1e-6),
    "conv_strided_gradients": Program(
        functools.partial(conv_gradients, stride=(2, 3), padding="VALID"), ((2, 3, 8, 7), (4, 3, 3, 3)), 3, 1e-6
    ),
    "conv_dilated_grouped_gradients": Program(
        functools.partial(conv_gradients, dilation=(2, 1), groups=2), ((2, 4, 9, 7), (6, 2, 3, 3)), 3, 1e-6
    ),
    "shallow_conv": Program(seen_by_a_scan, ((3, 2, 1, 6, 8), (4, 1, 3, 3), (4,)), 2, 1e-6),
    "shallow_conv_unpadded": Program(
        functools.partial(seen_by_a_scan, padding="VALID", window_strides=(2, 1)),
        ((3, 2, 1, 7, 9), (4, 1, 3, 3), (4,)),
        1,
        1e-6,
    ),
    "shallow_conv_grouped": Program(
        functools.partial(seen_by_a_scan, feature_group_count=2, rhs_dilation=(2, 1)),
        ((3, 2, 2, 6, 8), (4, 1, 3, 3), (4,)),
        2,
        1e-6,
    ),
    "shallow_conv_transposed": Program(
        functools.partial(seen_by_a_scan, padding=((1, 2), (2, 1)), lhs_dilation=(2, 3)),
        ((3, 2, 1, 6, 4), (4, 1, 3, 3), (4,)),
        1,
        1e-6,
    ),
    "shallow_conv_cropped": Program(
        functools.partial(seen_by_a_scan, padding=((-1, 1), (0, 1))), ((3, 2, 1, 6, 4), (4, 1, 3, 3), (4,)), 1, 1e-6
    ),
    "shallow_conv_of_signals": Program(
        functools.partial(seen_by_a_scan, spatial="L"), ((3, 2, 2, 11), (4, 2, 5), (4,)), 2, 1e-6
    ),
    "shallow_conv_of_volumes": Program(
        functools.partial(seen_by_a_scan, spatial="DHW"), ((3, 2, 1, 4, 3, 5), (4, 1, 2, 2, 3), (4,)), 2, 1e-6
    ),
    "shallow_conv_of_what_is_computed": Program(
        lambda x, *rest: seen_by_a_scan(x * x, *rest), ((3, 2, 1, 6, 8), (3, 1, 3, 3), (3,)), 2, 1e-6
    ),
    "shallow_product": Program(lambda x, w, c: decayed(x @ w + c), ((5, 3, 4), (4, 6), (6,)), 1, 1e-6),
    "shallow_product_transposed": Program(
        lambda x, w: decayed(jnp.einsum("tbik,bkj->tbji", x, w)), ((5, 2, 3, 4), (2, 4, 6)), 1, 1e-6
    ),
    "max_pool": Program(max_pool, ((2, 3, 8, 6),)),
    "max_pool_gradient": Program(max_pool_gradient, ((2, 3, 8, 6), (2, 3, 4, 3))),
    "max_pool_gradient_overlapping": Program(
        functools.partial(max_pool_gradient, window=(17, 16), strides=(2, 3)), ((1, 2, 24, 26), (1, 2, 4, 4)), 1, 1e-6
    ),
    "sum_pool": Program(
        lambda x: lax.reduce_window(x, 0.0, lax.add, (1, 1, 3, 2), (1, 1, 2, 1), "SAME"), ((2, 3, 8, 6),), 1, 1e-6
    ),
    "sums_of_channels": Program(lambda x: [x.sum((0, 2, 3)), x.max((2, 3))], ((9, 4, 14, 14),), 1, 1e-6),
    # Scans
    "scan": Program(scanned, ((9, 50), (50,))),
    "scan_one_step": Program(scanned, ((1, 50), (50,))),
    "scan_many_steps": Program(scanned, ((70, 3, 4), (3, 4))),
    "scan_wide": Program(scanned, ((6, 1 << 17), (1 << 17,))),
    "scan_both_ways": Program(backward, ((9, 50), (50,), (9, 50), (50,)), 2),
    "scan_both_ways_wide": Program(backward, ((5, 1 << 17), (1 << 17,), (5, 1 << 17), (1 << 17,)), 2),
    "scan_summed": Program(recurrent_sum, ((9, 50), (50,))),
    "scan_sizes": Program(recurrent_sizes, ((9, 50), (50,))),
    "cumulative": Program(lambda x: lax.scan(lambda c, x: (c + x, c + x), jnp.zeros(3), x, reverse=True), ((9, 3),)),
    "layer_gradients": Program(layer_gradients, ((6, 4, 9), (9, 8), (8,), (6, 4, 8)), 5, 1e-5),
    "net": Program(mlp, ((5, 4, 9), (8, 9), (3, 8)), 4, 1e-5, elsewhere=3),
    "net_gradient": Program(lambda x, a, b: jax.grad(mlp, (1, 2))(x, a, b), ((5, 4, 9), (8, 9), (3, 8)), 8, 1e-5),
    "update_in_place": Program(sgd, ((50, 3), (50, 3), (50, 3)), donated=frozenset({0, 1})),
}
