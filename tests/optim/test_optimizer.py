"""Optimizers against NumPy, on both devices; their groups, rates and state; and what they refuse."""

import copy
import pickle
import re

import numpy as np
import optax
import oracles
import pytest

import grilly
from grilly import DataError, ParameterError, StateError, nn, optim

PLACES = ["cpu", "vulkan"]
SHAPES = ((4, 3), (5,), ())


def make(place="cpu", shapes=SHAPES):
    """Parameters on a device, and their values in float64."""
    rng = np.random.default_rng(0)
    values = [rng.standard_normal(shape).astype(np.float32) for shape in shapes]
    return [nn.Parameter(grilly.put(value, place)) for value in values], [v.astype(np.float64) for v in values]


def gradients(seed=0, shapes=SHAPES):
    """One for each parameter, of very different sizes."""
    rng = np.random.default_rng([seed, 1])
    return [(10.0**-k * rng.standard_normal(shape)).astype(np.float32) for k, shape in enumerate(shapes)]


def step(optimizer, parameters, seed):
    for parameter, grad in zip(parameters, gradients(seed), strict=True):
        parameter.grad = grad
    optimizer.step()


def numbers(parameters):
    return [np.asarray(p.data) for p in parameters]


def near(got, want):
    """Relative to the array's largest element. (optax takes 1 - b2^t in float32: 2e-5 of a first step of Adam.)"""
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-6 * np.abs(want).max())


def recorded(seeds=range(5)):
    """The gradients of some steps, by parameter."""
    return list(zip(*([g.astype(np.float64) for g in gradients(seed)] for seed in seeds), strict=True))


