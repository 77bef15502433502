"""What of a net goes through its compiled calls as arguments and results: the one place that puts arrays into
modules.

A compiled call takes `Variables`, puts them (JAX's tracers, then) into the modules, runs `forward`, and takes
out what it changed. So modules are written as if they simply held arrays, and yet no value is ever a constant
of a kernel.
"""

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import numpy as np
from jax.core import Tracer

from ..errors import GrillyError, ParameterError
from ..functional.arguments import as_key
from ..runtime import Array, Device, default_device, put
from .running import Running, running

if TYPE_CHECKING:
    from .module import Module


# Attributes of a module that no trace reads.
OWN = frozenset({"_calls", "_device", "_mark", "_spent", "_state", "_tree"})


class Variables(NamedTuple):
    """The arrays of a net, by name."""

    parameters: dict[str, Any]
    buffers: dict[str, Any]
    constants: list[Any]  # the leaves of all pure functions, such as F.LIFParams or a surrogate
    states: dict[str, Any]  # of each module that keeps one; None before its first step


class Ran(NamedTuple):
    """What a call of a net computed, and what it changed."""

    out: Any
    states: dict[str, Any]
    buffers: dict[str, Any]
    fired: dict[str, tuple[jax.Array, int]]  # the sum of a neuron's spikes, and the steps it is a sum over
    started: dict[str, Any]  # the states that the neurons started from


