"""Where the user wrote an equation, and the error that says so where it cannot be compiled."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jax.extend import source_info_util

from ..errors import UnsupportedPrimitiveError
from .ir import INNER, Equation

source_info_util.register_exclusion(str(Path(__file__).parents[1]))  # a user's line is none of grilly's

_TRANSFORMATION = re.compile(r"\w+\(|\)")  # in a name stack, as transpose(jvp(readout))


def line_of(source: Sequence[Any]) -> str:
    """The user's line that an equation comes from: `model.py:41 (forward)`; empty where it is none of theirs.

    Args:
        source: What JAX knows of the calls that it is in, the outermost first, and of the equation itself.
    """
    lines = [line for info in source if (line := source_info_util.summarize(info))]
    return lines[-1] if lines else ""


def layer_of(source: Sequence[Any]) -> str:
    """The layer that an equation belongs to, by `jax.named_scope`: `readout`, or `0.1` for one inside another."""
    scopes = [scope for info in source if (scope := str(info.name_stack))]
    return _TRANSFORMATION.sub("", "/".join(scopes)).replace("/", ".")


def locate(source: Sequence[Any]) -> str:
    """Where the user wrote an equation: `model.py:41 (forward), layer "readout"`."""
    layer = layer_of(source)
    return (line_of(source) or "inside grilly") + (f', layer "{layer}"' if layer else "")


def unsupported(eqn: Equation, why: str = "") -> UnsupportedPrimitiveError:
    """The error for an equation that no kernel can compute."""
    shown = " ".join(f"{k}={v}" for k, v in eqn.params.items() if not isinstance(v, INNER))
    operands = " ".join(str(atom.aval) for atom in eqn.inputs)
    results = " ".join(str(value.aval) for value in eqn.outputs)
    return UnsupportedPrimitiveError(
        f"grilly cannot compile `{eqn.primitive}`{f' {why}' if why else ''}.\n"
        f"  at   {locate(eqn.source)}\n"
        f"  in   {results} = {eqn.primitive}[{shown}] {operands}\n"
        "  fix  compute it outside grilly.jit, on device='cpu', or add a rule to grilly/runtime "
        "(docs/primitives.md lists those there are)."
    )
