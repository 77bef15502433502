"""`Optimizer`: holds parameters, their groups and optax's state; one compiled call updates them all.

What an optimizer computes is its `transform`, made of optax's parts; the learning rate is applied here, as an
argument of the call, so that a new rate recompiles nothing.
"""

import contextlib
import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
import optax

from ..errors import ParameterError, ShapeError, StateError
from ..nn import Parameter
from ..nn.module import refuse_names, refuse_no_dict
from ..runtime import Array, Device, Jit, jit, put
from .schedule import Schedule

Parameters = Iterable[Parameter] | Iterable[dict[str, Any]]
Rate = float | Schedule
IN_PLACE = "Parameters are updated in place: read the parameter's data again, or keep a copy, np.array(parameter.data)."


class Update(NamedTuple):
    """The arguments of one update: flat lists, since taking dicts apart at every call is slower."""

    params: list[Any]  # of the parameters that are learned
    state: list[Any]  # of all parameters
    rates: list[Any]  # of the groups
    numbers: tuple[str, ...]  # of the parameters that are learned: static
    choices: tuple  # of each group, and the clipping norm: static


class Optimizer:
    """The base of the optimizers.

    Args:
        params: Parameters; or groups of them, each a dict with the key `params` and whatever differs from the
            arguments of the optimizer: `{"params": net[0].parameters(), "lr": 1e-2}`.
        lr: Learning rate, >= 0; or a function of the number of steps taken, as optax's schedules are.
        choices: The other numbers of a group, by name.
        clip_grad_norm: If given, > 0: the gradients of all groups are scaled down together to at most this
            norm.

    Attributes:
        param_groups: The groups, as dicts; setting `param_groups[0]["lr"]` recompiles nothing.
        parameters: Those of all groups, in order.
        steps: How many steps were taken.
        state: The leaves of optax's states of the groups; none before the first step. A `grilly.train_step` writes its
            results into these very Arrays.

    Raises:
        ParameterError: There is no parameter, one is in two groups, or a number is out of range.
    """

    def __init__(self, params: Parameters, lr: Rate, choices: dict[str, Any], clip_grad_norm: float | None) -> None:
        self._defaults = {"lr": lr, **choices}
        self.param_groups = [self._group(given) for given in _grouped(params)]
        self.clip_grad_norm = clip_grad_norm
        self.steps = 0
        self.parameters = [p for group in self.param_groups for p in group["params"]]
        self.state: list[Any] = []
        self._structure: Any = None
        self._settle()
        self._refuse_faults()

    def _settle(self) -> None:
        """What belongs to these very parameters, in this process."""
        self._numbers = {id(parameter): str(number) for number, parameter in enumerate(self.parameters)}
        self._device: Device | None = None
        self._rates: dict[int, tuple[Any, Array]] = {}
        self._compiled: Jit = jit(self._updated, donate_argnums=(0, 1), static_argnums=(4, 5))
        self._compiled.advice = IN_PLACE

    def __getstate__(self) -> dict[str, Any]:
        """For copies, together with the net, and pickles."""
        own = "_numbers", "_device", "_rates", "_compiled"
        return {name: value for name, value in vars(self).items() if name not in own}

    def __setstate__(self, attributes: dict[str, Any]) -> None:
        vars(self).update(attributes)
        self._settle()

    # What an optimizer says ---------------------------------------------------------------------------------

    def check(self, group: dict[str, Any]) -> None:
        """Refuses numbers that are out of range."""

    def transform(self, *_: Any, **choices: Any) -> optax.GradientTransformation:
        """What is done to the gradients, before the learning rate is applied."""
        raise NotImplementedError(f"{type(self).__name__} has no method transform.")

    # Stepping -----------------------------------------------------------------------------------------------

    def step(self) -> None:
        """Updates every parameter that has a gradient.

        Raises:
            StateError: None has.
            ShapeError: A gradient has another shape than its parameter.
            ParameterError: A number that was set in `param_groups`, or the rate of a schedule, is out of range.
        """
        learned = [p for p in self.parameters if p.grad is not None]
        if not learned:
            raise StateError(
                "no parameter has a gradient: call net.backward(grad) before optimizer.step(). (zero_grad() "
                "forgets gradients, so it belongs before backward.)"
            )
        for parameter in learned:
            if np.shape(parameter.grad) != parameter.shape:
                raise ShapeError(
                    f"the gradient of {parameter} has shape {np.shape(parameter.grad)}: its own was expected."
                )
        update = self.begin(learned)
        gradients = [parameter.grad for parameter in learned]
        self.finish(learned, *self._compiled(update.params, update.state, gradients, *update[2:]))

    def begin(self, learned: list[Parameter]) -> Update:
        """The arguments of an update of these parameters. What it donates, `finish` replaces."""
        for parameter in learned:
            if type(parameter.data) is not Array:
                parameter.data = put(parameter.data, self._device)
        device = learned[0].data.device
        return Update(
            [parameter.data for parameter in learned],
            self._placed(device),
            self.rates(device),
            tuple([self._numbers[id(parameter)] for parameter in learned]),
            self.choices(),
        )

    def rates(self, device: Device) -> list[Any]:
        """The learning rate of each group."""
        return [self._rate(k, device) for k in range(len(self.param_groups))]

    def choices(self) -> tuple:
        """What else is set: the numbers of each group, and the clipping norm."""
        return (*[self._choices(group) for group in self.param_groups], self.clip_grad_norm)

    def updated(self, update: Update, gradients: list[Any]) -> tuple[list[Any], list[Any]]:
        """The update as a pure function: the next parameters, and the next state."""
        *groups, norm = update.choices
        if norm is not None:
            clipped: Any = optax.clip_by_global_norm(norm).update(gradients, optax.EmptyState())[0]
            gradients = clipped
        old, grads = (dict(zip(update.numbers, values, strict=True)) for values in (update.params, gradients))
        states, new, new_states = jax.tree.unflatten(self._structure, update.state), {}, []
        parts = zip(self.param_groups, groups, states, update.rates, strict=True)
        for group, choices, state, rate in parts:
            numbers = [self._numbers[id(p)] for p in group["params"]]
            mine = {number: old[number] for number in numbers if number in old}
            params, state = self._group_updated(choices, state, rate, mine, {number: grads[number] for number in mine})
            new.update(params)
            new_states.append(state)
        return [new[number] for number in update.numbers], jax.tree.leaves(new_states)

    def _group_updated(self, choices: tuple, whole: Any, rate: Any, old: dict[str, Any], grads: dict[str, Any]) -> Any:
        """The next parameters of a group, by number, and its next state."""
        self.check(dict(choices))
        transform, state = self.transform(**dict(choices)), _only(whole, old.keys())
        _refuse_other_state(choices, state, jax.eval_shape(transform.init, old))
        steps: Any
        steps, state = transform.update(grads, state, old)
        return {number: old[number] + -rate * steps[number] for number in old}, _joined(whole, state)

    def zero_grad(self) -> None:
        """Forgets the gradients of its parameters."""
        for parameter in self.parameters:
            parameter.grad = None

    def finish(self, learned: list[Parameter], params: list[Any], state: list[Any]) -> None:
        """Takes what the update gave."""
        for parameter, value in zip(learned, params, strict=True):
            parameter.data = value
        self.state = state
        self.steps += 1

    def _updated(self, params: list, state: list, gradients: list, *others: Any) -> Any:
        return self.updated(Update(params, state, *others), gradients)

    def _rate(self, k: int, device: Device) -> Any:
        """The learning rate of a group: on the device, as long as it stays the same."""
        rate: Any = self.param_groups[k]["lr"]
        if callable(rate):
            current: Any = rate(self.steps)
            with contextlib.suppress(TypeError, ValueError):  # what is no number is refused as it is
                current = np.float32(current)
            refuse_outside(f"lr({self.steps})", current, 0)
            return current
        known = self._rates.get(k)
        if known is None or known[0] != rate or known[1].device is not device:
            refuse_outside("lr", rate, 0)
            known = self._rates[k] = rate, put(np.float32(rate), device)
        return known[1]

    def _choices(self, group: dict[str, Any]) -> tuple[tuple[str, Any], ...]:
        """The other numbers of a group, by name: hashable."""
        others = [(name, group[name]) for name in self._defaults if name != "lr"]
        return tuple([(name, tuple(value) if isinstance(value, list) else value) for name, value in others])

    # State --------------------------------------------------------------------------------------------------

    def _placed(self, device: Device) -> list[Any]:
        """The state, made or moved so that it is where the parameters are."""
        if self._structure is None:
            self._start(device)
        elif device is not self._device:
            self.state = [put(np.asarray(leaf), device) for leaf in self.state]
        self._device = device
        return self.state

    def _start(self, device: str | Device) -> None:
        """The state before the first step, computed where it will be needed."""
        transforms = [self.transform(**dict(self._choices(group))) for group in self.param_groups]

        def zeros(group: dict[str, Any]) -> dict[str, jax.Array]:
            return {self._numbers[id(p)]: jax.numpy.zeros(p.shape, np.float32) for p in group["params"]}

        def initial() -> tuple[Any, ...]:
            return tuple(t.init(zeros(group)) for t, group in zip(transforms, self.param_groups, strict=True))

        self.state, self._structure = jax.tree.flatten(jit(initial, device=device)())

    def state_dict(self) -> dict[str, np.ndarray]:
        """A copy of everything that the next step depends on, but for the parameters and the arguments."""
        return {name: np.array(leaf) for name, leaf in self._named().items()} | {"steps": np.array(self.steps)}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Goes on where `state_dict` was taken.

        Raises:
            DataError: It is no dict, or belongs to another optimizer, or to other parameters; nothing was set then.
        """
        refuse_no_dict(state_dict)
        expected = {name: np.shape(leaf) for name, leaf in self._named().items()} | {"steps": ()}
        missing = [name for name in expected if name not in state_dict]
        unexpected = [name for name in state_dict if name not in expected]
        wrong = [
            f"{name} {np.shape(state_dict[name])} instead of {shape}"
            for name, shape in expected.items()
            if name in state_dict and np.shape(state_dict[name]) != shape
        ]
        arrays = {name: np.asarray(state_dict[name]) for name in expected if name in state_dict}
        strange = [f"{name} ({array.dtype})" for name, array in arrays.items() if array.dtype.kind not in "fiu"]
        refuse_names(f"this {type(self).__name__}", missing, unexpected, wrong, strange)
        self.state = [np.array(arrays[name], leaf.dtype) for name, leaf in self._named().items()]
        self._device = None
        self.steps = int(arrays["steps"])

    def _named(self) -> dict[str, Any]:
        """The leaves of the state, by name."""
        if self._structure is None:
            self._start("cpu")
        leaves = jax.tree_util.tree_flatten_with_path(jax.tree.unflatten(self._structure, self.state))[0]
        return {jax.tree_util.keystr(path, simple=True, separator="."): leaf for path, leaf in leaves}

    # Faults -------------------------------------------------------------------------------------------------

    def _group(self, given: dict[str, Any]) -> dict[str, Any]:
        unknown = given.keys() - self._defaults.keys() - {"params"}
        if unknown or "params" not in given:
            raise ParameterError(
                f"a parameter group has the keys {', '.join(sorted(given))}: params, and any of "
                f"{', '.join(self._defaults)} were expected."
            )
        if not isinstance(given["params"], Iterable):
            raise _stranger(given["params"])
        return {**self._defaults, **given, "params": list(given["params"])}

    def _refuse_faults(self) -> None:
        if not self.parameters:
            raise ParameterError("the optimizer was given no parameter: expected net.parameters().")
        if len(self._numbers) != len(self.parameters):
            raise ParameterError("a parameter is twice among those of the optimizer: each can be in one group only.")
        norm = self.clip_grad_norm
        if norm is not None and not (isinstance(norm, int | float | np.number) and norm > 0):
            raise ParameterError(f"clip_grad_norm is {norm!r}: a norm above 0 was expected, or None.")
        for parameter in self.parameters:
            if not isinstance(parameter, Parameter):
                raise _stranger(parameter)
        for group in self.param_groups:
            if not callable(group["lr"]):
                refuse_outside("lr", group["lr"], 0)
            self.check(group)


def refuse_outside(name: str, value: Any, low: float, high: float = math.inf) -> None:
    """Refuses a number below `low`, or at `high` and above; NaN and infinity too, and what is no number.

    Raises:
        ParameterError: It names the range.
    """
    if not (isinstance(value, int | float | np.number) and low <= value < high):
        wanted = f"a finite number at least {low}" if high == math.inf else f"a number in [{low}, {high})"
        given = value if isinstance(value, np.number) else repr(value)
        raise ParameterError(f"{name} is {given}: {wanted} was expected.")


def _refuse_other_state(choices: Any, state: Any, expected: Any) -> None:
    """Refuses choices under which optax keeps other arrays than it has kept so far.

    Raises:
        ParameterError: Such as a momentum that begins after the first step.
    """
    if jax.tree_util.tree_structure(state) != jax.tree_util.tree_structure(expected):
        chosen = ", ".join(f"{name}={value!r}" for name, value in choices)
        raise ParameterError(
            f"with {chosen}, the optimizer would have to keep other arrays than it has kept so far. Make a new "
            "optimizer instead of changing param_groups."
        )


def _grouped(params: Parameters) -> list[dict[str, Any]]:
    if not isinstance(params, Iterable):
        raise _stranger(params)
    given = list(params)
    if given and all(isinstance(group, dict) for group in given):
        return given  # pyright: ignore[reportReturnType]
    return [{"params": given}]


def _stranger(given: Any) -> ParameterError:
    return ParameterError(f"the optimizer was given a {type(given).__name__}: expected net.parameters().")


def _only(state: Any, numbers: Iterable[str]) -> Any:
    """The part of optax's state that belongs to some of the parameters."""
    return jax.tree.map(
        lambda arrays: {n: arrays[n] for n in numbers} if _by_number(arrays) else arrays,
        state,
        is_leaf=_by_number,
    )


def _joined(old: Any, new: Any) -> Any:
    """The state after an update of some of the parameters."""
    return jax.tree.map(lambda a, b: a | b if _by_number(a) else b, old, new, is_leaf=_by_number)


def _by_number(node: Any) -> bool:
    return isinstance(node, dict)
