"""Converted nets against SpikingJelly's and against the ANN's own activations, computed in NumPy."""

import pathlib
from importlib import resources

import numpy as np
import oracles
import pytest

from grilly import DataError, ParameterError, ShapeError, nn
from grilly import functional as F

from .nets import mlp, raises

GOLDEN = np.load(pathlib.Path(__file__).parents[1] / "golden" / "spikingjelly_ann2snn.npz")
KINDS = "Linear, Conv2d, BatchNorm1d, BatchNorm2d, ReLU, MaxPool2d, AvgPool2d, Flatten, Dropout"


def rates(snn, x, T):
    """The mean of the outputs over T steps of the same input."""
    F.reset_net(snn)
    F.set_step_mode(snn, "m")
    return np.asarray(snn(F.direct(x, T)).mean(axis=0))


def scales(snn):
    return [float(module.scale.data) for module in snn.modules() if isinstance(module, nn.VoltageScaler)]


def correlation(a, b):
    return np.corrcoef(np.ravel(a), np.ravel(b))[0, 1]


# SpikingJelly's -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def images():
    """The digits in the golden file's order, (1797, 64), 0 to 1."""
    with resources.files("grilly.datasets").joinpath("digits.npz").open("rb") as file, np.load(file) as arrays:
        x = arrays["images"].reshape(-1, 64)[GOLDEN["perm"]].astype(np.float32) / 16
    np.testing.assert_array_equal(x[1437:], GOLDEN["x_test"])
    return x


@pytest.fixture
def trained():
    ann = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 10)).eval()
    weights = (f"{layer}.{kind}" for layer in (0, 2, 4) for kind in ("weight", "bias"))
    ann.load_state_dict({name: GOLDEN[f"mlp_ann_{name}"] for name in weights})
    return ann


@pytest.mark.parametrize(("mode", "where"), [("max", "cpu"), ("99.9%", "cpu"), (0.5, "cpu"), ("99.9%", "vulkan")])
def test_scales_and_accuracies_are_spikingjellys(trained, images, mode, where):
    trained.to(where)
    np.testing.assert_allclose(trained(images[1437:]), GOLDEN["mlp_ann_logits"], rtol=0, atol=1e-5)
    snn = nn.Converter(trained, mode=mode).convert(images[:1437])
    np.testing.assert_allclose(scales(snn), GOLDEN[f"mlp_{mode}_scales"], rtol=1e-5)
    F.set_step_mode(snn, "m")
    out = np.cumsum(snn(F.direct(images[1437:], int(GOLDEN["Ts"].max()))), axis=0)
    for T, accuracy in zip(GOLDEN["Ts"], GOLDEN[f"mlp_{mode}_acc"], strict=True):
        ours = np.mean(out[T - 1].argmax(axis=1) == GOLDEN["y_test"])
        assert abs(ours - accuracy) <= 0.003, f"T = {T}"


# A convolutional net ------------------------------------------------------------------------------------------


def normalization(kind, channels, rng):
    """As after training: no leaf is at its start."""
    layer = kind(channels)
    layer.weight.data, layer.bias.data = rng.uniform(-1.5, 1.5, channels), rng.normal(0, 0.3, channels)
    layer.running_mean.data, layer.running_var.data = rng.normal(0, 0.3, channels), rng.uniform(0.5, 2, channels)
    return layer


