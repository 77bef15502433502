"""Where a kernel's buffers lie: the pointer to an element, as 64-bit addresses or as storage-buffer bindings give it.

The kernel around it is the same. Addresses have no limits; bindings are what synchronization validation looks at, so
the tests run with these too.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..dtypes import U32
from .instructions import Instructions
from .spirv import Decoration, Op, Storage


class Addresses:
    """Buffers by their addresses.

    Args:
        b: Writes the kernel.
        stored: The dtype of each buffer, in the order of the addresses.
        coherent: Which buffers carry values from one invocation to another inside the kernel.
        table: Whether the addresses lie in memory, behind the one push constant.
    """

    def __init__(self, b: Instructions, stored: Sequence[np.dtype], coherent: Sequence[bool], table: bool) -> None:
        self._b, self._stored, self._coherent, self._table = b, stored, coherent, table
        self._push = b.module.variable(Storage.PushConstant, self._declared())
        self._bases: list[int] = []

    def _declared(self) -> int:
        """The push constant's type: the addresses, or the address of the table that holds them."""
        record = self._record()
        if self._table:
            record = self._b.module.record((self._b.module.pointer(Storage.PhysicalStorageBuffer, record),))
        return record

    def _record(self) -> int:
        """The type of all addresses, one after another."""
        module = self._b.module
        blocks = [module.block(s, 1, c) for s, c in zip(self._stored, self._coherent, strict=True)]
        return module.record(tuple(module.pointer(Storage.PhysicalStorageBuffer, block) for block in blocks))

    def begin(self) -> None:
        """Loads the addresses, at the head of the kernel."""
        self._bases = [self._base(k) for k in range(len(self._stored))]

    def _base(self, k: int) -> int:
        """The address of buffer `k`, as a typed pointer."""
        b, module, physical = self._b, self._b.module, Storage.PhysicalStorageBuffer
        member = module.pointer(physical, module.block(self._stored[k], 1, self._coherent[k]))
        number, record, storage = b.const(np.uint32(k)).id, self._push, Storage.PushConstant
        aligned: tuple[int, ...] = ()
        if self._table:
            table = module.pointer(physical, self._record())
            zero = b.const(np.uint32(0)).id
            chain = b.module.emit(Op.AccessChain, module.pointer(storage, table), record, zero)
            record, storage, aligned = b.module.emit(Op.Load, table, chain), physical, (2, 8)
        chain = b.module.emit(Op.AccessChain, module.pointer(storage, member), record, number)
        return b.module.emit(Op.Load, member, chain, *aligned)

    def element(self, k: int, where: Any, width: int) -> int:
        """The pointer to an element of buffer `k`, or to the group of `width` elements that starts there.

        What lies a constant apart from a root gets its pointer from the root's: an instruction has room for that
        constant, and none for adding it to an index.
        """
        b, base = self._b, self._bases[k]
        item = _item(b, self._stored[k], width)
        block = b.module.block(self._stored[k], width, self._coherent[k])
        kind = b.module.pointer(Storage.PhysicalStorageBuffer, block)
        if width > 1:
            base = b.once(("wide", k), U32, lambda: b.module.emit(Op.Bitcast, kind, base)).id
        root, behind = where.offset or (where, 0)
        if not behind or root.multiple % width or behind % width:
            return _chain(b, Storage.PhysicalStorageBuffer, item, base, where, width)

        def write() -> int:
            return b.module.emit(Op.Bitcast, kind, _chain(b, Storage.PhysicalStorageBuffer, item, base, root, width))

        base = b.once(("root", k, root.id, width), U32, write).id
        where = b.const(np.uint32(behind // width))
        return _chain(b, Storage.PhysicalStorageBuffer, item, base, where, 1)

    def word(self, k: int, where: Any) -> int:
        """The pointer to the 16 bytes of number `where` in buffer `k`, as four uint32."""
        b, module, storage = self._b, self._b.module, Storage.PhysicalStorageBuffer
        kind = module.pointer(storage, module.block(U32, 4, False))
        base = b.once(("words", k), U32, lambda: module.emit(Op.Bitcast, kind, self._bases[k])).id
        return _chain(b, storage, _item(b, U32, 4), base, where, 1)


class Bindings:
    """Buffers bound to the numbers 0, 1, ... of descriptor set 0.

    A binding may begin before its buffer does, where a driver wants aligned offsets: push constants say how many
    bytes before. Two buffers may be the same memory (a result that takes over an argument's), so all are aliased.

    Args:
        b: Writes the kernel.
        stored: The dtype of each buffer, in the order of the bindings.
        coherent: Which buffers carry values from one invocation to another inside the kernel.
        written: Which buffers the kernel writes.
    """

    def __init__(
        self, b: Instructions, stored: Sequence[np.dtype], coherent: Sequence[bool], written: Sequence[bool]
    ) -> None:
        self._b, self._stored, self._coherent, self._written = b, stored, coherent, written
        self._variables: dict[tuple[int, np.dtype, int], int] = {}
        record = b.module.record((b.module.type(U32),) * len(stored), 4)
        self._push = b.module.variable(Storage.PushConstant, record)
        self._first: list[Any] = []

    def _variable(self, k: int, dtype: np.dtype, width: int) -> int:
        """Binding `k`, as elements or as groups of `width` of them."""
        if (k, dtype, width) not in self._variables:
            self._variables[k, dtype, width] = self._declared(k, dtype, width)
        return self._variables[k, dtype, width]

    def _declared(self, k: int, dtype: np.dtype, width: int) -> int:
        module = self._b.module
        variable = module.variable(Storage.StorageBuffer, module.block(dtype, width, self._coherent[k]))
        module.decorate(variable, Decoration.DescriptorSet, 0)
        module.decorate(variable, Decoration.Binding, k)
        module.decorate(variable, Decoration.Aliased)
        if not self._written[k]:
            module.decorate(variable, Decoration.NonWritable)
        return variable

    def begin(self) -> None:
        """Finds the first element of each buffer, at the head of the kernel."""
        self._first = [self._found(k) for k in range(len(self._stored))]

    def _found(self, k: int) -> Any:
        b, kind = self._b, self._b.module.type(U32)
        pointer = b.module.pointer(Storage.PushConstant, kind)
        chain = b.module.emit(Op.AccessChain, pointer, self._push, b.const(np.uint32(k)).id)
        nbytes = b.once(("first", k), U32, lambda: b.module.emit(Op.Load, kind, chain))
        return b.op(Op.ShiftRightLogical, U32, nbytes, b.const(np.uint32(self._stored[k].itemsize.bit_length() - 1)))

    def element(self, k: int, where: Any, width: int) -> int:
        """The pointer to an element of buffer `k`, or to the group of `width` elements that starts there."""
        where = self._b.op(Op.IAdd, U32, where, self._first[k])
        item = _item(self._b, self._stored[k], width)
        return _chain(self._b, Storage.StorageBuffer, item, self._variable(k, self._stored[k], width), where, width)

    def word(self, k: int, where: Any) -> int:
        """The pointer to the 16 bytes of number `where` in buffer `k`, as four uint32."""
        b, each = self._b, 16 // self._stored[k].itemsize
        first = b.op(Op.ShiftRightLogical, U32, self._first[k], b.const(np.uint32(each.bit_length() - 1)))
        where = b.op(Op.IAdd, U32, where, first)
        return _chain(b, Storage.StorageBuffer, _item(b, U32, 4), self._variable(k, U32, 4), where, 1)


def _item(b: Instructions, stored: np.dtype, width: int) -> int:
    item = b.module.type(stored)
    return b.module.vector(stored, width) if width > 1 else item


def _chain(b: Instructions, storage: Storage, item: int, base: int, where: Any, width: int) -> int:
    """The pointer to item number `where // width` behind `base`."""
    if width > 1:
        where = b.op(Op.ShiftRightLogical, U32, where, b.const(np.uint32(width.bit_length() - 1)))
    kind = b.module.pointer(storage, item)
    return b.module.emit(Op.AccessChain, kind, base, b.const(np.uint32(0)).id, where.id)
