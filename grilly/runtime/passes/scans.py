"""Passes over scans: folds over time become carries; sums and products that only add up wait for the last step."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from ..ir import Atom, Equation, Graph, Literal, ScanParams, Value
from ..kernels.views import ONCE, behind_reshapes
from ..rewrite import Editor


def time_first(graph: Graph) -> Graph:
    """A sum over T and more of what a scan puts out, and but for it products alone read (the gradient of a bias): over
    T first, so that the scan adds it up, and nobody reads all of it once more.
    """
    editor = Editor(graph)
    for eqn in graph.equations:
        found = _of_all_steps(graph, eqn) if eqn.primitive == "reduce_sum" else None
        if found is None:
            editor.keep(eqn)
            continue
        steps, axes = found
        total = editor.make("reduce_sum", [editor.now(steps)], steps.shape[1:], eqn, axes=(0,))
        if axes:
            total = editor.make("reduce_sum", [total], eqn.outputs[0].shape, eqn, axes=axes)
        editor.renamed[eqn.outputs[0]] = total
    return editor.done()


def _of_all_steps(graph: Graph, eqn: Equation) -> tuple[Value, tuple[int, ...]] | None:
    """The steps that a sum adds up, and over which axes of a step besides; None where it is no such sum."""
    operand, axes = eqn.inputs[0], [int(axis) for axis in eqn.params["axes"]]
    steps = behind_reshapes(graph.producer, operand)
    made = graph.producer.get(steps)  # type: ignore[arg-type]
    if made is None or steps not in _stacked(made) or steps.dtype.kind != "f" or not _for_products(graph, steps, eqn):
        return None
    for leading in range(1, len(steps.shape) + 1):
        kept = len(steps.shape) - leading
        first = len(operand.shape) - kept
        same = first > 0 and operand.shape[first:] == steps.shape[leading:]
        if same and set(range(first)) <= set(axes):
            behind = (axis - first + leading - 1 for axis in axes if axis >= first)
            return steps, (*range(leading - 1), *behind)  # type: ignore[return-value]
    return None


def _for_products(graph: Graph, steps: Value, besides: Equation) -> bool:
    """Whether products alone read a value, besides one equation."""
    readers = [eqn for eqn in graph.consumers.get(steps, ()) if eqn is not besides]
    return steps not in graph.outputs and all(
        eqn.primitive == "dot_general" or (eqn.primitive in ONCE and _for_products(graph, eqn.outputs[0], besides))
        for eqn in readers
    )


def sums_over_time(graph: Graph) -> Graph:
    """A sum over T of what a scan puts out becomes one more carry: it is summed in a register, and never stored."""
    sums = {eqn: eqn.inputs[0] for eqn in graph.equations if _is_over_time(eqn, "reduce_sum")}
    return _carried(graph, sums, lambda edit, part: edit.add_fold("add", part))


def sizes_over_time(graph: Graph) -> Graph:
    """The largest size over T of what a scan puts out becomes one more carry."""
    sizes = {eqn.outputs[0]: eqn.inputs[0] for eqn in graph.equations if eqn.primitive == "abs"}
    found = {eqn: sizes.get(eqn.inputs[0]) for eqn in graph.equations if _is_over_time(eqn, "reduce_max")}  # type: ignore[arg-type]
    return _carried(graph, found, lambda edit, part: edit.add_fold("max", edit.add_size(part)))


def _is_over_time(eqn: Equation, primitive: str) -> bool:
    axes = tuple(map(int, eqn.params.get("axes", ())))
    return eqn.primitive == primitive and axes == (0,) and eqn.inputs[0].dtype.kind == "f"


def _carried(graph: Graph, folds: Mapping[Equation, Atom | None], add: "Callable[[_ScanEditor, Atom], Value]") -> Graph:
    """Folds of what scans put out, as carries that `add` makes."""
    folded: dict[Atom, list[Equation]] = {}
    for eqn, y in folds.items():
        producer = graph.producer.get(y)  # type: ignore[arg-type]
        if y is not None and producer is not None and y in _stacked(producer):
            folded.setdefault(y, []).append(eqn)
    gone = {eqn for eqns in folded.values() for eqn in eqns}
    editor = Editor(graph)
    for eqn in graph.equations:
        if any(y in folded for y in eqn.outputs):
            edit = _ScanEditor(editor, eqn)
            for y in [y for y in eqn.outputs if y in folded]:
                total = add(edit, edit.outputs[edit.results.index(y)])
                editor.renamed.update((fold.outputs[0], total) for fold in folded[y])
            eqn = edit.done()
        if eqn not in gone:
            editor.keep(eqn)
    return editor.done()


def _stacked(eqn: Equation) -> tuple[Value, ...]:
    """What a scan puts out at each step."""
    return eqn.outputs[eqn.params["scan"].carries :] if eqn.primitive == "scan" else ()


class _ScanEditor:
    """A scan under change: its body's equations, inputs and outputs, and those of the equation itself."""

    def __init__(self, editor: Editor, eqn: Equation) -> None:
        self.editor, self.eqn = editor, eqn
        self.scan: ScanParams = eqn.params["scan"]
        self.equations = list(self.scan.body.equations)
        self.inputs, self.outputs = list(self.scan.body.inputs), list(self.scan.body.outputs)
        self.operands, self.results = list(eqn.inputs), list(eqn.outputs)
        self.carries = self.scan.carries

    def add_size(self, part: Atom) -> Value:
        """How large `part` is."""
        size = Value(part.aval)
        self.equations.append(Equation("abs", (part,), (size,), {}, self.eqn.source))
        return size

    def add_fold(self, primitive: str, part: Atom) -> Value:
        """One more carry, from 0 on, which folds `part` in; gives its last value."""
        before, after, total = Value(part.aval), Value(part.aval), Value(part.aval)
        start = self.editor.zeros(part.aval, self.eqn)
        self.equations.append(Equation(primitive, (before, part), (after,), {}, self.eqn.source))
        self.inputs.insert(self.scan.consts + self.carries, before)
        self.operands.insert(self.scan.consts + self.carries, start)
        self.outputs.insert(self.carries, after)
        self.results.insert(self.carries, total)
        self.carries += 1
        return total

    def add_output(self, part: Atom) -> Value:
        """What `part` is at each step, stacked: a further output, or what the scan reads it from."""
        if part in self.inputs[self.scan.consts + self.carries :]:
            return self.operands[self.inputs.index(part)]  # type: ignore[arg-type,return-value]
        self.outputs.append(part)
        self.results.append(Value(replace(part.aval, shape=(self.scan.length, *part.shape))))
        return self.results[-1]

    def done(self) -> Equation:
        body = Graph(tuple(self.inputs), tuple(self.equations), tuple(self.outputs), self.scan.body.constants)
        params = {"scan": replace(self.scan, body=body, carries=self.carries)}
        return replace(self.eqn, inputs=tuple(self.operands), outputs=tuple(self.results), params=params)


