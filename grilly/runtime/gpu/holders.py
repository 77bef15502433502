"""Who holds a device's memory: what an error says when it has run out. (Upload slots are given back before.)"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from ..sizes import sized

if TYPE_CHECKING:
    from .device import VulkanDevice
    from .heap import Heap

HELP = {
    "arrays": "Delete arrays that are no longer needed, or donate those that a call replaces (donate_argnums).",
    "arenas": "Use a smaller batch or fewer time steps (T), or delete compiled functions that are no longer needed.",
    "constants": "Pass large arrays as arguments instead of capturing them in a function: then there is one copy.",
}
SHOWN = 3  # functions by name


class Held(NamedTuple):
    """What one executable holds, in bytes."""

    name: str
    arenas: int
    constants: int


def exhausted(device: "VulkanDevice", heap: "Heap", nbytes: int, purpose: str) -> str:
    """The message: what was asked for and by whom, who holds the rest, and what helps against the largest of them."""
    held = [executable.held() for executable in device.executables]
    totals = {part: sum(getattr(each, part) for each in held) for part in ("arenas", "constants")}
    totals = {"arrays": device.heap.used - sum(totals.values()), **totals}
    seen = "memory that the host sees" if heap is device.host_heap else "memory"
    lines = [f"{device.name} has no {seen} left: {sized(nbytes)} were asked for, for {purpose}."]
    lines += [f"  {part:<10} {sized(total)}{_by_name(part, held)}" for part, total in totals.items()]
    lines.append(f"  staging    {sized(device.host_heap.used)} that the host sees")
    lines.append(f"  free       {sized(heap.free)}, at most {sized(heap.largest)} in one piece")
    if (told := device.physical.budget(heap.memory_type)) is not None:
        lines.append(f"  driver     {sized(told.used)} in use by this process, of {sized(told.most)} that it may have")
    helps = HELP[max(totals, key=lambda part: totals[part])]
    lines.append(f"  fix        {helps}\n             A smaller batch or fewer time steps take less of everything.")
    return "\n".join(lines)


def _by_name(part: str, held: Sequence[Held]) -> str:
    """The functions that hold most of it."""
    if part == "arrays":
        return ""
    most = sorted((each for each in held if getattr(each, part)), key=lambda each: -getattr(each, part))[:SHOWN]
    names = ", ".join(f"{each.name} {sized(getattr(each, part))}" for each in most)
    return f": {names}" if names else ""