class Net:
    """A nested net with every layer that can be converted; and, in NumPy, what each ReLU and the last layer give."""

    def __init__(self):
        rng = np.random.default_rng(0)
        self.convs = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 6, 3, stride=1, bias=False)
        self.linears = nn.Linear(24, 12), nn.Linear(12, 5)
        self.norms = [normalization(nn.BatchNorm2d, channels, rng) for channels in (4, 6)]
        self.norms += [normalization(nn.BatchNorm1d, 12, rng), normalization(nn.BatchNorm2d, 1, rng)]
        self.ann = nn.Sequential(
            self.norms[3],
            nn.Sequential(self.convs[0], self.norms[0], nn.ReLU(), nn.MaxPool2d(2)),
            nn.Sequential(self.convs[1], nn.Sequential(nn.Dropout(0.5), self.norms[1]), nn.ReLU(), nn.AvgPool2d(2)),
            nn.Flatten(),
            nn.Sequential(self.linears[0], self.norms[2], nn.ReLU(), self.linears[1]),
        )

    def oracle(self, x):
        x = norm(x.astype(np.float64), self.norms[3])
        first = norm(oracles.conv2d(x, *weights(self.convs[0]), padding=(1, 1)), self.norms[0])
        pooled = oracles.max_pool2d(np.maximum(first, 0), (2, 2), (2, 2))
        second = np.maximum(norm(oracles.conv2d(pooled, *weights(self.convs[1])), self.norms[1]), 0)
        flat = oracles.avg_pool2d(second, (2, 2), (2, 2)).reshape(len(x), -1)
        third = np.maximum(norm(oracles.linear(flat, *weights(self.linears[0])), self.norms[2]), 0)
        return first, [np.maximum(first, 0), second, third], oracles.linear(third, *weights(self.linears[1]))


def weights(layer):
    weight = np.asarray(layer.weight, np.float64)
    return weight, np.zeros(len(weight)) if layer.bias is None else np.asarray(layer.bias, np.float64)


def norm(x, layer):
    leaves = layer.running_mean, layer.running_var, layer.weight, layer.bias
    shape = (-1, *[1] * (x.ndim - 2))
    mean, var, scale, bias = (np.asarray(leaf, np.float64).reshape(shape) for leaf in leaves)
    return (x - mean) / np.sqrt(var + layer.eps) * scale + bias


@pytest.fixture
def net():
    return Net()


@pytest.fixture
def x():
    return np.random.default_rng(1).random((20, 1, 12, 12), np.float32)


def test_fusing_changes_nothing(net, x, place):
    first, outputs, _ = net.oracle(x)
    snn = nn.Converter(net.ann.to(place)).convert(x)
    np.testing.assert_allclose(snn[0](x), first, rtol=0, atol=2e-5)
    np.testing.assert_allclose(scales(snn)[1::2], [output.max() for output in outputs], rtol=1e-5)
    fused = [type(module).__name__ for module in snn.modules()]
    assert "Dropout" not in fused
    assert "BatchNorm1d" not in fused
    assert fused.count("BatchNorm2d") == 1  # the first layer: none is before it


def test_rates_approach_the_activations(net, x, place):
    want = net.oracle(x)[2]
    snn = nn.Converter(net.ann.to(place), mode="max").convert(x)
    far = [np.abs(rates(snn, x, T) - want).max() / np.abs(want).max() for T in (8, 32, 128)]
    assert far[1] < far[0] / 2
    assert far[2] < far[1] / 2
    assert far[2] < 0.06


def test_rates_approach_the_activations_without_data_too(net, x):
    want = net.oracle(x)[2]
    snn = nn.Converter(net.ann).convert()
    for scale, output in zip(scales(snn)[1::2], net.oracle(x)[1], strict=True):
        assert scale >= output.max()
    far = [np.abs(rates(snn, x, T) - want).max() / np.abs(want).max() for T in (32, 128, 512)]
    assert far[1] < far[0] / 2
    assert far[2] < far[1] / 2
    assert far[2] < 0.05


def shifted(low):
    """Normalization that makes inputs from 0 to 1 ones from `low` to `low + 1`."""
    layer = nn.BatchNorm2d(len(low), eps=0.0)
    layer.bias.data = np.array(low, np.float32)
    return layer


def convolution(weights, bias, *shape, **choices):
    layer = nn.Conv2d(*shape, **choices)
    layer.weight.data = np.broadcast_to(np.reshape(weights, (-1, 1, 1, 1)), layer.weight.shape).astype(np.float32)
    layer.bias.data = np.array(bias, np.float32)
    return layer


@pytest.mark.parametrize(
    ("layers", "largest"),
    [
        # 9 pixels of at most 2; and 20 less what may all be padding.
        ((shifted([1, 2]), convolution([1, -1], [0, 20], 2, 2, 3, padding=1, groups=2)), 20),
        # The channel above 2 is not of the group of the first output.
        ((shifted([1, 2]), convolution([1, -1], [0, 0], 2, 2, 3, groups=2)), 18),
        ((shifted([1]), nn.AvgPool2d(2, padding=1), convolution([-1], [5], 1, 1, 1)), 5),
        ((shifted([1]), nn.AvgPool2d(2), convolution([-1], [5], 1, 1, 1)), 4),
    ],
    ids=["padded", "groups", "padded pool", "pool"],
)
def test_a_bound_knows_the_layers(layers, largest):
    assert scales(nn.Converter(nn.Sequential(*layers, nn.ReLU())).convert())[1] == largest


