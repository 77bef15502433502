"""What the pure functions accept, and what they say where they refuse. No neuron or layer is computed here.

A value is only read where it is concrete (a number, a NumPy array, a jax.Array); a traced one passes unread.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.typing import ArrayLike

from ..errors import ParameterError, ShapeError


def as_float(x: ArrayLike, name: str) -> jax.Array:
    """`x` as a float array: booleans and integers (spikes) become float32, and by JAX's rule float64 too.

    Raises:
        ShapeError: The dtype is neither float, integer nor boolean; or it is no array at all.
    """
    try:
        x = jnp.asarray(x)
    except (TypeError, ValueError) as error:  # such as a dict, a module, or lists of several lengths
        shown = f"an array of {x.dtype}" if isinstance(x, np.ndarray) else f"a {type(x).__name__}"
        raise ShapeError(f"{name} is {shown}: an array was expected.") from error
    if jnp.issubdtype(x.dtype, jnp.floating):
        return x
    if x.dtype == bool or jnp.issubdtype(x.dtype, jnp.integer):
        return x.astype(jnp.float32)
    raise ShapeError(f"{name} has dtype {x.dtype}: floats, or spikes as booleans or integers, were expected.")


def fitted(leaf: Any, x: jax.Array, name: str) -> Any:
    """A leaf that broadcasts to `x`, ready for arithmetic: a number as it is, an array in `x`'s dtype.

    An array of one or more dimensions is broadcast here, since arithmetic may not promote ranks by itself.

    Raises:
        ShapeError: The leaf does not broadcast to `x`'s shape.
    """
    if isinstance(leaf, int | float):
        return leaf
    leaf = jnp.asarray(leaf, x.dtype)
    if leaf.ndim == 0:
        return leaf
    if leaf.ndim > x.ndim or any(n not in (1, m) for n, m in zip(leaf.shape[::-1], x.shape[::-1], strict=False)):
        raise ShapeError(
            f"{name} has shape {leaf.shape}, the input of one step {x.shape}: "
            f"give {name} as a number, or in a shape that broadcasts to the input's."
        )
    return jnp.broadcast_to(leaf, x.shape)


def alike(x: jax.Array, v: jax.Array) -> None:
    """Refuses an input and a membrane potential of different shapes or dtypes.

    Raises:
        ShapeError: It names both.
    """
    if x.shape != v.shape:
        raise ShapeError(
            f"x has shape {x.shape}, v has shape {v.shape}: one step takes both in one shape, (N, *features). "
            "If x is one step of a sequence, that sequence should have the shape (T, N, *features)."
        )
    if x.dtype != v.dtype:
        raise ShapeError(f"x has dtype {x.dtype}, v has dtype {v.dtype}: one step takes both in one dtype.")


def refuse_unless(name: str, value: Any, holds: Callable[[np.ndarray], Any], rule: str) -> None:
    """Refuses a concrete value of which any element breaks a rule, and what is no number and no array; NaN
    breaks every rule.

    Args:
        name: What to call it.
        value: A number, an array, or a tracer.
        holds: Gives the truth of the rule, element by element.
        rule: The rule in words: what was expected, and what to do.

    Raises:
        ParameterError: It names the first element that breaks the rule.
    """
    if not isinstance(value, int | float) and not (hasattr(value, "dtype") and hasattr(value, "shape")):
        shown = repr(value) if value is None or isinstance(value, str) else f"a {type(value).__name__}"
        raise ParameterError(f"{name} is {shown}: {rule}")
    found = first_broken(value, holds)
    if found is not None:
        where, element = found
        raise ParameterError(f"{name}{where} is {element:g}: {rule}")


def first_broken(value: Any, holds: Callable[[np.ndarray], Any]) -> tuple[str, Any] | None:
    """The first element of a concrete value that breaks a rule, after its index as text (`[2, 0]`)."""
    if isinstance(value, Tracer) or not isinstance(value, int | float | np.generic | np.ndarray | jax.Array):
        return None
    array = np.asarray(value)
    broken = np.argwhere(~np.asarray(holds(array), bool))
    if len(broken) == 0:
        return None
    index = tuple(int(i) for i in broken[0])
    return (str(list(index)) if index else ""), array[index]


def as_key(key: Any) -> jax.Array:
    """A random key: a typed one, or one of JAX's older kind, an array of uint32.

    Raises:
        ParameterError: It is neither.
    """
    dtype = getattr(key, "dtype", np.dtype(bool))
    if jnp.issubdtype(dtype, jax.dtypes.prng_key) or dtype == np.uint32:
        return key
    shown = f"an array of {dtype}" if hasattr(key, "dtype") else repr(key)
    raise ParameterError(f"key is {shown}: a random key was expected. Pass jax.random.key(seed).")


def pair(value: int | tuple[int, int], name: str, least: int) -> tuple[int, int]:
    """A number for both of height and width, or one for each.

    Raises:
        ParameterError: It is no integer, or pair of integers, of at least `least`.
    """
    both = value if isinstance(value, tuple | list) else (value, value)
    if len(both) != 2 or not all(is_integer(n) and n >= least for n in both):
        raise ParameterError(f"{name} is {value!r}: an integer of at least {least} was expected, or a pair of them.")
    return int(both[0]), int(both[1])


def is_integer(value: Any) -> bool:
    """Whether it counts something: True and False do not."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def check_size(name: str, size: int) -> int:
    """Refuses what is no size.

    Raises:
        ParameterError: It is no integer of at least 1.
    """
    if not is_integer(size) or size < 1:
        raise ParameterError(f"{name} is {size!r}: an integer of at least 1 was expected.")
    return int(size)


def check_step_mode(mode: str) -> None:
    """Refuses an unknown step mode.

    Raises:
        ParameterError: It is neither 's' nor 'm'.
    """
    if mode not in ("s", "m"):
        raise ParameterError(
            f"step_mode is {mode!r}: 's' (one step, (N, *)) or 'm' (a sequence, (T, N, *)) was expected."
        )


def images(x: ArrayLike, taker: str) -> jax.Array:
    """A batch of images, `(N, C, H, W)`, as floats.

    Raises:
        ShapeError: It has another number of dimensions.
    """
    x = as_float(x, "x")
    if x.ndim != 4:
        hint = " Wrap the layer in nn.SeqToANNContainer, which merges T and N." if x.ndim == 5 else ""
        raise ShapeError(f"x has shape {x.shape}: {taker} takes images of shape (N, C, H, W).{hint}")
    return x