LINEAR = {"neg", "reshape", "squeeze", "expand_dims", "broadcast_in_dim", "transpose", "mul", "div"}


def sums_after_time(graph: Graph) -> Graph:
    """A carry that only adds up sums over elements (the gradient of a parameter all neurons share) is added up
    element by element, in registers, and summed over elements once, after the last step. A carry that only adds up
    products (the gradient of a recurrent layer's weight) becomes one product over all steps.
    """
    editor = Editor(graph)
    for eqn in graph.equations:
        postponed = [_Postponed(eqn, k) for k in range(eqn.params["scan"].carries)] if "scan" in eqn.params else []
        postponed = [p for p in postponed if p.sums]
        editor.keep(_adding_elements(editor, eqn, postponed) if postponed else eqn)
        for p in postponed:
            editor.renamed[eqn.outputs[p.carry]] = p.finished(editor)
    return editor.done()


class _Postponed:
    """Carry number `carry` of a scan, if all that a step does to it is to add sums over elements."""

    def __init__(self, eqn: Equation, carry: int) -> None:
        self.eqn, self.carry = eqn, carry
        self.scan: ScanParams = eqn.params["scan"]
        self.body = self.scan.body
        self.before = self.body.inputs[self.scan.consts + carry]
        self.moving = self.body.computed_from(self.body.inputs[self.scan.consts :])
        self.parts: list[list[Value]] = []  # of each sum, after the scan: element-wise totals, or factors of all steps
        self.sums: list[tuple[Atom, Equation]] = []  # a term of the step's sum, and the sum or product behind it
        terms = self._terms(self.body.outputs[carry])
        found = [(term, self._reduction(term)) for term in terms if term is not self.before]
        if self.before in terms and len(found) == len(terms) - 1 and all(r for _, r in found):
            self.sums = [(term, reduction) for term, reduction in found if reduction]

    def _terms(self, atom: Atom) -> list[Atom]:
        """What a step adds up, the carry among it; nothing where the carry is used in another way."""
        if self._uses(self.before) != 1:
            return []
        eqn = self.body.producer.get(atom) if isinstance(atom, Value) else None
        shared = eqn is not None and self._uses(eqn.outputs[0]) > 1
        if eqn is None or eqn.primitive not in ("add", "add_any") or shared:
            return [atom]
        return [term for operand in eqn.inputs for term in self._terms(operand)]

    def _uses(self, value: Value) -> int:
        """How many equations read a value, or results of a step are it."""
        return len(self.body.consumers.get(value, ())) + sum(atom is value for atom in self.body.outputs)

    def _reduction(self, atom: Atom) -> Equation | None:
        """The one sum, or product of what changes from step to step, that a term is linear in."""
        eqn = self.body.producer.get(atom) if isinstance(atom, Value) else None
        if eqn is None or eqn.primitive == "reduce_sum":
            return eqn
        if eqn.primitive == "dot_general":
            return eqn if all(operand in self.moving for operand in eqn.inputs) else None
        moving = [operand for operand in eqn.inputs if operand in self.moving]
        divisor = eqn.primitive == "div" and moving != [eqn.inputs[0]]
        return self._reduction(moving[0]) if eqn.primitive in LINEAR and len(moving) == 1 and not divisor else None

    def finished(self, editor: Editor) -> Atom:
        """The carry's last value, computed after the scan from the element-wise totals."""
        consts = self.scan.consts
        last = editor.now(self.eqn.inputs[consts + self.carry])
        for parts, (term, reduction) in zip(self.parts, self.sums, strict=True):
            env: dict[Atom, Atom] = dict(zip(self.body.inputs[:consts], self.eqn.inputs[:consts], strict=True))
            params = {**reduction.params}
            if reduction.primitive == "dot_general":
                params["dimension_numbers"] = _over_steps(*params["dimension_numbers"])
            shape = reduction.outputs[0].shape
            env[reduction.outputs[0]] = editor.make(reduction.primitive, parts, shape, self.eqn, **params)
            last = editor.make("add", [last, self._outside(editor, term, env)], last.shape, self.eqn)
        return last

    def _outside(self, editor: Editor, atom: Atom, env: dict[Atom, Atom]) -> Atom:
        """An atom of the body, computed outside of it."""
        if isinstance(atom, Literal):
            return atom
        if atom not in env:
            eqn = self.body.producer[atom]
            inputs = tuple(editor.now(self._outside(editor, operand, env)) for operand in eqn.inputs)
            copy = Value(atom.aval)
            editor.equations.append(Equation(eqn.primitive, inputs, (copy,), eqn.params, eqn.source))
            env[atom] = copy
        return env[atom]


def _adding_elements(editor: Editor, eqn: Equation, postponed: list[_Postponed]) -> Equation:
    """The scan with a carry for each postponed sum; the old ones are dead, and `live` takes them away."""
    edit = _ScanEditor(editor, eqn)
    for p in postponed:
        edit.outputs[p.carry] = p.before
        for _, eqn_of_sum in p.sums:
            product = eqn_of_sum.primitive == "dot_general"
            operands = eqn_of_sum.inputs
            p.parts.append([edit.add_output(x) if product else edit.add_fold("add", x) for x in operands])
    return edit.done()


def _over_steps(depth: tuple, batch: tuple) -> tuple[tuple, tuple]:
    """A product's axes where both operands have the axis of steps in front, to be contracted too."""
    behind = [[tuple(int(axis) + 1 for axis in axes) for axes in pair] for pair in (depth, batch)]
    return ((0, *behind[0][0]), (0, *behind[0][1])), (behind[1][0], behind[1][1])
