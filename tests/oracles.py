"""What everything is compared with: plain NumPy, one loop a definition. It shares no code with grilly.

Arithmetic is in the dtype of what goes in: float64 for a reference, float32 where equality of bits is asked.
"""

import dataclasses
import itertools

import numpy as np


@dataclasses.dataclass(frozen=True)
class Neuron:
    """IF (k = 0), LIF (k = 1 / tau) and PLIF (k = sigmoid(w)), forward and the closed form of backward."""

    k: np.ndarray | float
    v_threshold: np.ndarray | float = 1.0
    v_reset: float | None = 0.0
    decay_input: bool = False
    tau: np.ndarray | float | None = None  # divides instead of multiplying by k, where bits are compared

    def __call__(self, x_seq, v):
        """The spikes, the membrane after each reset, and before it."""
        spikes, after, charged = [], [], []
        for x in x_seq:
            h = self.charge(x, v)
            s = (h >= self.v_threshold).astype(x.dtype)
            v = h - s * self.v_threshold if self.v_reset is None else (1 - s) * h + s * self.v_reset
            spikes.append(s), after.append(v), charged.append(h)
        return np.stack(spikes), np.stack(after), np.stack(charged)

    def charge(self, x, v):
        leak = v - (0 if self.v_reset is None else self.v_reset)
        part = (x - leak) if self.decay_input else leak
        part = part * self.k if self.tau is None else part / self.tau
        return v + part if self.decay_input else v - part + x

    def gradients(self, x_seq, v, g_spikes, g_v, slope, detach_reset=False):
        """Of sum(spikes * g_spikes) + sum(last v * g_v): by `x_seq`, the first `v`, and each leaf, per element."""
        spikes, after, charged = self(x_seq, v)
        before = np.concatenate([v[None], after[:-1]])
        rest, soft = (0, True) if self.v_reset is None else (self.v_reset, False)
        by = {"x_seq": np.zeros_like(x_seq), "k": 0.0, "v_threshold": 0.0, "v_reset": 0.0}
        gv = g_v
        for t in reversed(range(len(x_seq))):
            s, h, leak = spikes[t], charged[t], before[t] - rest
            through_reset = 0 if detach_reset else gv * (-self.v_threshold if soft else rest - h)
            fired = (g_spikes[t] + through_reset) * slope(h - self.v_threshold)
            gh = fired + gv * (1 if soft else 1 - s)
            by["v_threshold"] += -fired - (gv * s if soft else 0)
            by["v_reset"] += gh * self.k + gv * s
            by["k"] += gh * (x_seq[t] - leak if self.decay_input else -leak)
            by["x_seq"][t] = gh * self.k if self.decay_input else gh
            gv = gh * (1 - self.k)
        return by | {"v": gv}


def atan_slope(x, alpha=2.0):
    return (alpha / 2) / (1 + (np.pi * alpha * x / 2) ** 2)


def sigmoid_slope(x, alpha=4.0):
    return alpha / 4 / np.cosh(np.clip(alpha * x / 2, -300, 300)) ** 2  # alpha s (1 - s), s = sigmoid(alpha x)


def fast_sigmoid_slope(x, alpha=2.0):
    return alpha / (2 * (1 + alpha * np.abs(x)) ** 2)


def linear(x, weight, bias):
    return x @ weight.T + bias


def windows(x, kernel, stride, padding, dilation=(1, 1), fill=0.0):
    """What lies under each window: `(N, C, H', W', kH, kW)`."""
    pads = [(0, 0), (0, 0), (padding[0],) * 2, (padding[1],) * 2]
    x = np.pad(x, pads, constant_values=fill)
    reach = [d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)]
    seen = np.lib.stride_tricks.sliding_window_view(x, reach, axis=(2, 3))
    return seen[:, :, :: stride[0], :: stride[1], :: dilation[0], :: dilation[1]]


def conv2d(x, weight, bias, stride=(1, 1), padding=(0, 0), dilation=(1, 1), groups=1):
    seen = windows(x, weight.shape[2:], stride, padding, dilation)
    channels, outs = x.shape[1] // groups, weight.shape[0] // groups
    parts = []
    for g in range(groups):
        mine = seen[:, g * channels : (g + 1) * channels]
        parts.append(np.einsum("nchwab,ocab->nohw", mine, weight[g * outs : (g + 1) * outs]))
    return np.concatenate(parts, axis=1) + bias[:, None, None]


def max_pool2d(x, kernel, stride, padding=(0, 0)):
    return windows(x, kernel, stride, padding, fill=-np.inf).max(axis=(4, 5))


def avg_pool2d(x, kernel, stride, padding=(0, 0)):
    return windows(x, kernel, stride, padding).mean(axis=(4, 5))


def max_pool2d_gradient(x, g, kernel, stride, padding=(0, 0)):
    """By `x`: each window hands its gradient to the first of its largest pixels."""
    gx = np.zeros_like(x)
    for n, c, i, j in itertools.product(*map(range, g.shape)):
        top, left = i * stride[0] - padding[0], j * stride[1] - padding[1]
        rows = slice(max(top, 0), top + kernel[0])
        columns = slice(max(left, 0), left + kernel[1])
        seen = x[n, c, rows, columns]
        a, b = np.unravel_index(np.argmax(seen), seen.shape)
        gx[n, c, rows.start + a, columns.start + b] += g[n, c, i, j]
    return gx


def batch_norm(x, scale, bias, eps=1e-5, axis=1):
    """Normalized by the batch's own mean and variance."""
    others = tuple(i for i in range(x.ndim) if i != axis)
    along = [1] * x.ndim
    along[axis] = -1
    mean, var = x.mean(others, keepdims=True), x.var(others, keepdims=True)
    return (x - mean) / np.sqrt(var + eps) * scale.reshape(along) + bias.reshape(along)


def softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def cross_entropy(z, labels):
    return -np.mean(np.log(softmax(z)[np.arange(len(labels)), labels]))


def cross_entropy_gradient(z, labels):
    p = softmax(z)
    p[np.arange(len(labels)), labels] -= 1
    return p / len(labels)


def directional_derivative(f, args, directions, step=1e-6):
    """Of `f(*args)` along `directions`, by a central difference in float64."""
    ahead = f(*(a + step * d for a, d in zip(args, directions, strict=True)))
    behind = f(*(a - step * d for a, d in zip(args, directions, strict=True)))
    return (ahead - behind) / (2 * step)


def sgd(p, gradients, lr, momentum=0.0, weight_decay=0.0, nesterov=False):
    """A parameter after each step; `lr` is one number a step."""
    m, after = np.zeros_like(p), []
    for g, rate in zip(gradients, lr, strict=True):
        g = g + weight_decay * p
        m = momentum * m + g
        p = p - rate * (g + momentum * m if nesterov else m)
        after.append(p)
    return after


def adam(p, gradients, lr, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0):
    """A parameter after each step. With a weight decay: AdamW."""
    m, v, after = np.zeros_like(p), np.zeros_like(p), []
    for t, (g, rate) in enumerate(zip(gradients, lr, strict=True), start=1):
        m, v = betas[0] * m + (1 - betas[0]) * g, betas[1] * v + (1 - betas[1]) * g * g
        step = m / (1 - betas[0] ** t) / (np.sqrt(v / (1 - betas[1] ** t)) + eps)
        p = p - rate * (step + weight_decay * p)
        after.append(p)
    return after


def clipped(gradients, norm):
    """Several gradients of one step, scaled down together to at most this norm."""
    total = np.sqrt(sum(np.sum(g * g) for g in gradients))
    return [g * min(1.0, norm / total) for g in gradients]
