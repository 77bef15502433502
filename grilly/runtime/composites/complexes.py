"""Complex numbers inside a program: pairs of floats along a further last axis, (real, imaginary), as NumPy stores them.

A primitive that has complex operands or results is looked up here, under its name with `complex_` before it; `pairs`
says which operands are such pairs. Discrete Fourier transforms are products with a matrix of roots of one.
"""

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, NamedTuple

import jax
import numpy as np
from jax import lax
from jax import numpy as jnp
from numpy.typing import NDArray

from . import algebraic, scatter

LONGEST = 4096  # elements that a Fourier transform may have along an axis: its matrix has their square


class Number(NamedTuple):
    """An array of complex numbers; `imag` is 0 for one of real numbers."""

    real: jax.Array
    imag: jax.Array | float = 0.0


def of_numbers(function: Callable[..., Number | jax.Array]) -> Callable[..., jax.Array]:
    """A function of Numbers as one of pairs."""

    @wraps(function)
    def of_pairs(*args: jax.Array, pairs: Sequence[bool], **params: object) -> jax.Array:
        numbers = [Number(x[..., 0], x[..., 1]) if pair else Number(x) for x, pair in zip(args, pairs, strict=True)]
        result = function(*numbers, **params)
        if not isinstance(result, Number):
            return result
        shape = jnp.broadcast_shapes(result.real.shape, jnp.shape(result.imag))
        return jnp.stack([jnp.broadcast_to(part, shape).astype(jnp.float32) for part in result], -1)

    return of_pairs


def of_complex(function: Callable[..., jax.Array]) -> Callable[..., jax.Array]:
    """A function of complex numbers as one of pairs: what it is made of is looked up here in its turn."""

    @wraps(function)
    def of_pairs(*args: jax.Array, pairs: Sequence[bool], **params: object) -> jax.Array:
        numbers = [lax.complex(x[..., 0], x[..., 1]) if pair else x for x, pair in zip(args, pairs, strict=True)]
        result = function(*numbers, **params)
        return jnp.stack([lax.real(result), lax.imag(result)], -1)

    return of_pairs


def join(real: Number, imag: Number) -> Number:
    """A complex number of two real ones."""
    return Number(real.real, imag.real)


def conjugate(x: Number, **_: object) -> Number:
    """The number with the other sign of its imaginary part."""
    return Number(x.real, -x.imag)


def convert(x: Number, *, new_dtype: np.dtype, **_: object) -> Number | jax.Array:
    """A real number as a complex one; of a complex number as a real one, its real part."""
    if jnp.issubdtype(new_dtype, jnp.complexfloating):
        return x
    return (x.real != 0) | (x.imag != 0) if new_dtype == jnp.bool_ else x.real.astype(new_dtype)


def by_parts(function: Callable[..., jax.Array]) -> Callable[..., Number]:
    """What is done to the real parts and to the imaginary ones alike; a real operand belongs to both."""

    def apply(*numbers: Number, **params: object) -> Number:
        imaginary = [x.real if isinstance(x.imag, float) else x.imag for x in numbers]
        return Number(function(*(x.real for x in numbers), **params), function(*imaginary, **params))

    return apply


def multiply(x: Number, y: Number) -> Number:
    """The product."""
    return Number(x.real * y.real - x.imag * y.imag, x.real * y.imag + x.imag * y.real)


def divide(x: Number, y: Number) -> Number:
    """The quotient; no square overflows."""
    scale = jnp.maximum(jnp.abs(y.real), jnp.abs(y.imag))
    y = Number(y.real / scale, y.imag / scale)
    above, below = multiply(x, conjugate(y)), (y.real * y.real + y.imag * y.imag) * scale
    return Number(above.real / below, above.imag / below)


def exponential(x: Number, **_: object) -> Number:
    """e to a complex power."""
    growth = jnp.exp(x.real)
    return Number(growth * jnp.cos(x.imag), growth * jnp.sin(x.imag))


def equal(x: Number, y: Number) -> jax.Array:
    """Whether both parts are equal."""
    return (x.real == y.real) & (x.imag == y.imag)


def size(x: Number) -> jax.Array:
    """The absolute value; no square overflows."""
    larger, smaller = jnp.maximum(jnp.abs(x.real), jnp.abs(x.imag)), jnp.minimum(jnp.abs(x.real), jnp.abs(x.imag))
    ratio = smaller / jnp.where(larger > 0, larger, 1.0)
    return jnp.where(larger < jnp.inf, larger * lax.sqrt(1.0 + ratio * ratio), larger)


def dot(x: Number, y: Number, *, dimension_numbers: lax.DotDimensionNumbers, **_: object) -> Number:
    """A product of arrays, of which either may be real."""
    times = lambda a, b: lax.dot_general(a.astype(jnp.float32), b.astype(jnp.float32), dimension_numbers)  # noqa: E731
    if isinstance(x.imag, float):
        return Number(times(x.real, y.real), times(x.real, y.imag))
    if isinstance(y.imag, float):
        return Number(times(x.real, y.real), times(x.imag, y.real))
    real = times(x.real, y.real) - times(x.imag, y.imag)
    return Number(real, times(x.real, y.imag) + times(x.imag, y.real))


