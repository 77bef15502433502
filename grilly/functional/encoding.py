"""Encodings: how numbers become a sequence of T steps."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.typing import ArrayLike

from ..errors import DataError, ParameterError
from .arguments import as_float, as_key, first_broken, is_integer


def poisson(key: jax.Array, rates: ArrayLike, T: int) -> jax.Array:
    """Spike trains that fire at a rate: each step is 1 with probability `rates`, independently of the others.

    (A Poisson process seen through steps of one spike at most: strictly, a Bernoulli process.)

    Args:
        key: A random key, `jax.random.key(seed)`. The same key gives the same spikes.
        rates: Probability of a spike in a step, `(N, *features)`, 0 to 1: a pixel's intensity, for example.
        T: Number of time steps, >= 1. Static.

    Returns:
        Spikes, 0 or 1, float32, `(T, N, *features)`.

    Raises:
        DataError: A rate that is known here (not traced) lies outside [0, 1].
        ParameterError: `T < 1`, or `key` is none.

    Example:
        >>> import jax, numpy as np
        >>> poisson(jax.random.key(0), np.array([0.0, 1.0]), T=2).tolist()
        [[0.0, 1.0], [0.0, 1.0]]

    References:
        P. Dayan and L. F. Abbott, Theoretical Neuroscience (2001), section 1.4.
    """
    probability = as_float(rates, "rates").astype(jnp.float32)
    broken = first_broken(rates if isinstance(rates, Tracer) else np.asarray(rates), lambda r: (r >= 0) & (r <= 1))
    if broken is not None:
        where, rate = broken
        raise DataError(
            f"rates{where} is {rate:g}: a rate is the probability of a spike in one step, 0 to 1. Scale the data first."
        )
    repeated = direct(probability, T)
    return (jax.random.uniform(as_key(key), repeated.shape) < repeated).astype(jnp.float32)


def direct(x: ArrayLike, T: int) -> jax.Array:
    """The same input at each of T steps: a constant current, and the first layer's neurons do the encoding.

    Args:
        x: `(N, *features)`. Booleans and integers become float32.
        T: Number of time steps, >= 1. Static.

    Returns:
        `(T, N, *features)`.

    Raises:
        ParameterError: `T < 1`.

    Example:
        >>> import numpy as np
        >>> direct(np.array([0.25, 0.5]), T=2).tolist()
        [[0.25, 0.5], [0.25, 0.5]]

    References:
        N. Rathi and K. Roy, "DIET-SNN", 2020.
    """
    if not is_integer(T) or T < 1:
        raise ParameterError(f"T is {T!r}: a number of time steps of at least 1 was expected.")
    x = as_float(x, "x")
    return jnp.broadcast_to(x, (int(T), *x.shape))
