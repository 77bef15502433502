"""What every pass over a graph needs: an editor, and the removal of what is equal or dead."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from .ir import INNER, Atom, Aval, Equation, Graph, Literal, ScanParams, Value, WhileParams


class Editor:
    """Builds a graph out of another one's equations."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.equations: list[Equation] = []
        self.renamed: dict[Value, Atom] = {}

    def now(self, atom: Atom) -> Atom:
        """What an atom of the old graph is in the new one."""
        return self.renamed.get(atom, atom) if isinstance(atom, Value) else atom

    @property
    def producers(self) -> dict[Value, Equation]:
        """The equation behind each value of the new graph, so far."""
        return {value: eqn for eqn in self.equations for value in eqn.outputs}

    def keep(self, eqn: Equation) -> None:
        self.equations.append(eqn.reading(map(self.now, eqn.inputs)))

    def make(self, primitive: str, inputs: Iterable[Atom], shape: Sequence[int], like: Equation, /, **params) -> Value:
        """A new equation of one output, of the dtype that a product asks for, or of its last input's."""
        inputs = tuple(inputs)
        dtype = np.dtype(params.get("preferred_element_type", inputs[-1].dtype))
        return self.made(primitive, inputs, Aval(tuple(shape), dtype), like, **params)

    def made(self, primitive: str, inputs: Iterable[Atom], aval: Aval, like: Equation, /, **params) -> Value:
        """A new equation of one output, written where `like` was."""
        value, inputs = Value(aval), tuple(inputs)
        self.equations.append(Equation(primitive, inputs, (value,), params, like.source))
        return value

    def transpose(self, atom: Atom, order: Sequence[int], like: Equation) -> Value:
        """Its axes in another order."""
        shape = [atom.shape[axis] for axis in order]
        return self.make("transpose", [atom], shape, like, permutation=tuple(order))

    def zeros(self, aval: Aval, like: Equation) -> Value:
        zero = Literal(np.zeros((), aval.dtype))
        return self.make("broadcast_in_dim", [zero], aval.shape, like, shape=aval.shape, broadcast_dimensions=())

    def done(self) -> Graph:
        outputs = tuple(map(self.now, self.graph.outputs))
        return Graph(self.graph.inputs, tuple(self.equations), outputs, self.graph.constants)


def common(graph: Graph) -> Graph:
    """Equal equations of equal inputs become one."""
    editor, seen = Editor(graph), {}
    for eqn in graph.equations:
        inputs = tuple(map(editor.now, eqn.inputs))
        inner = [id(param) for param in eqn.params.values() if isinstance(param, INNER)]
        params = inner or repr(sorted(eqn.params.items()))
        key = (eqn.primitive, str(params), tuple(map(_identity, inputs)), eqn.outputs[0].aval)
        if key in seen:
            editor.renamed.update(zip(eqn.outputs, seen[key], strict=True))
        else:
            seen[key] = eqn.outputs
            editor.keep(eqn)
    return editor.done()


def _identity(atom: Atom) -> tuple:
    return (atom.dtype.str, atom.value.tobytes()) if isinstance(atom, Literal) else (id(atom),)


def live(graph: Graph) -> Graph:
    """Without what no output needs; a scan loses the results and inputs that nobody reads."""
    needed = {atom for atom in graph.outputs if isinstance(atom, Value)}
    kept: list[Equation] = []
    for eqn in reversed(graph.equations):
        if not needed.intersection(eqn.outputs):
            continue
        eqn = LIVE[eqn.primitive](eqn, needed) if eqn.primitive in LIVE else eqn
        kept.append(eqn)
        needed.update(atom for atom in eqn.inputs if isinstance(atom, Value))
    constants = {value: array for value, array in graph.constants.items() if value in needed}
    return Graph(graph.inputs, tuple(reversed(kept)), graph.outputs, constants)


def live_scan(eqn: Equation, needed: set[Value]) -> Equation:
    """Drops outputs per step that nobody reads, carries that influence nothing kept, and then inputs."""
    scan: ScanParams = eqn.params["scan"]
    c, n = scan.consts, scan.carries
    inputs, outputs = scan.body.inputs, scan.body.outputs
    ys = [k for k in range(n, len(outputs)) if eqn.outputs[k] in needed]
    carries = {k for k in range(n) if eqn.outputs[k] in needed}
    while True:
        wanted = [outputs[k] for k in (*sorted(carries), *ys)]
        body = live(Graph(inputs, scan.body.equations, tuple(wanted)))
        read = {atom for e in body.equations for atom in e.inputs} | set(wanted)
        more = {k for k in range(n) if inputs[c + k] in read} | carries
        if more == carries:
            break
        carries = more
    kept = sorted(carries)
    slots = [
        k
        for k in range(len(inputs))
        if (c <= k < c + n and k - c in carries) or (not c <= k < c + n and inputs[k] in read)
    ]
    body = replace(body, inputs=tuple(inputs[k] for k in slots))
    scan = replace(scan, body=body, consts=sum(k < c for k in slots), carries=len(kept))
    return replace(
        eqn,
        inputs=tuple(eqn.inputs[k] for k in slots),
        outputs=tuple(eqn.outputs[k] for k in (*kept, *ys)),
        params={"scan": scan},
    )


def live_while(eqn: Equation, needed: set[Value]) -> Equation:
    """Drops carries that influence nothing kept, and then inputs."""
    params: WhileParams = eqn.params["while"]
    body, consts = params.body, params.consts
    before, after = body.inputs[consts:], body.outputs[:-1]
    carries = {k for k, value in enumerate(eqn.outputs) if value in needed}
    while True:
        wanted = (*(after[k] for k in sorted(carries)), params.going)
        kept = live(Graph(body.inputs, body.equations, wanted))
        read = {atom for e in kept.equations for atom in e.inputs} | set(wanted)
        more = {k for k, value in enumerate(before) if value in read} | carries
        if more == carries:
            break
        carries = more
    slots = [k for k, value in enumerate(body.inputs) if value in read or k - consts in carries]
    params = WhileParams(replace(kept, inputs=tuple(body.inputs[k] for k in slots)), sum(k < consts for k in slots))
    outputs = tuple(eqn.outputs[k] for k in sorted(carries))
    return replace(eqn, inputs=tuple(eqn.inputs[k] for k in slots), outputs=outputs, params={"while": params})


LIVE = {"scan": live_scan, "while": live_while}
