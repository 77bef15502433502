"""`train_step`: what the loop in steps does, what SpikingJelly did, what stays, and what it costs."""

import contextlib
import copy
import functools
import itertools
import pathlib

import numpy as np
import oracles
import pytest
from nn.nets import spikes

import grilly
from grilly import StateError, nn, optim
from grilly import functional as F
from grilly.runtime.devices import find_device

T, N, D, C = 6, 4, 12, 3
LABELS = np.array([0, 2, 1, 1])
PLACES = ["cpu", "vulkan"]


@pytest.fixture(params=PLACES)
def place(request):
    return find_device(request.param)


@pytest.fixture(autouse=True)
def seeded():
    grilly.seed(0)


def mlp(node=nn.LIFNode):
    return nn.Sequential(
        nn.SeqToANNContainer(nn.Linear(D, 16)),
        node(step_mode="m"),
        nn.SeqToANNContainer(nn.Linear(16, C)),
        node(step_mode="m"),
    )


def conv():
    return nn.Sequential(
        nn.SeqToANNContainer(nn.Conv2d(1, 2, 3, padding=1), nn.BatchNorm2d(2)),
        nn.LIFNode(step_mode="m"),
        nn.SeqToANNContainer(nn.MaxPool2d(2), nn.Flatten(), nn.Linear(8, C)),
        nn.LIFNode(step_mode="m"),
    )


def ann():
    """No neuron, and so no time."""
    return nn.Sequential(nn.Linear(D, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, C))


NETS = {
    "mlp": (mlp, (T, N, D)),
    "plif": (functools.partial(mlp, nn.ParametricLIFNode), (T, N, D)),
    "conv": (conv, (T, N, 1, 4, 4)),
    "ann": (ann, (N, D)),
}


def in_steps(net, loss_fn, optimizer, x, labels):
    """The page's loop."""
    F.reset_net(net)
    out = net(x)
    rate = out.mean(axis=0) if out.ndim == 3 else out
    loss = loss_fn(rate, labels)
    grad = loss_fn.backward(np.ones_like(loss), rate, labels)
    net.zero_grad()
    net.backward(grad)
    optimizer.step()
    return loss, rate


def near(got, want, tolerance=1e-6):
    """Relative to the array's largest element."""
    want = np.asarray(want)
    np.testing.assert_allclose(got, want, rtol=0, atol=tolerance * max(np.abs(want).max(), 1e-3))


def held(net):
    return net.state_dict()


def unchanged(net, before):
    for name, value in net.state_dict().items():
        np.testing.assert_array_equal(value, before[name], err_msg=name)


# What it does --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NETS)
def test_it_does_what_the_loop_does(name, place):
    """Running statistics and their count too."""
    make, shape = NETS[name]
    nets = [make().to(place) for _ in range(2)]
    nets[1].load_state_dict(nets[0].state_dict())
    loss_fn = nn.CrossEntropyLoss()
    by_loop, at_once = (optim.SGD(net.parameters(), lr=0.1, momentum=0.9) for net in nets)
    step = grilly.train_step(nets[1], loss_fn, at_once)
    start = held(nets[0])
    for seed in range(3):
        x = spikes(*shape, seed=seed)
        loss, rate = in_steps(nets[0], loss_fn, by_loop, x, LABELS)
        got_loss, got_rate = step(x, LABELS)
        assert (got_loss.shape, got_rate.shape, got_loss.device) == ((), (N, C), place)
        near(got_rate, rate)
        near(got_loss, loss)
    trained, ours = held(nets[0]), held(nets[1])
    assert trained.keys() == ours.keys()
    for key, want in trained.items():
        near(ours[key], want, 1e-5)
        assert (want != start[key]).any(), key


def zero_weight(net, optimizer):
    net[0][0].weight.data = np.zeros((16, D), np.float32)


def freeze(net, optimizer):
    net[0][0].weight.requires_grad = False


def start_anew(net, optimizer):
    optimizer.load_state_dict(optim.AdamW(net.parameters()).state_dict())


def decay_more(net, optimizer):
    optimizer.param_groups[0]["weight_decay"] = 0.5


