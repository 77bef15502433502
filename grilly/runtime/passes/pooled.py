"""Pooling that a scan does by the way: of what is read in windows alone, only what is folded is stored.

An invocation owns whole windows: some rows of neighbours. Windows lie side by side and cover each element once.
"""

from dataclasses import replace

from ..ir import Aval, Equation, Graph, ScanParams, Value, Window
from ..kernels import scan
from ..kernels.views import SAME_PLACE
from ..rewrite import Editor

MOST = 4  # rows of four elements that an invocation has registers for
FOLDS = {f"reduce_window_{name}": f"reduce_{name}" for name in ("max", "min", "sum")}


def pooled(graph: Graph) -> Graph:
    """The graph where such scans fold windows themselves."""
    editor, gone = Editor(graph), set[Value]()
    for eqn in graph.equations:
        found = None if "scan" not in eqn.params else _found(graph, eqn)
        if found:
            window, views, pool = found
            gone.update(value for view in views for value in view.outputs)
            editor.keep(_folding(eqn, window, pool))
            value = editor.equations[-1].outputs[window.output]
            editor.renamed[pool.outputs[0]] = editor.make("reshape", [value], pool.outputs[0].shape, pool)
        elif not any(value in gone or value in editor.renamed for value in eqn.outputs):
            editor.keep(eqn)
    return editor.done()


def _found(graph: Graph, eqn: Equation) -> tuple[Window, list[Equation], Equation] | None:
    """The windows of one output that a scan can fold, the views between, and the equation that folds them."""
    params: ScanParams = eqn.params["scan"]
    if params.replay or scan.scan_kind(eqn) != "scan" or not scan.has_neighbours(params):
        return None
    for output in range(params.carries, len(params.body.outputs) - params.saved):
        value, views = eqn.outputs[output], []
        while value not in graph.outputs and len(readers := graph.consumers.get(value, [])) == 1:
            (reader,) = readers
            if reader.primitive in FOLDS and (window := _window(params, output, reader)):
                return window, views, reader
            if reader.primitive not in SAME_PLACE:
                break
            views.append(reader)
            value = reader.outputs[0]
    return None


def _window(params: ScanParams, output: int, pool: Equation) -> Window | None:
    """The windows, if an invocation's rows of four elements hold whole ones."""
    shape, domain, windows = tuple(pool.inputs[0].shape), scan.domain(params), pool.params
    dimensions, ones = tuple(windows["window_dimensions"]), (1,) * len(shape)
    beside = dimensions == tuple(windows["window_strides"]) and not any(map(any, windows["padding"]))
    dense = all(tuple(windows.get(name, ones)) == ones for name in ("base_dilation", "window_dilation"))
    alike = params.body.outputs[output].shape == domain and len(domain) > 1 and shape[-2:] == domain[-2:]
    if not (beside and dense and alike) or set(dimensions[:-2]) - {1}:
        return None
    (high, wide), (rows, columns) = list(domain[-2:]), dimensions[-2:]
    whole = high % rows == 0 and wide % scan.NEIGHBOURS == 0 and scan.NEIGHBOURS % columns == 0
    return Window(output, FOLDS[pool.primitive], rows, columns) if whole and rows <= MOST else None


def _folding(eqn: Equation, window: Window, pool: Equation) -> Equation:
    """The scan that puts out what windows fold."""
    params: ScanParams = eqn.params["scan"]
    domain, outputs = scan.domain(params), list(eqn.outputs)
    shape = (params.length, *domain[:-2], domain[-2] // window.rows, domain[-1] // window.columns)
    outputs[window.output] = Value(Aval(shape, pool.outputs[0].dtype))
    return replace(eqn, outputs=tuple(outputs), params={"scan": replace(params, window=window)})
