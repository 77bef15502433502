"""A pass over scans: products that wait for no carry leave the loop, and become one large product over all steps.

What they are computed from is computed for all steps at once, too: each equation gets a leading axis of length T, by
its rule in BATCHED. An equation without a rule stays inside, and so does whatever needs it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from ..ir import Atom, Equation, Graph, Literal, ScanParams, Value, with_body
from ..kernels import elementwise
from ..kernels.reduction import COMBINE
from ..rewrite import Editor, live

HEAVY = {"dot_general", "conv_general_dilated"}


@dataclass(frozen=True)
class Operand:
    """An operand outside the loop; `steps` says whether it has the axis of steps in front."""

    atom: Atom
    steps: bool


def hoisted(graph: Graph) -> Graph:
    """The graph with its scans' products outside where that is possible; scans inside scans too."""
    editor = Editor(graph)
    for eqn in graph.equations:
        eqn = with_body(eqn, hoisted)
        if eqn.primitive == "scan":
            eqn = _Hoist(editor, eqn).done()
        editor.keep(eqn)
    return live(editor.done())


class _Hoist:
    """One scan, as its equations leave it."""

    def __init__(self, editor: Editor, eqn: Equation) -> None:
        self.editor, self.eqn = editor, eqn
        self.scan: ScanParams = eqn.params["scan"]
        body, consts, carries = self.scan.body, self.scan.consts, self.scan.carries
        self.outside: dict[Atom, Operand] = {}
        for k, value in enumerate(body.inputs):
            if not consts <= k < consts + carries:
                self.outside[value] = Operand(editor.now(eqn.inputs[k]), steps=k >= consts)

    def done(self) -> Equation:
        """The scan without what left it; where nothing did, the scan itself."""
        left = [e for e in self.scan.body.equations if e.primitive in HEAVY and self._leaves(e.outputs[0])]
        if not left or self.scan.length == 0:
            return self.eqn
        taken = {e.outputs[0]: self._computed(e.outputs[0]) for e in left}
        return self._reading(taken)

    def _leaves(self, atom: Atom) -> bool:
        """Whether a value can be computed for all steps at once."""
        if isinstance(atom, Literal) or atom in self.outside:
            return True
        eqn = self.scan.body.producer.get(atom)
        if eqn is None or len(eqn.outputs) > 1 or not (eqn.primitive in BATCHED or eqn.primitive in elementwise.rules):
            return False
        if eqn.primitive == "conv_general_dilated" and self._changes(eqn.inputs[1]):
            return False
        return all(map(self._leaves, eqn.inputs))

    def _changes(self, atom: Atom) -> bool:
        """Whether a value of the body is another one at each step."""
        if isinstance(atom, Literal) or atom in self.scan.body.inputs:
            return not isinstance(atom, Literal) and atom not in self.scan.body.inputs[: self.scan.consts]
        return any(map(self._changes, self.scan.body.producer[atom].inputs))

    def _computed(self, atom: Atom) -> Operand:
        """A value of the body, computed outside."""
        if isinstance(atom, Literal):
            return Operand(atom, steps=False)
        if atom not in self.outside:
            eqn = self.scan.body.producer[atom]
            operands = [self._computed(operand) for operand in eqn.inputs]
            self.outside[atom] = self._moved(eqn, operands)
        return self.outside[atom]

    def _moved(self, eqn: Equation, operands: list[Operand]) -> Operand:
        if any(operand.steps for operand in operands):
            rule = BATCHED.get(eqn.primitive, _elementwise)
            return Operand(rule(self.editor, eqn, operands, self.scan.length), steps=True)
        copy = Value(eqn.outputs[0].aval)
        inputs = tuple(operand.atom for operand in operands)
        self.editor.equations.append(replace(eqn, inputs=inputs, outputs=(copy,)))
        return Operand(copy, steps=False)

    def _reading(self, taken: dict[Value, Operand]) -> Equation:
        """The scan, which now reads what was taken out of it: each step's from xs, what never changes from consts."""
        scan, body = self.scan, self.scan.body
        inputs, operands = list(body.inputs), list(self.eqn.inputs)
        consts = scan.consts
        for value, operand in taken.items():
            k = len(inputs) if operand.steps else consts
            inputs.insert(k, value)
            operands.insert(k, operand.atom)
            consts += not operand.steps
        equations = tuple(e for e in body.equations if e.outputs[0] not in taken)
        body = replace(body, inputs=tuple(inputs), equations=equations)
        return replace(self.eqn, inputs=tuple(operands), params={"scan": replace(scan, body=body, consts=consts)})


Rule = Callable[[Editor, Equation, list[Operand], int], Atom]
BATCHED: dict[str, Rule] = {}


def _rule(*names: str) -> Callable[[Rule], Rule]:
    def register(function: Rule) -> Rule:
        BATCHED.update(dict.fromkeys(names, function))
        return function

    return register


def _made(editor: Editor, eqn: Equation, inputs: Sequence[Atom], steps: int, **params: object) -> Value:
    """The equation with an axis of steps in front of its result, and changed parameters."""
    result = Value(replace(eqn.outputs[0].aval, shape=(steps, *eqn.outputs[0].shape)))
    changed = {**eqn.params, **params}
    editor.equations.append(Equation(eqn.primitive, tuple(inputs), (result,), changed, eqn.source))
    return result