def step_in_the_loop(net, optimizer):
    in_steps(net, nn.CrossEntropyLoss(), optimizer, spikes(T, N, D, seed=9), LABELS)


@pytest.mark.parametrize("between", [zero_weight, freeze, start_anew, decay_more, step_in_the_loop])
def test_what_is_set_between_two_steps_counts(between, place):
    nets = [mlp().to(place) for _ in range(2)]
    nets[1].load_state_dict(nets[0].state_dict())
    by_loop, at_once = (optim.AdamW(net.parameters(), lr=0.1) for net in nets)
    step = grilly.train_step(nets[1], nn.CrossEntropyLoss(), at_once)
    for seed in range(6):
        if seed == 3:
            between(nets[0], by_loop)
            between(nets[1], at_once)
        x = spikes(T, N, D, seed=seed)
        in_steps(nets[0], nn.CrossEntropyLoss(), by_loop, x, LABELS)
        step(x, LABELS)
    trained, ours = held(nets[0]), held(nets[1])
    for key, want in trained.items():
        near(ours[key], want, 1e-4)
    assert by_loop.steps == at_once.steps


def test_two_steps_may_share_an_optimizer(place):
    """One for each of two batch sizes, say: together they are one."""
    nets = [mlp().to(place) for _ in range(2)]
    nets[1].load_state_dict(nets[0].state_dict())
    one, shared = (optim.AdamW(net.parameters(), lr=0.1) for net in nets)
    first, second, third = (
        grilly.train_step(net, nn.CrossEntropyLoss(), optimizer)
        for net, optimizer in ((nets[0], one), (nets[1], shared), (nets[1], shared))
    )
    for seed in range(6):
        x = spikes(T, N, D, seed=seed)
        first(x, LABELS)
        (second, third)[seed % 2](x, LABELS)
    for key, want in held(nets[0]).items():
        near(held(nets[1])[key], want)


GOLDEN = np.load(pathlib.Path(__file__).parent / "golden" / "spikingjelly_train.npz")


def golden_net(variant):
    """The recorded net, its optimizer, and SpikingJelly's name of each parameter."""
    if variant == "lif_ce":
        nodes = [nn.LIFNode(tau=2.0, decay_input=True, step_mode="m") for _ in range(2)]
    else:
        nodes = [nn.ParametricLIFNode(init_tau=2.0, decay_input=True, step_mode="m") for _ in range(2)]
    first, second = nn.Linear(64, 32), nn.Linear(32, 10)
    for layer, number in ((first, 1), (second, 2)):
        layer.weight.data, layer.bias.data = GOLDEN[f"init_W{number}"], GOLDEN[f"init_b{number}"]
    net = nn.Sequential(nn.SeqToANNContainer(first), nodes[0], nn.SeqToANNContainer(second), nodes[1])
    names = {"0.weight": first.weight, "0.bias": first.bias, "2.weight": second.weight, "2.bias": second.bias}
    names |= {f"{k}.w": node.w for k, node in zip((1, 3), nodes, strict=True) if variant == "plif_ce"}
    return net, optim.AdamW(net.parameters(), lr=1e-3, weight_decay=0.01), names


@pytest.mark.parametrize("way", ["loop", "train_step"])
@pytest.mark.parametrize("variant", ["lif_ce", "plif_ce"])
def test_five_training_steps_are_spikingjellys(variant, way, place):
    net, optimizer, names = golden_net(variant)
    net.to(place)
    assert len(names) == len(optimizer.parameters)
    steps, loss_fn = int(GOLDEN["T"]), nn.CrossEntropyLoss()
    if way == "loop":
        step = functools.partial(in_steps, net, loss_fn, optimizer)
    else:
        step = grilly.train_step(net, loss_fn, optimizer)
    for i in range(5):
        loss, rate = step(np.stack([GOLDEN["x"][i]] * steps), GOLDEN["y"][i])
        assert abs(float(loss) - GOLDEN[f"{variant}_f32_losses"][i]) < 1e-5
        np.testing.assert_allclose(rate, GOLDEN[f"{variant}_f32_rate{i}"], atol=1e-6)
    for name, parameter in names.items():
        np.testing.assert_allclose(parameter.data, GOLDEN[f"{variant}_f32_after5_{name}"], rtol=0, atol=1e-4)


