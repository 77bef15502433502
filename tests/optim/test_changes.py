"""What a user may change of an optimizer between two steps, and what is refused before anything is updated."""

import contextlib

import numpy as np
import oracles
import pytest

import grilly
from grilly import DataError, ParameterError, ShapeError, nn, optim

RNG = np.random.default_rng(0)
START, GRADS = RNG.standard_normal((3, 2)).astype(np.float32), RNG.standard_normal((5, 3, 2)).astype(np.float32)


@pytest.fixture(params=["cpu", "vulkan"])
def parameter(request):
    return nn.Parameter(grilly.put(START, request.param), name="weight")


def step(optimizer, k=0):
    optimizer.parameters[0].grad = GRADS[k]
    optimizer.step()


@contextlib.contextmanager
def refused(optimizer, kind, said):
    """Expects an error by its whole text, and that nothing has changed."""
    parameter = optimizer.parameters[0]
    before, state = np.array(parameter), optimizer.state_dict()
    with pytest.raises(kind) as error:
        yield
    assert str(error.value) == said
    np.testing.assert_array_equal(parameter, before)
    for name, value in optimizer.state_dict().items():
        np.testing.assert_array_equal(value, state[name])


def near(got, want):
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-6 * np.abs(want).max())


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_a_weight_decay_may_begin_and_end_between_two_steps(momentum, parameter):
    optimizer = optim.SGD([parameter], lr=0.1, momentum=momentum)
    want, m = START.astype(np.float64), 0.0
    for k, decay in enumerate((0.0, 0.1, 0.0, 0.2)):
        optimizer.param_groups[0]["weight_decay"] = decay
        step(optimizer, k)
        m = momentum * m + GRADS[k] + decay * want
        want = want - 0.1 * m
        near(parameter.data, want)


def test_a_momentum_may_change_but_not_begin(parameter):
    optimizer = optim.SGD([parameter], lr=0.1, momentum=0.5)
    step(optimizer, 0)
    optimizer.param_groups[0]["momentum"] = 0.9
    step(optimizer, 1)
    near(parameter.data, START - 0.1 * GRADS[0] - 0.1 * (0.9 * GRADS[0].astype(np.float64) + GRADS[1]))
    optimizer.param_groups[0]["momentum"] = 0.0
    said = (
        "with momentum=0.0, weight_decay=0.0, nesterov=False, the optimizer would have to keep other arrays than it "
        "has kept so far. Make a new optimizer instead of changing param_groups."
    )
    with refused(optimizer, ParameterError, said):
        step(optimizer)


def test_betas_may_be_a_list(parameter):
    optimizer = optim.Adam([parameter], lr=0.1, betas=[0.8, 0.9])
    for k in range(3):
        step(optimizer, k)
    want = oracles.adam(START.astype(np.float64), GRADS[:3].astype(np.float64), [0.1] * 3, betas=(0.8, 0.9))
    near(parameter.data, want[-1])


CHANGED = {
    "lr": ({"lr": -1.0}, "lr is -1.0: a finite number at least 0 was expected."),
    "lr_infinite": ({"lr": float("inf")}, "lr is inf: a finite number at least 0 was expected."),
    "lr_nan": ({"lr": float("nan")}, "lr is nan: a finite number at least 0 was expected."),
    "beta": ({"betas": (0.9, 1.5)}, "betas[1] is 1.5: a number in [0, 1) was expected."),
    "eps": ({"eps": 0}, "eps is 0: a number above 0 was expected."),
    "weight_decay": ({"weight_decay": -1}, "weight_decay is -1: a finite number at least 0 was expected."),
}


@pytest.mark.parametrize("name", CHANGED)
def test_a_number_out_of_range_is_refused_in_the_next_step(name, parameter):
    change, said = CHANGED[name]
    optimizer = optim.AdamW([parameter])
    step(optimizer)
    usual = dict(optimizer.param_groups[0])
    optimizer.param_groups[0].update(change)
    with refused(optimizer, ParameterError, said):
        step(optimizer)
    optimizer.param_groups[0].update(usual)
    step(optimizer)
    assert optimizer.steps == 2


@pytest.mark.parametrize(
    ("rate", "shown"),
    [(-0.5, "-0.5"), (float("nan"), "nan"), (None, "nan"), ("fast", "'fast'")],
    ids=["negative", "nan", "none", "text"],
)
def test_a_schedule_that_gives_no_rate_is_refused(rate, shown, parameter):
    optimizer = optim.SGD([parameter], lr=lambda step: 0.1 if step < 2 else rate, momentum=0.9)
    step(optimizer), step(optimizer)
    with refused(optimizer, ParameterError, f"lr(2) is {shown}: a finite number at least 0 was expected."):
        step(optimizer)
    assert optimizer.steps == 2


def test_a_training_step_refuses_them_too(parameter):
    net = nn.Sequential(nn.Linear(3, 2)).to(parameter.data.device)
    optimizer = optim.AdamW(net.parameters(), lr=lambda step: -1.0)
    with refused(optimizer, ParameterError, "lr(0) is -1.0: a finite number at least 0 was expected."):
        grilly.train_step(net, nn.MSELoss(), optimizer)(np.ones((4, 3)), np.ones((4, 2)))


def test_a_gradient_of_another_shape_is_refused(parameter):
    optimizer = optim.SGD([parameter], lr=0.1)
    parameter.grad = GRADS[0][0]
    said = "the gradient of Parameter(weight, shape=(3, 2)) has shape (2,): its own was expected."
    with refused(optimizer, ShapeError, said):
        optimizer.step()


def test_a_state_of_words_is_refused(parameter):
    optimizer = optim.Adam([parameter])
    step(optimizer)
    state = optimizer.state_dict() | {"steps": np.array("one"), "0.count": np.array("one")}
    said = (
        "this state dict does not fit this Adam; not of numbers: 0.count (<U3), steps (<U3). Load one that was saved "
        "from the same structure."
    )
    with refused(optimizer, DataError, said):
        optimizer.load_state_dict(state)


def test_a_state_that_was_loaded_is_a_copy(parameter):
    optimizer = optim.SGD([parameter], lr=0.1, momentum=0.9)
    step(optimizer)
    state = optimizer.state_dict()
    optimizer.load_state_dict(state)
    for value in state.values():
        value[...] = 7
    assert not any((value == 7).any() for value in optimizer.state_dict().values())
