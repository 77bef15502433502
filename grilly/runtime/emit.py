"""Turns one kernel of the partition into one shader."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import ShaderError
from .costs import predicted
from .dtypes import BOOL
from .ir import Atom, Aval, Graph, Value
from .kernels import map as maps
from .kernels import matmul, reduction, scan, sort, tensor
from .kernels.operand import PRODUCTS
from .kernels.task import WORKGROUP, Context, Task
from .needed import asked
from .partition import Kernel, reads
from .plan import Binding, Cost, Dispatch, Shader, Slot, Work
from .shader.builder import Builder, Index, Ref
from .shader.indexing import add, assume, less, mul, scalar_place, sub
from .shader.spirv import Op
from .target import Target

KINDS = {"map": maps, "reduction": reduction, "scan": scan, "matmul": matmul, "tensor": tensor, "sort": sort}
STAGE = {"map": maps.emit_stage, "reduction": reduction.emit_stage}
ROUNDS = 8  # of a task that is only perhaps needed, in one workgroup: if it is not, there are fewer to begin and end


@dataclass(frozen=True)
class Run:
    """A shader, the values its addresses stand for, how many workgroups run it, and what that will cost."""

    shader: Shader
    values: tuple[Value, ...]
    groups: tuple[int, int, int]
    cost: Cost

    def dispatch(self, slots: Mapping[Value, Slot], wait: bool) -> Dispatch:
        """Its dispatch, where values lie in these slots."""
        places = tuple(slots[value] for value in self.values)
        return Dispatch(self.shader, places, self.groups, wait, self.shader.name, self.cost)


@dataclass(frozen=True)
class Emitted:
    """What a kernel becomes: a shader, or several that run side by side."""

    runs: tuple[Run, ...]
    scratch: None = None

    @property
    def values(self) -> tuple[Value, ...]:
        """What is read or written."""
        return tuple(dict.fromkeys(value for run in self.runs for value in run.values))

    def work(self, slots: Mapping[Value, Slot], wait: bool) -> Iterator[Work]:
        """That of all shaders; `wait` says whether the first dispatch waits for those before it."""
        for k, run in enumerate(self.runs):
            yield run.dispatch(slots, wait and k == 0)


def emitted(graph: Graph, kernel: Kernel, stored: Sequence[Value], target: Target) -> Emitted:
    """The shader of a kernel; of a product that is computed in one of several ways, those of all."""
    kernels = [kernel]
    if kernel.tasks[0].kind == "tensor":
        kernels = [Kernel(((task,),)) for task in tensor.alternatives(*kernel.tasks)]
    runs = []
    for each in kernels:
        shader, values, groups = _shader(graph, each, stored, target)
        runs.append(Run(shader, values, groups, predicted(graph, kernel, stored, values)))
    return Emitted(tuple(runs))


def _shader(
    graph: Graph, kernel: Kernel, stored: Sequence[Value], target: Target
) -> tuple[Shader, tuple[Value, ...], tuple[int, int, int]]:
    """A kernel's shader, the values its addresses stand for, and how many workgroups run it."""
    known = dict.fromkeys(stored)
    read = {task: reads(graph, known, task) for task in kernel.tasks}
    written = [root for task in kernel.tasks for root in task.roots]
    values = tuple(dict.fromkeys([*(v for found in read.values() for v in found), *written]))
    passed_on = {v for section in kernel.sections for v in _passed_on(section, read)}
    avals = [v.aval for v in values]
    table = not target.bindings and len(values) * 8 > target.push_constant_bytes
    stored_to = {*written, *(v for task in kernel.tasks for v in scan.rewritten(task))}
    coherent, stores = [v in passed_on for v in values], [v in stored_to for v in values]
    b = Builder(avals, _invocations(kernel, target), coherent, stores, table, target)
    ctx = Context(b, graph, target, {value: k for k, value in enumerate(values)})
    flags = [_flag(graph, section, known) for section in kernel.sections]
    counts = [_groups(section, flag, target) for section, flag in zip(kernel.sections, flags, strict=True)]
    grid = _grid(sum(counts), target)
    group = _group(b, grid, sum(counts))
    start = 0
    for k in sorted(range(len(counts)), key=counts.__getitem__):  # where they are few, each has more to do
        section, count, flag = kernel.sections[k], counts[k], flags[k]
        here = sub(b, group, start) if len(counts) > 1 else group
        with b.when(less(b, here, count) if len(counts) > 1 or grid[1] > 1 else True):
            _section(ctx, section, assume(here, count), flag)
        start += count
    name = "+".join(task.label for task in kernel.tasks)
    bindings = _bindings(name, avals, stores, target) if target.bindings else ()
    return Shader(name, b.assembled(), table, bindings), values, grid


