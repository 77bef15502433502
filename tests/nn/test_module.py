"""`Module`: what it finds of itself, saves, moves, copies and shows; and modules of the user's own."""

import copy
import pickle

import jax
import numpy as np
import pytest

import grilly
from grilly import DataError, DeviceError, ParameterError, ShapeError, StateError, nn
from grilly import functional as F

from .nets import C, D, N, T, dyadic, mlp, raises, spikes

X = spikes(T, N, D)
GRAD = dyadic(T, N, C)


def trained(place, seed=0):
    """A net with gradients, running statistics, and neurons in the middle of a sequence."""
    grilly.seed(seed)
    net = nn.Sequential(
        nn.SeqToANNContainer(nn.Linear(D, 5), nn.BatchNorm1d(5)), nn.ParametricLIFNode(step_mode="m"),
        nn.SeqToANNContainer(nn.Linear(5, C)), nn.IFNode(v_reset=None, step_mode="m"),
    ).to(place)  # fmt: skip
    net(X)
    net.backward(GRAD)
    F.detach_net(net)
    return net


# What is found ---------------------------------------------------------------------------------------------------


def test_parameters_are_what_is_learned_and_never_a_threshold(place):
    net = trained(place)
    names = ["0.0.weight", "0.0.bias", "0.1.weight", "0.1.bias", "1.w", "2.0.weight", "2.0.bias"]
    shapes = [(5, D), (5,), (5,), (5,), (), (C, 5), (C,)]

    assert [name for name, _ in net.named_parameters()] == names
    assert [p.shape for p in net.parameters()] == shapes
    assert [p.grad.shape for p in net.parameters()] == shapes
    assert [name for name, _ in net.named_buffers()] == [
        "0.1.running_mean",
        "0.1.running_var",
        "0.1.num_batches_tracked",
    ]
    assert [name for name, _ in net.named_modules()] == ["", "0", "0.0", "0.1", "1", "2", "2.0", "3"]
    assert list(net.children()) == [net[0], net[1], net[2], net[3]]


def test_a_shared_module_is_counted_once_and_learns_from_both_places(place):
    layer = nn.Linear(3, 3, bias=False, init=lambda key, shape: 2 * np.eye(3))
    net = nn.Sequential(layer, nn.Flatten(), layer).to(place)
    assert len(net) == 3
    assert [name for name, _ in net.named_parameters()] == ["0.weight"]

    x = np.array([[1.0, 2.0, 3.0]], np.float32)
    np.testing.assert_array_equal(net(x), 4 * x)
    g = np.array([[1.0, 0.0, -1.0]], np.float32)
    np.testing.assert_array_equal(net.backward(g), 4 * g)
    np.testing.assert_array_equal(layer.weight.grad, 2 * (2 * g.T @ x))  # of y = W W x, at W = 2


def test_a_parameter_that_is_not_learned_gets_no_gradient(place):
    net = mlp().to(place)
    net[0][0].weight.requires_grad = False
    net(X)
    net.backward(GRAD)
    assert net[0][0].weight.grad is None
    assert net[2][0].weight.grad is not None


def test_train_and_eval_reach_every_module():
    net = mlp()
    assert net.eval() is net
    assert not any(module.training for module in net.modules())
    assert net.train() is net
    assert all(module.training for module in net.modules())


def test_zero_grad_forgets_gradients(place):
    net = trained(place)
    net.zero_grad()
    assert [p.grad for p in net.parameters()] == [None] * 7


# Saving ------------------------------------------------------------------------------------------------------------


def test_a_state_dict_brings_the_outputs_back_and_holds_no_membrane(place):
    net = trained(place)
    saved = net.state_dict()
    assert list(saved) == [n for n, _ in net.named_parameters()] + [n for n, _ in net.named_buffers()]
    assert all(type(array) is np.ndarray for array in saved.values())
    F.reset_net(net)
    expected = np.asarray(net.eval()(X))

    other = trained(place, seed=1)
    F.reset_net(other)
    assert np.any(np.asarray(other[0][0].weight.data) != saved["0.0.weight"])
    other.load_state_dict(saved)

    np.testing.assert_array_equal(other.eval()(X), expected)
    for name, array in other.state_dict().items():
        np.testing.assert_array_equal(array, saved[name])
        assert array.dtype == saved[name].dtype


