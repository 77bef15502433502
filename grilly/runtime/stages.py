"""What `Jit.lower` returns, and GRILLY_DEBUG prints: a compiled function as text, stage by stage."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from .lower import Lowered
from .plan import Arena, Argument, Constant, Dispatch, Output, Plan, Slot
from .shader.disassembly import disassembled

LETTERS = {Argument: "a", Output: "o", Constant: "c"}


@dataclass(frozen=True)
class Stages:
    """A compiled function at every stage.

    Args:
        name: What to call it.
        lowered: The same as objects: `graph`, `partition`, `plan`.

    Example:
        >>> import grilly, numpy as np
        >>> stages = grilly.jit(lambda x: x + 1).lower(np.zeros(3, np.float32))
        >>> stages.kernels.split("  ")[:2]
        ['map[3]', '24 bytes, 3 operations']
    """

    name: str
    lowered: Lowered

    @cached_property
    def jaxpr(self) -> str:
        """The function as it was traced and simplified, one equation a line."""
        return str(self.lowered.graph)

    @cached_property
    def kernels(self) -> str:
        """One line a dispatch: its kernels, what it moves and computes, its layer and the user's line."""
        return "\n".join(_kernel(dispatch) for plan in self._plans for dispatch in plan.dispatches)

    @cached_property
    def spirv(self) -> str:
        """Each shader once, disassembled."""
        shaders = {dispatch.shader.spirv: dispatch.shader for plan in self._plans for dispatch in plan.dispatches}
        return "\n".join(f"; {s.name}, {len(s.spirv)} bytes\n{disassembled(s.spirv)}" for s in shaders.values())

    @cached_property
    def plan(self) -> str:
        """One line a dispatch: barrier, workgroups, label, buffers (argument, output, constant, +arena)."""
        return "\n".join(line for plan in self._plans for line in _planned(plan))

    def __str__(self) -> str:
        return "\n".join(f"{self.name}: {stage}\n{getattr(self, stage)}" for stage in ("jaxpr", "kernels", "plan"))

    @property
    def _plans(self) -> list[Plan]:
        """The plan, behind that of what is computed of steady arguments alone, if anything is."""
        plan = self.lowered.plan
        return [plan.preparation.plan, plan] if plan.preparation else [plan]


def _planned(plan: Plan) -> Iterator[str]:
    constants = sum(array.nbytes for array in plan.constants)
    yield f"arena {plan.arena_bytes} bytes, constants {constants} bytes, donated {sorted(plan.donated)}"
    for dispatch in plan.dispatches:
        groups = "x".join(map(str, dispatch.groups))
        slots = " ".join(map(_named, dispatch.slots))
        yield f"{'barrier' if dispatch.barrier else '       '}  {groups:>12}  {dispatch.label}  {slots}"
    yield f"results {' '.join(map(_named, plan.outputs))}"


def _kernel(dispatch: Dispatch) -> str:
    cost = dispatch.cost
    layer = f'layer "{cost.layer}"' if cost.layer else ""
    amounts = f"{cost.nbytes} bytes, {cost.operations} operations"
    return "  ".join(filter(None, [dispatch.label, amounts, layer, cost.line]))


def _named(slot: Slot) -> str:
    from_byte = f"+{slot.offset}" if slot.offset or isinstance(slot, Arena) else ""
    return from_byte if isinstance(slot, Arena) else f"{LETTERS[type(slot)]}{slot.index}{from_byte}"
