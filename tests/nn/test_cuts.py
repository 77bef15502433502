"""Where backward goes on from call to call, and where not: a layer may be cut, reset or called by itself in between."""

import jax
import numpy as np
import pytest

from grilly import functional as F
from grilly import nn

from .nets import C, D, N

CALLS, HIDDEN = 4, 5
random = np.random.default_rng(3)
X = 2 * random.standard_normal((CALLS, N, D)).astype(np.float32)
GRADS = random.standard_normal((CALLS, N, C)).astype(np.float32)
ALONE = 2 * random.standard_normal((N, HIDDEN)).astype(np.float32)


def called_in_evaluation(net):
    net[1].eval()(ALONE)
    net[1].train()


# What happens before the last call but one; what that makes of the first neuron's state; and whether it is cut.
CHANGES = {
    "nothing": (lambda net: None, lambda v: v),
    "detached": (lambda net: F.detach_net(net[1]), jax.lax.stop_gradient),
    "reset": (lambda net: F.reset_net(net[1]), lambda v: 0 * v),
    "called": (lambda net: net[1](ALONE), lambda v: jax.lax.stop_gradient(F.lif_step(ALONE, v, tau=2.0)[1])),
    "evaluated": (called_in_evaluation, lambda v: jax.lax.stop_gradient(F.lif_step(ALONE, v, tau=2.0)[1])),
}


@pytest.mark.parametrize(
    ("step_mode", "name"), [*(("s", name) for name in CHANGES), ("m", "nothing"), ("m", "detached"), ("m", "reset")]
)
def test_the_gradient_goes_back_as_far_as_the_states_do(place, name, step_mode):
    change, changed = CHANGES[name]
    net = nn.Sequential(
        nn.Linear(D, HIDDEN), nn.LIFNode(step_mode=step_mode), nn.Linear(HIDDEN, C), nn.LIFNode(step_mode=step_mode)
    ).to(place)
    weights = {key: np.asarray(parameter.data) for key, parameter in net.named_parameters()}
    times = [slice(0, 2), slice(2, 4)] if step_mode == "m" else range(CALLS)

    for k, t in enumerate(times):
        if k == len(times) // 2:
            change(net)
        net(X[t])
    net.backward(GRADS[times[-1]] if step_mode == "m" else GRADS)

    def loss(weights):
        states, total = [np.zeros((N, n), np.float32) for n in (HIDDEN, C)], 0.0
        for t in range(CALLS):
            if t == CALLS // 2:
                states[0] = changed(states[0])
            h = X[t] @ weights["0.weight"].T + weights["0.bias"]
            h, states[0] = F.lif_step(h, states[0], tau=2.0)
            out, states[1] = F.lif_step(h @ weights["2.weight"].T + weights["2.bias"], states[1], tau=2.0)
            counts = t >= CALLS // 2 or step_mode == "s"  # of sequences, the gradient is by the last one's output
            total += counts * (out * GRADS[t]).sum()
        return total

    expected = jax.grad(loss)(weights)
    for key, parameter in net.named_parameters():
        np.testing.assert_allclose(parameter.grad, expected[key], rtol=1e-4, atol=1e-5, err_msg=key)


def test_a_backward_that_fails_midway_leaves_gradients_as_they_were(place, monkeypatch):
    net = nn.Sequential(nn.Linear(D, C), nn.LIFNode()).to(place)

    def backward(fails):
        for x in X[:3]:
            net(x)
        compiled, calls = net.compiled_calls.compiled(net.compiled_calls.layout), iter(range(3))
        broken = compiled._replace(backward=lambda *args: compiled.backward(*args) if next(calls) < 2 else fails())
        with monkeypatch.context() as patch:
            patch.setattr(net.compiled_calls, "compiled", lambda layout: broken)
            net.backward(GRADS[:3])

    def out_of_memory():
        raise MemoryError

    with pytest.raises(MemoryError):
        backward(out_of_memory)
    assert net[0].weight.grad is None
    net.backward(GRADS[:3])  # the records are still there
    first = np.asarray(net[0].weight.grad)
    F.reset_net(net)
    net.zero_grad()
    for x in X[:3]:
        net(x)
    net.backward(GRADS[:3])
    np.testing.assert_array_equal(net[0].weight.grad, first)
