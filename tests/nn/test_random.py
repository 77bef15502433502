"""One seed behind every random draw."""

import jax
import numpy as np
import pytest

import grilly
from grilly import ParameterError, StateError, nn

from .nets import D, N, raises


def start():
    return nn.Sequential(nn.Linear(D, 4), nn.Linear(4, 2)).state_dict()


def masks(place):
    """Of two calls of a net with two dropouts."""
    net = nn.Sequential(nn.Dropout(0.5), nn.Dropout(0.25)).to(place)
    ones = np.ones((N, 50), np.float32)
    return [np.asarray(net(ones)) for _ in range(2)]


def test_the_same_seed_gives_the_same_weights_and_another_others():
    weights = []
    for seed in (7, 7, 8):
        grilly.seed(seed)
        weights.append(start()["0.weight"])
    np.testing.assert_array_equal(weights[0], weights[1])
    assert np.all(weights[0] != weights[2])
    assert np.all(start()["0.weight"] != weights[2])  # each draw is another


def test_the_same_seed_gives_the_same_masks(place):
    drawn = []
    for seed in (3, 3, 4):
        grilly.seed(seed)
        drawn.append(masks(place))
    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert np.any(drawn[0][0] != drawn[2][0])
    assert np.any(drawn[0][0] != drawn[0][1])  # each call is another
    assert set(np.unique(drawn[0])) == {0.0, np.float32(2 / 0.75)}  # and each layer: all four pairs happen
    assert 0.3 < np.mean(np.array(drawn[0]) > 0) < 0.45  # 0.5 * 0.75


def test_both_devices_draw_the_same_masks(device):
    drawn = []
    for place in ("cpu", device):
        grilly.seed(5)
        drawn.append(masks(place))
    np.testing.assert_array_equal(drawn[0], drawn[1])


def test_numpys_generator_is_not_touched():
    before = np.random.get_state()[1].copy()
    grilly.seed(1), start()
    np.testing.assert_array_equal(np.random.get_state()[1], before)


@pytest.mark.parametrize("n", [-1, 2**64, 1.0, "1", True, None])
def test_a_seed_that_is_none(n):
    with raises(ParameterError, f"the seed is {n!r}: an integer from 0 to 2^64 - 1 was expected."):
        grilly.seed(n)


class Noisy(nn.Module):
    random = True

    def forward(self, x):
        return x + jax.random.uniform(nn.random_key(), x.shape) if self.training else x


class Forgetful(nn.Module):
    def forward(self, x):
        return x + jax.random.uniform(nn.random_key(), x.shape)


def test_a_module_of_your_own_draws(place):
    net, x = Noisy().to(place), np.zeros((N, 40), np.float32)
    first, second = np.asarray(net(x)), np.asarray(net(x))
    assert np.all(first != second)
    assert 0.4 < first.mean() < 0.6
    np.testing.assert_array_equal(net.eval()(x), x)


def test_a_module_that_draws_has_to_say_so(place):
    said = (
        "random_key() was called in a forward that has no random key: the net is in evaluation mode, or the module "
        "does not say that it draws. Write `random = True` in the body of its class, and draw only where "
        "self.training is true."
    )
    with raises(StateError, said):
        Forgetful().to(place)(np.zeros(3))
    with raises(StateError, said, layer='"0": Forgetful()'):
        nn.Sequential(Forgetful()).to(place)(np.zeros(3))
