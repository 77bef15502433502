"""Peers on the CPU that are written by hand: backpropagation through time in NumPy, and PyTorch for torch.compile."""

import itertools
from typing import Any

import numpy as np

THRESHOLD, KEPT = np.float32(1), np.float32(0.5)  # of a LIF neuron with tau = 2: what of v is kept


def _no_wait(_: object) -> None:
    """What is computed is there when a call returns."""


def _spikes(x_seq: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of a LIF scan with a hard reset, and the charged membranes that its backward needs."""
    charged, spikes = np.empty_like(x_seq), np.empty_like(x_seq)
    v = np.zeros_like(x_seq[0])
    for x, h, s in zip(x_seq, charged, spikes, strict=True):
        np.multiply(v, KEPT, out=h)
        h += x
        np.greater_equal(h, THRESHOLD, out=s, casting="unsafe")
        np.multiply(h, 1 - s, out=v)
    return spikes, charged


def _gradient(g_spikes: np.ndarray, spikes: np.ndarray, charged: np.ndarray) -> np.ndarray:
    """By the scan's input, with the derivative of ATan(2): 1 / (1 + (pi (h - threshold))^2)."""
    out = np.empty_like(charged)
    g_v = np.zeros_like(charged[0])
    for t in reversed(range(len(charged))):
        slope = charged[t] - THRESHOLD
        slope *= np.float32(np.pi)
        slope *= slope
        slope += 1
        np.subtract(g_spikes if g_spikes.ndim < charged.ndim else g_spikes[t], g_v * charged[t], out=out[t])
        out[t] /= slope
        out[t] += g_v * (1 - spikes[t])
        np.multiply(out[t], KEPT, out=g_v)
    return out


def _given(steps: int, neurons: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    return random.random((steps, neurons), np.float32), random.standard_normal((steps, neurons), np.float32)


def numpy_lif(steps: int, neurons: int):
    """As one writes it: each operation makes an array of its own."""
    x_seq, g_spikes = _given(steps, neurons)

    def call():
        charged, spikes, out = np.empty_like(x_seq), np.empty_like(x_seq), np.empty_like(x_seq)
        v = np.zeros_like(x_seq[0])
        for t in range(steps):
            charged[t] = v - v / np.float32(2) + x_seq[t]
            spikes[t] = charged[t] >= THRESHOLD
            v = (1 - spikes[t]) * charged[t]
        g_v = np.zeros_like(v)
        for t in reversed(range(steps)):
            slope = 1 / (1 + (np.float32(np.pi) * (charged[t] - THRESHOLD)) ** 2)
            out[t] = (g_spikes[t] - g_v * charged[t]) * slope + g_v * (1 - spikes[t])
            g_v = out[t] * KEPT
        return spikes, out

    return call, _no_wait


def numpy_lif_in_place(steps: int, neurons: int):
    x_seq, g_spikes = _given(steps, neurons)

    def call():
        spikes, charged = _spikes(x_seq)
        return spikes, _gradient(g_spikes, spikes, charged)

    return call, _no_wait


def _net(steps: int, batch: int, widths: tuple[int, ...]) -> tuple[list[np.ndarray], np.ndarray]:
    """Weights and biases, one after the other, and an input of spikes."""
    random = np.random.default_rng(0)
    params: list[np.ndarray] = []
    for width, following in itertools.pairwise(widths):
        weight = random.standard_normal((width, following), np.float32) * np.float32(2 / width**0.5)
        params += [weight, np.zeros(following, np.float32)]
    return params, (random.random((steps, batch, widths[0]), np.float32) < 0.3).astype(np.float32)


def _layers(params: list[np.ndarray], x_seq: np.ndarray) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Input, spikes and charged membranes of each layer."""
    layers = []
    for weight, bias in zip(params[::2], params[1::2], strict=True):
        current = (x_seq.reshape(-1, weight.shape[0]) @ weight + bias).reshape(*x_seq.shape[:2], -1)
        spikes, charged = _spikes(current)
        layers.append((x_seq, spikes, charged))
        x_seq = spikes
    return layers


def numpy_inference(steps: int, batch: int, *widths: int):
    params, x_seq = _net(steps, batch, widths)
    return lambda: _layers(params, x_seq)[-1][1].mean(axis=0), _no_wait


def numpy_train_step(steps: int, batch: int, *widths: int):
    params, x_seq = _net(steps, batch, widths)
    one_hot = np.eye(widths[-1], dtype=np.float32)[np.random.default_rng(1).integers(0, widths[-1], batch)]
    update = _AdamW(params)

    def call():
        layers = _layers(params, x_seq)
        rate = layers[-1][1].mean(axis=0)
        likely = np.exp(rate - rate.max(axis=1, keepdims=True))
        likely /= likely.sum(axis=1, keepdims=True)
        loss = -np.log((likely * one_hot).sum(axis=1)).mean()
        update(_backward(params, layers, (likely - one_hot) / np.float32(batch * steps)))
        return loss

    return call, _no_wait


def _backward(params: list[np.ndarray], layers: list[tuple[np.ndarray, ...]], g: np.ndarray) -> list[np.ndarray]:
    """The gradient by every parameter; `g` is that of the last layer's spikes, the same in each step."""
    grads: list[np.ndarray] = []
    for k in reversed(range(len(layers))):
        x_seq, spikes, charged = layers[k]
        current = _gradient(g, spikes, charged).reshape(-1, spikes.shape[-1])
        grads = [x_seq.reshape(len(current), -1).T @ current, current.sum(axis=0), *grads]
        if k:
            g = (current @ params[2 * k].T).reshape(x_seq.shape)
    return grads


class _AdamW:
    """In place, with PyTorch's defaults but for the learning rate of 1e-3."""

    def __init__(self, params: list[np.ndarray]) -> None:
        self.params, self.count = params, 0
        self.means, self.squares = ([np.zeros_like(p) for p in params] for _ in range(2))

    def __call__(self, grads: list[np.ndarray]) -> None:
        self.count += 1
        rate, grown = np.float32(1e-3 / (1 - 0.9**self.count)), np.float32((1 - 0.999**self.count) ** 0.5)
        for param, grad, mean, square in zip(self.params, grads, self.means, self.squares, strict=True):
            mean *= np.float32(0.9)
            mean += np.float32(0.1) * grad
            square *= np.float32(0.999)
            grad *= grad
            grad *= np.float32(0.001)
            square += grad
            root = np.sqrt(square, out=grad)
            root /= grown
            root += np.float32(1e-8)
            param *= np.float32(1 - 1e-3 * 0.01)
            param -= rate * mean / root


def _torch_net(widths: tuple[int, ...]):
    """Plain PyTorch, written for torch.compile: all of it one graph, the time loop unrolled."""
    import torch

    class Spike(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return (x >= 0).to(x.dtype)

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            (x,) = ctx.saved_tensors
            return g / (1 + (torch.pi * x) ** 2)

    linears = torch.nn.ModuleList(torch.nn.Linear(i, o) for i, o in itertools.pairwise(widths))

    def rate(x_seq: Any) -> Any:
        for linear in linears:
            v, spikes = 0.0, []
            for current in linear(x_seq):
                h = v / 2 + current
                spikes.append(Spike.apply(h - 1))
                v = (1 - spikes[-1]) * h
            x_seq = torch.stack(spikes)
        return x_seq.mean(0)

    return linears, rate


def compiled_train_step(steps: int, batch: int, *widths: int):
    import torch

    linears, rate = _torch_net(widths)
    optimizer = torch.optim.AdamW(linears.parameters(), lr=1e-3, fused=True)
    x_seq, labels = (torch.rand(steps, batch, widths[0]) < 0.3).float(), torch.randint(0, widths[-1], (batch,))
    loss_of = torch.compile(lambda x_seq, labels: torch.nn.functional.cross_entropy(rate(x_seq), labels))

    def call():
        optimizer.zero_grad(set_to_none=True)
        loss_of(x_seq, labels).backward()
        optimizer.step()

    return call, _no_wait


def compiled_inference(steps: int, batch: int, *widths: int):
    import torch

    _, rate = _torch_net(widths)
    x_seq, rate = (torch.rand(steps, batch, widths[0]) < 0.3).float(), torch.compile(rate)

    def call():
        with torch.no_grad():
            return rate(x_seq)

    return call, _no_wait
