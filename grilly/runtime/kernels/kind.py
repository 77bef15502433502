"""Which kind of kernel an equation needs."""

from ..ir import Equation
from ..source import unsupported
from . import elementwise, reduction, scan
from .operand import PRODUCTS
from .pull import RULES

KINDS = PRODUCTS | {"sorted_blocks": "sort"} | dict.fromkeys(reduction.COMBINE, "reduction")


def kind_of(eqn: Equation) -> str | None:
    """The kind of kernel an equation needs; None where it is computed inside others."""
    if eqn.primitive in elementwise.rules or eqn.primitive in RULES:
        return None
    if eqn.primitive in ("scan", "while"):
        return scan.scan_kind(eqn)
    if eqn.primitive in KINDS:
        return KINDS[eqn.primitive]
    raise unsupported(eqn)
