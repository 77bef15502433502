"""Linear algebra, as users write it: a row gets every law of test_programs. Signs that are free are multiplied away."""

import jax
from jax import lax
from jax import numpy as jnp
from jax.scipy import linalg
from programs import Program

A, TALL, WIDE = (4, 4), (2, 5, 3), (3, 4)


def positive(x):
    return x @ x.swapaxes(-1, -2) + jnp.eye(x.shape[-2])


def solved(a, b):
    """Triangles of every orientation."""
    ways = [(side, lower, turned) for side in (True, False) for lower in (True, False) for turned in (True, False)]
    a = a + 9 * jnp.eye(len(a))
    return [
        lax.linalg.triangular_solve(a, b, left_side=side, lower=lower, transpose_a=turned, unit_diagonal=lower)
        for side, lower, turned in ways
    ]


def indefinite(x):
    return jnp.isnan(lax.linalg.cholesky(-positive(x), symmetrize_input=False))


def eigen(x):
    values, vectors = jnp.linalg.eigh(x + x.swapaxes(-1, -2))
    turned = vectors.swapaxes(-1, -2)
    return values, (vectors * values[..., None, :]) @ turned, turned @ vectors


def singular(x, full_matrices=False):
    left, values, right = jnp.linalg.svd(x, full_matrices=full_matrices)
    count = values.shape[-1]
    product = (left[..., :count] * values[..., None, :]) @ right[..., :count, :]
    return values, product, left.swapaxes(-1, -2) @ left, right @ right.swapaxes(-1, -2)


def of_rank_one(x):
    return singular(x[:, :1] * x[:1], full_matrices=True)


def least_squares(x, y):
    return jnp.linalg.lstsq(x, y)[0], jnp.linalg.pinv(x)


def empty(x):
    x = x[:0, :0]
    return lax.linalg.cholesky(x), lax.linalg.lu(x), lax.linalg.eigh(x), lax.linalg.svd(x), jnp.linalg.qr(x)


LINEAR = {
    "triangular_solve": Program(solved, (A, A), 35, 1e-5),
    "cholesky": Program(lambda x: jnp.linalg.cholesky(positive(x)), (TALL,), 8, 1e-5),
    "cholesky_of_none": Program(indefinite, (A,), 7),
    "cholesky_gradient": Program(
        jax.grad(lambda x: jnp.linalg.cholesky(positive(x)).sum()), (A,), 21, 1e-4, elsewhere=22
    ),
    "lu": Program(lax.linalg.lu, (A,), 5, 1e-6),
    "lu_wide_and_tall": Program(lambda x: (lax.linalg.lu(x), lax.linalg.lu(x.T)), (WIDE,), 7, 1e-6),
    "lu_of_singular": Program(lambda x: lax.linalg.lu(x.at[:, 1].set(0))[0], (A,), 5, 1e-6),
    "solve": Program(jnp.linalg.solve, ((2, 3, 3), (2, 3, 2)), 13, 1e-5),
    "inverse": Program(lambda x: (jnp.linalg.inv(x), jnp.linalg.slogdet(x)), (A,), 20, 1e-5),
    "solve_gradient": Program(jax.grad(lambda a, b: jnp.linalg.solve(a, b).sum()), ((3, 3), (3,)), 20, 1e-4),
    "tridiagonal_solve": Program(
        lambda low, high, b: lax.linalg.tridiagonal_solve(low, 9 + abs(low), high, b),
        ((2, 5), (2, 5), (2, 5, 3)),
        8,
        1e-6,
    ),
    "qr": Program(jnp.linalg.qr, (TALL,), 8, 1e-6),
    "qr_full": Program(lambda x: jnp.linalg.qr(x, mode="complete"), (TALL,), 8, 1e-6),
    "qr_wide": Program(jnp.linalg.qr, (WIDE,), 8, 1e-6),
    "qr_raw": Program(lambda x: jnp.linalg.qr(x, mode="raw"), (WIDE,), 5, 1e-6),
    "qr_of_triangle": Program(lambda x: jnp.linalg.qr(jnp.triu(x)), (A,), 10, 1e-6),
    "eigen": Program(eigen, ((2, 5, 5),), 44, 1e-5),
    "eigenvalues_upper": Program(lambda x: jnp.linalg.eigvalsh(x, UPLO="U"), (A,), 26, 1e-6),
    "singular": Program(singular, (TALL,), 38, 1e-5),
    "singular_wide": Program(singular, (WIDE,), 38, 1e-5),
    "singular_full": Program(lambda x: singular(x, full_matrices=True), (TALL,), 38, 1e-5),
    "singular_of_rank_one": Program(of_rank_one, (WIDE,), 39, 1e-5),
    "least_squares": Program(least_squares, ((5, 3), (5,)), 69, 1e-5),
    "empty_matrices": Program(empty, (A,), 1),
    "matrix_exponential": Program(lambda x: linalg.expm(x / 8), (A,), 42, 1e-5),
}
