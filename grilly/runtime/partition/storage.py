"""Which values get a buffer: those that must, and those that are cheaper to load than to compute again."""

import math
from typing import Any

from ..ir import Atom, Equation, Graph, Value
from ..kernels import elementwise, matmul, scan, tensor
from ..kernels.gather import COMPUTED
from ..kernels.kind import kind_of
from ..kernels.operand import PRODUCTS
from ..kernels.pull import JOINT, REPEATING, RULES
from ..kernels.views import SAME_PLACE

CHEAP = 4  # elementwise equations that are computed again rather than stored and loaded for each element of a broadcast
DEAR = 12  # ... rather than stored and loaded by a second kernel


def stored_values(graph: Graph) -> list[Value]:
    """The values of a graph that get a buffer, in the order in which they are computed."""
    return _Storage(graph).chosen()


class _Storage:
    """Chooses the values that get a buffer."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.kinds = {eqn: kind_of(eqn) for eqn in graph.equations}
        self.stored: dict[Value, None] = {}
        self.costs: dict[Value, int] = {}

    def chosen(self) -> list[Value]:
        for atom in self.graph.outputs:
            if self._computed(atom):
                self.stored.setdefault(atom)  # type: ignore[arg-type]
        for eqn in self.graph.equations:
            if self.kinds[eqn] or eqn.primitive in JOINT:
                self.stored.update(dict.fromkeys(eqn.outputs))
        for eqn in self.graph.equations:
            self._store_operands(eqn)
        self._store_seen_twice()
        self._store_shared()
        order = {value: k for k, eqn in enumerate(self.graph.equations) for value in eqn.outputs}
        return sorted(self.stored, key=order.__getitem__)

    def _computed(self, atom: Atom) -> bool:
        return isinstance(atom, Value) and atom in self.graph.producer

    def _store_operands(self, eqn: Equation) -> None:
        """What would be computed many times over: operands of products, and of broadcasts and windows if dear."""
        step = eqn.params.get("scan") or (eqn.params["while"].step if "while" in eqn.params else None)
        searched = scan.searched(step) if step and self.kinds[eqn] != "loop" else ()
        for number, operand in enumerate(eqn.inputs):
            if not isinstance(operand, Value) or operand not in self.graph.producer:
                continue
            base = self._behind_views(operand)
            if self.kinds[eqn] == "loop":
                self._store(operand)
            once = base.size == operand.size and matmul.fetched_once(eqn, number)
            free = CHEAP if tensor.read_seldom(eqn, number) else 0
            if eqn.primitive in PRODUCTS and operand.shape and self.cost(base) > free and not once:
                self._store(base)
            if eqn.primitive == "shallow_product" and self._computed(base):  # each element is read for every result
                self._store(base)
            repeated = number in searched or self._repeats(eqn, operand)
            if repeated and self.cost(base) > CHEAP:
                self._store(base)

    def _store(self, value: Value) -> None:
        self.stored.setdefault(value)
        self.costs[value] = 0

    def _repeats(self, eqn: Equation, operand: Value) -> bool:
        more = not self.kinds[eqn] and any(operand.size < value.size for value in eqn.outputs)
        return more or eqn.primitive in REPEATING

    def _behind_views(self, value: Value) -> Value:
        """The value that a chain of views looks at."""
        eqn = self.graph.producer.get(value)
        while eqn and eqn.primitive in RULES and len(eqn.inputs) == 1 and value not in self.stored:
            if eqn.primitive in REPEATING or not isinstance(eqn.inputs[0], Value):
                break
            value = eqn.inputs[0]
            eqn = self.graph.producer.get(value)
        return value

    def cost(self, atom: Atom) -> int:
        """Elementwise equations behind a value, down to what is stored."""
        pending: list[Any] = [atom] if self._is_unknown(atom) else []
        while pending:
            eqn = self.graph.producer[pending[-1]]
            if below := [operand for operand in eqn.inputs if self._is_unknown(operand)]:
                pending += below
                continue
            known = sum(self.costs[operand] for operand in eqn.inputs if self._has_cost(operand))  # type: ignore[index]
            self.costs[pending.pop()] = known + self._own_cost(eqn)
        return self.costs[atom] if self._has_cost(atom) else 0  # type: ignore[index]

    def _has_cost(self, atom: Atom) -> bool:
        return self._computed(atom) and atom not in self.stored

    def _is_unknown(self, atom: Atom) -> bool:
        return self._has_cost(atom) and atom not in self.costs

    def _own_cost(self, eqn: Equation) -> int:
        if eqn.primitive in REPEATING:
            return math.prod(eqn.params.get("window_dimensions", (DEAR,)))
        return int(eqn.primitive in elementwise.rules or eqn.primitive in COMPUTED)

    def _store_seen_twice(self) -> None:
        """A dear value that several views look at, each from places of its own: the halves of a recursion, say."""
        for value, readers in self.graph.consumers.items():
            views = sum(eqn.primitive in RULES and eqn.primitive not in SAME_PLACE for eqn in readers)
            if views > 1 and self.cost(value) > DEAR:
                self._store(value)

    def _store_shared(self) -> None:
        """A dear value that kernels over different domains would each compute."""
        users: dict[Value, set[object]] = {}
        for eqn in reversed(self.graph.equations):
            for value in eqn.outputs:
                if value in self.stored or self.kinds[eqn]:
                    continue
                if len(users.get(value, ())) > 1 and self.cost(value) > DEAR:
                    self._store(value)
            mine: set[object] = set()
            for value in eqn.outputs:
                if self.kinds[eqn]:
                    mine.add(eqn)
                elif value in self.stored:
                    mine.add(value.size)
                else:
                    mine |= users.get(value, set())
            for operand in eqn.inputs:
                if isinstance(operand, Value):
                    users.setdefault(operand, set()).update(mine)
