"""A sequence: what it computes, what it keeps for backward, and what is none."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from catalogue import NEURONS, SURROGATES
from strict import strict

import grilly
from grilly import ShapeError
from grilly import functional as F

PLACES = ["cpu", "vulkan"]


def leaky(x, state, params):
    """Two inputs and two states: a gate decides how much of the memory stays."""
    kept = state["memory"] * x["gate"] * params
    memory = kept + x["current"]
    return {"sum": memory, "before": state["last"]}, {"memory": memory, "last": x["current"]}


def by_hand(x_seq, state, params):
    memory, last, sums, before = state["memory"], state["last"], [], []
    for gate, current in zip(x_seq["gate"], x_seq["current"], strict=True):
        memory = memory * gate * params + current
        sums.append(memory), before.append(last)
        last = current
    return {"sum": np.stack(sums), "before": np.stack(before)}, {"memory": memory, "last": last}


def arguments(T=5):
    rng = np.random.default_rng(0)

    def normal(*shape):
        return rng.standard_normal(shape).astype(np.float32)

    x_seq = {"gate": normal(T, 3, 2), "current": normal(T, 3, 2)}
    return x_seq, {"memory": normal(3, 2), "last": normal(3, 2)}, np.float32(0.5)


@pytest.mark.parametrize("place", PLACES)
def test_inputs_states_and_outputs_are_pytrees(place):
    def run(*args):
        with strict():
            return F.sequence(leaky, *args)

    args = arguments()
    jax.tree.map(np.testing.assert_array_equal, grilly.jit(run, device=place)(*args), by_hand(*args))


@pytest.mark.parametrize("place", PLACES)
def test_gradients_flow_into_every_leaf(place):
    def total(*args):
        out, last = F.sequence(leaky, *args)
        return out["sum"].sum() + out["before"].sum() + 2 * last["memory"].sum()

    def want(*args):
        out, last = by_hand(*args)
        return out["sum"].sum() + out["before"].sum() + 2 * last["memory"].sum()

    args = arguments()
    gradients = grilly.jit(jax.grad(total, argnums=(0, 1, 2)), device=place)(*args)
    leaves, structure = jax.tree.flatten(jax.tree.map(np.float64, args))
    for k, by in enumerate(jax.tree.leaves(gradients)):
        for index in np.ndindex(leaves[k].shape):
            ends = []
            for step in (-1e-5, 1e-5):
                moved = [leaf.copy() for leaf in map(np.asarray, leaves)]
                moved[k][index] += step
                ends.append(want(*jax.tree.unflatten(structure, moved)))
            assert np.asarray(by)[index] == pytest.approx((ends[1] - ends[0]) / 2e-5, rel=1e-4, abs=1e-4)


def test_a_step_without_params():
    spikes, v = F.sequence(
        lambda x, v, params: F.if_step(x, v), np.full((4, 1), 0.5, np.float32), np.zeros(1, np.float32)
    )
    assert spikes[:, 0].tolist() == [0, 1, 0, 1]
    assert v.tolist() == [0]


def test_no_step_at_all_leaves_the_state_as_it_is():
    v = np.full((3, 2), 0.25, np.float32)
    spikes, last = F.sequence(F.if_step, np.zeros((0, 3, 2), np.float32), v, F.IFParams())
    assert spikes.shape == (0, 3, 2)
    np.testing.assert_array_equal(last, v)


# What backward keeps -------------------------------------------------------------------------------------------------


def kept(step, x_seq, state, params):
    """The shapes of the residuals that are as long as the sequence, and none of the arguments."""

    def residuals(*args):
        return jax.tree.leaves(jax.vjp(lambda *args: F.sequence(step, *args), *args)[1])

    jaxpr = jax.make_jaxpr(residuals)(x_seq, state, params).jaxpr
    T = len(jax.tree.leaves(x_seq)[0])
    long = {out for out in jaxpr.outvars if out.aval.shape[:1] == (T,)}
    return [out.aval.shape for out in long - set(jaxpr.invars)]


@pytest.mark.parametrize("surrogate", SURROGATES)
@pytest.mark.parametrize("name", NEURONS)
def test_a_neuron_keeps_its_membrane_and_nothing_else(name, surrogate):
    row = NEURONS[name]

    def step(x, v, params):
        return row.step(x, v, params, surrogate=SURROGATES[surrogate].kind())

    for params in (row.params(), row.params(v_reset=None)):
        assert kept(step, jnp.ones((7, 3, 2)), jnp.ones((3, 2)), params) == [(7, 3, 2)]


def test_of_several_states_those_are_kept_that_backward_needs():
    """The last input only passes through."""
    assert kept(leaky, *arguments(T=7)) == [(7, 3, 2)]


# What is no sequence -------------------------------------------------------------------------------------------------

RULE = (
    "a sequence is (T, N, *features), with the time steps along axis 0 and the same T in every array. "
    "For a single step call the step itself."
)
NONE = {
    "two_lengths": ((np.zeros((4, 3)), np.zeros((5, 3))), "(4, 3), (5, 3)"),
    "a_number": (np.float32(1), "()"),
    "one_of_two": ((np.zeros((4, 3)), 1.0), "(4, 3), ()"),
    "nothing": ({}, "no array"),
    "lists_of_numbers": (np.zeros((50, 3)).tolist(), "()"),
}


@pytest.mark.parametrize("name", NONE)
def test_what_is_no_sequence_is_refused(name):
    x_seq, shapes = NONE[name]
    said = f"x_seq has shape {shapes}: {RULE}"
    with pytest.raises(ShapeError, match=f"^{re.escape(said)}$"):
        F.sequence(lambda x, state, params: (x, state), x_seq, np.zeros(3))


def test_a_state_of_another_shape_is_refused_by_the_step():
    said = (
        "x has shape (3,), v has shape (2,): one step takes both in one shape, (N, *features). "
        "If x is one step of a sequence, that sequence should have the shape (T, N, *features)."
    )
    with pytest.raises(ShapeError) as error:
        F.sequence(F.if_step, np.zeros((4, 3), np.float32), np.zeros(2, np.float32), F.IFParams())
    assert str(error.value) == said


# What is no step -----------------------------------------------------------------------------------------------------

X_SEQ, V = np.ones((3, 2, 4), np.float32), np.zeros((2, 4), np.float32)
NO_PAIR = {
    "the_spikes_alone": (lambda x, v: x, "an array of shape (2, 4)"),
    "a_third": (lambda x, v: (x, v, v), "a tuple of 3"),
    "nothing": (lambda x, v: None, "a NoneType"),
}


def named(function):
    """It as a step whose name does not depend on the test."""

    def step(x, state, params):
        return function(x, state)

    step.__qualname__ = "Neuron.step"
    return step


@pytest.mark.parametrize("name", NO_PAIR)
def test_a_step_returns_its_output_and_its_state(name):
    function, found = NO_PAIR[name]
    said = f"Neuron.step returned {found}: a pair was expected, (out, state), the state being that after the step."
    with pytest.raises(ShapeError) as error:
        F.sequence(named(function), X_SEQ, V)
    assert str(error.value) == said


OTHER = {
    "dtype": (lambda v: v.astype(jnp.float16), "(2, 4) float16"),
    "shape": (lambda v: v[0], "(4,) float32"),
    "number": (lambda v: 0, "() int32"),
    "structure": (lambda v: {"v": v, "a": v}, "{'a': (2, 4) float32, 'v': (2, 4) float32}"),
}


@pytest.mark.parametrize("name", OTHER)
def test_a_step_keeps_the_form_of_its_state(name):
    change, found = OTHER[name]
    said = (
        f"Neuron.step was given a state of (2, 4) float32 and returned one of {found}: a step keeps its state's "
        "structure, shapes and dtypes. Return it in the given form, or start from a state in the returned one."
    )
    step = named(lambda x, v: (x, change(v)))
    with pytest.raises(ShapeError) as error:
        F.sequence(functools.partial(step), X_SEQ, V)
    assert str(error.value) == said


@pytest.mark.parametrize("start", [0, 0.0, jnp.asarray(0.0)])
def test_a_state_that_starts_as_a_number_takes_the_dtype_of_the_results(start):
    sums, last = F.sequence(lambda x, total, _: (total + x.sum(), total + x.sum()), X_SEQ, start)
    assert (sums.tolist(), float(last), last.dtype) == ([8, 16, 24], 24, np.float32)


def test_a_state_may_hold_what_is_no_float():
    def step(x, state, params):
        return x, {"key": jax.random.fold_in(state["key"], 1), "steps": state["steps"] + 1, "none": None}

    start = {"key": jax.random.key(0), "steps": np.int32(0), "none": None}
    assert int(F.sequence(step, X_SEQ, start)[1]["steps"]) == 3
