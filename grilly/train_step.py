"""`train_step`: encoding, forward, loss, backward and optimizer step of a net, as one compiled call."""

import functools
from collections.abc import Callable
from operator import is_
from typing import Any, NamedTuple

import jax
import numpy as np

from .errors import ParameterError, ShapeError, StateError
from .nn import Module
from .nn.arrays import checked
from .nn.layout import Layout, Ran, Variables
from .nn.loss import Loss
from .nn.parameter import Parameter
from .nn.random import source
from .nn.silence import Silence, longer
from .optim import Optimizer
from .optim.optimizer import IN_PLACE, Update
from .runtime import Array, Carried, Device, Jit, jit, put
from .runtime.border import NUMBERS
from .runtime.trace import is_tracing

Encoder = Callable[[jax.Array, Any], Any]
PRECISIONS = {"float32": "float32", "tf32": "tensorfloat32", "bf16": "tensorfloat32"}  # and JAX's names


def train_step(
    net: Module,
    loss_fn: Callable[[Any, Any], Any],
    optimizer: Optimizer,
    *,
    encoder: Encoder | None = None,
    precision: str = "float32",
) -> "TrainStep":
    """Makes a function that trains a net by one batch.

    It does what a loop over `F.reset_net`, forward, mean over time, loss, backward and `optimizer.step` does,
    in one submit: parameters, buffers, optimizer state and random key stay on the device and are updated in
    place. The neurons start from rest and leave the net's state as it is; `.grad` is not touched.

    Args:
        net: The net, in training mode. If it has neurons, they take sequences (step mode 'm').
        loss_fn: `CrossEntropyLoss()`, or any pure function `loss_fn(rate, labels)` to a 0-d array.
        optimizer: Of some or all of the net's parameters; the others stay as they are.
        encoder: `encoder(key, x) -> x_seq`, pure, if the input is to be encoded; a new random key for each
            step.
        precision: Of the operands of large products and convolutions: `float32`; `tf32` or `bf16`, where a device
            with a matrix unit computes them in one pass, with 11 bits. Sums, weights and states stay float32, and
            `cpu` computes in float32 whatever is asked.

    Returns:
        A function `step(x, labels) -> (loss, rate)`: the loss, 0-d, before the update; and the net's output,
        its mean over time if it is a sequence, `(N, C)`. Both are on the device until they are looked at.

    Raises:
        ParameterError: A parameter of the optimizer is not the net's; or there is no such precision; or one of the
            others is of another kind.

    Example:
        >>> import grilly, numpy as np
        >>> from grilly import functional as F, nn, optim
        >>> net = nn.Sequential(nn.SeqToANNContainer(nn.Linear(64, 10)), nn.LIFNode(step_mode="m"))
        >>> step = train_step(
        ...     net, nn.CrossEntropyLoss(), optim.AdamW(net.parameters(), lr=1e-2),
        ...     encoder=lambda key, x: F.poisson(key, x, T=8),
        ... )
        >>> x, labels = np.full((4, 64), 0.5, np.float32), np.array([0, 1, 2, 3])
        >>> losses = [float(step(x, labels)[0]) for _ in range(20)]
        >>> losses[-1] < losses[0]
        True
    """
    _refuse_unless(isinstance(net, Module), "net", net, "a grilly.nn.Module was expected")
    rule = "a function of (rate, labels) was expected, such as nn.CrossEntropyLoss()"
    _refuse_unless(_is_function(loss_fn), "loss_fn", loss_fn, rule)
    rule = "one of grilly.optim was expected, such as optim.AdamW(net.parameters())"
    _refuse_unless(isinstance(optimizer, Optimizer), "optimizer", optimizer, rule)
    rule = "a function of (key, x) was expected, or None"
    _refuse_unless(encoder is None or _is_function(encoder), "encoder", encoder, rule)
    if precision not in PRECISIONS:
        raise ParameterError(f"precision is {precision!r}. Give one of {', '.join(PRECISIONS)}.")
    return TrainStep(net, loss_fn, optimizer, encoder, precision)


