"""What random programs (`test_random_programs`) have found, each made small: a row gets every law of test_programs."""

from jax import lax
from jax import numpy as jnp
from programs import Program


def scan_of_inputs_as_they_are(x):
    """A step that mixes elements, and puts out what it was given, or the same twice, in another shape."""

    def step(c, x):
        c = c[::-1] + x.sum()
        return c, (x[None], c, c.reshape(1, 3), c)

    return lax.scan(step, jnp.zeros(3), x)


def batch_of_none(x):
    """Products without elements, and of none."""
    return lax.dot_general(x, x, (((1,), (1,)), ((0,), (0,)))), jnp.ones((2, 0)) @ jnp.ones((0, 3)) + x.sum()


FOUND = {
    "scan_without_operands": Program(
        lambda x: lax.scan(lambda c, _: (c, jnp.zeros(2)), x, None, length=3), ((4, 2),), 1
    ),
    "scan_of_inputs_as_they_are": Program(scan_of_inputs_as_they_are, ((5, 3),), 6, 1e-6),
    "batch_of_none": Program(batch_of_none, ((0, 3, 4),), 2),
}