def test_one_batch_of_the_pages_net_is_learned_by_heart():
    """Cross entropy of ten rates in [0, 1] cannot fall below 1.461."""
    net = nn.Sequential(
        nn.SeqToANNContainer(nn.Linear(784, 256)),
        nn.LIFNode(tau=2.0, step_mode="m"),
        nn.SeqToANNContainer(nn.Linear(256, 10)),
        nn.LIFNode(tau=2.0, step_mode="m"),
    ).to("cpu")
    step = grilly.train_step(net, nn.CrossEntropyLoss(), optim.AdamW(net.parameters(), lr=1e-3))
    rng = np.random.default_rng(0)
    x_seq = (rng.random((16, 32, 784)) < rng.random((32, 784))).astype(np.float32)
    labels = rng.integers(0, 10, 32)
    losses = [float(step(x_seq, labels)[0]) for _ in range(100)]
    assert 1.461 < min(losses) < 1.5


def test_a_loss_may_be_any_pure_function(place):
    net = ann().to(place)
    target = np.random.default_rng(0).random((N, C)).astype(np.float32)
    x = spikes(N, D)
    for loss_fn in (nn.MSELoss(), lambda rate, target: F.mse(rate, target)):
        step = grilly.train_step(net, loss_fn, optim.SGD(net.parameters(), lr=0.0))
        loss, rate = step(x, target)
        near(loss, np.mean((np.asarray(rate, np.float64) - target) ** 2))


def test_labels_and_inputs_may_be_on_the_device(place):
    first, second = mlp().to(place), mlp().to(place)
    second.load_state_dict(first.state_dict())
    x = spikes(T, N, D)
    steps = [grilly.train_step(n, nn.CrossEntropyLoss(), optim.SGD(n.parameters(), lr=0.1)) for n in (first, second)]
    for _ in range(2):
        want, _ = steps[0](x, LABELS.tolist())
        got, _ = steps[1](grilly.put(x, place), grilly.put(LABELS, place))
        assert float(got) == float(want)
    unchanged(second, first.state_dict())


def test_a_batch_of_another_size_needs_no_reset(place):
    net = mlp().to(place)
    step = grilly.train_step(net, nn.CrossEntropyLoss(), optim.SGD(net.parameters(), lr=0.1))
    for size in (N, 2, N):
        assert step(spikes(T, size, D), LABELS[:size])[1].shape == (size, C)


# What it draws -------------------------------------------------------------------------------------------------------


def echo():
    """A net whose rate is that of its input, and that learns nothing at a rate of zero."""
    return nn.Sequential(nn.SeqToANNContainer(nn.Linear(D, D, bias=False, init=lambda key, shape: np.eye(D))))


def drawn(net, encoder, steps=3, x=None):
    step = grilly.train_step(net, nn.MSELoss(), optim.SGD(net.parameters(), lr=0.0), encoder=encoder)
    x = np.full((N, D), 0.5, np.float32) if x is None else x
    return [np.asarray(step(x, np.zeros((N, D), np.float32))[1]) for _ in range(steps)]


def poisson(key, x):
    return F.poisson(key, x, T=16)


def test_the_encoder_draws_new_spikes_in_each_step_and_the_seed_decides_which(place):
    net = echo().to(place)
    grilly.seed(5)
    rates = drawn(net, poisson, 20)
    for rate, next_rate in itertools.pairwise(rates):
        assert np.mean(rate != next_rate) > 0.5
        assert abs(rate.mean() - 0.5) < 4 * np.sqrt(0.25 / (16 * rate.size))
    assert abs(np.mean(rates) - 0.5) < 4 * np.sqrt(0.25 / (16 * np.size(rates)))
    grilly.seed(5)
    np.testing.assert_array_equal(drawn(net, poisson, 3), rates[:3])
    grilly.seed(6)
    assert (drawn(net, poisson, 1)[0] != rates[0]).any()