class TrainStep:
    """A function that trains a net by one batch; made by `train_step`."""

    def __init__(
        self, net: Module, loss_fn: Callable, optimizer: Optimizer, encoder: Encoder | None, precision: str
    ) -> None:
        self._net, self._loss, self._optimizer, self._encoder = net, loss_fn, optimizer, encoder
        self._precision = precision
        self._key: Array | None = None
        self._seeded = -1  # which setting of the seed the key is of
        self._settle()
        self._names(net.compiled_calls.layout)

    def _settle(self) -> None:
        """What belongs to this very net and optimizer, in this process."""
        self._compiled: dict[tuple, Jit] = {}
        self._shapes: dict[tuple, tuple[int, ...]] = {}  # of the rate
        self._going: _Going | None = None

    def __getstate__(self) -> dict[str, Any]:
        """For copies and pickles, of the net and the optimizer, too."""
        return {name: value for name, value in vars(self).items() if name not in ("_compiled", "_shapes", "_going")}

    def __setstate__(self, attributes: dict[str, Any]) -> None:
        vars(self).update(attributes)
        self._settle()

    def __call__(self, x: Any, labels: Any) -> tuple[Array, Array]:
        """Trains the net by one batch.

        Args:
            x: The net's input, `(T, N, *)`; or what the encoder takes.
            labels: What the loss compares with, `(N,)` for cross entropy. On the host they are checked.

        Returns:
            The loss and the rate.

        Raises:
            StateError: The net is in evaluation mode; or the call is inside a function that JAX traces.
            ParameterError: The net's neurons take single steps; or no parameter requires a gradient.
            DataError: Labels are no integers, or out of range.
            ShapeError: The input does not fit, or the loss is not 0-d.
            DeviceError: `x` or `labels` live on another device than the net.
        """
        layout, learned = self._layout(), self._learned()
        x, labels = _on(layout.device, x, "x"), _on(layout.device, self._checked(layout, x, labels), "labels")
        going = self._going_on(layout, learned)
        (params, buffers), (loss, rate) = going.carried(self._optimizer.rates(layout.device), x, labels)
        self._optimizer.finish(learned, params, going.state)
        for buffer, value in zip(layout.buffers.values(), buffers, strict=True):
            buffer.data = value
        self._silence.after(going.silent_for, stacklevel=3)
        self._going = going._replace(held=_held(layout))
        return loss, rate

    def _learned(self) -> list[Parameter]:
        learned = [p for p in self._optimizer.parameters if p.requires_grad]
        if not learned:
            raise ParameterError("requires_grad is False for every parameter of the optimizer: nothing can be learned.")
        return learned

    def _going_on(self, layout: Layout, learned: list[Parameter]) -> "_Going":
        """What the last call left, if nobody has set anything since; else all of it anew."""
        going, held = self._going, _held(layout)
        setting = layout, learned, self._optimizer.choices(), source.seedings
        if (
            going is None
            or setting != going.setting
            or self._optimizer.state is not going.state
            or self._silence.before(layout) is not going.silent_for
            or not all(map(is_, held, going.held))
        ):
            going = self._begun(setting, layout, learned)
        return going

    def _begun(self, setting: tuple, layout: Layout, learned: list[Parameter]) -> "_Going":
        layout.place()
        update, silent_for = self._optimizer.begin(learned), self._silence.before(layout)
        own = set(map(id, learned))
        rest = [parameter.data for parameter in layout.parameters.values() if id(parameter) not in own]
        shown = update.params, [buffer.data for buffer in layout.buffers.values()]
        hidden = update.state, silent_for, self._random_key(layout)
        jitted = self._jitted(layout, self._names(layout), update.numbers, update.choices)
        carried = Carried(jitted, shown, hidden, (rest, layout.packed))
        return _Going(carried, setting, _held(layout), update.state, silent_for)

    # Before the call ----------------------------------------------------------------------------------------

    def _layout(self) -> Layout:
        if is_tracing():
            raise StateError(
                "a training step was called inside a function that JAX traces: it would keep tracers as the "
                "net's weights. Call it outside."
            )
        if not self._net.training:
            raise StateError("the net is in evaluation mode: call net.train() before a training step.")
        layout = self._net.compiled_calls.layout
        if layout.nodes and not layout.sequences:
            raise ParameterError(
                "the net's neurons are in step mode 's', but a training step takes whole sequences (T, N, "
                "*). Call F.set_step_mode(net, 'm')."
            )
        return layout

    def _names(self, layout: Layout) -> dict[str, str]:
        """The net's name for each parameter, by the optimizer's number."""
        names = {id(parameter): name for name, parameter in layout.parameters.items()}
        strangers = [str(p) for p in self._optimizer.parameters if id(p) not in names]
        if strangers:
            raise ParameterError(
                f"the optimizer holds parameters that the net does not have: {', '.join(strangers)}. "
                "Make it of this net's parameters()."
            )
        return {str(number): names[id(p)] for number, p in enumerate(self._optimizer.parameters)}

    def _checked(self, layout: Layout, x: Any, labels: Any) -> Any:
        """The labels, after a look at those on the host."""
        if not isinstance(self._loss, Loss) or isinstance(labels, Array):
            return labels
        seen = layout.choices, np.shape(x)
        if seen not in self._shapes:
            key = np.zeros(2, np.uint32)
            variables = layout.on_device()._replace(states=layout.at_rest())
            given = jax.tree.map(_struct, (variables, x, key, key))
            self._shapes[seen] = jax.eval_shape(lambda *args: self._rate(layout, *args)[0], *given).shape
        return self._loss.checked(labels, self._shapes[seen])

    def _random_key(self, layout: Layout) -> list[Array]:
        """The key that stays on the net's device, if there is need of one; a new one after `grilly.seed`."""
        if self._encoder is None and not layout.draws:
            return []
        if self._key is None or self._seeded != source.seedings:
            self._key, self._seeded = put(source.key_data(), layout.device), source.seedings
        self._key = self._key.to(layout.device)
        return [self._key]

    @property
    def _silence(self) -> Silence:
        return self._net.compiled_calls.silence

    # The call -----------------------------------------------------------------------------------------------

    def _jitted(self, layout: Layout, names: dict[str, str], numbers: tuple, choices: tuple) -> Jit:
        setting = layout.choices, layout.device, tuple(names.items()), numbers, choices
        if setting not in self._compiled:
            step = self._pure(layout, names, numbers, choices)
            self._compiled[setting] = jit(step, device=layout.device, donate_argnums=(0, 1))
            self._compiled[setting].advice = IN_PLACE
        return self._compiled[setting]

    def _pure(self, layout: Layout, names: dict[str, str], numbers: tuple, choices: tuple) -> Callable:
        """The training step as a pure function, of lists: they cost a call less than dicts."""

        def step(shown, hidden, fixed, rates, x, labels):
            (params, buffers), (state, silent_for, keys), (rest, constants) = shown, hidden, fixed
            keys, encoder_key, net_key = _split(keys)
            own = [names[number] for number in numbers]
            others = [name for name in layout.parameters if name not in own]

            def loss_of(params: list[Any]) -> Any:
                parameters = dict(zip((*own, *others), (*params, *rest), strict=True))
                held = dict(zip(layout.buffers, buffers, strict=True))
                variables = Variables(parameters, held, layout.unpacked(constants), layout.at_rest())
                rate, ran = self._rate(layout, variables, x, encoder_key, net_key)
                changed = list(ran.buffers.values()), longer(layout, silent_for, ran.fired)
                return _scalar(self._loss(rate, labels)), (rate, *changed)

            with jax.default_matmul_precision(PRECISIONS[self._precision]):
                (loss, (rate, buffers, silent_for)), grads = jax.value_and_grad(loss_of, has_aux=True)(params)
            params, state = self._optimizer.updated(Update(params, state, rates, numbers, choices), grads)
            return (params, buffers), (state, silent_for, keys), (loss, rate)

        return step

    def _rate(self, layout: Layout, variables: Variables, x: Any, encoder_key: Any, net_key: Any) -> tuple[Any, Ran]:
        """The net's output, or its mean over time; and what else the net's run gave."""
        if self._encoder is not None:
            x = self._encoder(jax.random.wrap_key_data(encoder_key), x)
        ran = layout.run(variables, (x,), net_key)
        return (ran.out.mean(axis=0) if layout.sequences else ran.out), ran