def test_max_pooling_of_spikes_is_that_of_their_sums(place):
    spikes = (np.random.default_rng(0).random((9, 3, 2, 6, 6)) < 0.3).astype(np.float32)
    pool = nn.MaxPool2d(3, 2, padding=1)
    ann = nn.Sequential(nn.ReLU(), pool)
    snn = nn.Converter(ann).convert(spikes[0]).to(place)  # the scale is 1: every spike goes through
    F.set_step_mode(snn, "m")
    want = oracles.max_pool2d(np.cumsum(spikes, axis=0).reshape(27, 2, 6, 6), (3, 3), (2, 2), (1, 1))
    np.testing.assert_array_equal(np.cumsum(snn(spikes), axis=0), want.reshape(9, 3, 2, 3, 3))


# Using a converted net ----------------------------------------------------------------------------------------


@pytest.fixture
def small():
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))


DATA = np.random.default_rng(2).random((12, 4), np.float32)


def test_the_pages_net_without_data(place):
    ann = nn.Sequential(
        nn.Linear(784, 256), nn.ReLU(),
        nn.Linear(256, 10),
    ).to(place)  # fmt: skip
    converter = nn.Converter(ann, mode="max")
    snn_model = converter.convert()
    x = np.random.default_rng(0).random((32, 784), np.float32)
    hidden = np.maximum(oracles.linear(x.astype(np.float64), *weights(ann[0])), 0)
    want = oracles.linear(hidden, *weights(ann[2]))
    assert correlation(rates(snn_model, x, 64), want) > 0.99
    assert 1 <= scales(snn_model)[1] / hidden.max() < 7


def test_one_step_at_a_time_is_the_sequence(net, x):
    snn = nn.Converter(net.ann).convert(x)
    assert {module.step_mode for module in snn.modules() if hasattr(module, "step_mode")} == {"s"}
    steps = np.stack([snn(x) for _ in range(6)])
    F.reset_net(snn)
    F.set_step_mode(snn, "m")
    np.testing.assert_allclose(snn(F.direct(x, 6)), steps, rtol=0, atol=1e-6)


@pytest.mark.parametrize("data", [None, DATA])
def test_a_converted_net_is_where_the_ann_is(small, place, place_device, data):
    assert nn.Converter(small.to(place)).convert(data)(DATA).device is place_device


@pytest.mark.parametrize("data", [None, DATA])
def test_a_reset_brings_the_first_step_back(small, data):
    snn = nn.Converter(small).convert(data)
    first, second = np.asarray(snn(DATA)), np.asarray(snn(DATA))
    assert (first != second).any()
    F.reset_net(snn)
    np.testing.assert_array_equal(snn(DATA), first)


def test_the_ann_stays_as_it_is():
    ann = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.1), nn.Linear(8, 3))
    grad = np.ones((12, 3), np.float32)
    ann(DATA)  # in training: running statistics change
    ann.backward(grad)
    ann(DATA)  # and a record is kept
    before, shown = ann.state_dict(), repr(ann)
    snn = nn.Converter(ann).convert(DATA)
    snn(DATA)
    assert repr(ann) == shown
    assert all(module.training for module in ann.modules())
    assert not any(module.training for module in snn.modules())
    after = ann.state_dict()
    assert after.keys() == before.keys()
    for name, array in before.items():
        np.testing.assert_array_equal(after[name], array)
    assert all(parameter.grad is None for parameter in snn.parameters())
    ann.backward(grad)


def test_scales_are_saved_and_membranes_are_not(small):
    snn, other = nn.Converter(small).convert(DATA), nn.Converter(small).convert(DATA / 2)
    snn(DATA)
    assert list(snn.state_dict()) == ["0.0.weight", "0.0.bias", "2.0.weight", "2.0.bias", "1.0.scale", "1.2.scale"]
    other.load_state_dict(snn.state_dict())
    assert scales(other) == scales(snn)
    np.testing.assert_array_equal(rates(other, DATA, 8), rates(snn, DATA, 8))


