"""Calling a net: its forward as one compiled call, recorded in training, and its backward as another.

    forward    out, changes, residuals = f(parameters, ...)   in training; without residuals in evaluation
    backward   gradients = vjp(grad) + old gradients          one for each recorded call, the last one first

The records are those of the calls since the last reset: what a neuron carries from call to call is
    differentiated too.
"""

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import numpy as np
from jax import numpy as jnp

from ..errors import ShapeError, StateError
from ..runtime import Array, Jit, jit
from ..runtime.trace import is_tracing
from .arrays import checked, is_nested
from .layout import Layout, Variables
from .random import source
from .residuals import Residuals
from .silence import Silence, longer

if TYPE_CHECKING:
    from .module import Module


class Record(NamedTuple):
    """One call in training."""

    residuals: Residuals
    out: tuple[tuple[int, ...], Any] | None  # the shape and dtype of its output; None: it was not one array
    states: tuple  # (name, shape, dtype) of each float that the neurons' states held after it
    variables: Variables  # that it was called with
    learned: dict[str, Any]  # the parameters that are learned
    follows: tuple[str, ...]  # the layers whose states it found as the record before had left them
    mark: object  # what tells a layer that this call left its state


class Compiled(NamedTuple):
    """What is compiled for a net as it is set up now."""

    forward: Jit
    backward: Jit