def test_a_state_dict_is_a_copy_both_ways(place):
    net = mlp().to(place)
    saved = net.state_dict()
    saved["0.0.bias"][:] = 7
    np.testing.assert_array_equal(net[0][0].bias.data, np.zeros(5))
    net.load_state_dict(saved)
    saved["0.0.bias"][:] = 8
    np.testing.assert_array_equal(net[0][0].bias.data, np.full(5, 7))


def test_a_state_dict_that_does_not_fit_sets_nothing(place):
    net = mlp().to(place)
    before = net.state_dict()
    wrong = {name: array + 1 for name, array in before.items()}
    wrong["2.0.weight"] = np.zeros((3, 5))
    wrong["4.weight"] = wrong.pop("0.0.bias")
    said = (
        "this state dict does not fit the net; missing: 0.0.bias; unexpected: 4.weight; "
        "of the wrong shape: 2.0.weight (3, 5) instead of (2, 5). Load one that was saved from the same structure."
    )
    with raises(DataError, said):
        net.load_state_dict(wrong)
    said = (
        "this state dict does not fit the net; of the wrong shape: 2.0.weight (3, 5) instead of (2, 5). "
        "Load one that was saved from the same structure."
    )
    with raises(DataError, said):
        net.load_state_dict(wrong, strict=False)
    wrong = before | {"0.0.weight": np.full((5, D), "heavy"), "0.0.bias": before["0.0.bias"] + 1}
    said = (
        "this state dict does not fit the net; not of numbers: 0.0.weight (<U5). "
        "Load one that was saved from the same structure."
    )
    with raises(DataError, said):
        net.load_state_dict(wrong)
    for name, array in net.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


def test_what_is_no_state_dict():
    net = mlp()
    for taker in (net, grilly.optim.Adam(net.parameters())):
        with raises(DataError, "a Sequential was given: a dict of arrays by name was expected, as state_dict() is."):
            taker.load_state_dict(net)
        with raises(DataError, "a NoneType was given: a dict of arrays by name was expected, as state_dict() is."):
            taker.load_state_dict(None)


def test_part_of_a_state_dict_can_be_loaded():
    net = mlp()
    before = net.state_dict()
    net.load_state_dict({"0.0.bias": np.arange(5), "elsewhere": np.zeros(1)}, strict=False)
    np.testing.assert_array_equal(net[0][0].bias.data, np.arange(5))
    np.testing.assert_array_equal(net[2][0].weight.data, before["2.0.weight"])


# Moving and copying --------------------------------------------------------------------------------------------------


def everything(net):
    """All arrays of a net: parameters, gradients, buffers, states."""
    held = [a for p in net.parameters() for a in (p.data, p.grad)] + [b.data for _, b in net.named_buffers()]
    return held + [m._state for m in net.modules() if m._state is not None]


def test_to_moves_parameters_gradients_buffers_and_states(place, place_device, device):
    net, stayed = trained(place), trained(place)
    target = device if place == "cpu" else grilly.put(0.0, "cpu").device

    assert net.to(target) is net
    assert all(array.device is target for array in everything(net))
    assert all(array.device is place_device for array in everything(stayed))
    for moved, kept in zip(everything(net), everything(stayed), strict=True):
        np.testing.assert_array_equal(moved, kept)
    np.testing.assert_allclose(net(X), stayed(X))  # both in the middle of the sequence
    np.testing.assert_allclose(net.backward(GRAD), stayed.backward(GRAD), rtol=1e-5, atol=1e-6)