def _flag(graph: Graph, section: tuple[Task, ...], stored: Mapping[Value, None]) -> Atom | None:
    """What says whether a map or a reduction by itself is needed; None if it always is."""
    task, *others = section
    flags = asked(graph, stored, task.roots) if task.kind in STAGE and not others else {None}
    return flags.pop() if len(flags) == 1 else None


def _groups(section: tuple[Task, ...], flag: Atom | None, target: Target) -> int:
    """How many workgroups run a section."""
    task, *others = section
    if others:
        return 1
    count = KINDS[task.kind].groups(task, target)
    return -(-count // ROUNDS) if _is_seldom(task, flag) else count


def _invocations(kernel: Kernel, target: Target) -> int:
    """In each workgroup."""
    first = kernel.tasks[0]
    if first.kind in PRODUCTS.values():
        return KINDS[first.kind].invocations(first)
    if all(task.kind == "scan" for task in kernel.tasks):
        return scan.workgroup(kernel.tasks, target)
    return WORKGROUP


def _bindings(name: str, avals: Sequence[Aval], stores: Sequence[bool], target: Target) -> tuple[Binding, ...]:
    """What is bound; stores say which of the buffers are written."""
    if len(avals) > target.bindings:
        raise ShaderError(
            f"the kernel {name!r} has {len(avals)} buffers: {target.name} binds at most {target.bindings}. "
            "Unset GRILLY_BINDINGS, or compute less in one function."
        )
    return tuple(Binding(aval.nbytes, written) for aval, written in zip(avals, stores, strict=True))


def _passed_on(section: tuple[Task, ...], read: Mapping[Task, Mapping[Value, bool]]) -> set[Value]:
    """What one stage of a section stores for a later one."""
    written = {root for task in section for root in task.roots}
    return {v for task in section for v in read[task] if v in written}


def _section(ctx: Context, section: tuple[Task, ...], group: Index, flag: Atom | None) -> None:
    if len(section) == 1:
        (task,) = section
        with ctx.b.when(_is_needed(ctx, task, flag)):
            if _is_seldom(task, flag):
                _in_rounds(ctx, task, group)
            else:
                KINDS[task.kind].emit(ctx, task, group)
        return
    for k, task in enumerate(section):
        if k:
            ctx.b.barrier()
        STAGE[task.kind](ctx, task)


def _is_seldom(task: Task, flag: Atom | None) -> bool:
    """Whether a task is only perhaps needed, as is the way to multiply that no ordinary numbers take."""
    return flag is not None or (task.kind == "matmul" and task.when is not None)


def _is_needed(ctx: Context, task: Task, flag: Atom | None) -> Ref | bool:
    """What says so of a task by itself, or tells it from its alternatives."""
    pull, place = ctx.pull(task), scalar_place(ctx.b)
    if task.when:
        said, wanted = pull.at(task.when[0], place), ctx.b.const(np.int32(task.when[1]))
        return ctx.b.op(Op.IEqual, BOOL, said, wanted)
    return True if flag is None else pull.at(flag, place)


def _in_rounds(ctx: Context, task: Task, group: Index) -> None:
    """The work of some workgroups, one after another."""
    b, count = ctx.b, KINDS[task.kind].groups(task, ctx.target)

    def body(nth: Index, _: list) -> list:
        here = add(b, mul(b, group, ROUNDS), nth)
        with b.when(less(b, here, count)):
            KINDS[task.kind].emit(ctx, task, assume(here, count))
        b.barrier(buffers=False)  # the next round uses the same workgroup memory
        return []

    b.loop(0, ROUNDS, 1, [], body, bound=ROUNDS)


def _grid(groups: int, target: Target) -> tuple[int, int, int]:
    """Workgroups in a row, folded where a row is limited."""
    rows = -(-groups // target.max_groups_x)
    return (-(-groups // rows), rows, 1)


def _group(b: Builder, grid: tuple[int, int, int], count: int) -> Index:
    across = assume(b.group(0), grid[0])
    if grid[1] == 1:
        return across
    return add(b, mul(b, assume(b.group(1), grid[1]), grid[0]), across)
