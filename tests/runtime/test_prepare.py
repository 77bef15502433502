"""What depends on steady arguments alone is computed when they change, and only then."""

import io

import jax
import numpy as np
import pytest
from jax import lax
from jax import numpy as jnp
from targets import MATRIX_GPU

import grilly
from grilly import nn
from grilly.config import Config
from grilly.runtime import compile
from grilly.runtime.ir import Aval
from grilly.runtime.kernels import spread
from grilly.runtime.lower import lower_graph
from grilly.runtime.packing import packed, unpacked
from grilly.runtime.passes import prepare
from grilly.runtime.passes.simplify import simplify
from grilly.runtime.profile import Profile
from grilly.runtime.trace import trace

F32 = np.dtype(np.float32)


@pytest.fixture
def any_product(monkeypatch):
    """So that a device without matrix units prepares too."""
    monkeypatch.setattr(prepare, "READERS", {"dot_general"})


def function(w, x):
    return jnp.tanh(w) @ x, x + 1


def arrays():
    random = np.random.default_rng(0)
    return random.standard_normal((5, 7), F32), random.standard_normal((7, 3), F32)


def runs(call):
    """How many programs a call runs."""
    with Profile(output=io.StringIO()) as profile:
        call()
    return len(profile.calls)


def gives_jaxs_values(program, *arguments):
    ours, theirs = program(*arguments), jax.jit(function)(*map(np.asarray, arguments))
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(np.asarray(one), other, atol=1e-6)


def test_it_is_prepared_once(device, any_product):
    program = grilly.jit(function, device=device, steady_argnums=0)
    w, x = arrays()
    w = grilly.put(w, device)
    assert runs(lambda: gives_jaxs_values(program, w, x)) == 2
    assert runs(lambda: gives_jaxs_values(program, w, x + 1)) == 1


def test_other_arrays_are_prepared_anew(device, any_product):
    program = grilly.jit(function, device=device, steady_argnums=0)
    w, x = arrays()
    for change in range(3):
        assert runs(lambda w=grilly.put(w + change, device): gives_jaxs_values(program, w, x)) == 2


def test_arrays_updated_in_place_are_prepared_anew(device, any_product):
    program = grilly.jit(function, device=device, steady_argnums=0)
    update = grilly.jit(lambda w: w - 1, device=device, donate_argnums=0)
    w, x = arrays()
    w = grilly.put(w, device)
    for _ in range(3):
        assert runs(lambda w=w: gives_jaxs_values(program, w, x)) == 2
        w = update(w)


def test_numpy_arrays_are_prepared_at_each_call(device, any_product):
    """Nobody knows whether they are the same."""
    program = grilly.jit(function, device=device, steady_argnums=0)
    w, x = arrays()
    for _ in range(3):
        assert runs(lambda w=w: gives_jaxs_values(program, w, x)) == 2
        w += 1


def test_donated_arguments_are_not_steady(device, any_product):
    program = grilly.jit(function, device=device, steady_argnums=0, donate_argnums=0)
    assert runs(lambda: gives_jaxs_values(program, *arrays())) == 1


def test_debugging_shows_and_runs_the_same(device, any_product, monkeypatch, capsys):
    monkeypatch.setattr(compile, "config", Config(debug=frozenset({"kernels"})))
    program = grilly.jit(function, device=device, steady_argnums=0)
    w, x = arrays()
    w = grilly.put(w, device)
    assert runs(lambda: gives_jaxs_values(program, w, x)) == 2
    assert runs(lambda: gives_jaxs_values(program, w, x + 1)) == 1
    printed = capsys.readouterr().err.splitlines()
    assert [line.split("[")[0].strip() for line in printed[1:]] == ["map", "matmul", "map"]


def test_the_memory_of_what_is_kept_is_told(device, any_product):
    w, x = arrays()
    found = grilly.jit(function, device=device, steady_argnums=0).memory(w, x)
    assert (found.arguments, found.prepared) == (w.nbytes + x.nbytes, w.nbytes)
    assert grilly.jit(function, device=device).memory(w, x).prepared == 0


def test_the_cpu_prepares_nothing():
    gives_jaxs_values(grilly.jit(function, device="cpu", steady_argnums=0), *arrays())


def convolution(w, x):
    return lax.conv_general_dilated(x, w, (1, 1), "SAME")


def plan(steady):
    avals = [Aval((64, 64, 3, 3), F32), Aval((256, 64, 16, 16), F32)]
    return lower_graph(simplify(trace(lambda *args: [convolution(*args)], avals)), frozenset(), MATRIX_GPU, steady).plan


def test_weights_are_split_by_the_preparation():
    whole, rest = plan(frozenset()), plan(frozenset({0}))
    assert whole.preparation is None
    assert rest.preparation.arguments == (0,)
    assert [result.dtype.name for result in rest.preparation.plan.results] == ["float16", "float16", "float32"]
    assert rest.arguments == (*whole.arguments, *rest.preparation.plan.results)


def test_a_plan_with_a_preparation_is_packed():
    data = packed(plan(frozenset({0})))
    assert packed(unpacked(data)) == data


def test_a_net_in_evaluation_follows_its_weights(device, monkeypatch):
    monkeypatch.setattr(spread, "LARGE", 1)
    net = nn.Linear(256, 64).to(device)
    net.eval()
    x = np.random.default_rng(0).standard_normal((64, 256), F32)
    for seed in range(2):
        weight = np.random.default_rng(seed).standard_normal((64, 256), F32)
        net.load_state_dict({"weight": weight, "bias": np.zeros(64, F32)})
        for _ in range(2):
            np.testing.assert_allclose(np.asarray(net(x)), x @ weight.T, atol=1e-3)  # of hundreds
