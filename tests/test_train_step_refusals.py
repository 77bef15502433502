"""What `train_step` refuses; and that nothing has changed then."""

import contextlib

import numpy as np
import optax
import pytest
from nn.nets import C, D, N, T, mlp, raises, spikes

import grilly
from grilly import DataError, ParameterError, ShapeError, StateError, nn, optim
from grilly.runtime.devices import find_device

LABELS = np.array([0, 1, 1])


@pytest.fixture(params=["cpu", "vulkan"])
def place(request):
    grilly.seed(0)
    return find_device(request.param)


@contextlib.contextmanager
def refusing(net, kind, said, layer=None):
    """A training step of the net that is refused by this text, and changes nothing."""
    optimizer = optim.AdamW(net.parameters())
    before = net.state_dict()
    with raises(kind, said, layer):
        yield grilly.train_step(net, nn.CrossEntropyLoss(), optimizer)
    for name, value in net.state_dict().items():
        np.testing.assert_array_equal(value, before[name], err_msg=name)
    assert optimizer.steps == 0


EXPECTED = "class numbers from 0 to 1 were expected, as an integer array of shape (N,)."
WRONG = {
    "too_large": (np.array([0, 2, 3]), f"labels[1] is 2: {EXPECTED}"),
    "negative": (np.array([0, -1, 3]), f"labels[1] is -1: {EXPECTED}"),
    "of_64_bits": (np.array([0, 0, 2**40]), f"labels[2] is 1099511627776: {EXPECTED}"),
    "floats": (np.zeros(3), f"labels have dtype float64, labels[0] is 0.0: {EXPECTED}"),
    "not_a_number": (np.array([0, np.nan, 0], np.float32), f"labels have dtype float32, labels[1] is nan: {EXPECTED}"),
    "one_hot": (np.eye(3, 2), f"labels have shape (3, 2): {EXPECTED}"),
}


@pytest.mark.parametrize("name", WRONG)
def test_labels_that_are_none(name, place):
    labels, said = WRONG[name]
    with refusing(mlp().to(place), DataError, said) as step:
        step(spikes(T, N, D), labels)


def test_another_number_of_labels(place):
    said = "labels have shape (2,), logits (3, 2): one label for each of 3 rows was expected."
    with refusing(mlp().to(place), ShapeError, said) as step:
        step(spikes(T, N, D), LABELS[:2])


def test_an_input_that_does_not_fit(place):
    said = (
        f"x has shape ({T * N}, {D + 1}), weight (5, {D}): "
        "linear takes x of shape (*, in) and a weight of shape (out, in) with the same number of inputs."
    )
    with refusing(mlp().to(place), ShapeError, said, layer=f'"0.0": Linear({D}, 5)') as step:
        step(spikes(T, N, D + 1), LABELS)


def test_an_empty_batch(place):
    said = "logits have shape (0, 2): a mean needs at least one element. Leave out empty batches."
    with refusing(mlp().to(place), ShapeError, said) as step:
        step(spikes(T, 0, D), LABELS[:0])


def test_a_net_in_evaluation_mode(place):
    said = "the net is in evaluation mode: call net.train() before a training step."
    with refusing(mlp().to(place).eval(), StateError, said) as step:
        step(spikes(T, N, D), LABELS)


def test_neurons_that_take_single_steps(place):
    said = (
        "the net's neurons are in step mode 's', but a training step takes whole sequences (T, N, *). "
        "Call F.set_step_mode(net, 'm')."
    )
    with refusing(mlp(step_mode="s").to(place), ParameterError, said) as step:
        step(spikes(T, N, D), LABELS)


def test_step_modes_that_differ(place):
    """As where a neuron, which takes single steps by default, follows a container, which does not."""
    net = nn.Sequential(nn.SeqToANNContainer(nn.Linear(D, C)), nn.LIFNode()).to(place)
    said = (
        "the elements of a Sequential differ in step mode (0 'm', 1 's'): some take a sequence (T, N, *), and some "
        "a single step (N, *). Call F.set_step_mode(net, 'm'), or 's'."
    )
    with refusing(net, ParameterError, said) as step:
        step(spikes(T, N, D), LABELS)


