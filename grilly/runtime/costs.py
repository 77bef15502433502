"""What a kernel will cost, predicted before it runs: the bytes of its buffers, the operations of its equations."""

import math
from collections.abc import Callable, Sequence

from .ir import Equation, Graph, Value
from .kernels.pull import RULES
from .partition import Kernel
from .plan import Cost
from .source import layer_of, line_of


def predicted(graph: Graph, kernel: Kernel, stored: Sequence[Value], values: Sequence[Value]) -> Cost:
    """The cost of a kernel.

    Args:
        graph: What is computed.
        kernel: Some of its tasks.
        stored: The values that kernels pass on.
        values: Those that have a buffer which this kernel reads or writes.
    """
    equations = _computed(graph, kernel, frozenset(stored))
    source = max(equations, key=operations).source if equations else ()
    nbytes = sum(value.aval.nbytes for value in values)
    return Cost(nbytes, sum(map(operations, equations)), layer_of(source), line_of(source))


def _computed(graph: Graph, kernel: Kernel, stored: frozenset[Value]) -> list[Equation]:
    """The equations that a kernel computes: its anchors and roots, and what lies behind them, down to buffers."""
    todo = [eqn for task in kernel.tasks for eqn in (*task.anchors, *(graph.producer[root] for root in task.roots))]
    found: dict[Equation, None] = {}
    while todo:
        eqn = todo.pop()
        if eqn not in found:
            found[eqn] = None
            todo += [graph.producer[v] for v in eqn.inputs if v not in stored and v in graph.producer]  # type: ignore[operator]
    return list(found)


def operations(eqn: Equation) -> int:
    """Arithmetic operations of an equation: none of a view, one an element of whatever is not in the table."""
    if eqn.primitive in COUNT:
        return COUNT[eqn.primitive](eqn)
    if eqn.primitive.startswith("reduce_"):
        return eqn.inputs[0].size
    return 0 if eqn.primitive in RULES else eqn.outputs[0].size


def _product(eqn: Equation) -> int:
    contracted = eqn.params["dimension_numbers"][0][0]
    return 2 * eqn.outputs[0].size * math.prod(eqn.inputs[0].shape[axis] for axis in contracted)


def _scan(eqn: Equation) -> int:
    """Its steps', and those of the scan that it computes again: once more where it does so group by group."""
    scan, replay = eqn.params["scan"], eqn.params["scan"].replay
    step = sum(map(operations, scan.body.equations))
    if replay:
        step += sum(map(operations, replay.body.equations)) * (2 if replay.chunks.group > 1 else 1)
    return scan.length * step


def _sort(eqn: Equation) -> int:
    """The comparisons of a bitonic network."""
    rounds = (min(eqn.params["block"], eqn.inputs[0].shape[-1]) - 1).bit_length()
    return eqn.inputs[0].size * rounds * (rounds + 1) // 4


def _windows(eqn: Equation) -> int:
    params = eqn.params.get("windows", eqn.params)
    return eqn.outputs[0].size * math.prod(params["window_dimensions"])


WINDOWS = (
    *("reduce_window_sum", "reduce_window_max", "reduce_window_min"),
    *("select_and_gather_add", "window_choice", "scatter_chosen"),
)
COUNT: dict[str, Callable[[Equation], int]] = {
    "dot_general": _product,
    "shallow_product": _product,
    "matrix_product": lambda eqn: 2 * math.prod(eqn.params["spreads"][0].product.sizes),
    "scan": _scan,
    "sorted_blocks": _sort,
    "ordered_fold": lambda eqn: eqn.inputs[3].size,
    **dict.fromkeys(WINDOWS, _windows),
}
