"""A pass over scans and whiles: carries of a few numbers for each element are carried one by one.

A random key is two words, or four. A step that draws numbers works on each element by itself, but for the words of its
keys; with a carry for each word, it is a loop in registers.
"""

from collections.abc import Sequence
from dataclasses import replace

from ..ir import Atom, Aval, Equation, Graph, ScanParams, Value, WhileParams, with_body
from ..kernels.scan import scan_kind
from ..rewrite import Editor

WORDS = (2, 4)  # of a random key


def taken_apart(graph: Graph) -> Graph:
    """The graph with such carries apart, wherever that makes a loop one in registers."""
    editor = Editor(graph)
    for eqn in graph.equations:
        eqn = with_body(eqn, taken_apart)
        if eqn.primitive in ("scan", "while") and scan_kind(eqn) == "loop":
            trial = Editor(graph)
            trial.renamed = editor.renamed
            split = _split(trial, eqn)
            if scan_kind(split) != "loop":
                editor.equations += [*trial.equations, split]
                _rename(editor, eqn, split)
                continue
        editor.keep(eqn)
    return editor.done()


def _split(editor: Editor, eqn: Equation) -> Equation:
    """The equation with a carry for each word."""
    (name, params), *_ = eqn.params.items()
    step: ScanParams = params.step if isinstance(params, WhileParams) else params
    first, last = step.consts, step.consts + step.carries
    body = Editor(step.body)
    rank = _rank(params)
    carried: list[Value] = []
    for value in step.body.inputs[first:last]:
        words = [Value(aval) for aval in _avals(value, rank)]
        carried += words or [value]
        if words:
            body.renamed[value] = _joined(body, words, value, eqn)
    for inner in step.body.equations:
        body.keep(inner)
    before = step.body.inputs[first:last]
    after = _apart(body, map(body.now, step.body.outputs[: step.carries]), before, eqn, rank)
    others = tuple(map(body.now, step.body.outputs[step.carries :]))
    inputs = (*step.body.inputs[:first], *carried, *step.body.inputs[last:])
    params = replace(params, body=Graph(inputs, tuple(body.equations), (*after, *others)))
    if isinstance(params, ScanParams):
        params = replace(params, carries=len(carried))
    operands = [editor.now(atom) for atom in eqn.inputs]
    operands[first:last] = _apart(editor, operands[first:last], before, eqn, rank)
    results = [Value(value.aval) for value in (*carried, *eqn.outputs[step.carries :])]
    return replace(eqn, inputs=tuple(operands), outputs=tuple(results), params={name: params})


def _rename(editor: Editor, eqn: Equation, split: Equation) -> None:
    """What the results of the equation are, given those of the split one."""
    results = list(split.outputs)
    params = next(iter(eqn.params.values()))
    carries = len(eqn.outputs) if isinstance(params, WhileParams) else params.carries
    rank = _rank(params)
    for k, value in enumerate(eqn.outputs):
        words = len(_avals(value, rank)) if k < carries else 0
        mine, results = results[: max(words, 1)], results[max(words, 1) :]
        editor.renamed[value] = _joined(editor, mine, value, eqn) if words else mine[0]


def _rank(params: ScanParams | WhileParams) -> int:
    """How many axes in front are none of words: those of the parts of a while's carry, each of which ends by itself."""
    return len(params.going.shape) if isinstance(params, WhileParams) else 0


def _avals(value: Atom, rank: int) -> list[Aval]:
    """Those of the words that a carry is made of; none where it stays whole."""
    if len(value.shape) <= rank or value.shape[-1] not in WORDS:
        return []
    return [Aval(value.shape[:-1], value.dtype)] * value.shape[-1]


def _apart(
    editor: Editor, atoms: "Sequence[Atom] | map[Atom]", before: Sequence[Value], like: Equation, rank: int
) -> list[Atom]:
    """Each atom that is in the place of a carry, or its words."""
    found: list[Atom] = []
    for atom, value in zip(atoms, before, strict=True):
        for word, aval in enumerate(_avals(value, rank)):
            start, limit = (*(0,) * len(aval.shape), word), (*value.shape[:-1], word + 1)
            shape = (*aval.shape, 1)
            piece = editor.make("slice", [atom], shape, like, start_indices=start, limit_indices=limit)
            found.append(editor.make("reshape", [piece], aval.shape, like))
        if not _avals(value, rank):
            found.append(atom)
    return found


def _joined(editor: Editor, words: Sequence[Value], value: Value, like: Equation) -> Value:
    pieces = [editor.make("reshape", [word], (*word.shape, 1), like) for word in words]
    return editor.make("concatenate", pieces, value.shape, like, dimension=len(value.shape) - 1)