class Layout:
    """Where the arrays of a net are, as long as no attribute of a module is set.

    Attributes:
        names: The name of each module, by `id`.
        nodes: The modules that keep a state, by name.
        sequences: Whether the net takes sequences: a module outside of a MultiStepContainer is in step mode
            'm'.
        draws: Whether a module draws random numbers.
        choices: Everything that a trace depends on and that is no argument: hashable.
    """

    def __init__(self, net: "Module") -> None:
        self.net = net
        modules = dict(net.named_modules())
        self.names = {id(module): name for name, module in modules.items()}
        self.nodes = {name: module for name, module in modules.items() if hasattr(module, "initial_state")}
        self.sequences = any(getattr(module, "step_mode", "s") == "m" for module in modules.values())
        self.draws = any(module.random and module.training for module in modules.values())
        self.parameters = dict(net.named_parameters())
        self.buffers = dict(net.named_buffers())
        self._functions = {
            f"{name}.{attribute}": (module, attribute)
            for name, module in modules.items()
            for attribute, value in vars(module).items()
            if _holds_leaves(value)
        }
        self._structure = jax.tree.structure(self._pure_functions())
        self.choices = tuple((name, type(module), *_choices(module)) for name, module in modules.items())
        self._placed: dict[str, tuple[Any, list[Array]]] = {}

    def read(self) -> Variables:
        """What the modules hold now."""
        return self._read(jax.tree.leaves(self._pure_functions()))

    def _read(self, constants: list[Any]) -> Variables:
        return Variables(
            {name: parameter.data for name, parameter in self.parameters.items()},
            {name: buffer.data for name, buffer in self.buffers.items()},
            constants,
            {name: node._state for name, node in self.nodes.items()},
        )

    def _pure_functions(self) -> list[Any]:
        return [getattr(*place) for place in self._functions.values()]

    def write(self, variables: Variables) -> None:
        """Puts arrays into the modules."""
        for name, value in variables.parameters.items():
            self.parameters[name].data = value
        self._set(jax.tree.unflatten(self._structure, variables.constants))
        self.write_changes(variables.states, variables.buffers)

    def _set(self, pure_functions: list[Any]) -> None:
        for place, value in zip(self._functions.values(), pure_functions, strict=True):
            object.__setattr__(*place, value)  # no edit: it is the same attribute

    def write_changes(self, states: dict[str, Any], buffers: dict[str, Any]) -> None:
        """Puts what a call changes into the modules."""
        for name, value in buffers.items():
            self.buffers[name].data = value
        for name, value in states.items():
            vars(self.nodes[name])["_state"] = value

    def at_rest(self) -> dict[str, Any]:
        """The states before the first step."""
        return dict.fromkeys(self.nodes)

    # On the device ------------------------------------------------------------------------------------------

    def on_device(self) -> Variables:
        """What the modules hold, as Arrays."""
        self.place()
        return self._read(self.constants)

    def place(self) -> None:
        """What is still on the host moves to the net's device for good."""
        for held in (*self.parameters.values(), *self.buffers.values()):
            if type(held.data) is not Array:
                held.data = put(held.data, self.device)

    @functools.cached_property
    def constants(self) -> list[Array]:
        """The leaves of all pure functions, on the device."""
        for name, value in zip(self._functions, self._pure_functions(), strict=True):
            if name not in self._placed or self._placed[name][0] is not value:
                leaves = [put(np.asarray(leaf, np.float32), self.device) for leaf in jax.tree.leaves(value)]
                self._placed[name] = value, leaves
        return [leaf for name in self._functions for leaf in self._placed[name][1]]

    @functools.cached_property
    def packed(self) -> list[Array]:
        """As `constants`, with all numbers in one array: a call costs the host less the fewer arrays it takes."""
        numbers = [leaf for leaf in jax.tree.leaves(self._pure_functions()) if not np.shape(leaf)]
        return [put(np.array(numbers, np.float32), self.device), *(leaf for leaf in self.constants if leaf.shape)]

    def unpacked(self, packed: list[Any]) -> list[Any]:
        """The constants, of what `packed` is in a compiled call."""
        numbers, arrays = iter(packed[0]), iter(packed[1:])
        return [next(arrays if leaf.shape else numbers) for leaf in self.constants]

    def inherit(self, older: "Layout") -> None:
        """Takes over the constants that another layout of the net has on the device."""
        if older.device is self.device:
            self._placed = older._placed

    @functools.cached_property
    def device(self) -> Device:
        """Where the net is: where it was moved to, else where its parameters are, else the default device."""
        if self.net._device is not None:
            return self.net._device
        held = (parameter.data for parameter in self.parameters.values())
        return next((data.device for data in held if type(data) is Array), None) or default_device()

    # Running ------------------------------------------------------------------------------------------------

    def run(self, variables: Variables, inputs: tuple, key: Any = None, forward: Callable | None = None) -> Ran:
        """The net as a pure function: `forward` on these arrays. The modules are left as they were.

        Raises:
            ParameterError: `forward` set the data of a parameter.
        """
        outer, current = running.get(), Running(self.names, key)
        try:
            with self._holding(variables, current):
                out = (forward or self.net.forward)(*inputs)
                after = self.read()
                _refuse_set(variables.parameters, after.parameters)
        except GrillyError as error:
            self._say_where(error, current.failed, outer)
            raise
        fired = {self.names[module]: counted for module, counted in current.fired.items()}
        started = {self.names[module]: state for module, state in current.started.items()}
        return Ran(out, after.states, after.buffers, fired, started)

    @contextlib.contextmanager
    def _holding(self, variables: Variables, current: Running) -> Iterator[None]:
        """In it the modules hold these arrays."""
        before, pure_functions, token = self.read(), self._pure_functions(), running.set(current)
        try:
            self.write(variables)
            yield
        finally:
            self.write(before)
            self._set(pure_functions)  # the very same ones
            running.reset(token)

    def _say_where(self, error: GrillyError, failed: "Module | None", outer: Running | None) -> None:
        """Adds to an error the layer that it happened in; in a net within a net, the outer one does."""
        if outer is not None:
            outer.failed = outer.failed or failed
        elif failed is not None:
            error.add_note(f'in layer "{self.names.get(id(failed), "?")}": {failed._line()}')


