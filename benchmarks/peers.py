"""The same work with other libraries: `python -m benchmarks.peers NAME WORK SIZES` prints the `Times` of one.

A piece of work is a function of its sizes that gives `call` and `wait`: what is timed, and what blocks until a call's
result is there; a third function, where the error is asked, measures it. PyTorch and JAX take a GPU if they see one.
"""

import functools
import itertools
import json
import sys
from collections.abc import Callable

from .measure import timed

Work = tuple[Callable[[], object], Callable[[object], object]]


def _jax_lif(x_seq, tau=2.0, threshold=1.0):
    """Spikes of a LIF scan with ATan(2) and a hard reset, without decay_input."""
    import jax
    from jax import numpy as jnp

    @jax.custom_jvp
    def spike(x):
        return (x >= 0).astype(x.dtype)

    spike.defjvp(lambda p, t: (spike(p[0]), t[0] / (1 + (jnp.pi * p[0]) ** 2)))

    def step(v, x):
        h = v - v / tau + x
        s = spike(h - threshold)
        return (1 - s) * h, s

    return jax.lax.scan(step, jnp.zeros_like(x_seq[0]), x_seq)[1]


def jax_lif(steps: int, neurons: int):
    import jax

    x_seq = jax.random.uniform(jax.random.key(0), (steps, neurons))
    g = jax.random.normal(jax.random.key(1), (steps, neurons))

    @jax.jit
    def both(x_seq, g):
        spikes, vjp = jax.vjp(_jax_lif, x_seq)
        return spikes, vjp(g)[0]

    return lambda: both(x_seq, g), jax.block_until_ready


def _jax_net(steps: int, batch: int, widths: tuple[int, ...]):
    """Parameters and inputs of a net of linear layers and neurons."""
    import jax
    from jax import numpy as jnp

    keys = jax.random.split(jax.random.key(0), len(widths))
    shapes = list(zip(keys, widths, widths[1:], strict=False))
    params = [(jax.random.normal(k, (i, o)) * (2 / i**0.5), jnp.zeros(o)) for k, i, o in shapes]
    return params, (jax.random.uniform(jax.random.key(2), (steps, batch, widths[0])) < 0.3).astype(jnp.float32)


def _jax_rate(params, hidden):
    for w, b in params:
        hidden = _jax_lif(hidden @ w + b)
    return hidden.mean(0)


def jax_inference(steps: int, batch: int, *widths: int):
    import jax

    params, x_seq = _jax_net(steps, batch, widths)

    @jax.jit
    def rate(params, x_seq):
        with jax.default_matmul_precision("float32"):
            return _jax_rate(params, x_seq)

    return lambda: rate(params, x_seq), jax.block_until_ready


def jax_train_step(coarse: int, steps: int, batch: int, *widths: int):
    import jax
    import optax

    params, x_seq = _jax_net(steps, batch, widths)
    optimizer = optax.adamw(1e-3)
    state = [params, optimizer.init(params)]
    labels = jax.random.randint(jax.random.key(3), (batch,), 0, widths[-1])

    def loss_of(params):
        return optax.softmax_cross_entropy_with_integer_labels(_jax_rate(params, x_seq), labels).mean()

    def update(params, state):
        with jax.default_matmul_precision("tensorfloat32" if coarse else "float32"):
            loss, grads = jax.value_and_grad(loss_of)(params)
        updates, state = optimizer.update(grads, state, params)
        return optax.apply_updates(params, updates), state, loss

    update = jax.jit(update, donate_argnums=(0, 1))

    def call():
        *state[:], loss = update(*state)
        return loss

    return call, jax.block_until_ready


def _torch_device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _torch_wait() -> Callable[[object], object]:
    import torch

    return (lambda _: torch.cuda.synchronize()) if torch.cuda.is_available() else (lambda _: None)


def _spikingjelly_lif():
    from loguru import logger

    logger.remove()
    from spikingjelly.activation_based import neuron, surrogate

    return neuron.LIFNode(tau=2.0, decay_input=False, surrogate_function=surrogate.ATan(2.0), step_mode="m")


def spikingjelly_lif(steps: int, neurons: int):
    import torch
    from spikingjelly.activation_based import functional

    node = _spikingjelly_lif().to(_torch_device())
    x_seq = torch.rand(steps, neurons, device=_torch_device(), requires_grad=True)
    g = torch.randn(steps, neurons, device=_torch_device())

    def call():
        functional.reset_net(node)
        x_seq.grad = None
        node(x_seq).backward(g)

    return call, _torch_wait()


def spikingjelly_user_neuron(steps: int, neurons: int):
    """FlexSN traces a user's step into one Triton kernel each way. The neuron is that of `user_neuron`."""
    import torch
    from loguru import logger

    logger.remove()
    from spikingjelly.activation_based import functional, neuron, surrogate

    def core(x, v, a, rest):
        h = torch.where(rest > 0, v, v + (x - v) / 2.0)
        s = surrogate.atan.apply(h - (1.0 + a), 2.0)
        return s, (1.0 - s) * h, 0.9 * a + 0.2 * s, 2.0 * s + (1.0 - s) * torch.relu(rest - 1.0)

    node = neuron.FlexSN(core, num_states=3).to(_torch_device())
    x_seq = (2 * torch.rand(steps, neurons, device=_torch_device())).requires_grad_()
    g = torch.randn(steps, neurons, device=_torch_device())

    def call():
        functional.reset_net(node)
        x_seq.grad = None
        node(x_seq).backward(g)

    return call, _torch_wait()


def _with_tf32(coarse: int) -> None:
    import torch

    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = bool(coarse)
    torch.backends.cudnn.benchmark = True


