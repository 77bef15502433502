"""Plans from the cache: what was compiled once, by any process, is only traced again."""

from collections.abc import Callable, Sequence
from typing import Any

from .cache import cache
from .fingerprint import fingerprint
from .ir import Aval
from .lower import lower_graph
from .packing import packed, unpacked
from .passes.simplify import simplify
from .plan import Plan
from .target import Target
from .trace import trace


def plan_of(
    function: Callable[..., Sequence[Any]],
    avals: Sequence[Aval],
    donated: frozenset[int],
    target: Target,
    steady: frozenset[int] = frozenset(),
) -> Plan:
    """The plan of a function: that of `lower`, computed or remembered. The function is traced in any case.

    Raises:
        UnsupportedPrimitiveError: Where something cannot be compiled, with the user's line.
    """
    graph = trace(function, avals)
    name = fingerprint(graph, donated, target, steady) if cache.folder else None
    kept = cache.get(name) if name else None
    plan = unpacked(kept) if kept else None
    if plan is None:
        plan = lower_graph(simplify(graph), donated, target, steady).plan
        if name:
            cache.put(name, packed(plan))
    return plan