class _Going(NamedTuple):
    """What a call leaves for the next: the step with its arrays, and what it was made of, which others may set."""

    carried: Carried
    setting: tuple
    held: list[Any]  # the data of the net's parameters and buffers
    state: list[Any]  # the optimizer's
    silent_for: list[Any]


def _held(layout: Layout) -> list[Any]:
    return [held.data for held in (*layout.parameters.values(), *layout.buffers.values())]


def _on(device: Device, given: Any, name: str) -> Any:
    """A batch as a compiled call on the device takes it."""
    if type(given) is Array:
        return checked(given, name, device)
    return jax.tree.map(functools.partial(checked, name=name, device=device), given)


def _scalar(loss: Any) -> Any:
    wanted = "loss_fn(rate, labels) has to return a 0-d array, such as a mean."
    if not isinstance(loss, NUMBERS):
        raise ShapeError(f"the loss is a {type(loss).__name__}: {wanted}")
    if np.shape(loss) != ():
        raise ShapeError(f"the loss has shape {np.shape(loss)}: {wanted}")
    if not jax.numpy.issubdtype(jax.numpy.result_type(loss), np.floating):
        raise ShapeError(
            f"the loss has dtype {jax.numpy.result_type(loss)}, which has no gradient: a float was expected."
        )
    return loss


def _is_function(given: Any) -> bool:
    return callable(given) and not isinstance(given, type)


def _refuse_unless(holds: bool, name: str, given: Any, rule: str) -> None:
    if holds:
        return
    if isinstance(given, type):
        raise ParameterError(f"{name} is the class {given.__name__}: {rule}. Call the class.")
    shown = repr(given) if given is None or isinstance(given, str) else f"a {type(given).__name__}"
    raise ParameterError(f"{name} is {shown}: {rule}.")


def _split(keys: list[Any]) -> tuple[list[Any], Any, Any]:
    """Of a key, if there is one: the next one, and two others."""
    if not keys:
        return [], None, None
    following, first, second = jax.random.split(jax.random.wrap_key_data(keys[0]), 3)
    return [jax.random.key_data(following)], jax.random.key_data(first), jax.random.key_data(second)


def _struct(leaf: Any) -> jax.ShapeDtypeStruct:
    """What a compiled call would see of an array."""
    dtype = leaf.dtype if hasattr(leaf, "dtype") else np.result_type(leaf)
    return jax.ShapeDtypeStruct(np.shape(leaf), jax.dtypes.canonicalize_dtype(dtype))