def test_a_seed_set_between_two_steps_starts_anew(place):
    net = echo().to(place)
    step = grilly.train_step(net, nn.MSELoss(), optim.SGD(net.parameters(), lr=0.0), encoder=poisson)
    x, target = np.full((N, D), 0.5, np.float32), np.zeros((N, D), np.float32)
    runs = []
    for _ in range(2):
        grilly.seed(9)
        runs.append([np.asarray(step(x, target)[1]) for _ in range(3)])
    np.testing.assert_array_equal(*runs)


def test_both_devices_draw_the_same_spikes():
    rates = []
    for place in PLACES:
        grilly.seed(3)
        rates.append(drawn(echo().to(place), poisson))
    np.testing.assert_array_equal(*rates)


def test_dropout_drops_others_in_each_step(place):
    net = nn.Sequential(nn.SeqToANNContainer(nn.Dropout(0.5)), echo()).to(place)
    rates = drawn(net, lambda key, x: F.direct(x, T=16))
    assert (rates[0] != rates[1]).any()
    assert (rates[1] != rates[2]).any()


# What it leaves alone ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["left_out", "requires_grad"])
def test_parameters_that_are_not_to_be_learned_stay(how, place):
    net = conv().to(place)
    first, last = net[0][0], net[2][2]
    if how == "requires_grad":
        first.weight.requires_grad = False
        optimizer = optim.AdamW(net.parameters(), lr=0.1)
    else:
        optimizer = optim.AdamW([p for p in net.parameters() if p is not first.weight], lr=0.1)
    before = held(net)
    step = grilly.train_step(net, nn.CrossEntropyLoss(), optimizer)
    for seed in range(2):
        step(spikes(T, N, 1, 4, 4, seed=seed), LABELS)
    np.testing.assert_array_equal(first.weight.data, before["0.0.weight"])
    assert (np.asarray(last.weight.data) != before["2.2.weight"]).any()


def test_the_state_and_the_gradients_of_the_net_stay(place):
    net, x = mlp().to(place), spikes(T, N, D)
    net(x)
    net.backward(np.ones((N, C), np.float32))
    states = [np.asarray(node.v) for node in (net[1], net[3])]
    grads = [np.asarray(p.grad) for p in net.parameters()]
    step = grilly.train_step(net, nn.CrossEntropyLoss(), optim.SGD(net.parameters(), lr=0.1))
    before = held(net)
    step(x, LABELS)
    assert all((value != before[name]).any() for name, value in held(net).items())
    for node, state in zip((net[1], net[3]), states, strict=True):
        np.testing.assert_array_equal(node.v, state)
    for parameter, grad in zip(net.parameters(), grads, strict=True):
        np.testing.assert_array_equal(parameter.grad, grad)


def test_a_forward_before_the_step_is_no_record_for_backward_after_it(place):
    net, x = mlp().to(place), spikes(T, N, D)
    net(x)
    grilly.train_step(net, nn.CrossEntropyLoss(), optim.SGD(net.parameters(), lr=0.1))(x, LABELS)
    with pytest.raises(StateError) as error:
        net.backward(np.ones((N, C), np.float32))
    assert str(error.value) == (
        'the parameter "0.0.weight" was changed between forward and backward, which needs its old values. '
        "Call backward first, then change it or step the optimizer."
    )


# Rates of learning ---------------------------------------------------------------------------------------------------


def test_a_schedule_is_asked_in_each_step(place):
    net = nn.Sequential(nn.Linear(D, C, bias=False)).to(place)
    x = spikes(N, D)
    weight = np.asarray(net[0].weight.data, np.float64)
    step = grilly.train_step(
        net, nn.CrossEntropyLoss(), optim.SGD(net.parameters(), lr=lambda k: 0.5 if k < 2 else 0.0)
    )
    for k in range(4):
        step(x, LABELS)
        grad = oracles.cross_entropy_gradient(x.astype(np.float64) @ weight.T, LABELS).T @ x
        weight = weight - (0.5 if k < 2 else 0.0) * grad
        near(net[0].weight.data, weight)


