"""Scans with an elementwise body: an invocation owns one element and loops over all steps, its carry in registers.

Here is which scans those are; `forth` writes their loops, and `back` those of reverse twins.
"""

import math
from collections.abc import Collection, Iterable, Sequence
from functools import lru_cache

from ..dtypes import F32
from ..ir import Atom, Aval, Equation, Graph, ScanParams, Value, WhileParams
from ..shader.builder import Index, Ref
from ..shader.indexing import add, assume, div, joined, less, mod, mul, scalar_place
from ..target import Target
from . import elementwise
from .back import Twin
from .division import with_inverses
from .fed import Fed, FedTwin, in_roles
from .forth import Loop
from .gather import COMPUTED
from .places import reads_own_element
from .pull import RULES
from .roles import INVOCATIONS, LANES
from .steps import Operands, domain, size_of
from .task import SCANNING, Context, Task, groups_for

# Whether it is a reverse twin, and whether several invocations share an element.
LOOPS = {(False, False): Loop, (True, False): Twin, (False, True): Fed, (True, True): FedTwin}
MANY = 1 << 18  # elements of which a quarter is enough invocations to keep a large GPU busy
HEAVY = 1 << 21  # elements whose divisions take longer than what they move
SCALAR = Aval((), F32)
NEIGHBOURS = 4  # elements that an invocation owns side by side, where they are many
FEW = 4  # carries and sequences of which an invocation has registers for four elements
ROWS = 2  # of four elements that an invocation computes where they share what they read


@lru_cache(maxsize=1024)
def is_pointwise(scan: ScanParams, own: frozenset[int] = frozenset()) -> bool:
    """Whether a step computes, and puts out, every element from that of its carry alone: of consts `own`, too."""
    size = size_of(scan)
    carries = [value for k, value in enumerate(scan.body.inputs) if k in own or 0 <= k - scan.consts < scan.carries]
    if any(value.size not in (1, size) for value in (*carries, *scan.body.outputs)):
        return False
    carried = scan.body.computed_from(carries)
    if not all(_in_registers(eqn, carried) for eqn in scan.body.equations):
        return False
    others = [value for value in scan.body.inputs if value not in carries]
    return reads_own_element(scan.body.producer, scan.body.outputs, carries, others, domain(scan))


def scan_kind(eqn: Equation) -> str | None:
    """The kind of kernel that a scan or a while needs: None for loops in the registers of any kernel."""
    if "scan" in eqn.params:
        scan: ScanParams = eqn.params["scan"]
        if not scan.carries and all(_in_registers(inner, set()) for inner in scan.body.equations):
            return None
        return "scan" if is_pointwise(scan) else "loop"
    return None if is_pointwise_while(eqn.params["while"]) else "loop"


def is_pointwise_while(params: WhileParams, own: frozenset[int] = frozenset()) -> bool:
    """Whether a while works on every element of its carry, and of consts number `own`, by itself."""
    return params.going.size in (1, size_of(params.step)) and is_pointwise(params.step, own)


def reads_own_place(eqn: Equation, number: int) -> bool:
    """Whether a while reads operand `number` only at the place of the element that it works on."""
    params: WhileParams | None = eqn.params.get("while")
    if params is None or eqn.inputs[number].size != size_of(params.step):
        return False
    return number >= params.consts or is_pointwise_while(params, frozenset({number}))


def _in_registers(eqn: Equation, carried: Collection[Atom]) -> bool:
    """Whether an equation of a step is computed wherever its value is needed; `carried` depend on the carry."""
    if "while" in eqn.params:
        params: WhileParams = eqn.params["while"]
        own = (k for k, atom in enumerate(eqn.inputs[: params.consts]) if atom in carried and atom.size > 1)
        return is_pointwise_while(params, frozenset(own))
    if "scan" in eqn.params:
        return scan_kind(eqn) is None
    return eqn.primitive in elementwise.rules or eqn.primitive in RULES


def searched(scan: ScanParams) -> set[int]:
    """The consts in which a step looks elements up, wherever it has computed that they are."""
    found = set()
    for eqn in scan.body.equations:
        atom = eqn.inputs[0] if eqn.primitive in COMPUTED else None
        while atom in scan.body.producer and scan.body.producer[atom].primitive in RULES:
            atom = scan.body.producer[atom].inputs[0]
        found.update(k for k in range(scan.consts) if scan.body.inputs[k] is atom)
    return found


