"""The rules of a partition, one after another."""

from ..ir import Graph
from ..target import Target
from .assignment import assigned
from .fit import fitted
from .kernel import Partition
from .schedule import scheduled
from .storage import stored_values


def partition(graph: Graph, target: Target) -> Partition:
    """The kernels of a graph, that the target can run."""
    return fitted(graph, scheduled(graph, assigned(graph, stored_values(graph)), target), target)