def test_a_converted_net_can_be_trained_on(net, x):
    snn = nn.Converter(net.ann).convert(x).train()
    F.set_step_mode(snn, "m")
    out = snn(F.direct(x, 8))
    snn.backward(np.ones(out.shape[1:], np.float32))
    assert all(np.abs(parameter.grad).max() > 0 for parameter in snn.parameters())


def test_a_net_that_was_converted_shows_what_it_is(small):
    first, second = (f"{scale:g}" for scale in scales(nn.Converter(small).convert(DATA)))
    assert repr(nn.Converter(small).convert(DATA)) == (
        "Sequential(\n"
        "  (0): SeqToANNContainer(\n    (0): Linear(4, 8)\n  )\n"
        "  (1): Sequential(\n"
        f"    (0): VoltageScaler({first})\n"
        "    (1): IFNode(v_threshold=1.0, v_reset=None, step_mode='s')\n"
        f"    (2): VoltageScaler({second})\n"
        "  )\n"
        "  (2): SeqToANNContainer(\n    (0): Linear(8, 3)\n  )\n"
        ")"
    )


def test_neurons_without_data_start_at_half_their_threshold(small):
    node = nn.Converter(small).convert()[1][1]
    assert float(node.v) == 0.5
    node(np.full((1, 2), 0.25, np.float32))
    assert np.asarray(node.v).tolist() == [[0.75, 0.75]]


# Calibration data ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["max", "90%", 0.5])
def test_however_the_data_comes_the_scales_are_the_same(small, mode):
    whole = nn.Converter(small, mode).convert(DATA)
    parts, labels = [DATA[:5], DATA[5:6], DATA[6:]], np.zeros(3)
    ways = (parts, [(part, labels) for part in parts], ([part, labels] for part in parts), tuple(parts))
    for way in ways:
        np.testing.assert_allclose(
            scales(nn.Converter(small, mode, dataloader=way).convert()), scales(whole), rtol=1e-6
        )
    other = nn.Converter(small, mode, dataloader=DATA / 4).convert(DATA)
    assert scales(other) == scales(whole)


def test_a_long_calibration_shows_its_progress(small, monkeypatch, capsys):
    nn.Converter(small).convert([DATA] * 4)
    assert capsys.readouterr().err == ""
    clock = iter(range(1000))
    monkeypatch.setattr("tqdm.std.time", lambda: float(next(clock)))  # every look at it is a second later
    nn.Converter(small).convert([DATA] * 4)
    assert "calibrate: " in capsys.readouterr().err


@pytest.mark.parametrize("data", [[], iter(())])
def test_no_batch(small, data):
    text = (
        "the calibration data has no batch: at least one was expected. An iterator can be gone through only once: "
        "give a list, or make a new one."
    )
    with raises(DataError, text):
        nn.Converter(small, dataloader=data).convert()


def test_an_empty_batch(small):
    with raises(DataError, "calibration batch 1 is empty, its shape is (0, 4): leave it out."):
        nn.Converter(small).convert([DATA, DATA[:0]])


def test_no_data_at_all(small):
    text = (
        "the calibration data is a int: an array (N, *) was expected, or an iterable of batches, each an array or a "
        "tuple that begins with one."
    )
    with raises(ParameterError, text):
        nn.Converter(small).convert(7)


def test_nan_in_the_data(small):
    data = DATA.copy()
    data[3, 1] = np.nan
    with raises(DataError, "calibration batch 1 has nan at [3, 1]: finite numbers were expected."):
        nn.Converter(small).convert([DATA, data])


def test_batches_that_are_no_arrays(small):
    text = "calibration batch 0 has dtype object: an array of numbers was expected, or a tuple that begins with one."
    with raises(DataError, text):
        nn.Converter(small).convert([{"image": DATA}])