def rewritten(task: Task) -> set[Value]:
    """What a scan reads, and writes again for itself: places for the carries of a group of chunks."""
    scan = task.anchors[0].params.get("scan") if task.kind == "scan" else None
    if scan is None or scan.replay is None or scan.replay.chunks.group == 1:
        return set()
    return {value for value in Operands(scan, task.anchors[0].inputs).saved if isinstance(value, Value)}


def has_neighbours(scan: ScanParams) -> bool:
    """Whether an invocation owns several elements: where they share its wide loads, and registers hold all."""
    size, few = size_of(scan), scan.replay is None and scan.carries + scan.sequences <= FEW
    return few and size >= MANY and size % NEIGHBOURS == 0


def neighbours(task: Task) -> int:
    """How many elements an invocation computes side by side."""
    return NEIGHBOURS if has_neighbours(task.anchors[0].params["scan"]) else 1


def blocks(task: Task) -> list[tuple[int, int]]:
    """Of what an invocation computes besides neighbours: how many rows of them, and how far apart.

    All rows of a window, and two that read the same of a shallow product.
    """
    scan: ScanParams = task.anchors[0].params["scan"]
    apart, size = scan.patch_stride, math.prod(task.domain)
    found = [(scan.window.rows, task.domain[-1])] if scan.window else []
    whole = math.prod(found[0]) if found else neighbours(task)
    shares = neighbours(task) > 1 and apart and apart % whole == size % (ROWS * apart) == 0
    return [*found, (ROWS, apart)] if shares else found


def _invocations(task: Task) -> int:
    return math.prod(task.domain) // (neighbours(task) * math.prod(count for count, _ in blocks(task)))


def workgroup(tasks: Iterable[Task], target: Target) -> int:
    """Invocations of a workgroup that does nothing but scan."""
    shared = all(in_roles(task.anchors[0].params["scan"], target) for task in tasks)
    return INVOCATIONS if shared else SCANNING


def groups(task: Task, target: Target) -> int:
    """Of a kernel that only scans; in another, whose workgroups are larger, the last ones have nothing to do."""
    return groups_for(_invocations(task), LANES if in_roles(task.anchors[0].params["scan"], target) else SCANNING)


def emit(ctx: Context, task: Task, group: Index) -> None:
    """Writes the section of a kernel that runs in workgroup number `group` of this task."""
    b, lanes, scan = ctx.b, neighbours(task), task.anchors[0].params["scan"]
    shared = b.local_size == INVOCATIONS and in_roles(scan, ctx.target)
    together, many = LANES if shared else b.local_size, _invocations(task)
    invocation = add(b, mul(b, group, together), mod(b, b.local, together))
    loop = LOOPS[bool(scan.replay), shared]
    divisors = _divisors(ctx, task)
    b.lanes = lanes
    with b.when(less(b, invocation, many)):
        elements = _elements(ctx, task, mul(b, assume(invocation, many), lanes))
        if divisors:
            with_inverses(b, divisors, lambda: loop(ctx, task, elements).run())
        else:
            loop(ctx, task, elements).run()
    b.lanes = 1


def _divisors(ctx: Context, task: Task) -> list[Ref]:
    """The scalars that steps divide by, where it pays to invert them first."""
    scan: ScanParams = task.anchors[0].params["scan"]
    if ctx.target.exact_division or size_of(scan) < HEAVY:
        return []
    operands, replay = Operands(scan, task.anchors[0].inputs), scan.replay
    pairs = [(scan.body, operands.consts), *([(replay.body, operands.replay_consts)] if replay else [])]
    found = dict.fromkeys(atom for body, consts in pairs for atom in _dividing(body, consts))
    return [ctx.pull(task).at(atom, scalar_place(ctx.b)) for atom in found]


def _dividing(body: Graph, consts: Sequence[Atom]) -> list[Atom]:
    """The scalars among the consts of a step that it divides by."""
    scalars = {value: atom for value, atom in zip(body.inputs, consts, strict=False) if value.aval == SCALAR}
    return [scalars[eqn.inputs[1]] for eqn in body.equations if eqn.primitive == "div" and eqn.inputs[1] in scalars]


def _elements(ctx: Context, task: Task, first: Index) -> list[Index]:
    """Those of an invocation, row by row; `first` is its first if all rows of a block were one."""
    b = ctx.b
    found = [add(b, first, lane) for lane in range(neighbours(task))]
    for count, apart in blocks(task):
        split = [(mul(b, div(b, index, apart), count), mod(b, index, apart)) for index in found]
        found = [joined(b, add(b, high, row), apart, low) for row in range(count) for high, low in split]
    return found