def test_nothing_to_learn(place):
    net = mlp().to(place)
    for parameter in net.parameters():
        parameter.requires_grad = False
    said = "requires_grad is False for every parameter of the optimizer: nothing can be learned."
    with refusing(net, ParameterError, said) as step:
        step(spikes(T, N, D), LABELS)


def test_strangers():
    net = mlp()
    optimizer = optim.SGD([*net.parameters(), nn.Parameter(np.zeros((2, 3)), name="scale")], lr=0.1)
    said = (
        "the optimizer holds parameters that the net does not have: Parameter(scale, shape=(2, 3)). "
        "Make it of this net's parameters()."
    )
    with raises(ParameterError, said):
        grilly.train_step(net, nn.CrossEntropyLoss(), optimizer)


def test_a_precision_that_there_is_not():
    net = mlp()
    with raises(ParameterError, "precision is 'fp8'. Give one of float32, tf32, bf16."):
        grilly.train_step(net, nn.CrossEntropyLoss(), optim.SGD(net.parameters(), lr=0.1), precision="fp8")


FUNCTION = "a function of (rate, labels) was expected, such as nn.CrossEntropyLoss()."
OPTIMIZER = "one of grilly.optim was expected, such as optim.AdamW(net.parameters())."
KINDS = {
    "a function as net": ({"net": abs}, "net is a builtin_function_or_method: a grilly.nn.Module was expected."),
    "the class of a net": (
        {"net": nn.LIFNode},
        "net is the class LIFNode: a grilly.nn.Module was expected. Call the class.",
    ),
    "no loss": ({"loss_fn": None}, f"loss_fn is None: {FUNCTION}"),
    "the class of a loss": ({"loss_fn": nn.MSELoss}, f"loss_fn is the class MSELoss: {FUNCTION} Call the class."),
    "optax": ({"optimizer": optax.sgd(0.1)}, f"optimizer is a GradientTransformationExtraArgs: {OPTIMIZER}"),
    "the class of an optimizer": ({"optimizer": optim.SGD}, f"optimizer is the class SGD: {OPTIMIZER} Call the class."),
    "the name of an encoder": (
        {"encoder": "poisson"},
        "encoder is 'poisson': a function of (key, x) was expected, or None.",
    ),
}


@pytest.mark.parametrize("name", KINDS)
def test_arguments_of_another_kind(name):
    given, said = KINDS[name]
    net = mlp()
    fitting = {"net": net, "loss_fn": nn.CrossEntropyLoss(), "optimizer": optim.SGD(net.parameters(), lr=0.1)}
    with raises(ParameterError, said):
        grilly.train_step(**fitting | given)


WANTED = "loss_fn(rate, labels) has to return a 0-d array, such as a mean."
LOSSES = {
    "a number a row": (lambda rate, labels: rate.sum(axis=1), f"the loss has shape (3,): {WANTED}"),
    "with the rate": (lambda rate, labels: (rate.sum(), rate), f"the loss is a tuple: {WANTED}"),
    "nothing": (lambda rate, labels: None, f"the loss is a NoneType: {WANTED}"),
    "a count": (
        lambda rate, labels: (rate > 0).sum(),
        "the loss has dtype int32, which has no gradient: a float was expected.",
    ),
}


@pytest.mark.parametrize("name", LOSSES)
def test_losses_that_are_not_one_float(name, place):
    loss_fn, said = LOSSES[name]
    net = mlp().to(place)
    step = grilly.train_step(net, loss_fn, optim.SGD(net.parameters(), lr=0.1))
    before = net.state_dict()
    with raises(ShapeError, said):
        step(spikes(T, N, D), LABELS)
    for held, value in net.state_dict().items():
        np.testing.assert_array_equal(value, before[held])
