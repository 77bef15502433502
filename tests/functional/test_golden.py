"""Against what SpikingJelly recorded: spikes, membranes, gradients, and five steps of training."""

import functools
import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from catalogue import NEURONS, SURROGATES

from grilly import functional as F

HERE = pathlib.Path(__file__).parents[1] / "golden"
NODES = np.load(HERE / "spikingjelly_neurons.npz")
TRAIN = np.load(HERE / "spikingjelly_train.npz")
OURS = {row.golden: name for name, row in SURROGATES.items()}
CASES = [case for case in json.loads(str(NODES["cases"])) if case["surrogate"] in OURS]


def params_of(case):
    if case["kind"] == "plif":
        return F.PLIFParams(w=NODES[case["id"] + "w"], v_reset=case["v_reset"])
    if case["kind"] == "lif":
        return F.LIFParams(tau=case["tau"], v_reset=case["v_reset"])
    return F.IFParams(v_reset=case["v_reset"])


@functools.lru_cache(None)
def node_and_gradients(name, surrogate, detach_reset):
    step = functools.partial(NEURONS[name].step, surrogate=SURROGATES[surrogate].kind(), detach_reset=detach_reset)

    def with_v(x, v, params):
        s, v = step(x, v, params)
        return (s, v), v

    @jax.jit
    def run(current, params):
        def both(current, params):
            (s, v_seq), _ = F.sequence(with_v, current, F.initial_v(current[0], params), params)
            return s, v_seq

        out, back = jax.vjp(both, current, params)
        by_v = jnp.zeros_like(current).at[-1].set(NODES["g_vlast"])
        return out, back((jnp.asarray(NODES["g_spike"]), by_v))

    return run


def near(got, want, tolerance=1e-5):
    """Relative to the array's largest element."""
    np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance * np.abs(want).max())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["key"])
def test_a_node_does_what_spikingjelly_does(case):
    name = case["kind"] + ("_decay_input" if case["decay_input"] else "")
    run = node_and_gradients(name, OURS[case["surrogate"]], case["detach_reset"])
    current, back = jax.vjp(F.linear, *(jnp.asarray(NODES[name]) for name in ("x_in", "weight", "bias")))
    (s, v), (by_current, by_params) = run(current, params_of(case))

    def recorded(what):
        return NODES[case["id"] + what]

    np.testing.assert_array_equal(np.packbits(np.asarray(s, np.uint8)), recorded("s"))
    near(v, recorded("v"))
    for got, what in zip((by_current, *back(by_current)), ("gI", "gx", "gW", "gb"), strict=True):
        near(got, recorded(what))
    if case["kind"] == "plif":
        near(by_params.w, recorded("gw"), 1e-3)


@pytest.mark.parametrize("variant", ["lif_ce", "plif_ce"])
def test_five_training_steps_are_spikingjellys(variant):
    learned = variant == "plif_ce"
    nodes = [F.PLIFParams.from_tau(2.0).w] * 2 if learned else []
    initial = {"0.weight": "W1", "0.bias": "b1", "2.weight": "W2", "2.bias": "b2"}
    weights = {name: jnp.asarray(TRAIN[f"init_{array}"]) for name, array in initial.items()}
    weights |= {f"{layer}.w": jnp.asarray(w) for layer, w in zip((1, 3), nodes, strict=False)}
    step = NEURONS["plif_decay_input" if learned else "lif_decay_input"].step
    optimizer = optax.adamw(1e-3, weight_decay=0.01)

    def layer(x, weights, linear, node):
        current = F.linear(x, weights[f"{linear}.weight"], weights[f"{linear}.bias"])
        params = F.PLIFParams(w=weights[f"{node}.w"]) if learned else F.LIFParams(tau=2.0)
        return F.sequence(step, current, F.initial_v(current[0], params), params)[0]

    def loss(weights, x, y):
        spikes = layer(layer(F.direct(x, int(TRAIN["T"])), weights, 0, 1), weights, 2, 3)
        rate = spikes.mean(axis=0)
        return F.cross_entropy(rate, y), rate

    @jax.jit
    def train(weights, state, x, y):
        (value, rate), gradients = jax.value_and_grad(loss, has_aux=True)(weights, x, y)
        updates, state = optimizer.update(gradients, state, weights)
        return optax.apply_updates(weights, updates), state, value, rate, gradients

    state, losses = optimizer.init(weights), []
    for i in range(5):
        y = F.check_labels(TRAIN["y"][i], classes=10)
        weights, state, value, rate, gradients = train(weights, state, TRAIN["x"][i], y)
        losses.append(value)
        np.testing.assert_array_equal(rate, TRAIN[f"{variant}_f32_rate{i}"])
        if i == 0:
            for name, gradient in gradients.items():
                near(gradient, TRAIN[f"{variant}_f32_grad0_{name}"], 1e-3 if name.endswith("w") else 1e-5)
    np.testing.assert_allclose(losses, TRAIN[f"{variant}_f32_losses"], rtol=0, atol=1e-5)
    for name, weight in weights.items():
        np.testing.assert_allclose(weight, TRAIN[f"{variant}_f32_after5_{name}"], rtol=0, atol=1e-4)
