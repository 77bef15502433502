"""Every distribution of jax.random that needs no decomposition of a matrix, in the shapes that people ask for."""

import jax
import numpy as np
import pytest
from jax import numpy as jnp
from jax import random

import grilly

KEY = np.array([3, 14], np.uint32)
SHAPE = (4, 5)
A = np.array([0.1, 0.5, 1.0, 3.0, 40.0], np.float32)
B = A[::-1].copy()
P = A / 50
WIDE = np.broadcast_to(A, SHAPE)


DISTRIBUTIONS = {
    "ball": lambda key: random.ball(key, 3, 2.0, (7,)),
    "bernoulli": lambda key: (random.bernoulli(key, 0.3, SHAPE), random.bernoulli(key, P)),
    "beta": lambda key: random.beta(key, A, B, SHAPE),
    "binomial": lambda key: (random.binomial(key, 20, P, SHAPE), random.binomial(key, 2000, 0.3, (3,))),
    "bits": lambda key: [random.bits(key, SHAPE, dtype) for dtype in (np.uint8, np.uint16, np.uint32)],
    "categorical": lambda key: (random.categorical(key, A), random.categorical(key, A, shape=(3,), replace=False)),
    "cauchy": lambda key: random.cauchy(key, SHAPE),
    "chisquare": lambda key: random.chisquare(key, A),
    "choice": lambda key: (random.choice(key, A, (3,)), random.choice(key, A, (3,), False, A / A.sum())),
    "dirichlet": lambda key: random.dirichlet(key, A, (3,)),
    "double_sided_maxwell": lambda key: random.double_sided_maxwell(key, 0.5, 2.0, SHAPE),
    "exponential": lambda key: (random.exponential(key), random.exponential(key, SHAPE)),
    "f": lambda key: random.f(key, WIDE, WIDE[::-1], SHAPE),
    "gamma": lambda key: (random.gamma(key, 2.0), random.gamma(key, A, SHAPE)),
    "gamma_of_many_keys": lambda key: jax.vmap(lambda key: random.gamma(key, A))(random.split(key, 3)),
    "gamma_of_halves": lambda key: random.gamma(key, A.astype(np.float16)).astype(np.float32),
    "gamma_of_none": lambda key: random.gamma(key, A[:0]),
    "gamma_gradient": lambda key: jax.grad(lambda a: random.gamma(key, a, SHAPE).sum())(A),
    "generalized_normal": lambda key: random.generalized_normal(key, 1.5, SHAPE),
    "geometric": lambda key: random.geometric(key, P, SHAPE),
    "gumbel": lambda key: (random.gumbel(key, SHAPE), random.gumbel(key, SHAPE, mode="high")),
    "laplace": lambda key: random.laplace(key, SHAPE),
    "loggamma": lambda key: random.loggamma(key, A, SHAPE),
    "logistic": lambda key: random.logistic(key, SHAPE),
    "lognormal": lambda key: random.lognormal(key, 0.5, SHAPE),
    "maxwell": lambda key: random.maxwell(key, SHAPE),
    "multinomial": lambda key: random.multinomial(key, 20, np.array([0.2, 0.3, 0.5], np.float32), shape=(4, 3)),
    "normal": lambda key: (random.normal(key), random.normal(key, SHAPE), random.normal(key, (0, 3))),
    "pareto": lambda key: random.pareto(key, A, SHAPE),
    "permutation": lambda key: (random.permutation(key, 50), random.permutation(key, WIDE, 1, independent=True)),
    "poisson": lambda key: (random.poisson(key, A * 25), random.poisson(key, 3.0, SHAPE)),
    "rademacher": lambda key: random.rademacher(key, SHAPE),
    "randint": lambda key: (random.randint(key, SHAPE, -3, 30), random.randint(key, (), 0, 7)),
    "rayleigh": lambda key: random.rayleigh(key, A, SHAPE),
    "t": lambda key: random.t(key, A[1:], (4, 4)),
    "triangular": lambda key: random.triangular(key, 0.0, 0.3, 1.0, SHAPE),
    "truncated_normal": lambda key: random.truncated_normal(key, -1.0, 2.0, SHAPE),
    "uniform": lambda key: (random.uniform(key), random.uniform(key, SHAPE, minval=-3.0, maxval=2.0)),
    "wald": lambda key: random.wald(key, A, SHAPE),
    "weibull_min": lambda key: random.weibull_min(key, A, A, SHAPE),
}


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_samples_are_those_of_jax(name, device):
    function = lambda data: DISTRIBUTIONS[name](random.wrap_key_data(data))  # noqa: E731

    got = jax.tree.leaves(grilly.jit(function, device=device)(KEY))
    expected = jax.tree.leaves(jax.jit(function)(KEY))

    for ours, theirs in zip(got, expected, strict=True):
        assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype)
        np.testing.assert_allclose(np.asarray(ours), np.asarray(theirs), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kind", ["rbg", "unsafe_rbg"])
def test_a_gamma_sample_of_other_kinds_of_keys(kind, device):
    function = lambda data: random.gamma(random.wrap_key_data(data, impl=kind), A)  # noqa: E731
    data = np.array([1, 2, 3, 4], np.uint32)

    np.testing.assert_allclose(
        np.asarray(grilly.jit(function, device=device)(data)), jax.jit(function)(data), rtol=1e-5
    )


def test_the_distribution_of_many_gamma_samples_is_that_of_its_definition(device):
    samples = np.asarray(
        grilly.jit(lambda data: random.gamma(random.wrap_key_data(data), jnp.asarray(A), (20_000, 5)), device=device)(
            KEY
        )
    ).astype(np.float64)

    np.testing.assert_allclose(samples.mean(0), A, rtol=0.05)
    np.testing.assert_allclose(samples.var(0), A, rtol=0.1)