class Calls:
    """The compiled calls of a net, and the records of those in training."""

    def __init__(self, net: "Module") -> None:
        self._net = net
        self._layout: Layout | None = None
        self._edits = -1
        self._compiled: dict[tuple, Compiled] = {}
        self._records: list[Record] = []
        self._without = "in training yet"  # why there is no record
        self.silence = Silence()

    # Forward ------------------------------------------------------------------------------------------------

    def forward(self, inputs: tuple) -> Any:
        """See `Module.__call__`."""
        if is_tracing():
            raise StateError(
                "a module was called inside a function that JAX traces: it would keep a tracer as its state. "
                "Use nn.functional_call(net, parameters, x), which is pure."
            )
        layout = self.layout
        inputs = _checked(inputs, layout)
        key = source.key_data() if layout.draws else None
        if self._net.training:
            return self._train(layout, inputs, key)
        variables = layout.on_device()
        steady = variables._replace(states={})
        out, states, buffers = self.compiled(layout).forward(steady, variables.states, inputs, key)
        self._leave(layout, states, buffers, None)
        self.forget("in training: the last one was in evaluation mode, train() ends that")
        return out

    def _train(self, layout: Layout, inputs: tuple, key: Any) -> Any:
        self._refuse_spent(layout)
        variables = layout.on_device()
        learned = {n: d for n, d in variables.parameters.items() if layout.parameters[n].requires_grad}
        silent_for = self.silence.before(layout)
        ran = self.compiled(layout).forward(variables, inputs, key, learned, silent_for)
        out, states, buffers, residuals, silent_for = ran
        self.silence.after(silent_for, stacklevel=5)
        if all(state is None for state in variables.states.values()):
            self._records.clear()
        kept = tuple((name, leaf.shape, leaf.dtype) for name, leaf in _floats(states)[0].items())
        last, mark = self._records[-1].mark if self._records else None, object()
        follows = tuple([name for name, node in layout.nodes.items() if last and node._mark is last])
        self._records.append(Record(residuals, _aval(out), kept, variables, learned, follows, mark))
        self._leave(layout, states, buffers, mark)
        return out

    @staticmethod
    def _leave(layout: Layout, states: dict[str, Any], buffers: dict[str, Any], mark: object) -> None:
        """Puts what a call changed into the modules."""
        layout.write_changes(states, buffers)
        for node in layout.nodes.values():
            vars(node)["_mark"] = mark

    def _refuse_spent(self, layout: Layout) -> None:
        for name, node in layout.nodes.items():
            if node._spent and node._state is not None:
                which = f'layer "{name}" ({type(node).__name__})' if name else f"this {type(node).__name__}"
                raise StateError(
                    f"the state of {which} was already used by backward: "
                    "another forward in training would start from it. Call F.reset_net(net) before a new "
                    "sequence; or, to go on from this state without its gradient (truncated "
                    "backpropagation), F.detach_net(net)."
                )

    # Backward -----------------------------------------------------------------------------------------------

    def backward(self, grad: Any) -> Any:
        """See `Module.backward`."""
        records, layout = self._records, self.layout
        if not records:
            raise StateError(f"backward has no forward to go through: there was none {self._without}.")
        for record in records:
            self._refuse_changed(record.variables.parameters)
        grads, share = _shared(checked(grad, "grad", layout.device), records, layout)
        backward, carried, inputs = self.compiled(layout).backward, {}, []
        grad_of = {name: p.grad for name, p in layout.parameters.items() if p.grad is not None}
        for record, part in zip(reversed(records), reversed(grads), strict=True):
            vjp = record.residuals.vjp((record.variables, record.learned))
            summed, earlier, given = backward(vjp, part, carried, grad_of, record.out, record.states, share)
            follows = tuple(f"[{name!r}]" for name in record.follows)  # as paths begin
            carried = {path: g for path, g in earlier.items() if path.startswith(follows)}
            grad_of |= summed
            inputs.insert(0, given)
        for name, total in grad_of.items():  # at the end: an error on the way leaves all as it was
            layout.parameters[name].grad = total
        for node in layout.nodes.values():
            vars(node)["_spent"] = True
        self.forget("since the last backward")
        return _joined(inputs) if _single_steps(layout) else _alone(inputs[-1])

    def _refuse_changed(self, parameters: dict[str, Any]) -> None:
        for name, parameter in self.layout.parameters.items():
            if parameter.data is not parameters.get(name):
                raise StateError(
                    f'the parameter "{name}" was changed between forward and backward, which needs its old '
                    "values. Call backward first, then change it or step the optimizer."
                )

    def forget(self, when: str) -> None:
        """Drops the records; `when` ends the sentence that says so."""
        self._records.clear()
        self._without = when

    # Compiling ----------------------------------------------------------------------------------------------

    @property
    def layout(self) -> Layout:
        """The net's layout, made anew after an attribute of any module was set."""
        edits = type(self._net)._edits
        if self._layout is None or edits != self._edits:
            layout, self._edits = Layout(self._net), edits
            if self._layout is not None:
                layout.inherit(self._layout)
            self._layout = layout
        return self._layout

    def compiled(self, layout: Layout) -> Compiled:
        """The compiled calls for the choices of the modules as they are."""
        setting = layout.choices, layout.device
        found = self._compiled.get(setting)
        if found is None:
            if self._net.training:
                forward = jit(_trained(layout), device=layout.device)
            else:
                forward = jit(_evaluated(layout), device=layout.device, steady_argnums=0)
            backward = jit(_backward, device=layout.device, static_argnums=(4, 5, 6))
            found = self._compiled[setting] = Compiled(forward, backward)
        return found


def _checked(inputs: tuple, layout: Layout) -> tuple:
    """The inputs of a net, as arrays; nested lists of numbers are one, not one a number."""
    names = ["x"] if len(inputs) == 1 else [f"input {k}" for k in range(len(inputs))]
    return tuple(
        jax.tree.map(functools.partial(checked, name=name, device=layout.device), given, is_leaf=is_nested)
        for name, given in zip(names, inputs, strict=True)
    )


def _evaluated(layout: Layout) -> Any:
    def forward(steady: Variables, states: dict[str, Any], inputs: tuple, key: Any) -> Any:
        ran = layout.run(steady._replace(states=states), inputs, key)
        return ran.out, ran.states, ran.buffers

    return forward