def _spikingjelly_net(widths: tuple[int, ...]):
    import torch
    from spikingjelly.activation_based import layer

    layers = []
    for i, o in itertools.pairwise(widths):
        layers += [layer.SeqToANNContainer(torch.nn.Linear(i, o)), _spikingjelly_lif()]
    return torch.nn.Sequential(*layers).to(_torch_device())


def _spikingjelly_steps(net, x_seq):
    """Training steps."""
    import torch
    from spikingjelly.activation_based import functional

    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3, fused=True)
    cross_entropy = torch.nn.CrossEntropyLoss()
    labels = torch.randint(0, 10, (x_seq.shape[1],), device=_torch_device())

    def call():
        functional.reset_net(net)
        optimizer.zero_grad(set_to_none=True)
        cross_entropy(net(x_seq).mean(0), labels).backward()
        optimizer.step()

    return call, _torch_wait()


def spikingjelly_train_step(coarse: int, steps: int, batch: int, *widths: int):
    import torch

    _with_tf32(coarse)
    x_seq = (torch.rand(steps, batch, widths[0], device=_torch_device()) < 0.3).float()
    return _spikingjelly_steps(_spikingjelly_net(widths), x_seq)


def _spikingjelly_rates(net, x_seq):
    """Inferences."""
    import torch
    from spikingjelly.activation_based import functional

    net.eval()

    def call():
        functional.reset_net(net)
        with torch.no_grad():
            return net(x_seq).mean(0)

    return call, _torch_wait()


def spikingjelly_inference(steps: int, batch: int, *widths: int):
    import torch

    x_seq = (torch.rand(steps, batch, widths[0], device=_torch_device()) < 0.3).float()
    return _spikingjelly_rates(_spikingjelly_net(widths), x_seq)


def _spikingjelly_conv_net(channels: int):
    import torch
    from spikingjelly.activation_based import layer

    def stage(given):
        conv = torch.nn.Conv2d(given, channels, 3, padding=1, bias=False)
        both = layer.SeqToANNContainer(conv, torch.nn.BatchNorm2d(channels))
        return [both, _spikingjelly_lif(), layer.SeqToANNContainer(torch.nn.MaxPool2d(2, 2))]

    return torch.nn.Sequential(
        *stage(1),
        *stage(channels),
        layer.SeqToANNContainer(torch.nn.Flatten(), torch.nn.Linear(49 * channels, 16 * channels, bias=False)),
        _spikingjelly_lif(),
        layer.SeqToANNContainer(torch.nn.Linear(16 * channels, 10, bias=False)),
        _spikingjelly_lif(),
    ).to(_torch_device())


def spikingjelly_conv(coarse: int, steps: int, batch: int, channels: int = 128):
    import torch

    _with_tf32(coarse)
    x_seq = torch.rand(steps, batch, 1, 28, 28, device=_torch_device())
    return _spikingjelly_steps(_spikingjelly_conv_net(channels), x_seq)


def spikingjelly_conv_inference(coarse: int, steps: int, batch: int, channels: int = 128):
    import torch

    _with_tf32(coarse)
    x_seq = torch.rand(steps, batch, 1, 28, 28, device=_torch_device())
    return _spikingjelly_rates(_spikingjelly_conv_net(channels), x_seq)


def spikingjelly_linear_lif(n: int):
    import torch
    from spikingjelly.activation_based import functional

    linear, lif = torch.nn.Linear(n, n, bias=False).to(_torch_device()), _spikingjelly_lif().to(_torch_device())
    x_seq = (torch.rand(500, 16, n, device=_torch_device()) < 0.1).float()
    g = torch.randn(500, 16, n, device=_torch_device())

    def call():
        functional.reset_net(lif)
        linear.weight.grad = None
        lif(linear(x_seq)).backward(g)

    return call, _torch_wait()


def torch_matmul(rows: int, columns: int, depth: int, tf32: int):
    import torch

    torch.backends.cuda.matmul.allow_tf32 = bool(tf32)
    x, w = torch.randn(rows, depth, device=_torch_device()), torch.randn(depth, columns, device=_torch_device())

    def error() -> float:
        exact = x[:64].double() @ w.double()
        off = (x @ w)[:64].double() - exact
        return float((off.square().mean() / exact.square().mean()).sqrt())

    return lambda: x @ w, _torch_wait(), error


WORKS: dict[str, Callable[..., tuple]] = {
    "jax lif": jax_lif,
    "jax train_step": jax_train_step,
    "spikingjelly lif": spikingjelly_lif,
    "spikingjelly train_step": spikingjelly_train_step,
    "jax inference": jax_inference,
    "spikingjelly inference": spikingjelly_inference,
    "spikingjelly tf32 conv": functools.partial(spikingjelly_conv, 1),
    "spikingjelly tf32 conv_inference": functools.partial(spikingjelly_conv_inference, 1),
    "spikingjelly linear_lif": spikingjelly_linear_lif,
    "spikingjelly user_neuron": spikingjelly_user_neuron,
    "torch matmul": torch_matmul,
}


def peak() -> float:
    """MiB, by PyTorch's allocator; 0 where there is none."""
    torch = sys.modules.get("torch")
    return torch.cuda.max_memory_allocated() / 2**20 if torch and torch.cuda.is_available() else 0.0


if __name__ == "__main__":
    name, work, *sizes = sys.argv[1:]
    call, wait, *error = WORKS[f"{name} {work}"](*map(int, sizes))
    times = timed(call, wait)
    print(json.dumps(times._replace(mib=peak(), error=error[0]() if error else 0.0)))