def test_data_of_another_shape(small):
    text = (
        "x has shape (12, 3), weight (8, 4): linear takes x of shape (*, in) and a weight of shape (out, in) with "
        "the same number of inputs."
    )
    with raises(ShapeError, text, layer='"0": Linear(4, 8)'):
        nn.Converter(small).convert(DATA[:, :3])


def test_a_relu_that_never_activates(small):
    small[0].bias.data = np.full(8, -100.0, np.float32)
    text = (
        'layer "1" (ReLU) never activates on the calibration data: all its outputs are 0, so no scale fits them. '
        "Calibrate with data as the ann was trained on, scaled as it was."
    )
    with raises(DataError, text):
        nn.Converter(small).convert(DATA)
    text = (
        'layer "1" (ReLU) never activates for inputs from 0 to 1, so no scale fits its outputs. Scale the inputs so; '
        "or calibrate with your own: convert(data)."
    )
    with raises(ParameterError, text):
        nn.Converter(small).convert()


# What cannot be converted ---------------------------------------------------------------------------------------


class Skip(nn.Module):
    def __init__(self):
        self.inner = nn.Linear(8, 8)

    def forward(self, x):
        return x + F.relu(self.inner(x))


class Doubled(nn.Linear):
    def forward(self, x):
        return 2 * super().forward(x)


class Renamed(nn.Linear):
    pass


@pytest.mark.parametrize("layer", [Skip, lambda: Doubled(8, 8), lambda: nn.MultiStepContainer(nn.ReLU())])
def test_a_layer_of_ones_own(layer):
    layer = layer()
    ann = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Sequential(nn.ReLU(), layer))
    where = f"a {type(layer).__name__}, which cannot be converted: what its forward does is unknown. Build the ann of "
    with raises(ParameterError, f'layer "2.1" of the ann is {where}nn.Sequential and of {KINDS}.'):
        nn.Converter(ann).convert()
    with raises(ParameterError, f"the ann is {where}nn.Sequential and of {KINDS}."):
        nn.Converter(layer).convert()


def test_a_subclass_that_computes_the_same_is_converted():
    nn.Converter(nn.Sequential(Renamed(4, 8), nn.ReLU())).convert(DATA)(DATA)


def test_a_net_that_spikes_already(small):
    for ann, name, kind in ((mlp(), "1", "LIFNode"), (nn.Converter(small).convert(DATA), "1.1", "IFNode")):
        text = (
            f'layer "{name}" of the ann is a {kind}, which carries a state through time already: an ANN of ReLUs was '
            "expected. Put nn.ReLU() in its place and train that, or use the net as it is."
        )
        with raises(ParameterError, text):
            nn.Converter(ann).convert(DATA)


def test_a_net_without_relu():
    text = (
        "the ann has no ReLU, and only ReLUs become spiking neurons. Put nn.ReLU() between its layers and train it "
        "so: F.relu in a forward cannot be seen."
    )
    with raises(ParameterError, text):
        nn.Converter(nn.Sequential(nn.Linear(4, 8))).convert(DATA)


def test_no_net_and_no_mode(small):
    with raises(ParameterError, "a list was given: a grilly.nn.Module was expected as the ann."):
        nn.Converter([small])
    text = (
        "mode is 'median': 'max', a percentile such as '99.9%', or a fraction of the maximum such as 0.5 was expected."
    )
    with raises(ParameterError, text):
        nn.Converter(small, mode="median")
    text = (
        "mode is '99.9%': a percentile is one of outputs on data, and there is none. Give calibration data, as "
        "Converter(ann, mode, dataloader=batches) or convert(data); or use mode='max'."
    )
    with raises(ParameterError, text):
        nn.Converter(small, mode="99.9%").convert()


def test_a_batch_norm_that_does_not_fit():
    ann = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(7), nn.ReLU())
    text = (
        "the batch normalization has 7 channels, the layer before it 8 outputs: they cannot be fused. "
        "Give both the same number."
    )
    with raises(ShapeError, text, layer='"1": BatchNorm1d(7, eps=1e-05, momentum=0.1)'):
        nn.Converter(ann).convert()


@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan"), float("inf")])
def test_a_scaler_that_scales_to_nothing(scale):
    with raises(ParameterError, f"scale is {scale:g}: a factor that is finite and > 0 was expected."):
        nn.VoltageScaler(scale)