def test_a_net_without_parameters_stays_where_it_was_moved(place, place_device):
    net = nn.Sequential(nn.ReLU(), nn.IFNode()).to(place)
    assert net(X[0]).device is place_device
    assert copy.deepcopy(net)(X[0]).device is place_device


def copied_by_pickle(net):
    return pickle.loads(pickle.dumps(net))


@pytest.mark.parametrize("copied", [copy.deepcopy, copied_by_pickle])
def test_copies_go_on_by_themselves(copied, place):
    net, stayed = trained(place), trained(place)
    other = copied(net)
    if copied is copied_by_pickle:
        other.to(place)
    expected = np.asarray(stayed(X))

    np.testing.assert_array_equal(other(X), expected)
    other.backward(GRAD)
    grilly.optim.SGD(other.parameters(), lr=0.1).step()

    np.testing.assert_array_equal(net(X), expected)  # what was done to the copy did nothing to it
    for ours, theirs in zip(net.parameters(), stayed.parameters(), strict=True):
        np.testing.assert_array_equal(ours.data, theirs.data)
        np.testing.assert_array_equal(ours.grad, theirs.grad)
    assert repr(other[3]) == repr(net[3])


def test_a_shallow_copy_shares_its_layers(place):
    net = mlp().to(place)
    other = copy.copy(net)
    assert other[0] is net[0]
    np.testing.assert_array_equal(other.eval()(X), net(X))


@pytest.mark.parametrize("device", [3, None, np.zeros(1), grilly.devices()[0]])
def test_what_is_no_device(device):
    said = (
        f"{device!r} is no device: a name as for GRILLY_DEVICE was expected, such as 'cpu' or 'vulkan', or the device "
        "of an array, array.device."
    )
    with raises(DeviceError, said):
        mlp().to(device)


@pytest.mark.parametrize("mode", ["eval", None, 1])
def test_what_is_no_mode_of_training(mode):
    net = mlp().eval()
    with raises(ParameterError, f"mode is {mode!r}: True, for training, or False, for evaluation, was expected."):
        net.train(mode)
    assert not any(module.training for module in net.modules())


# Text ------------------------------------------------------------------------------------------------------------


def test_the_pages_net_prints_as_a_tree():
    net = nn.Sequential(
        nn.SeqToANNContainer(nn.Linear(784, 256)), nn.LIFNode(tau=2.0, step_mode="m"),
        nn.SeqToANNContainer(nn.Linear(256, 10)), nn.LIFNode(tau=2.0, step_mode="m"),
    )  # fmt: skip
    lif = "LIFNode(tau=2.0, decay_input=False, v_threshold=1.0, v_reset=0.0, step_mode='m')"
    assert repr(net) == (
        "Sequential(\n"
        "  (0): SeqToANNContainer(\n"
        "    (0): Linear(784, 256)\n"
        "  )\n"
        f"  (1): {lif}\n"
        "  (2): SeqToANNContainer(\n"
        "    (0): Linear(256, 10)\n"
        "  )\n"
        f"  (3): {lif}\n"
        ")"
    )


