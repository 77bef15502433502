"""Cuts a graph into kernels: which values are stored, which task computes each, which tasks share a dispatch.

Everything that is not stored is computed where it is needed (`kernels.pull`), so fusing is always right and only the
cost is at stake. The rules, a file each: what must be stored, and what is worth it (`storage`); who computes it
(`assignment`); which small tasks run one after another in one workgroup, and which run side by side
(`schedule`); how a kernel of too many buffers becomes several (`fit`).
"""

from .cut import partition as partition
from .kernel import Kernel as Kernel
from .kernel import Partition as Partition
from .reads import reads as reads

__all__ = ["Kernel", "Partition", "partition", "reads"]
