"""Cooperative matrices: small matrices that the invocations of a subgroup hold and multiply together.

They are read from workgroup memory, where a matrix is an array of 16-byte words, eight half floats each. Kernels that
use them are under Vulkan's memory model, as SPIR-V asks for.

References:
    The Khronos Group, "SPV_KHR_cooperative_matrix" (2023).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..dtypes import F32, U32
from .builder import Builder, Index, Ref
from .spirv import VULKAN, Op, Storage, words

SUBGROUP = 3  # the scope
A, B, SUM = 0, 1, 2  # what a matrix is used as
NON_PRIVATE = 0x20  # an access whose order with those of other invocations matters
SUBGROUP_ID = 40  # the built-in input
HALVES = 8  # half floats in a word


@dataclass(frozen=True)
class Matrix:
    """A type of cooperative matrices: of half floats as a factor, of float32 as a sum."""

    id: int


class Matrices:
    """Writes instructions on cooperative matrices into a kernel.

    Args:
        b: The kernel.
        size: How many words of workgroup memory it needs.
    """

    def __init__(self, b: Builder, size: int) -> None:
        self.b, self.module = b, b.module
        self.module.memory_model = VULKAN
        self.module.extensions.setdefault("SPV_KHR_cooperative_matrix")
        for name in ("VulkanMemoryModel", "CooperativeMatrixKHR", "GroupNonUniform", "Float16"):
            self.module.capabilities.setdefault(name)
        self._half = self.module.declared(Op.TypeFloat, 16)
        self._word = self.module.vector(U32, 4)
        self._subgroup = self.module.builtin(SUBGROUP_ID, width=1)
        array = self.module.declared(Op.TypeArray, self._word, self._number(size))
        self._memory = self.module.variable(Storage.Workgroup, array)

    def subgroup(self, count: int) -> Ref:
        """The number of this invocation's subgroup, of `count` in the workgroup."""
        kind = self.module.type(U32)
        plain = self.b.once(("subgroup",), U32, lambda: self.module.emit(Op.Load, kind, self._subgroup))
        return Ref(plain.id, U32, bound=count)

    # Workgroup memory -----------------------------------------------------------------------------------------

    def write(self, index: Index, word: Sequence[Ref]) -> None:
        """Stores a word, given as its four uint32."""
        value = self.module.emit(Op.CompositeConstruct, self._word, *(part.id for part in word))
        self.module.code += words(Op.Store, self._slot(index), value, NON_PRIVATE)

    def read(self, index: Index) -> list[Ref]:
        """The four float32 of a word."""
        word = self.module.emit(Op.Load, self._word, self._slot(index), NON_PRIVATE)
        return [self.b.op(Op.Bitcast, F32, part) for part in self._parts(word)]

    def fetch(self, pointer: int, index: Index) -> list[Ref]:
        """The four uint32 of a word of a buffer."""
        address = self.b.pointers.word(pointer, self.b.as_ref(index))
        return self._parts(self.module.emit(Op.Load, self._word, address, 2, 16))

    def _parts(self, word: int) -> list[Ref]:
        kind = self.module.type(U32)
        return [Ref(self.module.emit(Op.CompositeExtract, kind, word, k), U32) for k in range(4)]

    def _slot(self, index: Index) -> int:
        kind = self.module.pointer(Storage.Workgroup, self._word)
        return self.module.emit(Op.AccessChain, kind, self._memory, self.b.as_ref(index).id)

    # Matrices -------------------------------------------------------------------------------------------------

    def factor(self, rows: int, columns: int, use: int) -> Matrix:
        return self._type(self._half, rows, columns, use)

    def sum(self, rows: int, columns: int) -> Matrix:
        return self._type(self.module.type(F32), rows, columns, SUM)

    def _type(self, component: int, *shape_and_use: int) -> Matrix:
        numbers = map(self._number, (SUBGROUP, *shape_and_use))
        return Matrix(self.module.declared(Op.TypeCooperativeMatrix, component, *numbers))

    def zero(self, kind: Matrix) -> int:
        """A matrix of zeros."""
        zero = self.b.const(np.float32(0)).id
        return self.module.composite(kind.id, zero)

    def load(self, kind: Matrix, index: Index, stride: int, transposed: bool) -> int:
        """The matrix whose rows (columns, if it lies transposed) are `stride` words apart, from word `index` on."""
        slot, layout = self._slot(index), self._number(int(transposed))
        return self.module.emit(Op.CooperativeMatrixLoad, kind.id, slot, layout, self._number(stride), NON_PRIVATE)

    def store(self, matrix: int, index: Index, stride: int, transposed: bool) -> None:
        """Stores a matrix by rows (columns, if `transposed`), `stride` words apart, from word `index` on."""
        slot, layout = self._slot(index), self._number(int(transposed))
        self.module.code += words(Op.CooperativeMatrixStore, slot, matrix, layout, self._number(stride), NON_PRIVATE)

    def multiply_add(self, kind: Matrix, x: int, y: int, total: int) -> int:
        return self.module.emit(Op.CooperativeMatrixMulAdd, kind.id, x, y, total)

    def add(self, kind: Matrix, x: int, y: int) -> int:
        return self.module.emit(Op.FAdd, kind.id, x, y)

    def variable(self, kind: Matrix) -> int:
        """A matrix that loops change."""
        return self.module.local(kind.id)

    def get(self, kind: Matrix, variable: int) -> int:
        return self.module.emit(Op.Load, kind.id, variable)

    def set(self, variable: int, matrix: int) -> None:
        self.module.code += words(Op.Store, variable, matrix)

    def _number(self, value: int) -> int:
        return self.b.const(np.uint32(value)).id