@pytest.mark.parametrize(
    ("module", "line"),
    [
        (lambda: nn.Linear(3, 2, bias=False), "Linear(3, 2, bias=False)"),
        (lambda: nn.Conv2d(4, 8, 3), "Conv2d(4, 8, kernel_size=(3, 3))"),
        (
            lambda: nn.Conv2d(4, 8, (3, 1), stride=2, padding=(1, 0), dilation=2, groups=4, bias=False),
            "Conv2d(4, 8, kernel_size=(3, 1), stride=(2, 2), padding=(1, 0), dilation=(2, 2), groups=4, bias=False)",
        ),
        (lambda: nn.BatchNorm2d(8), "BatchNorm2d(8, eps=1e-05, momentum=0.1)"),
        (lambda: nn.MaxPool2d(2), "MaxPool2d(kernel_size=(2, 2), stride=(2, 2))"),
        (lambda: nn.AvgPool2d(3, 1, 1), "AvgPool2d(kernel_size=(3, 3), stride=(1, 1), padding=(1, 1))"),
        (lambda: nn.ReLU(), "ReLU()"),
        (lambda: nn.Flatten(), "Flatten()"),
        (lambda: nn.Flatten(2), "Flatten(start_dim=2)"),
        (lambda: nn.Dropout(0.2), "Dropout(p=0.2)"),
        (lambda: nn.IFNode(v_reset=None), "IFNode(v_threshold=1.0, v_reset=None, step_mode='s')"),
        (
            lambda: nn.ParametricLIFNode(init_tau=3.0),
            "ParametricLIFNode(tau=3.0, decay_input=False, v_threshold=1.0, v_reset=0.0, step_mode='s')",
        ),
        (lambda: nn.CrossEntropyLoss(), "CrossEntropyLoss()"),
        (lambda: nn.Linear(3, 2).weight, "Parameter(weight, shape=(2, 3))"),
        (lambda: nn.BatchNorm1d(4).running_var, "Buffer(shape=(4,))"),
    ],
)
def test_a_layer_prints_as_a_line(module, line):
    assert repr(module()) == line


# Modules of the user's own -----------------------------------------------------------------------------------------


class Residual(nn.Module):
    """A skip around a layer and a pure function."""

    def __init__(self, features):
        self.inner = nn.Linear(features, features)
        self.scale = nn.Parameter([0.5])

    def forward(self, x):
        return x + F.relu(self.inner(x)) * self.scale.data


class Nested(nn.Module):
    """A module of the user's in another, and neurons beside functions of jax.numpy."""

    def __init__(self):
        self.block = nn.SeqToANNContainer(Residual(D))
        self.neuron = nn.LIFNode(step_mode="m")
        self.readout = nn.SeqToANNContainer(nn.Linear(D, C))

    def forward(self, x_seq):
        return self.readout(self.neuron(self.block(x_seq)) + x_seq)


