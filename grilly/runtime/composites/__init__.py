"""What some primitives are made of: JAX functions of simpler primitives, for `trace` to put in their place."""

from .keys import KINDS
from .table import composites as composites

KEY_KINDS = frozenset(KINDS)  # of random keys, by the name of their dtype

__all__ = ["KEY_KINDS", "composites"]
