"""What GRILLY_DEBUG prints, on stderr: a compiled function stage by stage."""

import hashlib
import sys
from collections.abc import Collection, Iterator, Sequence

from .lower import Lowered
from .plan import Arena, Argument, Constant, Dispatch, Output, Plan, Slot

LETTERS = {Argument: "a", Output: "o", Constant: "c"}


def show(name: str, lowered: Lowered, stages: Collection[str]) -> None:
    """Prints those of the stages `jaxpr`, `kernels`, `spirv` and `plan` that are wanted."""
    if "jaxpr" in stages:
        _print(name, "jaxpr", str(lowered.graph).splitlines())
    if "kernels" in stages:
        _print(name, "kernels", [d.label for d in lowered.plan.dispatches])
    if "spirv" in stages:
        _print(name, "spirv", [_module(d) for d in lowered.plan.dispatches])
    if "plan" in stages:
        _print(name, "plan", _planned(lowered.plan))


def show_times(name: str, times: Sequence[tuple[str, float]]) -> None:
    """Prints what each dispatch takes."""
    total = sum(ms for _, ms in times)
    _print(name, "time", [*(f"{ms:9.3f} ms  {label}" for label, ms in times), f"{total:9.3f} ms  in all"])


def _print(name: str, stage: str, lines: Iterator[str] | Sequence[str]) -> None:
    print(f"{name}: {stage}", *(f"  {line}" for line in lines), sep="\n", file=sys.stderr)


def _module(dispatch: Dispatch) -> str:
    spirv = dispatch.shader.spirv
    return f"{hashlib.sha256(spirv).hexdigest()[:12]}  {len(spirv):6d} bytes  {dispatch.shader.name}"


def _planned(plan: Plan) -> Iterator[str]:
    """One line a dispatch: barrier, workgroups, label, buffers (argument, output, constant, +arena)."""
    constants = sum(array.nbytes for array in plan.constants)
    yield f"arena {plan.arena_bytes} bytes, constants {constants} bytes, donated {sorted(plan.donated)}"
    for dispatch in plan.dispatches:
        groups = "x".join(map(str, dispatch.groups))
        slots = " ".join(map(_named, dispatch.slots))
        yield f"{'barrier' if dispatch.barrier else '       '}  {groups:>12}  {dispatch.label}  {slots}"
    yield f"results {' '.join(map(_named, plan.outputs))}"


def _named(slot: Slot) -> str:
    from_byte = f"+{slot.offset}" if slot.offset or isinstance(slot, Arena) else ""
    return from_byte if isinstance(slot, Arena) else f"{LETTERS[type(slot)]}{slot.index}{from_byte}"
