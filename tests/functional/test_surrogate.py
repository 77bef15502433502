"""The laws of every surrogate in the catalogue."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from catalogue import SURROGATES
from strict import strict

from grilly import ParameterError
from grilly import functional as F

X = np.concatenate([np.linspace(-3, 3, 1001), [0.0, -0.0, 1e-30, -1e-30, 1e30]]).astype(np.float32)


@pytest.mark.parametrize("name", SURROGATES)
def test_the_spike_is_the_heaviside_step(name):
    np.testing.assert_array_equal(SURROGATES[name].kind()(X), (X >= 0).astype(np.float32))


@pytest.mark.parametrize("alpha", [None, 0.5, np.float32(7.0)])
@pytest.mark.parametrize("name", SURROGATES)
def test_the_slope_is_its_definition(name, alpha):
    chosen = {} if alpha is None else {"alpha": alpha}
    surrogate = SURROGATES[name].kind(**chosen)
    with strict():
        _, slope = jax.jvp(surrogate, (jnp.asarray(X),), (jnp.ones_like(X),))
    want = SURROGATES[name].slope(X.astype(np.float64), **chosen)
    np.testing.assert_allclose(slope, want, rtol=2e-6, atol=1e-7)


@pytest.mark.parametrize("name", SURROGATES)
def test_the_slope_is_even_and_adds_up_to_one_step(name):
    x = np.linspace(-200, 200, 400_001)
    slope = jax.vmap(jax.grad(SURROGATES[name].kind()))(jnp.asarray(x, jnp.float32))
    np.testing.assert_array_equal(slope, slope[::-1])
    assert np.trapezoid(np.asarray(slope, np.float64), x) == pytest.approx(1.0, abs=0.005)


@pytest.mark.parametrize("name", SURROGATES)
def test_alpha_is_a_leaf_whose_gradient_is_zero(name):
    kind = SURROGATES[name].kind
    by_alpha = jax.grad(lambda surrogate: surrogate(jnp.asarray(X)).sum())(kind(alpha=3.0))
    assert isinstance(by_alpha, kind)
    assert float(by_alpha.alpha) == 0.0
    assert len(jax.tree.leaves(kind())) == 1


@pytest.mark.parametrize("name", SURROGATES)
def test_alpha_may_differ_from_feature_to_feature(name):
    alpha = np.array([1.0, 2.0], np.float32)
    x = np.full((3, 2), 0.25, np.float32)
    with strict():
        slope = jax.grad(lambda x: SURROGATES[name].kind(alpha=alpha)(x).sum())(x)
    np.testing.assert_allclose(slope, SURROGATES[name].slope(x.astype(np.float64), alpha), rtol=1e-6)


@pytest.mark.parametrize("alpha", [0.0, -1.0, float("nan"), jnp.array(-1.0)])
@pytest.mark.parametrize("name", SURROGATES)
def test_an_alpha_that_is_not_positive_is_refused(name, alpha):
    said = f"alpha is {float(alpha):g}: the sharpness of a surrogate must be > 0."
    with pytest.raises(ParameterError, match=f"^{re.escape(said)}$"):
        SURROGATES[name].kind(alpha=alpha)


def test_a_surrogate_passes_through_jit_and_tree_map():
    slope = jax.jit(lambda surrogate, x: jax.grad(surrogate)(x))
    assert float(slope(F.ATan(alpha=2.0), 0.0)) == 1.0
    assert float(slope(F.ATan(alpha=4.0), 0.0)) == 2.0
    assert jax.tree.map(lambda leaf: 0.0, F.ATan()).alpha == 0.0


@pytest.mark.parametrize(("alpha", "shown"), [(None, "None"), ("2", "'2'"), ([2.0], "a list")])
@pytest.mark.parametrize("name", SURROGATES)
def test_an_alpha_that_is_no_number_is_refused(name, alpha, shown):
    said = f"alpha is {shown}: the sharpness of a surrogate must be > 0."
    with pytest.raises(ParameterError, match=f"^{re.escape(said)}$"):
        SURROGATES[name].kind(alpha=alpha)


@pytest.mark.parametrize("name", SURROGATES)
def test_alpha_need_not_be_named(name):
    assert SURROGATES[name].kind(3.0) == SURROGATES[name].kind(alpha=3.0)


NO_SURROGATE = {
    "class": (F.ATan, "the class ATan: a spike function was expected, such as ATan(). Call the class."),
    "name": (
        "atan",
        "'atan': a spike function was expected, such as F.ATan(), or one of your own that takes v - v_threshold.",
    ),
    "none": (
        None,
        "None: a spike function was expected, such as F.ATan(), or one of your own that takes v - v_threshold.",
    ),
}


@pytest.mark.parametrize("step", [F.if_step, F.lif_step, F.plif_step])
@pytest.mark.parametrize("name", NO_SURROGATE)
def test_what_is_no_surrogate_is_refused(name, step):
    surrogate, said = NO_SURROGATE[name]
    with pytest.raises(ParameterError, match=f"^{re.escape(f'surrogate is {said}')}$"):
        step(X, X, surrogate=surrogate)


def test_a_function_is_a_surrogate():
    spikes, _ = F.if_step(X, 0 * X, surrogate=lambda x: (x > 1).astype(x.dtype))
    np.testing.assert_array_equal(spikes, X > 2)
