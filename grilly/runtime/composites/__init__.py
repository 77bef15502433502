"""What some primitives are made of: JAX functions of simpler primitives, for `trace` to put in their place."""

from .table import composites as composites

__all__ = ["composites"]
