"""What some primitives are made of: JAX functions of simpler primitives, for `trace` to put in their place."""

from . import keys
from .table import composites as composites

KEY_KINDS = frozenset(keys.KINDS)  # of random keys, by the name of their dtype
OF_KEYS = frozenset(keys.composites)  # those that know of the words of keys

__all__ = ["KEY_KINDS", "OF_KEYS", "composites"]
