"""Reductions: each output folds many elements. Invocations share the folding, then meet in workgroup memory.

The order of the additions depends on shapes alone, so that results are the same from run to run.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ..ir import Equation, Value
from ..shader.builder import Builder, Index, Ref, Shared
from ..shader.indexing import Place, add, assume, div, equal, less, mod, mul
from ..shader.spirv import Op
from ..target import Target
from .elementwise import dtype_kind, larger
from .pull import Pull
from .task import WORKGROUP, Context, Task

SUM = {"f": Op.FAdd, "i": Op.IAdd, "u": Op.IAdd, "b": Op.LogicalOr}
PRODUCT = {"f": Op.FMul, "i": Op.IMul, "u": Op.IMul, "b": Op.LogicalAnd}
WIDE = 4  # neighbours that one load brings
LOADS = 4  # that are on their way together
MANY = 1 << 18  # invocations that keep a large GPU busy
FEWEST = 8  # invocations that share a result even where results are many: their wide loads lie side by side


def _by_kind(ops: dict[str, Op]) -> Callable[[Builder, Ref, Ref], Ref]:
    return lambda b, x, y: b.op(ops[dtype_kind(x.dtype)], x.dtype, x, y)


def _logical(op: Op, bitwise: Op) -> Callable[[Builder, Ref, Ref], Ref]:
    return lambda b, x, y: b.op(op if x.dtype.kind == "b" else bitwise, x.dtype, x, y)


COMBINE: dict[str, Callable[[Builder, Ref, Ref], Ref]] = {
    "reduce_sum": _by_kind(SUM),
    "reduce_prod": _by_kind(PRODUCT),
    "reduce_max": larger,
    "reduce_min": lambda b, x, y: larger(b, x, y, smaller=True),
    "reduce_or": _logical(Op.LogicalOr, Op.BitwiseOr),
    "reduce_and": _logical(Op.LogicalAnd, Op.BitwiseAnd),
    "reduce_xor": _logical(Op.LogicalNotEqual, Op.BitwiseXor),
}


def neutral(primitive: str, dtype: np.dtype) -> np.ndarray:
    """What changes nothing when it is folded in."""
    if primitive in ("reduce_sum", "reduce_or", "reduce_xor"):
        return np.zeros((), dtype)
    if primitive == "reduce_prod":
        return np.ones((), dtype)
    if primitive == "reduce_and":
        return np.asarray(-1).astype(dtype)
    sign = -1 if primitive == "reduce_max" else 1
    if dtype_kind(dtype) == "f":
        return np.asarray(sign * np.inf, dtype)
    if dtype.kind == "b":
        return np.asarray(sign > 0)
    limits = np.iinfo(dtype)
    return np.asarray(limits.min if sign < 0 else limits.max, dtype)


@dataclass(frozen=True)
class Layout:
    """How a workgroup is spread: over `outputs` results, `sharing` invocations folding each."""

    outputs: int
    sharing: int
    inner: bool  # the last axis is kept: neighbouring invocations take neighbouring results

    @property
    def stride(self) -> int:
        """From one invocation of a result to the next."""
        return self.outputs if self.inner else 1


def layout(shape: Sequence[int], axes: Sequence[int]) -> Layout:
    """For an operand of a shape, folded over some of its axes."""
    kept = [extent for axis, extent in enumerate(shape) if axis not in axes]
    results, folded = math.prod(kept), math.prod(shape[axis] for axis in axes)
    inner = bool(kept) and (len(shape) - 1) not in axes
    most, enough = max(_power_of_two(results), 1), _power_of_two(MANY // max(results, 1))
    sharing = min(_power_of_two(folded), max(FEWEST, enough, _power_of_two(-(-folded // (WIDE * LOADS)))))
    outputs = min(most, 32 if inner else WORKGROUP // sharing)
    return Layout(outputs, WORKGROUP // outputs, inner)


def _power_of_two(n: int) -> int:
    """The least power of two that holds n, at most a workgroup."""
    return min(WORKGROUP, 1 << max(0, (n - 1).bit_length()))


def groups(task: Task, target: Target) -> int:
    operand, axes = _operand(task.anchors[0])
    return -(-max(1, math.prod(task.domain)) // layout(operand.shape, axes).outputs)


def _operand(eqn: Equation) -> tuple[Value, tuple[int, ...]]:
    operand = eqn.inputs[0]
    assert isinstance(operand, Value)
    return operand, tuple(int(axis) for axis in eqn.params["axes"])


def emit(ctx: Context, task: Task, group: Index) -> None:
    """Writes the reductions of one operand shape over the same axes, and what is elementwise in their results."""
    b = ctx.b
    operand, axes = _operand(task.anchors[0])
    spread = layout(operand.shape, axes)
    results = math.prod(task.domain)
    if spread.inner:
        nth, share = mod(b, b.local, spread.outputs), div(b, b.local, spread.outputs)
    else:
        nth, share = div(b, b.local, spread.sharing), mod(b, b.local, spread.sharing)
    result = add(b, mul(b, group, spread.outputs), nth)
    inside = less(b, result, results)
    folded = _folded(ctx, task, axes, spread, result, share, inside)
    shares = [b.shared(ref.dtype, WORKGROUP) for ref in folded]
    folded = _meet(b, task, spread, shares, folded, share)
    with b.when(b.both(inside, equal(b, share, 0))):
        _finish(ctx, task, folded, assume(result, results))


def emit_stage(ctx: Context, task: Task) -> None:
    """Writes the reduction as a stage of a kernel of one workgroup: a loop over what would be its workgroups."""
    b, count = ctx.b, groups(task, ctx.target)

    def body(group: Index, _: list) -> list:
        emit(ctx, task, group)
        b.barrier(buffers=False)  # the next round uses the same workgroup memory
        return []

    if count == 1:
        emit(ctx, task, 0)
    else:
        b.loop(0, count, 1, [], body, bound=count)


def _folded(
    ctx: Context,
    task: Task,
    axes: tuple[int, ...],
    spread: Layout,
    result: Index,
    share: Index,
    inside: Ref | bool,
) -> list[Ref]:
    """Each invocation's share of the folding, in a register."""
    b, operand = ctx.b, _operand(task.anchors[0])[0]
    runs = _runs(operand.shape, axes)
    count = math.prod(extent for extent, folded in runs if folded)
    start = [b.const(neutral(eqn.primitive, eqn.inputs[0].dtype)) for eqn in task.anchors]
    own = assume(result, math.prod(task.domain))
    pull, lanes = ctx.pull(task), _lanes(runs, count, spread)

    def element(index: Index) -> list[Ref]:
        kept = iter(Place(b, [e for e, folded in runs if not folded], linear=own).coordinates())
        within = iter(Place(b, [e for e, folded in runs if folded], linear=index).coordinates())
        coordinates = [next(within if folded else kept) for _, folded in runs]
        place = Place(b, [extent for extent, _ in runs], coordinates=coordinates).reshaped(operand.shape)
        return [pull.at(eqn.inputs[0], place) for eqn in task.anchors]

    def combined(x: list[Ref], y: list[Ref]) -> list[Ref]:
        return [COMBINE[eqn.primitive](b, *pair) for eqn, *pair in zip(task.anchors, x, y, strict=True)]

    turns = count // lanes
    most = LOADS * WIDE // lanes  # as many bytes, whether loads are wide or not
    loads = math.gcd(turns // spread.sharing, most) if turns % spread.sharing == 0 else 1

    def body(nth: Index, so_far: list[Ref]) -> list[Ref]:
        nths = [assume(add(b, nth, k * spread.sharing), turns) for k in range(loads)]
        firsts, b.lanes = [mul(b, nth, lanes) for nth in nths], lanes
        found = [element(add(b, first, lane)) for first in firsts for lane in range(lanes)]
        b.lanes = 1
        while len(found) > 1:
            found = [combined(x, y) for x, y in zip(found[::2], found[1::2], strict=True)]
        return combined(so_far, found[0])

    # Invocations beyond the last result fold nothing.
    end = turns if isinstance(inside, bool) else b.select(inside, b.as_ref(turns), b.as_ref(0))
    return b.loop(share, end, loads * spread.sharing, start, body, bound=max(turns, 1))


def _runs(shape: tuple[int, ...], axes: tuple[int, ...]) -> list[tuple[int, bool]]:
    """Axes side by side that are folded, or kept, as one: its extent, and whether it is folded."""
    runs = itertools.groupby(range(len(shape)), key=axes.__contains__)
    return [(math.prod(shape[axis] for axis in run), folded) for folded, run in runs]


def _lanes(runs: list[tuple[int, bool]], count: int, spread: Layout) -> int:
    """How many neighbours an invocation folds at once: four where they are loaded together, and all have some."""
    extent, together = runs[-1] if runs else (1, False)
    return WIDE if together and extent % WIDE == 0 and count >= WIDE * spread.sharing else 1


def _meet(b: Builder, task: Task, spread: Layout, shares: list, folded: list[Ref], share: Index) -> list[Ref]:
    """Halves the shares in workgroup memory until one is left, in the invocation whose share is 0."""
    if spread.sharing == 1:
        return folded
    for shared, value in zip(shares, folded, strict=True):
        b.write_shared(shared, b.local, value)
    half = spread.sharing // 2
    while half:
        b.barrier(buffers=False)
        with b.when(less(b, share, half)):
            for eqn, shared in zip(task.anchors, shares, strict=True):
                other = add(b, b.local, half * spread.stride)
                mine, theirs = (_read(b, shared, i, eqn) for i in (b.local, other))
                b.write_shared(shared, b.local, COMBINE[eqn.primitive](b, mine, theirs))
        half //= 2
    return [_read(b, shared, b.local, eqn) for eqn, shared in zip(task.anchors, shares, strict=True)]


def _read(b: Builder, shared: Shared, index: Index, eqn: Equation) -> Ref:
    value = b.read_shared(shared, index)
    if eqn.inputs[0].dtype.kind == "b":
        return b.op(Op.INotEqual, eqn.inputs[0].dtype, value, b.const(np.uint32(0)))
    return value


def _finish(ctx: Context, task: Task, folded: list[Ref], index: Index) -> None:
    """Stores the roots, computed from the folded values where they are elementwise in them."""
    pull: Pull = ctx.pull(task)
    for eqn, value in zip(task.anchors, folded, strict=True):
        pull.sources[eqn.outputs[0]] = lambda _, value=value: value
    roots = [root for root in task.roots if root in ctx.pointers]
    values = [pull.at(root, Place(ctx.b, root.shape, linear=index)) for root in roots]
    for root, value in zip(roots, values, strict=True):
        ctx.b.store(ctx.pointers[root], index, value)
