"""Writes the body of one kernel: arithmetic, loads and stores, loops, branches, shared memory.

Pure instructions are written once in each scope (a loop or branch opens one), so callers need not remember results.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np

from ..dtypes import BOOL, F32, SHORT, U8, U16, U32
from ..ir import Aval
from ..target import Target
from . import floats16
from .pointers import Addresses, Bindings
from .register import Index as Index
from .register import Ref as Ref
from .spirv import Decoration, Ext, Module, Op, Storage, words

# Float operations that a driver might otherwise fuse or reorder.
EXACT = {Op.FAdd, Op.FSub, Op.FMul, Op.FDiv, Op.FNegate}
# ... and those whose result a 16-bit float cannot hold.
ROUNDED = {Op.FAdd, Op.FSub, Op.FMul, Op.FDiv, Op.ConvertSToF, Op.ConvertUToF}
VOLATILE, ALIGNED = 1, 2  # of a memory access
WORKGROUP_ID, LOCAL_INVOCATION_ID = 26, 27


@dataclass(frozen=True)
class Shared:
    """An array in workgroup memory, where a bool is a number."""

    variable: int
    dtype: np.dtype


class Builder:
    """One compute kernel under construction.

    Args:
        buffers: What they hold, in the order of their addresses or bindings.
        local_size: Invocations in a workgroup.
        coherent: Which buffers carry values from one invocation to another inside the kernel.
        written: Which buffers the kernel writes.
        table: Whether the addresses lie in memory, behind the one push constant.
        target: What the code runs on.
    """

    def __init__(
        self,
        buffers: Sequence[Aval],
        local_size: int,
        coherent: Sequence[bool],
        written: Sequence[bool],
        table: bool = False,
        target: Target = Target(),
    ) -> None:
        self.module = Module(strict=target.strict_floats, addressed=not target.bindings)
        self.local_size = local_size
        self.target = target
        self.lanes = 1  # neighbouring elements an invocation computes: wide loads where it is 4
        self._avals = buffers
        dtypes = [aval.dtype for aval in buffers]
        self._stored = [U8 if dtype == BOOL else U16 if dtype in SHORT else dtype for dtype in dtypes]
        self._coherent = coherent
        self._scopes: list[dict[tuple, Ref]] = [{}]
        self._access = ALIGNED
        if target.bindings:
            self.pointers = Bindings(self, self._stored, coherent, written)
        else:
            self.pointers = Addresses(self, self._stored, coherent, table)
        self._inputs = {number: self.module.builtin(number) for number in (WORKGROUP_ID, LOCAL_INVOCATION_ID)}
        self._block = 0
        self._label(self.module.new())
        self.pointers.begin()

    def assembled(self) -> bytes:
        """The finished module."""
        self.module.code += words(Op.Return)
        return self.module.assembled(self.local_size)

    # Instructions ---------------------------------------------------------------------------------------------

    def const(self, value: np.ndarray | np.generic) -> Ref:
        value = np.asarray(value)
        return Ref(self.module.constant(value), value.dtype)

    def literal(self, value: np.ndarray) -> Ref:
        """A constant of a program. Where drivers would lose the sign of a 0, or NaN with it, they do not see that 0.

        NVIDIA's takes -0.0 for 0.0 where it chooses between constants; some lose more (`forgets_zeros`).
        """
        if value.dtype.kind not in "fV" or value:
            return self.const(value)
        negative = np.signbit(value)
        if not (negative or self.target.forgets_zeros):
            return self.const(value)
        zero = self.op(Op.ConvertUToF, value.dtype, self.unseen_zero)
        return self.op(Op.FNegate, value.dtype, zero) if negative else zero

    def op(self, op: Op, dtype: np.dtype, *operands: Ref, exact: bool = True) -> Ref:
        """A pure instruction. Float arithmetic is never contracted, unless `exact` is false (products)."""
        if dtype in SHORT and op in ROUNDED:
            return self.as_float(self.op(op, F32, *operands, exact=exact), dtype)
        ids = tuple(operand.id for operand in operands)

        def write() -> int:
            result = self._emit(op, self.module.type(dtype), *ids)
            if exact and op in EXACT:
                self.module.decorate(result, Decoration.NoContraction)
            return result

        return self.once((op, dtype, ids), dtype, write)

    def ext(self, instruction: Ext, dtype: np.dtype, *operands: Ref) -> Ref:
        """An instruction of GLSL.std.450."""
        if dtype in SHORT and instruction == Ext.Sqrt:
            return self.as_float(self.ext(instruction, F32, *operands), dtype)
        ids = tuple(operand.id for operand in operands)

        def write() -> int:
            result = self._emit(Op.ExtInst, self.module.type(dtype), self.module.glsl, instruction, *ids)
            if instruction == Ext.Fma:  # else a driver may round its product
                self.module.decorate(result, Decoration.NoContraction)
            return result

        return self.once(("ext", instruction, dtype, ids), dtype, write)

    def as_float(self, x: Ref, dtype: np.dtype) -> Ref:
        """A float in another float dtype, rounded where that one is shorter. See `floats16`."""
        if dtype in SHORT and dtype != x.dtype:
            x = floats16.rounded(self, x, dtype)
        return Ref(x.id, dtype)

    def select(self, condition: Ref | bool, yes: Ref, no: Ref) -> Ref:
        if isinstance(condition, bool):
            return yes if condition else no
        return yes if yes.id == no.id else self.op(Op.Select, yes.dtype, condition, yes, no)

    def chosen(self, condition: Ref | bool, yes: Callable[[], Ref], no: Callable[[], Ref]) -> Ref:
        """A branch with a value, where one side is so rare or so dear that `select` would waste it."""
        if isinstance(condition, bool):
            return yes() if condition else no()
        return self.either(condition, lambda: [yes()], lambda: [no()])[0]

    def either(self, condition: Ref, yes: Callable[[], Sequence[Ref]], no: Callable[[], Sequence[Ref]]) -> list[Ref]:
        """A branch with values: as many, of the same dtypes, from either side."""
        then, otherwise, end = (self.module.new() for _ in range(3))
        self.module.code += words(Op.SelectionMerge, end, 0)
        self.module.code += words(Op.BranchConditional, condition.id, then, otherwise)
        sides: list[tuple[Sequence[Ref], int]] = []
        for label, side in ((then, yes), (otherwise, no)):
            self._label(label)
            with self._scope():
                values = side()
            sides.append((values, self._block))
            self.module.code += words(Op.Branch, end)
        self._label(end)
        (first, first_end), (second, second_end) = sides
        return [
            Ref(self._emit(Op.Phi, self.module.type(x.dtype), x.id, first_end, y.id, second_end), x.dtype)
            for x, y in zip(first, second, strict=True)
        ]

    def both(self, a: Ref | bool, b: Ref | bool) -> Ref | bool:
        """Logical and, folded where one side is known."""
        if isinstance(a, bool) or isinstance(b, bool):
            known, other = (a, b) if isinstance(a, bool) else (b, a)
            return other if known else False
        return self.op(Op.LogicalAnd, BOOL, a, b)

    def component(self, number: int, axis: int) -> Ref:
        """One component of a built-in input."""
        kind = self.module.vector(U32, 3)
        vector = self.once((number,), U32, lambda: self._emit(Op.Load, kind, self._inputs[number]))
        return self.once(
            (number, axis),
            U32,
            lambda: self._emit(Op.CompositeExtract, self.module.type(U32), vector.id, axis),
        )

    @property
    def local(self) -> Ref:
        """The number of this invocation in its workgroup."""
        plain = self.component(LOCAL_INVOCATION_ID, 0)
        return self.recall(("local",)) or self.known(("local",), replace(plain, bound=self.local_size))

    def group(self, axis: int) -> Ref:
        """The number of this workgroup along an axis of the grid."""
        return self.component(WORKGROUP_ID, axis)

    @property
    def unseen_zero(self) -> Ref:
        """0, though no driver knows before the kernel runs: grids have one layer, and this is its number."""
        return self.group(2)

    def once(self, key: tuple, dtype: np.dtype, write: Callable[[], int]) -> Ref:
        """The register that holds `key`: written now, unless an enclosing scope has it."""
        for scope in self._scopes:
            if key in scope:
                return scope[key]
        result = Ref(write(), dtype)
        self._scopes[-1][key] = result
        return result

    def known(self, key: tuple, ref: Ref) -> Ref:
        """Remembers a richer Ref for `key` in this scope."""
        return self._scopes[-1].setdefault(key, ref)

    def recall(self, key: tuple) -> Ref | None:
        return next((scope[key] for scope in self._scopes if key in scope), None)

    def _emit(self, op: Op, kind: int, *operands: int) -> int:
        return self.module.emit(op, kind, *operands)

    # Device memory --------------------------------------------------------------------------------------------

    def load(self, pointer: int, index: Index, base: Ref | None = None, lane: int = 0) -> Ref:
        """The element at `index`; where `base` is given, lane `lane` of the four elements from `base` on."""
        stored = self._stored[pointer]
        if base is not None and self.is_wide(pointer):
            vector = self._loaded(pointer, base, 4)
            key = ("lane", vector.id, lane)
            kind = self.module.type(stored)
            value = self.once(key, stored, lambda: self._emit(Op.CompositeExtract, kind, vector.id, lane))
        else:
            value = self._loaded(pointer, index, 1)
        return self.from_bits(value, self._avals[pointer].dtype)

    def store(self, pointer: int, index: Index, value: Ref) -> None:
        address = self._element(pointer, index, 1)
        stored = self._stored[pointer]
        self.module.code += words(Op.Store, address, self.to_bits(value).id, ALIGNED, stored.itemsize)

    def store_wide(self, pointer: int, base: Index, values: Sequence[Ref]) -> None:
        """Four neighbouring elements of at most four bytes; `base` is a multiple of four."""
        kind = self.module.vector(self._stored[pointer], 4)
        vector = self._emit(Op.CompositeConstruct, kind, *(self.to_bits(value).id for value in values))
        size = self._stored[pointer].itemsize * 4
        self.module.code += words(Op.Store, self._element(pointer, base, 4), vector, ALIGNED, size)

    def is_wide(self, pointer: int) -> bool:
        """Whether four neighbours of a buffer can be moved at once."""
        return self._stored[pointer].itemsize in (1, 2, 4) and self._avals[pointer].size % 4 == 0

    def from_bits(self, stored: Ref, dtype: np.dtype) -> Ref:
        """The number that a buffer holds: of booleans and 16-bit floats, it has another form than registers have."""
        if dtype == BOOL:
            return self.op(Op.INotEqual, BOOL, stored, self.const(np.uint8(0)))
        return Ref(floats16.decoded(self, stored, dtype).id, dtype) if dtype in SHORT else stored

    def to_bits(self, value: Ref) -> Ref:
        """What a buffer holds of a number."""
        if value.dtype in SHORT:
            return floats16.encoded(self, value, value.dtype)
        if value.dtype != BOOL:
            return value
        return self.op(Op.Select, U8, value, self.const(np.uint8(1)), self.const(np.uint8(0)))

    def _loaded(self, pointer: int, index: Index, width: int) -> Ref:
        stored = self._stored[pointer]
        kind = self.module.type(stored) if width == 1 else self.module.vector(stored, width)
        where = self.as_ref(index)

        def write() -> int:
            address = self._element(pointer, index, width)
            result = self.module.new()
            self.module.code += words(Op.Load, kind, result, address, self._access, stored.itemsize * width)
            return result

        if self._coherent[pointer]:
            return Ref(write(), stored)  # another invocation may have stored since
        return self.once(("load", pointer, where.id, width), stored, write)

    @contextmanager
    def pinned(self) -> Iterator[None]:
        """Loads that drivers do not move: one that goes on in a loop's next turn is well begun in this one."""
        self._access = ALIGNED | VOLATILE
        yield
        self._access = ALIGNED

    def _element(self, pointer: int, index: Index, width: int) -> int:
        """The pointer to an element, or to the group of `width` elements that starts there."""
        return self.pointers.element(pointer, self.as_ref(index), width)

    def as_ref(self, index: Index) -> Ref:
        return self.const(np.uint32(index)) if isinstance(index, int) else index

    # Workgroup memory -----------------------------------------------------------------------------------------

    def shared(self, dtype: np.dtype, size: int) -> Shared:
        """An array of `size` elements that the workgroup shares."""
        dtype = U32 if dtype == BOOL else dtype
        length = self.const(np.uint32(size)).id
        array = self.module.declared(Op.TypeArray, self.module.type(dtype), length)
        return Shared(self.module.variable(Storage.Workgroup, array), dtype)

    def read_shared(self, shared: Shared, index: Index) -> Ref:
        return Ref(self._emit(Op.Load, self.module.type(shared.dtype), self._slot(shared, index)), shared.dtype)

    def write_shared(self, shared: Shared, index: Index, value: Ref) -> None:
        if value.dtype == BOOL:
            value = self.op(Op.Select, U32, value, self.const(np.uint32(1)), self.const(np.uint32(0)))
        self.module.code += words(Op.Store, self._slot(shared, index), value.id)

    def _slot(self, shared: Shared, index: Index) -> int:
        kind = self.module.pointer(Storage.Workgroup, self.module.type(shared.dtype))
        return self._emit(Op.AccessChain, kind, shared.variable, self.as_ref(index).id)

    def barrier(self, buffers: bool = True) -> None:
        """Every invocation of the workgroup arrives, and sees what the others stored; in buffers, too, where asked."""
        scope = self.const(np.uint32(2)).id
        # acquire-release, of workgroup memory and of buffers
        semantics = self.const(np.uint32(0x8 | 0x100 | (0x40 if buffers else 0))).id
        self.module.code += words(Op.ControlBarrier, scope, scope, semantics)

    # Control flow ---------------------------------------------------------------------------------------------

    @contextmanager
    def when(self, condition: Ref | bool) -> Iterator[None]:
        """A branch. A condition known to be true costs nothing."""
        if condition is True:
            yield
            return
        then, end = self.module.new(), self.module.new()
        chosen = self.const(np.bool_(condition)) if isinstance(condition, bool) else condition
        self.module.code += words(Op.SelectionMerge, end, 0)
        self.module.code += words(Op.BranchConditional, chosen.id, then, end)
        self._label(then)
        with self._scope():
            yield
        self.module.code += words(Op.Branch, end)
        self._label(end)

    def loop(
        self,
        start: Index,
        stop: Index,
        step: int,
        carried: Sequence[Ref],
        body: Callable[[Ref, list[Ref]], Sequence[Ref]],
        bound: int,
    ) -> list[Ref]:
        """`for i in range(start, stop, step): carried = body(i, carried)`; gives what is carried in the end.

        `bound` is above every i that the body sees.
        """
        first, last, stride = self.as_ref(start), self.as_ref(stop), self.const(np.uint32(step))

        def turn(now: list[Ref]) -> list[Ref]:
            count = replace(now[0], bound=bound, multiple=step if start == 0 else 1)
            return [self.op(Op.IAdd, U32, count, stride), *body(count, now[1:])]

        return self.repeat([first, *carried], lambda now: self.op(Op.ULessThan, BOOL, now[0], last), turn)[1:]

    def repeat(
        self,
        carried: Sequence[Ref],
        going: Callable[[list[Ref]], Ref],
        body: Callable[[list[Ref]], Sequence[Ref]],
    ) -> list[Ref]:
        """`while going(carried): carried = body(carried)`; gives what is carried in the end."""
        module, before = self.module, self._block
        head, test, inside, again, end = (module.new() for _ in range(5))
        module.code += words(Op.Branch, head)
        self._label(head)
        now = [Ref(module.new(), value.dtype) for value in carried]
        following = [module.new() for _ in now]
        for entry, initial, after in zip(now, carried, following, strict=True):
            module.code += words(Op.Phi, module.type(entry.dtype), entry.id, initial.id, before, after, again)
        module.code += words(Op.LoopMerge, end, again, 0) + words(Op.Branch, test)
        self._label(test)
        with self._scope():
            condition = going(now)
            module.code += words(Op.BranchConditional, condition.id, inside, end)
            self._label(inside)
            results = list(body(now))
        module.code += words(Op.Branch, again)
        self._label(again)
        for after, result in zip(following, results, strict=True):
            module.code += words(Op.CopyObject, module.type(result.dtype), after, result.id)
        module.code += words(Op.Branch, head)
        self._label(end)
        return now

    @contextmanager
    def _scope(self) -> Iterator[None]:
        self._scopes.append({})
        yield
        self._scopes.pop()

    def _label(self, label: int) -> None:
        self.module.code += words(Op.Label, label)
        self._block = label
