"""Workgroup memory that is read four neighbours at a time."""

from collections.abc import Sequence

import numpy as np

from .builder import Builder, Index, Ref
from .indexing import div, mod
from .spirv import Op, Storage, words


class Quads:
    """An array of `size` elements, a multiple of four, that the workgroup shares."""

    def __init__(self, b: Builder, dtype: np.dtype, size: int) -> None:
        self.b, self.dtype = b, dtype
        self._item, self._quad = b.module.type(dtype), b.module.vector(dtype, 4)
        array = b.module.declared(Op.TypeArray, self._quad, b.const(np.uint32(size // 4)).id)
        self._variable = b.module.variable(Storage.Workgroup, array)

    def read(self, index: Index) -> list[Ref]:
        """The four elements from `index` on, a multiple of four."""
        slot = self._slot(self._quad, div(self.b, index, 4))
        quad = self.b.module.emit(Op.Load, self._quad, slot)
        return [Ref(self.b.module.emit(Op.CompositeExtract, self._item, quad, k), self.dtype) for k in range(4)]

    def write(self, index: Index, values: Sequence[Ref]) -> None:
        """Stores four elements from `index` on, a multiple of four."""
        quad = self.b.module.emit(Op.CompositeConstruct, self._quad, *(value.id for value in values))
        self.b.module.code += words(Op.Store, self._slot(self._quad, div(self.b, index, 4)), quad)

    def write_one(self, index: Index, value: Ref) -> None:
        slot = self._slot(self._item, div(self.b, index, 4), mod(self.b, index, 4))
        self.b.module.code += words(Op.Store, slot, value.id)

    def _slot(self, kind: int, *indices: Index) -> int:
        pointer = self.b.module.pointer(Storage.Workgroup, kind)
        return self.b.module.emit(
            Op.AccessChain, pointer, self._variable, *(self.b.as_ref(index).id for index in indices)
        )