def functional_call(
    net: "Module", parameters: dict[str, Any], x: Any, state: dict[str, Any] | None = None, key: Any = None
) -> tuple[Any, dict[str, Any]]:
    """A net as a pure function of its parameters and its state, for `jax.grad`, `jax.jit` and `grilly.jit`.

    Args:
        net: A module. It is left as it is.
        parameters: By the names of `named_parameters()`; a name left out stands for the net's own value.
        x: The input.
        state: What the call before returned; None for neurons at rest and the net's own buffers.
        key: A random key, `jax.random.key(seed)`, if the net draws random numbers in training, as dropout does.

    Returns:
        The output, and what the call changed: the neurons' states and the buffers, by name.

    Raises:
        ParameterError: A name in `parameters` or `state` is unknown; or the net draws random numbers and has
            no key, or `key` is none.

    Example:
        >>> import jax, numpy as np
        >>> from grilly import nn
        >>> net = nn.Sequential(nn.Linear(3, 2), nn.LIFNode())
        >>> def loss(parameters, x):
        ...     spikes, state = functional_call(net, parameters, x)
        ...     return spikes.sum()
        >>> weights = {name: p.data for name, p in net.named_parameters()}
        >>> jax.grad(loss)(weights, np.ones((4, 3), np.float32))["0.weight"].shape
        (2, 3)
    """
    layout, state = Layout(net), dict(state or {})
    if layout.draws and key is None:
        raise ParameterError(
            "the net draws random numbers in training and has no key: pass key=jax.random.key(seed), or call "
            "net.eval() first."
        )
    found = layout.read()
    unknown = [*(parameters.keys() - found.parameters.keys())]
    unknown += state.keys() - found.states.keys() - found.buffers.keys()
    if unknown:
        known = ", ".join((*found.parameters, *found.states, *found.buffers))
        raise ParameterError(f"the net has nothing named {', '.join(sorted(unknown))}: its names are {known}.")
    variables = Variables(
        _as_jax(found.parameters) | parameters,
        _as_jax(found.buffers) | {name: state[name] for name in found.buffers if name in state},
        found.constants,
        {name: state.get(name) for name in found.states},
    )
    data = None if key is None else jax.random.key_data(as_key(key))
    ran = layout.run(variables, (x,), data)
    return ran.out, ran.states | ran.buffers


def _refuse_set(given: dict[str, Any], after: dict[str, Any]) -> None:
    """Refuses a `forward` that set parameters: a call returns what buffers became, and parameters are as they were.

    Raises:
        ParameterError: It names the first.
    """
    for name, value in given.items():
        if after[name] is not value:
            raise ParameterError(
                f'forward set the data of the parameter "{name}", which would be lost: optimizers change parameters. '
                "Keep new values in a variable; or make it a nn.Buffer, which forward may set."
            )


def _as_jax(arrays: dict[str, Any]) -> dict[str, Any]:
    return {name: jax.numpy.asarray(array) for name, array in arrays.items()}


def _holds_leaves(value: Any) -> bool:
    """Whether a value is the leaves of a pure function: a dataclass that JAX takes apart."""
    return dataclasses.is_dataclass(value) and not jax.tree_util.all_leaves([value])


def _choices(module: "Module") -> tuple:
    """What decides a module's trace beside its arrays: its other attributes, by value where they have one."""
    return tuple((name, _hashable(value)) for name, value in vars(module).items() if name not in OWN)


def _hashable(value: Any) -> Any:
    """What is equal for values of which a trace makes the same; a list that was changed in place is another."""
    if _holds_leaves(value):
        return jax.tree.structure(value)
    if isinstance(value, list | tuple):
        return type(value), tuple(map(_hashable, value))
    if isinstance(value, dict):
        return type(value), tuple((key, _hashable(item)) for key, item in value.items())
    if isinstance(value, np.ndarray) and not value.dtype.hasobject:
        return value.shape, value.dtype.str, value.tobytes()
    if isinstance(value, Tracer):
        return Tracer  # what a forward has set: of an earlier trace, and no other can use it
    if isinstance(value, float):
        return type(value), value.hex()  # 0.0 and -0.0 are not the same, and NaN is
    try:
        hash(value)
    except TypeError:
        return _Same(value)
    return type(value), value


class _Same:
    """Equal to what holds the same object, which it keeps: its address is nobody else's."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other._value is self._value

    def __hash__(self) -> int:
        return id(self._value)
