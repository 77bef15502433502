"""Reductions of much to little, in two: so many parts that the device is busy, then the few results of the parts.

One result is one workgroup's at most; a sum of a million elements to one would keep a single one busy.
"""

import itertools
import math
from collections.abc import Sequence

from ..ir import Atom, Equation
from ..kernels.reduction import layout
from ..rewrite import Editor

LARGE = 1 << 16  # elements below which one round is enough
BUSY = 512  # workgroups that keep a device busy
PART = 256  # elements that a part has at least


def split(editor: Editor, eqn: Equation) -> Sequence[Atom] | None:
    """The reduction of parts, and that of their results; None where that is not worth a second kernel."""
    operand, result = editor.now(eqn.inputs[0]), eqn.outputs[0]
    axes = sorted(int(axis) for axis in eqn.params["axes"])
    groups = -(-max(result.size, 1) // layout(operand.shape, axes).outputs)
    if operand.size < LARGE or groups * 2 > BUSY:
        return None
    most = min(BUSY // groups, operand.size // max(result.size, 1) // PART)
    parts, run = max(((_parts(operand.shape, run, most), run) for run in _runs(axes)), key=lambda found: found[0])
    if parts < 2:
        return None
    first, after = run[0], run[-1] + 1
    extent = math.prod(operand.shape[first:after])
    shape = (*operand.shape[:first], parts, extent // parts, *operand.shape[after:])
    moved = len(shape) - len(operand.shape)
    folded = [axis if axis < first else axis + moved for axis in axes if axis not in run] + [first + 1]
    kept = [extent for axis, extent in enumerate(shape) if axis not in folded]
    place = sum(axis not in folded for axis in range(first))
    view = editor.make("reshape", [operand], shape, eqn)
    partial = editor.make(eqn.primitive, [view], kept, eqn, axes=tuple(sorted(folded)))
    return [editor.make(eqn.primitive, [partial], result.shape, eqn, axes=(place,))]


def _runs(axes: list[int]) -> list[list[int]]:
    """Axes that lie beside each other, together."""
    runs = itertools.groupby(enumerate(axes), key=lambda pair: pair[1] - pair[0])
    return [[axis for _, axis in run] for _, run in runs]


def _parts(shape: Sequence[int], run: list[int], most: int) -> int:
    """The largest number of equal parts, up to `most`, that axes beside each other can be cut into."""
    extent = math.prod(shape[axis] for axis in run)
    return next((parts for parts in range(min(most, extent), 1, -1) if extent % parts == 0), 1)