def test_a_skip_has_its_gradient(place):
    net = Residual(D).to(place)
    x, g = dyadic(N, D), dyadic(N, D, seed=1)
    w, b = (np.asarray(p.data, np.float64) for p in (net.inner.weight, net.inner.bias))
    h = x @ w.T + b
    assert [name for name, _ in net.named_parameters()] == ["scale", "inner.weight", "inner.bias"]

    np.testing.assert_allclose(net(x), x + np.maximum(h, 0) * 0.5, rtol=1e-6, atol=1e-6)
    by_x = net.backward(g)

    by_h = g * 0.5 * (h > 0)
    np.testing.assert_allclose(by_x, g + by_h @ w, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(net.inner.weight.grad, by_h.T @ x, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(net.scale.grad, [np.sum(g * np.maximum(h, 0))], rtol=1e-5)


def test_modules_of_your_own_nest(place):
    net = Nested().to(place)
    weights = {name: np.asarray(p.data) for name, p in net.named_parameters()}

    def pure(weights, x):
        return nn.functional_call(net, weights, x)[0]

    expected, vjp = jax.vjp(pure, weights, X)
    by_weights, by_x = vjp(jax.numpy.asarray(GRAD))

    np.testing.assert_allclose(net(X), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(net.backward(GRAD), by_x, rtol=1e-5, atol=1e-5)
    for name, parameter in net.named_parameters():
        np.testing.assert_allclose(parameter.grad, by_weights[name], rtol=1e-5, atol=1e-5)
    assert repr(net).splitlines()[:3] == ["Nested(", "  (block): SeqToANNContainer(", "    (0): Residual("]


@pytest.mark.parametrize(
    ("given", "dtype"),
    [
        ([1.0, 2.0], np.float32), (0.0, np.float32), (3, np.int32), ([1, 2], np.int32), (True, np.bool_),
        (np.ones(2), np.float32), (np.ones(2, np.float16), np.float16), (jax.numpy.ones(2, "uint8"), np.uint8),
    ],
)  # fmt: skip
def test_a_buffer_is_an_array(given, dtype, place):
    class Kept(nn.Module):
        def __init__(self):
            self.kept = nn.Buffer(given)

        def forward(self, x):
            return x * self.kept.data

    net = Kept()
    assert (type(net.kept.data), net.kept.data.dtype) == (np.ndarray, dtype)
    np.testing.assert_array_equal(net.kept, given)
    net.load_state_dict({"kept": np.zeros_like(given)})
    assert net.state_dict()["kept"].dtype == dtype
    np.testing.assert_array_equal(net.to(place)(np.ones((3, 2), np.float32)), np.zeros((3, 2)))


def test_a_buffer_keeps_values_of_its_own():
    given = np.ones(2, np.float32)
    buffer = nn.Buffer(given)
    given[:] = 2
    np.testing.assert_array_equal(buffer, [1, 1])


def test_a_buffer_holds_numbers():
    said = "a buffer has dtype <U5: devices know booleans, integers and floats of 32 bits or less."
    with raises(ShapeError, said):
        nn.Buffer("count")
    said = (
        "a buffer holds 4294967296, which does not fit into int32: devices compute on 32-bit integers. "
        "Make the values smaller, or convert the array to float32."
    )
    with raises(DataError, said):
        nn.Buffer(2**32)


def test_setting_an_attribute_is_seen_by_the_next_call(place):
    class Scaled(nn.Module):
        def __init__(self):
            self.factor = 2.0

        def forward(self, x):
            return x * self.factor

    net = Scaled().to(place)
    np.testing.assert_array_equal(net(X), 2 * X)
    net.factor = 3.0
    np.testing.assert_array_equal(net(X), 3 * X)


class Scaled(nn.Module):
    """Computes with an attribute that is no array of the net's: a constant of its trace."""

    def __init__(self, scale):
        self._scale = scale

    def forward(self, x):
        return x * np.asarray(self._scale)


def set_anew(net, scale):
    net._scale = scale


def set_twice(net, scale):
    net._scale = [9.0]  # which gives up the address of the first one, that the second may come to have
    net._scale = scale


def set_in_place(net, scale):
    net._scale[0] = scale[0]
    net.another = None  # any attribute of any module


@pytest.mark.parametrize(
    ("kind", "change"),
    [(list, set_anew), (list, set_twice), (list, set_in_place), (np.array, set_anew), (np.array, set_twice)],
)
def test_an_attribute_of_any_kind_is_seen(place, change, kind):
    net = Scaled(kind([1.0])).to(place)
    for k in range(1, 8):
        change(net, kind([float(k)]))
        np.testing.assert_array_equal(net(X), k * X)


def test_numbers_that_are_equal_and_yet_not_the_same_are_seen(place):
    net = Scaled(0.0).to(place)
    for scale in (0.0, -0.0, 1.0, True, 1):
        net._scale = scale
        np.testing.assert_array_equal(np.signbit(net(X)), np.signbit(X * np.float32(scale)))


def test_an_array_in_the_place_of_a_parameter_is_refused(place):
    layer = nn.Linear(D, C).to(place)
    said = (
        "weight of this Linear is a Parameter, and a ndarray in its place would be neither learned nor saved. Set its "
        "data, module.weight.data = array; or another nn.Parameter(array)."
    )
    with raises(ParameterError, said):
        layer.weight = np.ones((C, D), np.float32)
    layer.weight, layer.bias = nn.Parameter(np.ones((C, D))), None
    np.testing.assert_array_equal(layer(X[0]), X[0].sum(-1, keepdims=True).repeat(C, -1))


def test_a_module_that_knows_its_parent_can_be_copied(place):
    net = nn.Sequential(nn.Linear(D, C)).to(place)
    vars(net[0])["parent"] = [net]  # in a list: no child
    copied = copy.deepcopy(net)
    assert copied[0].parent[0] is copied
    assert copied is not net


def test_a_module_without_a_forward_says_so():
    class Empty(nn.Module):
        pass

    class Half(nn.StatefulModule):
        pass

    with raises(NotImplementedError, "Empty has no method forward: write forward(self, x)."):
        Empty()(X)
    with raises(NotImplementedError, "Half has no method initial_state: write it, and step."):
        Half()(X)


def test_layers_hidden_in_a_list_are_refused():
    class Hidden(nn.Module):
        def __init__(self):
            self.layers = [nn.ReLU(), nn.Linear(D, C)]

        def forward(self, x):
            for layer in self.layers:
                x = layer(x)
            return x

    said = (
        "forward calls a Linear that is no attribute of a module: the net does not know its parameters, and would "
        "never learn them. Set it as an attribute, self.name = module, in __init__; several of them go into one "
        "nn.Sequential."
    )
    with raises(ParameterError, said):
        Hidden()(X)


def test_a_forward_that_sets_a_parameter_says_that_it_would_be_lost(place):
    """As where a layer learns by a rule of its own."""

    class Hebbian(nn.Module):
        def __init__(self):
            self.weight = nn.Parameter(np.ones((D, D)))

        def forward(self, x):
            self.weight.data = self.weight.data + x.T @ x
            return x @ self.weight.data

    class Rounded(nn.Module):
        """Sets its layer's weight for a while."""

        def __init__(self):
            self.layer = nn.Linear(D, C, bias=False)

        def forward(self, x):
            weight = self.layer.weight.data
            self.layer.weight.data = jax.numpy.sign(weight)
            y, self.layer.weight.data = self.layer(x), weight
            return y

    said = (
        'forward set the data of the parameter "weight", which would be lost: optimizers change parameters. '
        "Keep new values in a variable; or make it a nn.Buffer, which forward may set."
    )
    net = Hebbian().to(place)
    for _ in range(2):
        with raises(ParameterError, said):
            net(X[0])
        np.testing.assert_array_equal(net.weight.data, np.ones((D, D)))
    net = Rounded().to(place)
    np.testing.assert_array_equal(net(X[0]), X[0] @ np.sign(np.asarray(net.layer.weight)).T)


class Summing(nn.Module):
    """Keeps its membrane as one would in PyTorch."""

    def __init__(self):
        self.weight, self.membrane = nn.Parameter(np.ones(D)), None

    def forward(self, x):
        x = x * self.weight.data
        self.membrane = x if self.membrane is None else self.membrane + x
        return self.membrane


def test_a_state_that_is_no_state_says_so(place):
    said = (
        "the function uses an array that an earlier call left in an attribute, a list or a global variable, and that "
        "lived as long as that call was traced. Return it, and pass it to the next call; a module keeps it in a "
        "nn.Buffer, or as the state of a nn.StatefulModule."
    )
    net, evaluated = Summing().to(place), Summing().to(place).eval()
    for each in (net, evaluated):
        each(X[0])
        with raises(StateError, said):
            each(X[0])
    step = grilly.train_step(net, nn.MSELoss(), grilly.optim.SGD(net.parameters(), lr=0.1))
    with raises(StateError, said):
        step(X[0], X[0])


@pytest.mark.parametrize("training", [True, False])
def test_what_a_forward_sets_for_the_layer_around_it_is_not_compiled_at_every_call(training, place):
    traces = []

    class Shown(nn.Module):
        def __init__(self):
            self.node, self.layer = nn.IFNode(), nn.Linear(D, C)

        def forward(self, x):
            traces.append(1)
            self.spikes = self.node(x)
            return self.layer(self.spikes)

    class Costed(nn.Module):
        def __init__(self):
            self.shown = Shown()

        def forward(self, x):
            return self.shown(x), self.shown.spikes.mean()

    net = Costed().to(place).train(training)
    for _ in range(4):
        F.reset_net(net)
        _, rate = net(X[0])
        assert float(rate) == pytest.approx(X[0].mean())
    assert len(traces) == 2  # in the first call there was no such attribute yet