OPTIMIZERS = {
    "sgd": (optim.SGD, oracles.sgd, {}),
    "sgd_decay": (optim.SGD, oracles.sgd, {"weight_decay": 0.1}),
    "sgd_momentum": (optim.SGD, oracles.sgd, {"momentum": 0.9}),
    "sgd_momentum_decay": (optim.SGD, oracles.sgd, {"momentum": 0.9, "weight_decay": 0.1}),
    "sgd_nesterov": (optim.SGD, oracles.sgd, {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
    "adam": (optim.Adam, oracles.adam, {}),
    "adam_betas": (optim.Adam, oracles.adam, {"betas": (0.5, 0.9), "eps": 1e-3}),
    "adamw": (optim.AdamW, oracles.adam, {"weight_decay": 0.01}),
    "adamw_decay": (optim.AdamW, oracles.adam, {"weight_decay": 0.5, "betas": (0.8, 0.95)}),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimizer_is_its_definition(name, place):
    kind, oracle, choices = OPTIMIZERS[name]
    parameters, values = make(place)
    optimizer = kind(parameters, lr=0.01, **choices)
    want = [oracle(p, g, [0.01] * 5, **choices) for p, g in zip(values, recorded(), strict=True)]
    for seed in range(5):
        step(optimizer, parameters, seed)
        for parameter, after in zip(parameters, want, strict=True):
            near(parameter.data, after[seed])
    assert optimizer.steps == 5
    assert all(p.data.device.kind == parameters[0].data.device.kind for p in parameters)


def test_the_rate_is_that_of_the_argument_or_the_usual_one():
    for kind, lr, decay in ((optim.Adam, 1e-3, 0), (optim.AdamW, 1e-3, 0.01)):
        parameters, values = make()
        step(kind(parameters), parameters, 0)
        for parameter, p, g in zip(parameters, values, recorded([0]), strict=True):
            near(parameter.data, oracles.adam(p, g, [lr], weight_decay=decay)[0])


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("norm", [0.5, 1e6])
def test_gradients_of_all_groups_are_clipped_together(norm, place):
    parameters, values = make(place)
    groups = [{"params": parameters[:1]}, {"params": parameters[1:]}]
    optimizer = optim.SGD(groups, lr=1.0, momentum=0.9, clip_grad_norm=norm)
    steps = list(zip(*(oracles.clipped(g, norm) for g in zip(*recorded(), strict=True)), strict=True))
    for seed in range(5):
        step(optimizer, parameters, seed)
    for parameter, p, g in zip(parameters, values, steps, strict=True):
        near(parameter.data, oracles.sgd(p, g, [1.0] * 5, momentum=0.9)[-1])


def test_no_gradient_to_clip_is_no_division_by_zero():
    (parameter,), _ = make(shapes=((3,),))
    parameter.grad = np.zeros(3, np.float32)
    before = numbers([parameter])
    optim.SGD([parameter], lr=1.0, clip_grad_norm=1.0).step()
    np.testing.assert_array_equal(numbers([parameter]), before)


# Groups --------------------------------------------------------------------------------------------------------------


def test_groups_have_numbers_of_their_own():
    parameters, values = make()
    optimizer = optim.AdamW(
        [
            {"params": parameters[:2]},
            {"params": iter(parameters[2:]), "lr": 0.02, "weight_decay": 0, "betas": (0, 0.9)},
        ],
        lr=0.01,
    )
    assert [group["lr"] for group in optimizer.param_groups] == [0.01, 0.02]
    assert optimizer.parameters == parameters
    for seed in range(5):
        step(optimizer, parameters, seed)
    first, second, third = zip(parameters, values, recorded(), strict=True)
    for parameter, p, g in (first, second):
        near(parameter.data, oracles.adam(p, g, [0.01] * 5, weight_decay=0.01)[-1])
    parameter, p, g = third
    near(parameter.data, oracles.adam(p, g, [0.02] * 5, betas=(0, 0.9))[-1])


@pytest.mark.parametrize("place", PLACES)
def test_a_parameter_without_gradient_is_left_alone(place):
    """Its momentum too: it goes on from there."""
    parameters, values = make(place)
    optimizer = optim.SGD(parameters, lr=0.1, momentum=0.9, weight_decay=0.1)
    for seed in (0, 1, 2):
        for k, grad in enumerate(gradients(seed)):
            parameters[k].grad = None if (seed, k) == (1, 0) else grad
        before = numbers(parameters)[0]
        optimizer.step()
        if seed == 1:
            np.testing.assert_array_equal(parameters[0].data, before)
    for k, seeds in enumerate(((0, 2), (0, 1, 2), (0, 1, 2))):
        want = oracles.sgd(values[k], recorded(seeds)[k], [0.1] * len(seeds), momentum=0.9, weight_decay=0.1)
        near(parameters[k].data, want[-1])


def test_a_group_may_be_without_any_gradient():
    parameters, values = make()
    optimizer = optim.SGD([{"params": [p]} for p in parameters], lr=0.1)
    parameters[1].grad = gradients()[1]
    optimizer.step()
    want = [values[0], oracles.sgd(values[1], recorded([0])[1], [0.1])[0], values[2]]
    for parameter, value in zip(parameters, want, strict=True):
        near(parameter.data, value)


# Rates ---------------------------------------------------------------------------------------------------------------


class Watched(optim.AdamW):
    """How often it was asked for its transformation: when a state is made, and in each trace."""

    asked = 0

    def transform(self, **choices):
        self.asked += 1
        return super().transform(**choices)


@pytest.mark.parametrize("place", PLACES)
def test_another_rate_takes_effect_and_recompiles_nothing(place):
    parameters, values = make(place)
    optimizer, rates = Watched(parameters, lr=0.01, weight_decay=0.1), [0.01, 0.02, 0.0, 0.005, 0.01]
    for seed, rate in enumerate(rates):
        optimizer.param_groups[0]["lr"] = rate
        step(optimizer, parameters, seed)
    for parameter, p, g in zip(parameters, values, recorded(), strict=True):
        near(parameter.data, oracles.adam(p, g, rates, weight_decay=0.1)[-1])
    assert optimizer.asked == 2
    optimizer.param_groups[0]["weight_decay"] = 0.2  # a choice: it does
    step(optimizer, parameters, 5)
    assert optimizer.asked == 3


SCHEDULES = {
    "own": lambda step: 0.01 / (1 + step),
    "cosine": optim.cosine(0.01, total_steps=4),
    "optax": optax.exponential_decay(0.01, transition_steps=2, decay_rate=0.5),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", SCHEDULES)
def test_a_rate_may_be_a_function_of_the_steps_taken(name, place):
    parameters, values = make(place)
    optimizer = Watched(parameters, lr=SCHEDULES[name], weight_decay=0.1)
    rates = [float(SCHEDULES[name](k)) for k in range(5)]
    for seed in range(5):
        step(optimizer, parameters, seed)
    for parameter, p, g in zip(parameters, values, recorded(), strict=True):
        near(parameter.data, oracles.adam(p, g, rates, weight_decay=0.1)[-1])
    assert optimizer.asked == 2


@pytest.mark.parametrize("T", [1, 4, 10])
def test_a_cosine_falls_from_the_rate_to_zero_and_stays_there(T):
    rate = optim.cosine(0.3, total_steps=T)
    steps = np.arange(2 * T + 1)
    want = 0.15 * (1 + np.cos(np.pi * np.minimum(steps, T) / T))
    np.testing.assert_allclose([rate(int(k)) for k in steps], want, atol=1e-15)
    assert (rate(0), rate(T), rate(2 * T)) == (0.3, 0, 0)


# State ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_saved_state_goes_on_bit_for_bit(name, place):
    kind, _, choices = OPTIMIZERS[name]
    parameters, _ = make(place)
    optimizer = kind(parameters, lr=optim.cosine(0.1, 10), **choices)
    for seed in range(3):
        step(optimizer, parameters, seed)
    saved, weights = optimizer.state_dict(), numbers(parameters)
    for seed in range(3, 6):
        step(optimizer, parameters, seed)

    others = [nn.Parameter(grilly.put(value, place)) for value in weights]
    resumed = kind(others, lr=optim.cosine(0.1, 10), **choices)
    resumed.load_state_dict(saved)
    assert resumed.steps == 3
    for seed in range(3, 6):
        step(resumed, others, seed)
    for ours, theirs in zip(numbers(others), numbers(parameters), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_saved_state_is_a_copy_of_plain_arrays():
    parameters, _ = make()
    optimizer = optim.Adam(parameters)
    step(optimizer, parameters, 0)
    saved = optimizer.state_dict()
    assert all(type(value) is np.ndarray for value in saved.values())
    before = {name: value.copy() for name, value in saved.items()}
    step(optimizer, parameters, 1)
    for name, value in saved.items():
        np.testing.assert_array_equal(value, before[name])
        value[...] = 7
    assert not any((value == 7).any() for value in optimizer.state_dict().values())


def test_the_state_moves_with_the_parameters(device):
    parameters, values = make("cpu")
    optimizer = optim.Adam(parameters, lr=0.01)
    for seed in range(5):
        if seed == 2:
            for parameter in parameters:
                parameter.data = parameter.data.to(device)
        step(optimizer, parameters, seed)
    for parameter, p, g in zip(parameters, values, recorded(), strict=True):
        assert parameter.data.device is device
        near(parameter.data, oracles.adam(p, g, [0.01] * 5)[-1])


FIT = "Load one that was saved from the same structure."


def test_a_state_of_something_else_is_refused_and_nothing_is_set():
    parameters, _ = make()
    optimizer = optim.Adam(parameters)
    step(optimizer, parameters, 0)
    before = optimizer.state_dict()
    momentum = optim.SGD(make()[0], lr=0.1, momentum=0.9).state_dict()
    names = [f"0.{name}" for name in ("count", *(f"{moment}.{k}" for moment in ("mu", "nu") for k in range(3)))]
    wrong = {**before, "0.mu.1": np.zeros(4)}
    for state, faults in (
        (momentum, f"missing: {', '.join(names)}; unexpected: 0.1.trace.0, 0.1.trace.1, 0.1.trace.2"),
        (wrong, "of the wrong shape: 0.mu.1 (4,) instead of (5,)"),
    ):
        with pytest.raises(DataError) as error:
            optimizer.load_state_dict(state)
        assert str(error.value) == f"this state dict does not fit this Adam; {faults}. {FIT}"
    for name, value in optimizer.state_dict().items():
        np.testing.assert_array_equal(value, before[name])


# What is refused -----------------------------------------------------------------------------------------------------


def test_a_step_without_any_gradient_is_refused():
    parameters, _ = make()
    optimizer = optim.AdamW(parameters)
    said = (
        "no parameter has a gradient: call net.backward(grad) before optimizer.step(). (zero_grad() "
        "forgets gradients, so it belongs before backward.)"
    )
    with pytest.raises(StateError, match=f"^{re.escape(said)}$"):
        optimizer.step()
    assert optimizer.steps == 0


P = nn.Parameter(np.zeros(3))
NET = nn.Sequential(nn.Linear(2, 2))
EXPECTED = "expected net.parameters()."
KEYS = "params, and any of lr, betas, eps, weight_decay were expected."
REFUSED = {
    "empty": (lambda: optim.Adam([]), f"the optimizer was given no parameter: {EXPECTED}"),
    "empty_group": (lambda: optim.Adam([{"params": []}]), f"the optimizer was given no parameter: {EXPECTED}"),
    "twice": (
        lambda: optim.Adam([P, P]),
        "a parameter is twice among those of the optimizer: each can be in one group only.",
    ),
    "in_two_groups": (
        lambda: optim.Adam([{"params": [P]}, {"params": [P]}]),
        "a parameter is twice among those of the optimizer: each can be in one group only.",
    ),
    "an_array": (lambda: optim.Adam([np.zeros(3)]), f"the optimizer was given a ndarray: {EXPECTED}"),
    "a_net": (lambda: optim.Adam(NET), f"the optimizer was given a Linear: {EXPECTED}"),
    "a_layer": (lambda: optim.Adam(NET[0]), f"the optimizer was given a Linear: {EXPECTED}"),
    "a_parameter": (lambda: optim.Adam(P), f"the optimizer was given a Parameter: {EXPECTED}"),
    "a_parameter_as_group": (lambda: optim.Adam([{"params": P}]), f"the optimizer was given a Parameter: {EXPECTED}"),
    "names": (lambda: optim.Adam(NET.named_parameters()), f"the optimizer was given a tuple: {EXPECTED}"),
    "mixed": (lambda: optim.Adam([P, {"params": [P]}]), f"the optimizer was given a dict: {EXPECTED}"),
    "unknown_key": (
        lambda: optim.AdamW([{"params": [P], "momentum": 0.9}]),
        f"a parameter group has the keys momentum, params: {KEYS}",
    ),
    "no_params": (lambda: optim.AdamW([{"lr": 0.1}]), f"a parameter group has the keys lr: {KEYS}"),
    "lr": (lambda: optim.SGD([P], lr=-0.1), "lr is -0.1: a finite number at least 0 was expected."),
    "lr_nan": (lambda: optim.SGD([P], lr=float("nan")), "lr is nan: a finite number at least 0 was expected."),
    "lr_word": (lambda: optim.SGD([P], lr="0.1"), "lr is '0.1': a finite number at least 0 was expected."),
    "lr_of_a_group": (
        lambda: optim.SGD([{"params": [P], "lr": -1}], lr=0.1),
        "lr is -1: a finite number at least 0 was expected.",
    ),
    "momentum": (lambda: optim.SGD([P], 0.1, momentum=1.0), "momentum is 1.0: a number in [0, 1) was expected."),
    "nesterov": (
        lambda: optim.SGD([P], 0.1, nesterov=True),
        "nesterov is True, but momentum is 0.0: it looks ahead by the momentum. Give one above 0.",
    ),
    "sgd_decay": (
        lambda: optim.SGD([P], 0.1, weight_decay=-1),
        "weight_decay is -1: a finite number at least 0 was expected.",
    ),
    "beta": (lambda: optim.Adam([P], betas=(0.9, 1.0)), "betas[1] is 1.0: a number in [0, 1) was expected."),
    "adamw_beta": (lambda: optim.AdamW([P], betas=(-0.1, 0.9)), "betas[0] is -0.1: a number in [0, 1) was expected."),
    "one_beta": (lambda: optim.Adam([P], betas=(0.9,)), "betas is (0.9,): two numbers were expected."),
    "no_betas": (lambda: optim.Adam([P], betas=0.9), "betas is 0.9: two numbers were expected."),
    "eps": (lambda: optim.Adam([P], eps=0.0), "eps is 0.0: a number above 0 was expected."),
    "adamw_eps": (lambda: optim.AdamW([P], eps=-1e-8), "eps is -1e-08: a number above 0 was expected."),
    "a_text_as_eps": (lambda: optim.Adam([P], eps="1e-8"), "eps is '1e-8': a number above 0 was expected."),
    "decay": (
        lambda: optim.AdamW([P], weight_decay=-0.1),
        "weight_decay is -0.1: a finite number at least 0 was expected.",
    ),
    "norm": (
        lambda: optim.AdamW([P], clip_grad_norm=0.0),
        "clip_grad_norm is 0.0: a norm above 0 was expected, or None.",
    ),
    "cosine": (lambda: optim.cosine(0.1, 0), "total_steps is 0: a number of at least 1 was expected."),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_makes_no_optimizer_is_refused(name):
    call, said = REFUSED[name]
    with pytest.raises(ParameterError, match=f"^{re.escape(said)}$"):
        call()


def test_an_optimizer_of_your_own_has_to_say_what_it_computes():
    (parameter,), _ = make(shapes=((3,),))
    parameter.grad = np.zeros(3, np.float32)
    with pytest.raises(NotImplementedError, match=r"^Optimizer has no method transform\.$"):
        optim.Optimizer([parameter], 0.1, {}, None).step()


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda pair: pickle.loads(pickle.dumps(pair))], ids=["deepcopy", "pickle"]
)
def test_a_copy_goes_on_with_its_own_net(copied, place):
    net = nn.Linear(3, 2).to(place)
    optimizer = optim.Adam(net.parameters(), lr=0.1)
    x = np.ones((4, 3), np.float32)

    def step(net, optimizer):
        net.zero_grad()
        net.backward(2 * np.asarray(net(x)))
        optimizer.step()
        return np.asarray(net.weight)

    step(net, optimizer)
    other, its = copied((net, optimizer))
    before = np.asarray(net.weight)
    first = step(other, its)
    np.testing.assert_array_equal(net.weight, before)
    np.testing.assert_array_equal(step(net, optimizer), first)


@pytest.mark.parametrize("place", PLACES)
def test_a_parameters_old_array_says_where_the_new_one_is(place):
    net = nn.Linear(3, 2).to(place)
    optimizer = optim.SGD(net.parameters(), lr=0.1)
    net.backward(np.asarray(net(np.ones((4, 3), np.float32))))
    old = net.weight.data
    optimizer.step()
    with pytest.raises(StateError) as error:
        np.asarray(old)
    assert str(error.value).endswith(
        "and its memory now holds another array. Parameters are updated in place: read the parameter's data again, or "
        "keep a copy, np.array(parameter.data)."
    )
    optimizer.zero_grad()
    assert net.weight.grad is None
