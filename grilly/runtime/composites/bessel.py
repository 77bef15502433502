"""Modified Bessel functions of the first kind, times exp(-|x|), in float32, within 6 ulp. Polynomials fitted by us."""

from collections.abc import Callable

import jax
from jax import lax
from jax import numpy as jnp

from .numeric import in_float32, polynomial, with_sign_of

# Below 8, polynomials in x / 4 - 1; from there on in 8 / x, over the square root of x.
I0_SMALL = (0.00030326398, -0.000834908802, 0.000610864197, -0.000825557916, 0.00380964647, -0.00789823104)
I0_SMALL += (0.0119045181, -0.0189650636, 0.0301625412, -0.0432630964, 0.0567926951, -0.069479011, 0.0792709216)
I0_SMALL += (-0.0849708691, 0.0873439088, -0.0890430361, 0.0945156068, -0.113004334, 0.207001925)
I0_LARGE = (6.97220912e-06, -9.32764578e-06, 2.07833709e-05, 5.32240447e-05, 0.000438981602, 0.00623342721)
I0_LARGE += (0.398942292,)
I1_SMALL = (3.60151898e-05, -0.000118353448, 0.000143311176, -0.000224596559, 0.000723254227, -0.00166144979)
I1_SMALL += (0.00304164272, -0.00546058407, 0.00955870934, -0.0155975362, 0.023695346, -0.0336660556, 0.0446727462)
I1_SMALL += (-0.0552805997, 0.0637675747, -0.0684825778, 0.0680575967, -0.0611243397, 0.0446877107)
I1_LARGE = (-7.91983712e-06, 1.03039765e-05, -2.52457867e-05, -7.55059082e-05, -0.000731278735, -0.0187003668)
I1_LARGE += (0.398942292,)


def bessel_i0e(x: jax.Array) -> jax.Array:
    """Of order 0."""
    size = jnp.abs(x)
    large = polynomial(8.0 / size, *I0_LARGE) / lax.sqrt(size)
    return jnp.where(size < 8, polynomial(size * 0.25 - 1.0, *I0_SMALL), large)


def bessel_i1e(x: jax.Array) -> jax.Array:
    """Of order 1, an odd function."""
    size = jnp.abs(x)
    large = polynomial(8.0 / size, *I1_LARGE) / lax.sqrt(size)
    small = size * polynomial(size * 0.25 - 1.0, *I1_SMALL)
    return with_sign_of(jnp.where(size < 8, small, large), x)


composites: dict[str, Callable] = {"bessel_i0e": in_float32(bessel_i0e), "bessel_i1e": in_float32(bessel_i1e)}
