"""Complex numbers, and Fourier transforms, as users write them: a row gets every law of test_programs."""

import jax
import numpy as np
from jax import lax
from jax import numpy as jnp
from programs import Program

Z = ((4, 6), np.complex64)
X = (4, 6)


def arithmetic(x, y):
    return x + y, x - y, x * (2 - 1j), -x, jnp.conj(x), x.real, y.imag, x == x * 1, x != y, jnp.sum(x, 0)


def of_reals(x, y):
    return lax.complex(x, y), x.astype(jnp.complex64), abs(x + 1j * y)


def moved(x):
    part = x[1:3, ::2].T.reshape(6)
    joined = jnp.concatenate([x, x[::-1]], 1), jnp.broadcast_to(x[:, None], (4, 2, 6)), jnp.pad(x, 1)
    return part, *joined, lax.dynamic_update_slice(x, part[None], (1, 0)), jnp.where(x.real > 0, x, 1j)


def powers(x):
    gradient = jax.grad(lambda x: abs(lax.complex(x, x + 1) ** 3).sum())(x.real)
    polynomials = jnp.polyval(x[:, 0], x), jnp.polyval(x.real, x[0, 0])
    return lax.square(x), x**2, x**5, x**-3, gradient, *polynomials


def indexed(x, k):
    """Written where numbers say, and the gradient of what is read there."""
    gradient = jax.grad(lambda x: abs(lax.complex(x, x + 1)[k]).sum())(x.real)
    return x.at[1].set(2j), x.at[:, k].set(1), x.at[k].add(x[:3]), x.at[0, k].subtract(1j), gradient


def transforms(x, z):
    fft = jnp.fft
    real = fft.rfft(x), fft.rfft(x, 5), fft.irfft(z, 7), fft.irfft(z), fft.rfft2(x), fft.irfft2(z)
    return *real, fft.fft(z), fft.ifft(z), fft.fft2(z), fft.fftn(x, axes=(0,))


def filtered(x, kernel):
    """A long causal filter, by the theorem of convolution."""
    spectrum = jnp.fft.rfft(x, 12) * jnp.fft.rfft(kernel, 12)
    return jnp.fft.irfft(spectrum, 12)[:, :6]


def resonator(x):
    """Resonate-and-fire neurons: their state is complex."""

    def step(z, x):
        z = z * jnp.exp(-0.1 + 0.5j) + x
        return z * (z.imag < 1), z.imag >= 1

    return lax.scan(step, jnp.zeros(6, jnp.complex64), x)


COMPLEX = {
    "complex_arithmetic": Program(arithmetic, (Z, Z), 1, 1e-6),
    "complex_quotient": Program(lambda x, y: (x / y, abs(x), jnp.exp(x)), (Z, Z), 1, 1e-6),
    "complex_powers": Program(powers, (Z,), 6, 1e-6, elsewhere=1),
    "complex_indexed": Program(indexed, (Z, ((3,), np.int32)), 1, 1e-6),
    "complex_moved": Program(moved, (Z,), 1),
    "complex_of_reals": Program(of_reals, (X, X), 1, 1e-6),
    "complex_products": Program(lambda x, z: (z @ z.T, x @ z.T, z @ x.T), (X, Z), 9, 1e-6),
    "complex_gradient": Program(
        jax.grad(lambda x, y: abs(lax.complex(x, y) * lax.complex(y, x)).sum(), (0, 1)), (X, X), 1, 1e-6
    ),
    "fourier": Program(transforms, (X, Z), 41, 1e-6),
    "fourier_filter": Program(filtered, (X, X), 8, 1e-6),
    "fourier_filter_gradient": Program(jax.grad(lambda x, y: (filtered(x, y) ** 2).sum(), (0, 1)), (X, X), 15, 1e-5),
    "resonator": Program(resonator, (X,), 2, 1e-6),
}
