"""Containers: modules one after another, and what lets a layer without time stand in a net with it."""

from collections.abc import Iterator
from typing import Any, overload

import jax
from jax import numpy as jnp

from .. import functional as F
from ..errors import ParameterError
from ..functional.arguments import as_float, check_step_mode
from .layout import Layout, Ran
from .module import Module
from .random import random_key
from .running import running
from .stateful import check_sequence


class _Chain(Module):
    """Modules one after another, by number."""

    def __init__(self, *modules: Module) -> None:
        for number, module in enumerate(modules):
            self._refuse(number, module)
            setattr(self, str(number), module)

    def _refuse(self, number: int, module: Any) -> None:
        if isinstance(module, Module):
            return
        name = type(module).__name__
        where = f"element {number} of {type(self).__name__} is a {name}"
        if hasattr(module, "alpha"):
            raise ParameterError(
                f"{where}, a surrogate: it gives a neuron's spike its derivative and is no layer. Pass it to "
                f"a neuron, as nn.LIFNode(surrogate_function=nn.{name}()); for the activation use nn.ReLU(), "
                "or a module of your own whose forward calls jax.nn.sigmoid."
            )
        raise ParameterError(f"{where}: a grilly.nn.Module was expected.")

    def __len__(self) -> int:
        return sum(1 for _ in self.children())

    def __iter__(self) -> Iterator[Module]:
        return self.children()

    @overload
    def __getitem__(self, number: int) -> Module: ...

    @overload
    def __getitem__(self, number: slice) -> "_Chain": ...

    def __getitem__(self, number: int | slice) -> Module:
        """One module; or, for a slice, a container of the same modules."""
        found = list(self.children())[number]
        if not isinstance(found, list):
            return found
        part = self._of(found)
        part.training, part._device = self.training, self._device
        return part

    def _of(self, modules: list[Module]) -> "_Chain":
        """A container as this one, of some of its modules."""
        return Sequential(*modules)

    def _run(self, x: Any) -> Any:
        for module in self.children():
            x = module(x)
        return x


class Sequential(_Chain):
    """Modules one after another, each taking what the one before it gives.

    Raises:
        ParameterError: An element is no module; or, when called, some elements take sequences and some steps.

    Example:
        >>> import numpy as np
        >>> from grilly import nn
        >>> net = nn.Sequential(nn.SeqToANNContainer(nn.Linear(4, 3)), nn.LIFNode(step_mode="m"))
        >>> net(np.ones((5, 2, 4), np.float32)).shape
        (5, 2, 3)
        >>> net[:1]  # the same layer
        Sequential(
          (0): SeqToANNContainer(
            (0): Linear(4, 3)
          )
        )
    """

    def forward(self, x: Any) -> Any:
        modes = {str(k): m.step_mode for k, m in enumerate(self.children()) if hasattr(m, "step_mode")}
        if len(set(modes.values())) > 1:
            listed = ", ".join(f"{number} {mode!r}" for number, mode in modes.items())
            raise ParameterError(
                f"the elements of a Sequential differ in step mode ({listed}): some take a sequence (T, N, "
                "*), and some a single step (N, *). Call F.set_step_mode(net, 'm'), or 's'."
            )
        return self._run(x)


class _OverTime(_Chain):
    """What the containers between layers and time share. In step mode 's' they are a `Sequential`."""

    def __init__(self, *modules: Module, step_mode: str = "m") -> None:
        check_step_mode(step_mode)
        super().__init__(*modules)
        self.step_mode = step_mode

    def _of(self, modules: list[Module]) -> _Chain:
        return type(self)(*modules, step_mode=self.step_mode)

    def forward(self, x: Any) -> Any:
        if self.step_mode == "s":
            return self._run(x)
        x = as_float(x, "x")
        check_sequence(x, type(self).__name__, "(T, N, *features)", 3)
        return self._over_time(x)

    def _over_time(self, x_seq: Any) -> Any:
        return self._merged(x_seq)

    def _merged(self, x_seq: Any) -> Any:
        """All steps at once, as one batch of T N."""
        T, N = x_seq.shape[:2]
        y = self._run(jnp.reshape(x_seq, (T * N, *x_seq.shape[2:])))
        return y.reshape(T, N, *y.shape[1:])