def transform(x: Number, *, fft_type: lax.FftType, fft_lengths: Sequence[int]) -> Number | jax.Array:
    """Discrete Fourier transforms along the last axes, a real one along the very last; at most 4096 elements each."""
    if max(fft_lengths) > LONGEST:
        raise NotImplementedError(f"of more than {LONGEST} elements along an axis")
    backward = fft_type in (lax.FftType.IFFT, lax.FftType.IRFFT)
    last = len(x.real.shape) - 1
    axes = [(last - k, length) for k, length in enumerate(reversed(fft_lengths))]
    if fft_type == lax.FftType.RFFT:
        x = _along(x, last, _roots(fft_lengths[-1], backward)[:, : fft_lengths[-1] // 2 + 1])
    halved = fft_type in (lax.FftType.RFFT, lax.FftType.IRFFT)
    for axis, length in axes[1 if halved else 0 :]:
        x = _along(x, axis, _roots(length, backward))
    return _to_real(x, fft_lengths[-1]) if fft_type == lax.FftType.IRFFT else x


def _roots(length: int, backward: bool) -> NDArray[np.complex128]:
    """The matrix of a transform, complex128; that of one back is divided by the length."""
    number = np.arange(length)
    angle = 2 * np.pi * (np.outer(number, number) % length) / length
    roots: NDArray[np.complex128] = np.exp(1j * angle if backward else -1j * angle)
    return roots / length if backward else roots


def _along(x: Number, axis: int, matrix: NDArray[np.complex128]) -> Number:
    """Each row of x along an axis times a matrix."""
    by = Number(*(jnp.asarray(part.astype(np.float32)) for part in (matrix.real, matrix.imag)))
    found = dot(x, by, dimension_numbers=(((axis,), (0,)), ((), ())))
    return Number(jnp.moveaxis(found.real, -1, axis), jnp.moveaxis(found.imag, -1, axis))


def _to_real(x: Number, length: int) -> jax.Array:
    """The real numbers of which a transform's first half is given: all but the ends count twice."""
    matrix = _roots(length, backward=True)[: length // 2 + 1]
    matrix[1 : (length + 1) // 2] *= 2
    imag = jnp.broadcast_to(x.imag, x.real.shape)
    return x.real @ matrix.real.astype(np.float32) - imag @ matrix.imag.astype(np.float32)


def update(x: jax.Array, part: jax.Array, *starts: jax.Array) -> jax.Array:
    """An array with a part replaced."""
    return lax.dynamic_update_slice(x, part, starts)


def write(x: Number, indices: Number, updates: Number, *, update_jaxpr: Any = None, **params: object) -> Number:
    """Updates in place of what was where indices say."""
    if update_jaxpr is not None and not scatter.replaces(update_jaxpr):
        raise NotImplementedError("of complex64, by a function of the user's")
    return by_parts(scatter.composites["scatter"])(x, indices, updates, **params)


composites: dict[str, Callable] = {
    "complex_complex": of_numbers(join),
    "complex_real": of_numbers(lambda x: x.real),
    "complex_imag": of_numbers(lambda x: x.imag),
    "complex_conj": of_numbers(conjugate),
    "complex_convert_element_type": of_numbers(convert),
    "complex_add": of_numbers(by_parts(jnp.add)),
    "complex_add_any": of_numbers(by_parts(jnp.add)),
    "complex_sub": of_numbers(by_parts(jnp.subtract)),
    "complex_neg": of_numbers(by_parts(lax.neg)),
    "complex_select_n": of_numbers(by_parts(lax.select_n)),
    "complex_pad": of_numbers(by_parts(lambda x, filling, padding_config: lax.pad(x, filling, padding_config))),
    "complex_dynamic_update_slice": of_numbers(by_parts(update)),
    "complex_rev": of_numbers(by_parts(lambda x, dimensions: lax.rev(x, dimensions))),
    "complex_reduce_sum": of_numbers(by_parts(lambda x, axes: lax.reduce_sum(x, axes))),
    "complex_scatter": of_numbers(write),
    "complex_scatter-add": of_numbers(by_parts(scatter.composites["scatter-add"])),
    "complex_scatter-sub": of_numbers(by_parts(scatter.composites["scatter-sub"])),
    "complex_mul": of_numbers(multiply),
    "complex_div": of_numbers(divide),
    "complex_square": of_complex(algebraic.square),
    "complex_integer_pow": of_complex(algebraic.integer_pow),
    "complex_polynomial": of_complex(algebraic.polynomial),
    "complex_exp": of_numbers(exponential),
    "complex_eq": of_numbers(equal),
    "complex_ne": of_numbers(lambda x, y: ~equal(x, y)),
    "complex_abs": of_numbers(size),
    "complex_dot_general": of_numbers(dot),
    "complex_fft": of_numbers(transform),
}
