"""What a compiled function takes of device memory, as its plan says: what `Jit.memory` returns."""

from collections.abc import Callable
from dataclasses import dataclass

from .lower import Lowered
from .partition import reads
from .plan import Argument, Output, Plan
from .sizes import sized


@dataclass(frozen=True)
class MemoryReport:
    """Bytes of device memory during one call of a compiled function.

    Attributes:
        name: The function's.
        arguments: Of all arguments. A NumPy array passes through two upload slots instead, as large as itself each.
        outputs: Of the results that get memory of their own with each call.
        in_place: The donated arguments whose memory results take over.
        constants: Of arrays that the function captured; they stay on the device with it.
        prepared: Of what is computed of steady arguments alone, once, and kept while these stay the same.
        arena: What intermediate values share; it stays on the device with the function.
        residuals: The part of the arena that scans fill for their reverse twins.

    Example:
        >>> import grilly, numpy as np
        >>> print(grilly.jit(lambda v, x: v / 2 + x, donate_argnums=0).memory(np.ones(1 << 20), np.ones(1 << 20)))
        grilly.jit(<lambda>): device memory in bytes
          arguments     8388608  8.0 MiB, in place: argument 0
          outputs             0
          constants           0
          prepared            0
          arena               0
          peak          8388608  8.0 MiB
    """

    name: str
    arguments: int
    outputs: int
    in_place: tuple[str, ...]
    constants: int
    prepared: int
    arena: int
    residuals: int

    @property
    def peak(self) -> int:
        """All of it at once."""
        return self.arguments + self.outputs + self.constants + self.prepared + self.arena

    def __str__(self) -> str:
        remarks = {
            "arguments": f"in place: {', '.join(self.in_place)}" if self.in_place else "",
            "arena": f"residuals of it: {self.residuals}" if self.residuals else "",
        }
        lines = [f"{self.name}: device memory in bytes"]
        for part in ("arguments", "outputs", "constants", "prepared", "arena", "peak"):
            nbytes = getattr(self, part)
            said = ", ".join(filter(None, [sized(nbytes) if nbytes >= 1024 else "", remarks.get(part, "")]))
            lines.append(f"  {part:<10} {nbytes:>{len(str(self.peak)) + 3}}  {said}".rstrip())
        return "\n".join(lines)


def report(name: str, lowered: Lowered, argument: Callable[[int], str]) -> MemoryReport:
    """The report of a compiled function; `argument` names its flat arguments."""
    plan, first = lowered.plan, lowered.plan.preparation
    prepared = first.plan.results if first else ()  # the plan's last arguments
    updated = [source.index for source in plan.outputs if isinstance(source, Argument) and source.index in plan.donated]
    return MemoryReport(
        name,
        arguments=sum(aval.nbytes for aval in plan.arguments[: len(plan.arguments) - len(prepared)]),
        outputs=sum(aval.nbytes for k, aval in enumerate(plan.results) if plan.outputs[k] == Output(k)),
        in_place=tuple(map(argument, dict.fromkeys(updated))),
        constants=sum(array.nbytes for array in plan.constants),
        prepared=sum(aval.nbytes for aval in prepared) + (_kept_with(first.plan) if first else 0),
        arena=plan.arena_bytes,
        residuals=_residuals(lowered),
    )


def _kept_with(plan: Plan) -> int:
    """Bytes that stay on the device with a plan."""
    return plan.arena_bytes + sum(array.nbytes for array in plan.constants)


def _residuals(lowered: Lowered) -> int:
    """Bytes that scans put out at each step and scans of the other direction read."""
    graph, stored = lowered.graph, dict.fromkeys(lowered.partition.stored)
    scans = [eqn for eqn in graph.equations if "scan" in eqn.params]
    put_out = {v: eqn.params["scan"].reverse for eqn in scans for v in eqn.outputs[eqn.params["scan"].carries :]}
    kept = {
        value
        for kernel in lowered.partition.kernels
        for task in kernel.tasks
        for anchor in task.anchors
        if "scan" in anchor.params
        for value in reads(graph, stored, task)
        if value not in graph.outputs and put_out.get(value) == (not anchor.params["scan"].reverse)
    }
    return sum(value.aval.nbytes for value in kept)
