"""A step that goes on from what it gave does what the same step does when everything is handed over by hand."""

import re
from functools import partial

import jax
import numpy as np
import pytest

import grilly
from grilly.errors import DeviceError, ParameterError, ShapeError, StateError
from grilly.runtime import Carried

W, B, M = (np.arange(n, dtype=np.float32) for n in (3, 2, 4))
SCALE = np.float32(0.5)


def momentum(shown, hidden, fixed, x, extra):
    """Some sums, of which each result depends on every argument."""
    (w, b), (m,), (scale,) = shown[0], hidden[0], fixed[0]
    m = scale * m + x.sum() + extra["y"]
    return ([w + m[:3], b - m[:2]],), ([m],), {"total": m.sum(), "x": x * scale}


@pytest.fixture(params=["cpu", "vulkan"])
def place(request):
    return request.param


def parts(place):
    put = partial(grilly.put, device=place)
    return ([put(W), put(B)],), ([put(M)],), ([put(SCALE)],)


def carried(place, arrays):
    return Carried(grilly.jit(momentum, device=place, donate_argnums=(0, 1)), *arrays)


def by_hand(calls):
    """What the calls give in NumPy: the last `shown`, `hidden` and `out`."""
    w, b, m, out = W, B, M, {}
    for x, y in calls:
        m = SCALE * m + np.float32(np.sum(x)) + np.float32(y)
        w, b, out = w + m[:3], b - m[:2], {"total": m.sum(), "x": np.asarray(x) * SCALE}
    return [w, b], [m], out


def assert_same(given, expected):
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-6), jax.tree.map(np.asarray, given), expected)


CALLS = {
    "arrays": lambda place: [(grilly.put(np.ones(3, np.float32) * k, place), 2.0) for k in range(5)],
    "numpy": lambda place: [(np.ones(3, np.float32) * k, np.float32(k)) for k in range(5)],
    "float64": lambda place: [(np.ones(3) * k, k) for k in range(5)],
    "other_shapes": lambda place: [(np.ones(1 + k % 2, np.float32), 1.0) for k in range(5)],
}


@pytest.mark.parametrize("name", CALLS)
def test_it_goes_on_from_what_it_gave(name, place):
    arrays, calls = parts(place), CALLS[name](place)
    step = carried(place, arrays)

    for n, (x, y) in enumerate(calls):
        (shown,), out = step(x, {"y": y})

        expected = by_hand(calls[: n + 1])
        assert_same((shown, arrays[1][0], out), expected)


def test_what_was_shown_is_donated_and_what_is_hidden_stays_the_same_array(place):
    arrays = parts(place)
    step = carried(place, arrays)
    (first,), _ = step(W, {"y": 0.0})
    (second,), _ = step(W, {"y": 0.0})

    for gone in (*arrays[0][0], *first):
        with pytest.raises(StateError, match=r"donated: it was argument 0\[0\]\[[01]\] of `momentum`"):
            np.asarray(gone)
    assert [array.shape for array in second] == [(3,), (2,)]
    assert_same(arrays[1][0], by_hand([(W, 0.0)] * 2)[1])


def test_two_that_share_hidden_arrays_go_on_from_each_other(place):
    arrays, others = parts(place), parts(place)
    one, two = carried(place, arrays), carried(place, (others[0], arrays[1], others[2]))
    calls = [(W, 1.0), (2 * W, 0.0), (W, 3.0)]

    for step, (x, y) in zip((one, two, one), calls, strict=True):
        step(x, {"y": y})

    assert_same(arrays[1][0], by_hand(calls)[1])


def test_an_argument_that_is_no_array_is_named_and_changes_nothing(place):
    arrays = parts(place)
    step = carried(place, arrays)
    step(W, {"y": 1.0})

    with pytest.raises(ShapeError, match=re.escape("argument 4['y'] of `momentum` is a str: an array")):
        step(W, {"y": "1"})
    (shown,), out = step(W, {"y": 2.0})

    assert_same((shown, arrays[1][0], out), by_hand([(W, 1.0), (W, 2.0)]))


def test_a_tracer_is_refused(place):
    step = carried(place, parts(place))
    with pytest.raises(ParameterError, match="an argument is one of JAX's tracers"):
        jax.jit(lambda x: step(x, {"y": 1.0}))(W)


def test_what_was_given_away_in_the_meantime_is_refused(place):
    arrays = parts(place)
    step = carried(place, arrays)
    (shown,), _ = step(W, {"y": 1.0})
    shown[1].delete()

    with pytest.raises(StateError, match="this array was deleted"):
        step(W, {"y": 1.0})


def test_an_array_of_another_device_is_refused(device):
    step = carried("vulkan", parts("vulkan"))
    step(grilly.put(W, "vulkan"), {"y": 1.0})

    with pytest.raises(DeviceError, match="argument 3 of `momentum` lives on cpu"):
        step(grilly.put(W, "cpu"), {"y": 1.0})


def test_what_is_carried_may_take_other_shapes_and_dtypes(place):
    def latest(shown, hidden, fixed, x):
        return ([x + shown[0][0].sum()],), ([hidden[0][0] * 1.5],), hidden[0][0]

    put = partial(grilly.put, device=place)
    program = grilly.jit(latest, device=place, donate_argnums=(0, 1))
    step = Carried(program, ([put(np.array([1, 2], np.int32))],), ([put(np.int32(2))],), ())
    kept, count = np.array([1, 2]), 2.0

    for n in (4, 4, 2, 4, 2, 2):
        x = np.arange(n, dtype=np.float32)
        (shown,), out = step(x)

        assert_same((shown, out), ([x + kept.sum()], count))
        kept, count = x + kept.sum(), 1.5 * count
