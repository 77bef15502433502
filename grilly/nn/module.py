"""`Module`: a tree of layers that hold arrays. What calling one does is in `calls`; no arithmetic here."""

import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self

import jax
import numpy as np

from ..errors import DataError, GrillyError, ParameterError
from ..functional.arguments import check_step_mode
from ..runtime import Array, Device, find_device
from .calls import Calls
from .parameter import Buffer, Parameter
from .running import Running, running


class Module:
    """The base of everything that can be called in a net: layers, neurons, containers, your own.

    Attributes that are a `Module`, a `Parameter`, a `Buffer`, or the leaves of a pure function
    (`F.LIFParams`, a surrogate) are found by themselves. Calling a net runs its whole `forward` as one
    compiled call; within it, modules and functions of `grilly.functional` and `jax.numpy` combine freely.
    `forward` runs in Python only when a call has new shapes, or after an attribute of a module was set; so it
    must be pure. While a call is traced the modules hold JAX's tracers: a net belongs to one thread at a time.

    Attributes:
        training: Whether calls are recorded for `backward`, and dropout and batch normalization train.
        random: True in a class whose `forward` calls `random_key()` in training.

    Example:
        >>> import numpy as np
        >>> from grilly import functional as F, nn
        >>> class Residual(nn.Module):
        ...     def __init__(self, features):
        ...         self.inner = nn.Linear(features, features)
        ...     def forward(self, x):
        ...         return x + F.relu(self.inner(x))
        >>> Residual(4)(np.ones((2, 4), np.float32)).shape
        (2, 4)
    """

    training: bool
    random = False
    _state: Any
    _spent: bool  # whether backward has gone through the calls that led to the state
    _mark: object  # of the recorded call that left the state; None where backward must not go on to it
    _device: Device | None
    _edits = 0  # attributes set so far, of all modules: what was derived from them may be out of date

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Sets what every module has, so that a class of yours need not call `super().__init__()`."""
        self = super().__new__(cls)
        vars(self).update(training=True, _state=None, _spent=False, _mark=None, _device=None)
        return self

    def __setattr__(self, name: str, value: Any) -> None:
        held = vars(self).get(name)
        if isinstance(held, Parameter | Buffer) and not isinstance(value, Parameter | Buffer | None):
            kind = type(held).__name__
            raise ParameterError(
                f"{name} of this {type(self).__name__} is a {kind}, and a {type(value).__name__} in its place would be "
                f"neither learned nor saved. Set its data, module.{name}.data = array; or another nn.{kind}(array)."
            )
        object.__setattr__(self, name, value)
        Module._edits += 1
        if isinstance(value, Parameter):
            value.name = name

    def forward(self, *inputs: Any, **_: Any) -> Any:
        """What the module computes, in pure functions of arrays. Override it; call the module itself."""
        raise NotImplementedError(f"{type(self).__name__} has no method forward: write forward(self, x).")

    def __call__(self, *inputs: Any) -> Any:
        """Runs `forward`: as one compiled call, or as a part of the call of the net that this belongs to.

        Returns:
            What `forward` returns, with `grilly.Array` as arrays.

        Raises:
            StateError: In training, the state of a neuron was used by `backward` already; or the call is
                inside a function that JAX traces, where `functional_call` belongs.
            ShapeError: The input does not fit, or the neurons' state has another batch size.
        """
        current = running.get()
        if current is None:
            return self.compiled_calls.forward(inputs)
        self._refuse_stranger(current)
        try:
            with jax.named_scope(current.names.get(id(self), type(self).__name__).rpartition(".")[2]):
                return self.forward(*inputs)
        except GrillyError:
            current.failed = current.failed or self
            raise

    def _refuse_stranger(self, current: Running) -> None:
        """Refuses to run, within a net that does not know this module, what the net would have to hold."""
        if id(self) in current.names or not (self._held() or any(hasattr(m, "step_mode") for m in self.modules())):
            return
        raise ParameterError(
            f"forward calls a {type(self).__name__} that is no attribute of a module: the net does not know its "
            "parameters, and would never learn them. Set it as an attribute, self.name = module, in __init__; "
            "several of them go into one nn.Sequential."
        )

    def backward(self, grad: Any) -> Any:
        """Propagates a gradient back through the calls since the last `F.reset_net`, and adds to each
        `.grad`.

        Args:
            grad: The loss's derivative by the output of the last call, in its shape. If that is a sequence
                `(T, N, *)`, `(N, *)` is taken as well: the derivative by the output's mean over time. In step
                mode 's' the output is that of all calls: `(calls, N, *)`, or `(N, *)` by the mean over the
                calls.

        Returns:
            The derivative by the input; in step mode 's' by the inputs of all calls, `(calls, N, *)`.

        Raises:
            ShapeError: `grad` has another shape.
            StateError: There is no recorded call: none in training, or `backward` ran through it already. Or
                a parameter was changed since.

        Example:
            >>> import numpy as np
            >>> from grilly import nn
            >>> layer = nn.Linear(3, 2)
            >>> y = layer(np.ones((4, 3), np.float32))
            >>> layer.backward(np.ones_like(y)).shape, np.asarray(layer.bias.grad).tolist()
            ((4, 3), [4.0, 4.0])
        """
        return self.compiled_calls.backward(grad)

    @property
    def compiled_calls(self) -> Calls:
        """The compiled calls of the net, and the records of those in training."""
        if "_calls" not in vars(self):
            vars(self)["_calls"] = Calls(self)
        return vars(self)["_calls"]

    # The tree -----------------------------------------------------------------------------------------------

    def children(self) -> Iterator["Module"]:
        """The modules directly inside."""
        return (child for _, child in self.named_children())

    def named_children(self) -> Iterator[tuple[str, "Module"]]:
        """As `children`, with the names of the attributes."""
        return self._named(Module)

    def modules(self) -> Iterator["Module"]:
        """This module and all inside it, each once."""
        return (module for _, module in self.named_modules())

    def named_modules(self) -> Iterator[tuple[str, "Module"]]:
        """As `modules`, with names: '' for this one, '0.inner' for the attribute `inner` of attribute `0`."""
        edits, tree = vars(self).get("_tree", (-1, ()))
        if edits != Module._edits:
            tree = tuple(self._walked("", set()))
            vars(self)["_tree"] = Module._edits, tree
        return iter(tree)

    def _walked(self, prefix: str, seen: set[int]) -> Iterator[tuple[str, "Module"]]:
        if id(self) in seen:
            return
        seen.add(id(self))
        yield prefix, self
        for name, child in self.named_children():
            yield from child._walked(f"{prefix}.{name}" if prefix else name, seen)

    def parameters(self) -> list[Parameter]:
        """What is learned: weights, biases, a parametric neuron's `w`. Never a threshold."""
        return [parameter for _, parameter in self.named_parameters()]

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """As `parameters`, with names: '0.weight' for the attribute `weight` of attribute `0`. One that is
        held twice comes once, by its first name.

        Example:
            >>> from grilly import nn
            >>> net = nn.Sequential(nn.Linear(3, 2), nn.ParametricLIFNode())
            >>> [name for name, _ in net.named_parameters()]
            ['0.weight', '0.bias', '1.w']
        """
        return self._all_named(Parameter)

    def named_buffers(self) -> Iterator[tuple[str, Buffer]]:
        """What is kept and saved, and not learned, by names as those of `named_parameters`.

        Example:
            >>> from grilly import nn
            >>> [name for name, _ in nn.Sequential(nn.BatchNorm1d(3)).named_buffers()]
            ['0.running_mean', '0.running_var', '0.num_batches_tracked']
        """
        return self._all_named(Buffer)

    def _named(self, kind: type) -> Iterator[tuple[str, Any]]:
        """Attributes of one kind."""
        return ((name, value) for name, value in list(vars(self).items()) if isinstance(value, kind))

    def _all_named(self, kind: type) -> Iterator[tuple[str, Any]]:
        """Attributes of one kind of this module and all inside it, each once."""
        seen: set[int] = set()
        for prefix, module in self.named_modules():
            for name, value in module._named(kind):
                if id(value) not in seen:
                    seen.add(id(value))
                    yield (f"{prefix}.{name}" if prefix else name), value

    # Saving -------------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, np.ndarray]:
        """A copy of parameters and buffers by name. A neuron's state is not in it."""
        return {name: np.array(held.data) for name, held in self._held().items()}

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True) -> None:
        """Sets parameters and buffers to those of a `state_dict`.

        Args:
            state_dict: Arrays by name.
            strict: Whether every name has to be there, and no other.

        Raises:
            DataError: It is no dict; or names are missing or unexpected, or an array has the wrong shape or holds
                no numbers; nothing was set then.
        """
        refuse_no_dict(state_dict)
        held = self._held()
        missing = [name for name in held if name not in state_dict] if strict else []
        unexpected = [name for name in state_dict if name not in held] if strict else []
        shared = held.keys() & state_dict.keys()
        wrong = [
            f"{name} {np.shape(state_dict[name])} instead of {np.shape(held[name].data)}"
            for name in held
            if name in shared and np.shape(state_dict[name]) != np.shape(held[name].data)
        ]
        arrays = {name: np.array(state_dict[name]) for name in shared}
        strange = [f"{name} ({arrays[name].dtype})" for name in held if name in shared and _strange(arrays[name])]
        refuse_names("the net", missing, unexpected, wrong, strange)
        for name, array in arrays.items():
            held[name].data = array.astype(held[name].data.dtype, copy=False)

    def _held(self) -> dict[str, Parameter | Buffer]:
        return dict(self.named_parameters()) | dict(self.named_buffers())

    def __getstate__(self) -> dict[str, Any]:
        """For pickles: without what belongs to this process."""
        own = "_calls", "_device", "_mark", "_tree"
        return {name: value for name, value in vars(self).items() if name not in own}

    def __setstate__(self, attributes: dict[str, Any]) -> None:
        vars(self).update(attributes)

    def __copy__(self) -> Self:
        return self._copied(self.__getstate__())

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        copied = memo[id(self)] = self._copied({})  # at once: a module inside may refer to this one
        vars(copied).update(copy.deepcopy(self.__getstate__(), memo))
        return copied

    def _copied(self, attributes: dict[str, Any]) -> Self:
        """A module on the same device."""
        copied = type(self).__new__(type(self))
        vars(copied).update(attributes, _device=self._device)
        return copied

    # Modes --------------------------------------------------------------------------------------------------

    def train(self, mode: bool = True) -> Self:
        """Sets training mode for all modules inside, or (`mode=False`) evaluation mode.

        Raises:
            ParameterError: `mode` is neither True nor False.
        """
        if not isinstance(mode, bool):
            raise ParameterError(f"mode is {mode!r}: True, for training, or False, for evaluation, was expected.")
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Self:
        """Sets evaluation mode: nothing is recorded or dropped, batch statistics are the running ones."""
        return self.train(False)

    def set_step_mode(self, mode: str) -> None:
        """See `grilly.functional.set_step_mode`."""
        check_step_mode(mode)
        for child in self.children():
            child.set_step_mode(mode)
        if hasattr(self, "step_mode"):
            self.step_mode = mode

    def reset(self) -> None:
        """See `grilly.functional.reset_net`."""
        self._cut(keep_state=False)

    def detach(self) -> None:
        """See `grilly.functional.detach_net`."""
        self._cut(keep_state=True)

    def _cut(self, keep_state: bool) -> None:
        for module in self.modules():
            held = vars(module)
            held["_spent"], held["_mark"] = False, None
            if not keep_state:
                held["_state"] = None
            if "_calls" in held:
                held["_calls"].forget("since F.detach_net" if keep_state else "since F.reset_net")

    def zero_grad(self) -> None:
        """Forgets the gradients."""
        for parameter in self.parameters():
            parameter.grad = None

    def to(self, device: str | Device) -> Self:
        """Moves the net, its gradients and its neurons' states to a device.

        Args:
            device: A name as for GRILLY_DEVICE, or a device.

        Raises:
            DeviceError: It is neither, or cannot be used.
        """
        place = find_device(device)
        for module in self.modules():
            module._move(place)
        return self

    def _move(self, place: Device) -> None:
        def moved(leaf: Any) -> Any:
            return leaf.to(place) if isinstance(leaf, Array) else leaf

        self._device = place
        vars(self)["_state"] = jax.tree.map(moved, self._state)
        for _, held in (*self._named(Parameter), *self._named(Buffer)):
            held.data = moved(held.data)
        for _, parameter in self._named(Parameter):
            parameter.grad = moved(parameter.grad)

    # Text ---------------------------------------------------------------------------------------------------

    def extra_repr(self) -> str:
        """What stands between the parentheses of a module's line."""
        return ""

    def _line(self) -> str:
        return f"{type(self).__name__}({self.extra_repr()})"

    def __repr__(self) -> str:
        inside = [f"({name}): {child!r}".replace("\n", "\n  ") for name, child in self.named_children()]
        if not inside:
            return self._line()
        extra = self.extra_repr()
        lines = ([extra] if extra else []) + inside
        return f"{type(self).__name__}(\n  " + "\n  ".join(lines) + "\n)"


def _strange(array: np.ndarray) -> bool:
    return array.dtype.kind not in "fiub" and array.dtype != jax.numpy.bfloat16


def refuse_no_dict(given: Any) -> None:
    """Refuses what holds no arrays by name.

    Raises:
        DataError: It names what was given.
    """
    if not isinstance(given, Mapping):
        raise DataError(
            f"a {type(given).__name__} was given: a dict of arrays by name was expected, as state_dict() is."
        )


def refuse_names(
    taker: str, missing: list[str], unexpected: list[str], wrong: list[str], strange: Sequence[str] = ()
) -> None:
    """Refuses a state dict whose names, shapes or kinds of values are others.

    Raises:
        DataError: It lists them.
    """
    faults = {"missing": missing, "unexpected": unexpected, "of the wrong shape": wrong, "not of numbers": strange}
    if any(faults.values()):
        listed = "; ".join(f"{fault}: {', '.join(names)}" for fault, names in faults.items() if names)
        raise DataError(
            f"this state dict does not fit {taker}; {listed}. Load one that was saved from the same structure."
        )