def _elementwise(editor: Editor, eqn: Equation, operands: list[Operand], steps: int) -> Atom:
    """Scalars broadcast by themselves; others get an axis of steps, of extent 1 where they have none."""
    rank = len(eqn.outputs[0].shape)

    def aligned(operand: Operand) -> Atom:
        shape = operand.atom.shape[1:] if operand.steps else operand.atom.shape
        if not operand.steps and not shape:
            return operand.atom
        wanted = (steps if operand.steps else 1, *((1,) * (rank - len(shape))), *shape)
        return operand.atom if operand.atom.shape == wanted else _reshaped(editor, eqn, operand.atom, wanted)

    return _made(editor, eqn, [aligned(operand) for operand in operands], steps)


def _reshaped(editor: Editor, eqn: Equation, atom: Atom, shape: Sequence[int]) -> Value:
    return editor.make("reshape", [atom], shape, eqn)


@_rule("reshape", "squeeze", "expand_dims")
def _reshape(editor: Editor, eqn: Equation, operands: list[Operand], steps: int) -> Atom:
    atom = operands[0].atom
    if eqn.params.get("dimensions") and eqn.primitive == "reshape":  # it transposes first
        order = (0, *(axis + 1 for axis in eqn.params["dimensions"]))
        atom = editor.transpose(atom, order, eqn)
    return _reshaped(editor, eqn, atom, (steps, *eqn.outputs[0].shape))


@_rule("broadcast_in_dim")
def _broadcast(editor: Editor, eqn: Equation, operands: list[Operand], steps: int) -> Atom:
    axes = (0, *(axis + 1 for axis in eqn.params["broadcast_dimensions"]))
    shape = (steps, *eqn.outputs[0].shape)
    return _made(editor, eqn, [operands[0].atom], steps, shape=shape, broadcast_dimensions=axes)


@_rule("transpose")
def _transpose(editor: Editor, eqn: Equation, operands: list[Operand], steps: int) -> Atom:
    order = (0, *(axis + 1 for axis in eqn.params["permutation"]))
    return _made(editor, eqn, [operands[0].atom], steps, permutation=order)


@_rule(*COMBINE)
def _reduce(editor: Editor, eqn: Equation, operands: list[Operand], steps: int) -> Atom:
    return _made(editor, eqn, [operands[0].atom], steps, axes=tuple(axis + 1 for axis in eqn.params["axes"]))


@_rule("slice")
def _slice(editor: Editor, eqn: Equation, operands: list[Operand], steps: int) -> Atom:
    params = {
        "start_indices": (0, *eqn.params["start_indices"]),
        "limit_indices": (steps, *eqn.params["limit_indices"]),
        "strides": (1, *(eqn.params.get("strides") or (1,) * len(eqn.outputs[0].shape))),
    }
    return _made(editor, eqn, [operands[0].atom], steps, **params)


@_rule("dot_general")
def _dot_general(editor: Editor, eqn: Equation, operands: list[Operand], steps: int) -> Atom:
    """Steps of one operand are free, and go to the front of the result; steps of both are a batch."""
    lhs, rhs = operands
    depth, batch = (tuple(tuple(map(int, axes)) for axes in pair) for pair in eqn.params["dimension_numbers"])
    depth = (_behind(depth[0], lhs), _behind(depth[1], rhs))
    batch = (_behind(batch[0], lhs), _behind(batch[1], rhs))
    if lhs.steps and rhs.steps:
        numbers = (depth, ((0, *batch[0]), (0, *batch[1])))
        return _made(editor, eqn, [lhs.atom, rhs.atom], steps, dimension_numbers=numbers)
    place = len(batch[0])
    if rhs.steps:
        place += len(lhs.atom.shape) - len(depth[0]) - len(batch[0])
    shape = list(eqn.outputs[0].shape)
    shape.insert(place, steps)
    params = {**eqn.params, "dimension_numbers": (depth, batch)}
    result = Value(replace(eqn.outputs[0].aval, shape=tuple(shape)))
    editor.equations.append(Equation("dot_general", (lhs.atom, rhs.atom), (result,), params, eqn.source))
    if place == 0:
        return result
    order = (place, *(axis for axis in range(len(shape)) if axis != place))
    return editor.transpose(result, order, eqn)


def _behind(axes: Sequence[int], operand: Operand) -> tuple[int, ...]:
    return tuple(axis + operand.steps for axis in axes)


@_rule("conv_general_dilated")
def _convolution(editor: Editor, eqn: Equation, operands: list[Operand], steps: int) -> Atom:
    """Steps of the images are merged with their batch. (A kernel that changes from step to step stays inside.)"""
    images, kernel = operands
    spec = eqn.params["dimension_numbers"]
    shape = list(images.atom.shape[1:])
    batch, result = spec.lhs_spec[0], eqn.outputs[0]
    order = _joined(batch, len(shape))
    moved = editor.transpose(images.atom, order, eqn)
    shape[batch] *= steps
    out = list(result.shape)
    out[spec.out_spec[0]] *= steps
    merged = Value(replace(result.aval, shape=tuple(out)))
    flat = _reshaped(editor, eqn, moved, shape)
    editor.equations.append(Equation(eqn.primitive, (flat, kernel.atom), (merged,), eqn.params, eqn.source))
    out[spec.out_spec[0] : spec.out_spec[0] + 1] = [steps, result.shape[spec.out_spec[0]]]
    apart = _reshaped(editor, eqn, merged, out)
    back = (spec.out_spec[0], *(axis for axis in range(len(out)) if axis != spec.out_spec[0]))
    return editor.transpose(apart, back, eqn)


def _joined(batch: int, rank: int) -> tuple[int, ...]:
    """The order of axes (steps, *image) that puts the steps right before the batch."""
    order = list(range(1, rank + 1))
    order.insert(batch, 0)
    return tuple(order)
