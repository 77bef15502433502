"""A task: equations that run together, over one domain, and the values they leave in buffers."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from ..ir import Atom, Equation, Graph, Value
from ..shader.builder import Builder
from ..target import Target
from .pull import Pull, buffer

WORKGROUP = 256  # invocations in a workgroup, but for products
SCANNING = 64  # ... and for kernels that do nothing but scan
WIDE = 1 << 16  # elements from which on an invocation computes four of them


@dataclass(frozen=True, eq=False)
class Task:
    """What one kernel, or a stage or section of one, computes.

    Args:
        kind: `map`, `reduction`, `scan`, `sort`, `matmul` or `tensor`: the file of this folder that writes it. `loop`:
            no kernel writes it; it is a plan for each step.
        anchors: The equations that give the kind its name; none for a map.
        roots: What is stored: results of the anchors, and elementwise values over the same domain.
        domain: The shape that invocations are spread over.
        remark: For people: what tells it from its alternatives.
        when: A scalar, and what it has to be for the task to be computed; None if it always is.
    """

    kind: str
    anchors: tuple[Equation, ...]
    roots: tuple[Value, ...]
    domain: tuple[int, ...]
    remark: str = ""
    when: tuple[Atom, int] | None = None

    @cached_property
    def label(self) -> str:
        """For people: what it is and over what."""
        return f"{self.kind}[{','.join(map(str, self.domain))}]{self.remark}"


@dataclass(frozen=True)
class Context:
    """What writing a task needs: the builder, the graph, and which buffer holds which value."""

    b: Builder
    graph: Graph
    target: Target
    pointers: Mapping[Value, int]

    def pull(self, task: Task) -> Pull:
        """Values at places for one task: what it computes itself is computed, the rest is loaded."""
        own = {*task.roots, *(value for anchor in task.anchors for value in anchor.outputs)}
        sources = {value: buffer(self.b, k) for value, k in self.pointers.items() if value not in own}
        return Pull(self.b, self.graph.producer, sources)


def lanes_of(size: int, task: Task) -> int:
    """How many neighbours one invocation computes: four where wide accesses pay and divide the domain."""
    wide = all(root.dtype.itemsize <= 4 for root in task.roots)
    return 4 if size % 4 == 0 and size >= WIDE and wide else 1


def groups_for(invocations: int, workgroup: int = WORKGROUP) -> int:
    """Workgroups that hold so many invocations."""
    return max(1, -(-invocations // workgroup))