class SeqToANNContainer(_OverTime):
    """Runs layers that know no time on a sequence: `(T, N, *)` becomes `(T N, *)` and back.

    Args:
        modules: Layers without a state.
        step_mode: 'm'; or 's', in which `(N, *)` passes through.

    Raises:
        ParameterError: A module keeps a state, such as a neuron: it would take the steps for a batch.
        ShapeError: In step mode 'm', an input without the axis of time.

    Example:
        >>> import numpy as np
        >>> from grilly import nn
        >>> nn.SeqToANNContainer(nn.Linear(784, 256))(np.zeros((16, 32, 784), np.float32)).shape
        (16, 32, 256)
    """

    def _refuse(self, number: int, module: Any) -> None:
        super()._refuse(number, module)
        for inner in module.modules():
            if hasattr(inner, "step_mode"):
                raise ParameterError(
                    f"element {number} of SeqToANNContainer has a {type(inner).__name__}, which knows time: "
                    "merged with the batch, the steps would be lost on it. Put it beside the container."
                )


class MultiStepContainer(_OverTime):
    """Runs modules that take single steps on a sequence, step by step: `(T, N, *)` to `(T, N, *)`.

    `F.set_step_mode` does not reach its inside. Without a state, a step is independent of the others, and all
    are computed at once; batch normalization sees the steps one by one.

    Args:
        modules: Modules in step mode 's'.
        step_mode: 'm'; or 's', in which `(N, *)` passes through.

    Raises:
        ParameterError: A module is in step mode 'm'.
        ShapeError: In step mode 'm', an input without the axis of time.

    Example:
        >>> import numpy as np
        >>> from grilly import nn
        >>> nn.MultiStepContainer(nn.MaxPool2d(2, 2))(np.zeros((4, 2, 3, 8, 8), np.float32)).shape
        (4, 2, 3, 4, 4)
    """

    def _refuse(self, number: int, module: Any) -> None:
        super()._refuse(number, module)
        for inner in module.modules():
            if getattr(inner, "step_mode", "s") == "m":
                raise ParameterError(
                    f"element {number} of MultiStepContainer has a {type(inner).__name__} in step mode 'm', "
                    "but the container gives it single steps. Make it with step_mode='s', or put it beside "
                    "the container."
                )

    def set_step_mode(self, mode: str) -> None:
        check_step_mode(mode)
        self.step_mode = mode

    def _over_time(self, x_seq: Any) -> Any:
        inside = Layout(self)
        if inside.nodes or inside.buffers or inside.draws:
            return self._scanned(inside, x_seq)
        return self._merged(x_seq)

    def _scanned(self, inside: Layout, x_seq: Any) -> Any:
        """One step after another; what the modules carry from step to step goes through the scan."""
        outer, found = running.get(), inside.read()
        key = jax.random.key_data(random_key()) if inside.draws else None

        def one(x: Any, t: Any, states: Any, buffers: Any) -> Ran:
            data = None if key is None else jax.random.key_data(jax.random.fold_in(jax.random.wrap_key_data(key), t))
            return inside.run(found._replace(states=states, buffers=buffers), (x,), data, self._run)

        def step(x: Any, carried: Any, _: Any) -> Any:
            ran = one(*x, *carried)
            return (ran.out, {name: spikes for name, (spikes, _) in ran.fired.items()}), (
                ran.states,
                ran.buffers,
            )

        T = len(x_seq)
        # Only the states that this run starts from are used: they have to be arrays before the scan.
        at_start = one(x_seq[0], 0, found.states, found.buffers).started
        steps = x_seq, jnp.arange(T)
        (out_seq, fired), carried = F.sequence(step, steps, (found.states | at_start, found.buffers))
        inside.write_changes(*carried)
        if outer is not None:
            outer.fired |= {id(inside.nodes[name]): (jnp.sum(spikes), T) for name, spikes in fired.items()}
        return out_seq
