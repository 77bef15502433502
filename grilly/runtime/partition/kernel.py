"""Kernels, and the partition of a graph into them."""

from dataclasses import dataclass

from ..ir import Value
from ..kernels.task import Task


@dataclass(frozen=True, eq=False)
class Kernel:
    """One dispatch: stages run one after another in one workgroup, sections side by side in workgroups of their own."""

    sections: tuple[tuple[Task, ...], ...]

    @property
    def tasks(self) -> tuple[Task, ...]:
        return tuple(task for section in self.sections for task in section)


@dataclass(frozen=True)
class Partition:
    """Kernels in the order they run, and the values that live in buffers of ours."""

    kernels: tuple[Kernel, ...]
    stored: tuple[Value, ...]
