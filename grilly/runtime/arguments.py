"""What a call of a compiled function was given: flat, as the executable takes it, and as its signature tells it."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from jax.core import Tracer

from ..errors import ParameterError
from .array import GONE, Array
from .border import KNOWN, array_of
from .ir import Aval


class Arguments(NamedTuple):
    """The arguments of one call, flat."""

    leaves: list[Any]
    values: list[Any]  # what the executable takes: storages and NumPy arrays
    forms: tuple[tuple, ...]  # (shape, dtype) of each value, and the device of those that are Arrays
    tree: Any
    statics: tuple  # (position, type, value)
    precision: Any  # what `jax.default_matmul_precision` says: it goes into what is traced

    @property
    def key(self) -> tuple:
        return self[2:]

    @property
    def avals(self) -> tuple[Aval, ...]:
        return tuple([Aval(*form[:2]) for form in self.forms])


class TracedError(ParameterError):
    """An argument is one of JAX's tracers."""


def entered(leaves: list[Any], name: Callable[[int], str]) -> tuple[list[Any], tuple[tuple, ...]]:
    """The values and the forms of flat arguments; `name` is what a message calls one.

    Raises:
        TracedError: JAX traces the call.
    """
    values, forms = [], []
    for k, value in enumerate(leaves):
        if type(value) is Array:
            values.append(value._storage)
            forms.append(value._form)
        else:
            if type(value) is not np.ndarray or value.dtype not in KNOWN:
                if isinstance(value, Tracer):
                    raise TracedError("an argument is one of JAX's tracers: call this outside of what JAX traces.")
                value = array_of(value, functools.partial(name, k))
            values.append(value)
            forms.append((value.shape, value.dtype))
    refuse_gone(leaves, values)
    return values, tuple(forms)


def refuse_gone(leaves: list[Any], values: list[Any]) -> None:
    """Refuses Arrays that were donated or deleted.

    Raises:
        StateError: It says to whom.
    """
    if not GONE.keys().isdisjoint(map(type, values)):
        raise next(leaf.gone for leaf in leaves if type(leaf) is Array and leaf.gone)