def _trained(layout: Layout) -> Any:
    def forward(variables: Variables, inputs: tuple, key: Any, learned: dict, silent_for: list) -> Any:
        states, with_states = _floats(variables.states)
        values, with_values = _floats(inputs)

        def pure(learned: dict[str, Any], states: dict[str, Any], values: dict[str, Any]) -> Any:
            parameters = variables.parameters | learned
            given = variables._replace(parameters=parameters, states=with_states(states))
            ran = layout.run(given, with_values(values), key)
            changes = ran.states, ran.buffers, longer(layout, silent_for, ran.fired)
            return (ran.out, _floats(ran.states)[0]), changes

        (out, _), vjp, (new_states, buffers, silent_for) = jax.vjp(pure, learned, states, values, has_aux=True)
        return out, new_states, buffers, Residuals.of(vjp, (variables, learned)), silent_for

    return forward


def _backward(vjp: Any, grad: Any, carried: dict, old: dict, out: tuple, states: tuple, share: int) -> Any:
    """One record's gradients: by the parameters, added to the old ones; by the states before it; by its
    input.

    Args:
        vjp: The record's.
        grad: By its output, or (then broadcast) by a mean that this output has a part in.
        carried: By the states that it left, as far as the next record started from them.
        old: The gradients to add to.
        out: The shape and dtype of its output.
        states: Name, shape and dtype of each state.
        share: How many parts the mean has.
    """
    shape, dtype = out
    g_out = jnp.broadcast_to(grad / share if share > 1 else grad, shape).astype(dtype)
    g_states = {name: carried.get(name, jnp.zeros(shape, dtype)) for name, shape, dtype in states}
    learned, earlier, values = vjp((g_out, g_states))
    return {name: g + old[name] if name in old else g for name, g in learned.items()}, earlier, values


def _floats(tree: Any) -> tuple[dict[str, Any], Callable[[dict[str, Any]], Any]]:
    """The leaves of a tree that can be differentiated, by name; and a function from such to a whole tree."""
    leaves, structure = jax.tree_util.tree_flatten_with_path(tree)
    named = {jax.tree_util.keystr(path): leaf for path, leaf in leaves}
    floats = {name: leaf for name, leaf in named.items() if jnp.issubdtype(leaf.dtype, jnp.floating)}

    def whole(floats: dict[str, Any]) -> Any:
        return jax.tree_util.tree_unflatten(structure, list((named | floats).values()))

    return floats, whole


def _single_steps(layout: Layout) -> bool:
    """Whether the net has neurons and takes one step at a time."""
    return bool(layout.nodes) and not layout.sequences


def _aval(out: Any) -> tuple[tuple[int, ...], Any] | None:
    return (out.shape, out.dtype) if type(out) is Array else None


def _shared(grad: Any, records: list[Record], layout: Layout) -> tuple[list[Any], int]:
    """The gradient of each record, and how many parts the mean has that it is by (1: it is by no mean).

    Raises:
        ShapeError: The gradient has another shape than the output, or than its mean over time.
    """
    if records[-1].out is None:
        raise ShapeError(
            "the net's forward returned something else than one array, and backward goes back from one. Return "
            "one array; or differentiate nn.functional_call(net, parameters, x) with jax.vjp."
        )
    calls, out = len(records), records[-1].out[0]
    if _single_steps(layout):
        if grad.shape == out:
            return [grad] * calls, calls
        if grad.shape == (calls, *out):
            return [grad[k] for k in range(calls)], 1
        expected = f"{(calls, *out)}, as the output of {calls} calls, or {out}, as its mean over the calls"
    else:
        none = [np.float32(0)] * (calls - 1)
        if grad.shape == out:
            return [*none, grad], 1
        if layout.sequences and grad.shape == out[1:]:
            return [*none, grad], out[0]
        expected = f"{out}, as the net's last output"
        expected += f", or {out[1:]}, as its mean over time," if layout.sequences else ","
    raise ShapeError(f"grad has shape {grad.shape}: {expected} was expected.")


def _joined(inputs: list[dict[str, Any]]) -> Any:
    """The gradients by the inputs of several calls, stacked."""
    return _alone({name: np.stack([given[name] for given in inputs]) for name in inputs[0]})


def _alone(given: dict[str, Any]) -> Any:
    """The gradient by the input; by each of several; None where no input was a float."""
    values = tuple(given.values())
    return values[0] if len(values) == 1 else values or None