# What it costs -------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def counted(device, submits):
    """Expects so many submits, and no allocation."""
    before = device.submits, device.allocations
    yield
    assert (device.submits - before[0], device.allocations - before[1]) == (submits, 0)


SIZE = 64  # of a batch with which not everything fits into one workgroup


@pytest.mark.parametrize("lr", [0.1, optim.cosine(0.1, 100)], ids=["constant", "schedule"])
@pytest.mark.parametrize("name", ["mlp", "conv"])
def test_a_step_is_one_submit_and_nothing_new(name, lr, device):
    make, (_, _, *features) = NETS[name]
    net, traces = make().to(device), []

    def loss_fn(rate, labels):
        traces.append(rate.shape)
        return F.cross_entropy(rate, labels)

    optimizer = optim.AdamW(net.parameters(), lr=lr)
    step = grilly.train_step(net, loss_fn, optimizer, encoder=poisson)
    rng, labels = np.random.default_rng(0), np.resize(LABELS, SIZE)
    for k in range(12):  # by the eighth every buffer has its address: then nothing is recorded anew
        with counted(device, 1) if k >= 8 else contextlib.nullcontext():
            loss, _ = step(rng.random((SIZE, *features)), labels)
        assert np.isfinite(float(loss))
    optimizer.param_groups[0]["lr"] = 0.01
    step(rng.random((SIZE, *features)), labels)
    assert traces == [(SIZE, C)]


def test_parameters_are_updated_in_place(device):
    net = conv().to(device)
    step = grilly.train_step(net, nn.CrossEntropyLoss(), optim.AdamW(net.parameters()))
    addresses = []
    for seed in range(4):
        step(spikes(T, SIZE, 1, 4, 4, seed=seed), np.resize(LABELS, SIZE))
        addresses.append([p.data.storage.address for p in net.parameters()])
    assert addresses == addresses[:1] * 4


def test_a_leaf_of_a_neuron_takes_effect_without_a_trace(place):
    net, traces = mlp().to(place), []

    def loss_fn(rate, labels):
        traces.append(rate.shape)
        return F.cross_entropy(rate, labels)

    step = grilly.train_step(net, loss_fn, optim.SGD(net.parameters(), lr=0.0))
    x = spikes(T, N, D)
    _, before = step(x, LABELS)
    net[3].params = F.LIFParams(v_threshold=1e6)
    _, after = step(x, LABELS)
    assert float(before.sum()) > 0
    assert float(after.sum()) == 0
    assert len(traces) == 1
    net[3].params = F.LIFParams(v_reset=None)  # another structure
    step(x, LABELS)
    assert len(traces) == 2


@pytest.mark.parametrize("precision", ["tf32", "bf16"])
def test_coarser_products_train_as_well(precision, place):
    """On devices without a matrix unit, to the last bit."""
    losses = []
    for asked in ("float32", precision):
        grilly.seed(0)
        net = nn.Sequential(nn.SeqToANNContainer(nn.Linear(8, 4)), nn.LIFNode(step_mode="m")).to(place)
        step = grilly.train_step(net, nn.CrossEntropyLoss(), optim.SGD(net.parameters(), lr=0.1), precision=asked)
        losses.append([float(step(spikes(5, 3, 8), np.array([0, 1, 2]))[0]) for _ in range(5)])
    np.testing.assert_allclose(*losses, rtol=2e-3)


def test_a_copy_of_a_step_trains_a_copy_of_the_net(place):
    x, labels = spikes(4, 3, 6), np.zeros(3, int)
    net = nn.Sequential(nn.SeqToANNContainer(nn.Linear(6, 2)), nn.LIFNode(step_mode="m")).to(place)
    step = grilly.train_step(net, nn.CrossEntropyLoss(), optim.AdamW(net.parameters(), lr=0.1))
    step(x, labels)
    other = copy.deepcopy(step)
    losses = [float(step(x, labels)[0]) for _ in range(3)]
    assert [float(other(x, labels)[0]) for _ in range(3)] == losses
