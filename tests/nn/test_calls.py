"""The order of calls, and what they accept: each fault is a named error that says what to do."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import grilly
from grilly import DeviceError, ParameterError, ShapeError, StateError, UnsupportedPrimitiveError, nn
from grilly import functional as F

from .nets import C, D, N, T, mlp, raises, spikes

X = spikes(T, N, D)
GRAD = np.ones((T, N, C), np.float32)
ENDED = "backward has no forward to go through: there was none"
SPENT = (
    'the state of layer "1" (LIFNode) was already used by backward: another forward in training would start from it. '
    "Call F.reset_net(net) before a new sequence; or, to go on from this state without its gradient (truncated "
    "backpropagation), F.detach_net(net)."
)
TRACED = (
    "a module was called inside a function that JAX traces: it would keep a tracer as its state. "
    "Use nn.functional_call(net, parameters, x), which is pure."
)
LIF = "tau=2.0, decay_input=False, v_threshold=1.0, v_reset=0.0, step_mode='m'"


@pytest.fixture
def net(place):
    return mlp().to(place)


# Backward and forward, in this order ---------------------------------------------------------------------------


def test_backward_before_forward(net):
    with raises(StateError, f"{ENDED} in training yet."):
        net.backward(GRAD)


def test_a_second_backward(net):
    net(X)
    net.backward(GRAD)
    with raises(StateError, f"{ENDED} since the last backward."):
        net.backward(GRAD)


def test_backward_after_a_reset_or_a_cut(net):
    net(X)
    F.detach_net(net)
    with raises(StateError, f"{ENDED} since F.detach_net."):
        net.backward(GRAD)
    F.reset_net(net)
    with raises(StateError, f"{ENDED} since F.reset_net."):
        net.backward(GRAD)


def test_backward_after_a_call_in_evaluation_mode(net):
    net.eval()
    net(X)
    with raises(StateError, f"{ENDED} in training: the last one was in evaluation mode, train() ends that."):
        net.backward(GRAD)


def test_forward_after_backward_wants_a_reset_or_a_cut(net):
    net(X)
    net.backward(GRAD)
    with raises(StateError, SPENT):
        net(X)
    net.eval()(X)  # evaluation takes no gradient, so it may go on
    with raises(StateError, SPENT):
        net.train()(X)
    F.detach_net(net)
    assert net(X).shape == GRAD.shape
    F.reset_net(net)
    assert net(X).shape == GRAD.shape


def test_a_neuron_by_itself_wants_a_reset_too(place):
    node = nn.LIFNode().to(place)
    node.backward(np.ones_like(node(X[0])))
    with raises(StateError, SPENT.replace('layer "1" (LIFNode)', "this LIFNode")):
        node(X[0])


def test_a_layer_without_a_state_needs_no_reset(place):
    layer = nn.Linear(D, C).to(place)
    for _ in range(2):
        layer(X)
        assert layer.backward(GRAD).shape == X.shape
    np.testing.assert_array_equal(layer.bias.grad, np.full(C, 2 * T * N))


@pytest.mark.parametrize("change", ["set", "load", "step"])
def test_a_parameter_changed_between_forward_and_backward(net, change):
    net(X)
    net.backward(GRAD)
    F.reset_net(net)
    net(X)
    if change == "set":
        net[0][0].weight.data = np.zeros((5, D), np.float32)
    elif change == "load":
        net.load_state_dict(net.state_dict())
    else:
        grilly.optim.SGD(net.parameters(), lr=0.1).step()
    said = (
        'the parameter "0.0.weight" was changed between forward and backward, which needs its old values. '
        "Call backward first, then change it or step the optimizer."
    )
    with raises(StateError, said):
        net.backward(GRAD)


def test_an_error_leaves_the_net_as_it_was(net):
    expected = np.asarray(net(X))
    F.reset_net(net)
    with pytest.raises(ShapeError):
        net(X[..., 1:])
    np.testing.assert_array_equal(net(X), expected)
    assert net.backward(GRAD).shape == X.shape


# Shapes --------------------------------------------------------------------------------------------------------


def test_a_gradient_of_a_wrong_shape(net):
    net(X)
    said = "(4, 3, 2), as the net's last output, or (3, 2), as its mean over time, was expected."
    for shape in ((4, 3), (1, 3, 2), (2,), ()):
        with raises(ShapeError, f"grad has shape {shape}: {said}"):
            net.backward(np.ones(shape))
    assert net.backward(np.ones((N, C))).shape == X.shape  # nothing was lost


def test_a_gradient_of_a_wrong_shape_in_single_steps(place):
    net = mlp(step_mode="s").to(place)
    net(X[0]), net(X[1])
    said = "(2, 3, 2), as the output of 2 calls, or (3, 2), as its mean over the calls was expected."
    with raises(ShapeError, f"grad has shape (4, 3, 2): {said}"):
        net.backward(GRAD)


def test_a_gradient_of_a_wrong_shape_of_a_layer(place):
    layer = nn.Linear(D, C).to(place)
    layer(X)
    with raises(ShapeError, "grad has shape (3, 2): (4, 3, 2), as the net's last output, was expected."):
        layer.backward(GRAD[0])


@pytest.mark.parametrize(
    ("grad", "said"),
    [
        (None, "grad is a NoneType: an array of numbers was expected."),
        ("ones", "grad is a str: an array of numbers was expected."),
        (GRAD + 1j, "grad has dtype complex64: devices know booleans, integers and floats of 32 bits or less."),
    ],
)
def test_a_gradient_that_is_none(net, grad, said):
    net(X)
    with raises(ShapeError, said):
        net.backward(grad)


@pytest.mark.parametrize("dtype", [np.int64, np.float64, np.float16, bool])
def test_a_gradient_of_another_dtype_is_converted(net, dtype):
    net(X)
    expected = np.asarray(net.backward(GRAD))
    F.reset_net(net)
    net(X)
    np.testing.assert_array_equal(net.backward(GRAD.astype(dtype)), expected)


def test_a_batch_of_another_size_without_a_reset(net):
    net(X)
    said = (
        "the input of one step has shape (2, 5), but the state is that of another: its shape is (3, 5), (2, 5) was "
        "expected. Call F.reset_net(net) before a batch of another size."
    )
    with raises(ShapeError, said, layer=f'"1": LIFNode({LIF})'):
        net(X[:, :2])
    F.reset_net(net)
    assert net(X[:, :2]).shape == (T, 2, C)


@pytest.mark.parametrize("shape", [(N, D), (D,), ()])
def test_a_sequence_without_time(net, shape):
    said = (
        f"x has shape {shape}: SeqToANNContainer is in step mode 'm' and takes sequences (T, N, *features). "
        "Add the axis of time, or call F.set_step_mode(net, 's')."
    )
    with raises(ShapeError, said, layer='"0": SeqToANNContainer()'):
        net(np.ones(shape))


def test_a_sequence_without_time_for_a_neuron(place):
    said = (
        "x has shape (3,): LIFNode is in step mode 'm' and takes sequences (T, N, *). "
        "Add the axis of time, or call F.set_step_mode(net, 's')."
    )
    with raises(ShapeError, said):
        nn.LIFNode(step_mode="m").to(place)(np.ones(3))


def test_a_sequence_of_no_steps(net, place):
    said = "x has shape (0, 3, 6): a sequence (T, N, *features) has at least one time step, T >= 1."
    with raises(ShapeError, said, layer='"0": SeqToANNContainer()'):
        net(X[:0])
    said = "x has shape (0, 3, 6): a sequence (T, N, *) has at least one time step, T >= 1."
    with raises(ShapeError, said):
        nn.IFNode(step_mode="m").to(place)(X[:0])


def test_a_batch_of_nothing_is_a_batch(net):
    assert net(X[:, :0]).shape == (T, 0, C)
    assert net.backward(GRAD[:, :0]).shape == (T, 0, D)
    np.testing.assert_array_equal(net[0][0].weight.grad, np.zeros((5, D)))


def test_an_error_names_the_innermost_layer(net):
    said = (
        "x has shape (12, 5), weight (5, 6): "
        "linear takes x of shape (*, in) and a weight of shape (out, in) with the same number of inputs."
    )
    with raises(ShapeError, said, layer='"0.0": Linear(6, 5)'):
        net(X[..., 1:])


def test_an_error_names_a_parametric_neuron_by_its_values(place):
    net = nn.Sequential(nn.ReLU(), nn.ParametricLIFNode(init_tau=3.0, v_threshold=0.5)).to(place)
    net(np.ones((2, 3)))
    with pytest.raises(ShapeError) as caught:
        net(np.ones((3, 3)))
    said = "ParametricLIFNode(tau=3.0, decay_input=False, v_threshold=0.5, v_reset=0.0, step_mode='s')"
    assert caught.value.__notes__[0] == f'in layer "1": {said}'


class Eigenvalues(nn.Module):
    def forward(self, x):
        return jax.lax.linalg.eig(x.T @ x, compute_left_eigenvectors=False, compute_right_eigenvectors=False)[0].real


def test_a_primitive_that_does_not_compile_is_placed_in_its_layer(device):
    net = nn.Sequential(nn.Sequential(nn.Linear(D, 4), Eigenvalues())).to(device)
    for mode in (net.train, net.eval):
        mode()
        with pytest.raises(UnsupportedPrimitiveError) as caught:
            net(np.ones((N, D)))
        said = str(caught.value).splitlines()
        assert said[0] == "grilly cannot compile `eig` of complex64."
        assert said[1].startswith("  at   ")
        assert said[1].endswith('(Eigenvalues.forward), layer "0.1"')


# What goes in ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float64, np.float32, bool, np.uint8, np.int64])
def test_spikes_of_any_dtype_go_in(net, dtype):
    expected = np.asarray(net(X))
    F.reset_net(net)
    out = net(X.astype(dtype))
    assert out.dtype == np.float32
    np.testing.assert_array_equal(out, expected)


def test_lists_jax_arrays_and_arrays_of_the_device_go_in(net, place):
    expected = np.asarray(net(X))
    for x in (X.tolist(), jnp.asarray(X), grilly.put(X, place)):
        F.reset_net(net)
        np.testing.assert_array_equal(net(x), expected)


def test_the_input_may_change_after_the_call(net):
    x = X.copy()
    net(x)
    expected = np.asarray(net.backward(GRAD)), np.asarray(net[0][0].weight.grad)
    net.zero_grad()
    F.reset_net(net)
    net(x)
    x[:] = 7
    np.testing.assert_array_equal(net.backward(GRAD), expected[0])
    np.testing.assert_array_equal(net[0][0].weight.grad, expected[1])


@pytest.mark.parametrize(
    ("x", "said"),
    [
        ("spikes", "x is a str: an array of numbers was expected."),
        ([[1.0], [1.0, 2.0]], "x is a list: an array of numbers was expected."),
        (np.array(["a"]), "x has dtype <U1: devices know booleans, integers and floats of 32 bits or less."),
        (np.array([None]), "x has dtype object: devices know booleans, integers and floats of 32 bits or less."),
        (X + 1j, "x has dtype complex64: devices know booleans, integers and floats of 32 bits or less."),
        (jax.random.key(0), "x is a typed random key. Pass jax.random.key_data(key), and wrap it inside."),
    ],
)
def test_what_is_no_array_of_numbers(net, x, said):
    with raises(ShapeError, said):
        net(x)


class Foreign:
    """An array of another library: NumPy can make one of it."""

    def __init__(self, array):
        self.array = array

    def __array__(self, dtype=None, copy=None):
        return np.array(self.array, dtype, copy=copy)


def test_arrays_of_other_libraries_are_arrays(net):
    expected = np.asarray(net(X)), np.asarray(net.backward(GRAD))
    F.reset_net(net)
    np.testing.assert_array_equal(net(Foreign(X.astype(np.float64))), expected[0])
    np.testing.assert_array_equal(net.backward(Foreign(GRAD)), expected[1])
    said = "x has dtype object: devices know booleans, integers and floats of 32 bits or less."
    with raises(ShapeError, said):
        net(Foreign([None]))
    with raises(ShapeError, "x is a object: an array of numbers was expected."):
        net(object())


def test_no_input_at_all(net):
    with raises(ShapeError, "x is a NoneType: an array was expected.", layer='"0": SeqToANNContainer()'):
        net(None)


def test_arrays_by_name(net):
    with raises(ShapeError, "x is a dict: an array was expected.", layer='"0": SeqToANNContainer()'):
        net({"image": X})


def test_an_array_of_another_device(device):
    net = mlp().to(device)
    x = grilly.put(X, "cpu")
    said = f"x lives on cpu, but the net is on {device.name}. Move one of them: x.to(device), or net.to(device)."
    with raises(DeviceError, said):
        net(x)
    net(x.to(device))
    said = f"grad lives on cpu, but the net is on {device.name}. Move one of them: grad.to(device), or net.to(device)."
    with raises(DeviceError, said):
        net.backward(grilly.put(GRAD, "cpu"))


def test_an_unknown_step_mode(net):
    said = "step_mode is 'multi': 's' (one step, (N, *)) or 'm' (a sequence, (T, N, *)) was expected."
    for make in (nn.IFNode, nn.LIFNode, nn.ParametricLIFNode, nn.SeqToANNContainer, nn.MultiStepContainer):
        with raises(ParameterError, said):
            make(step_mode="multi")
    with raises(ParameterError, said):
        F.set_step_mode(net, "multi")


def test_a_time_constant_of_one_step():
    rule = "a membrane time constant counts time steps and must be > 1. For a neuron without leak, use IF."
    with raises(ParameterError, f"tau is 1: {rule}"):
        nn.LIFNode(tau=1.0)
    with raises(ParameterError, f"init_tau is nan: {rule}"):
        nn.ParametricLIFNode(init_tau=float("nan"))


# Inside JAX ------------------------------------------------------------------------------------------------------


def test_a_call_inside_a_traced_function(net):
    for traced in (
        lambda: jax.jit(net)(X),
        lambda: jax.grad(lambda x: net(x).sum())(X),
        lambda: jax.jit(lambda y: y + net(X).sum())(1.0),  # nothing that goes in is traced, and yet
        lambda: grilly.jit(lambda x: net(x))(X),
    ):
        with raises(StateError, TRACED):
            traced()
    assert net(X).shape == GRAD.shape
    assert net.backward(GRAD).shape == X.shape


# Inputs and outputs of other kinds -------------------------------------------------------------------------------


class Add(nn.Module):
    def forward(self, a, b):
        return 2 * a + 3 * b


def test_several_inputs_have_a_gradient_each(place):
    net = Add().to(place)
    a, b = np.ones((2, 3), np.float32), np.full((2, 3), 5, np.float32)
    np.testing.assert_array_equal(net(a, b), np.full((2, 3), 17))
    by_a, by_b = net.backward(np.ones((2, 3)))
    np.testing.assert_array_equal(by_a, np.full((2, 3), 2))
    np.testing.assert_array_equal(by_b, np.full((2, 3), 3))
    with raises(ShapeError, "input 1 is a str: an array of numbers was expected."):
        net(a, "b")


def test_an_input_of_integers_has_no_gradient(net):
    net(X.astype(np.uint8))
    assert net.backward(GRAD) is None
    assert net[0][0].weight.grad is not None


def test_several_outputs_have_no_backward(place):
    class Twice(nn.Module):
        def forward(self, x):
            return x, 2 * x

    net = Twice().to(place)
    np.testing.assert_array_equal(net(X)[1], 2 * X)
    said = (
        "the net's forward returned something else than one array, and backward goes back from one. Return one "
        "array; or differentiate nn.functional_call(net, parameters, x) with jax.vjp."
    )
    with raises(ShapeError, said):
        net.backward(X)
