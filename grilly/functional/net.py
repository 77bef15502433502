"""What one does to a whole network between sequences. The network does it; this says so where it is none.

A network is anything with the three methods: this file knows no class of `nn`.
"""

from typing import Protocol

from ..errors import ParameterError
from .arguments import check_step_mode


class Network(Protocol):
    """What a network can be told; each call reaches every layer inside it."""

    def reset(self) -> None: ...

    def detach(self) -> None: ...

    def set_step_mode(self, mode: str, /) -> None: ...


def reset_net(net: Network) -> None:
    """Gives every neuron of a network its initial state back. Call it between independent sequences.

    Args:
        net: A `grilly.nn.Module`, or anything with its three methods.

    Raises:
        ParameterError: `net` is no network.

    Example:
        >>> import numpy as np
        >>> from grilly import functional as F, nn
        >>> net = nn.Sequential(nn.IFNode())
        >>> spikes = net(np.full((1, 2), 0.75, np.float32))
        >>> np.asarray(net[0].v).tolist()
        [[0.75, 0.75]]
        >>> F.reset_net(net)
        >>> net[0].v
        0.0
    """
    _network(net).reset()


def detach_net(net: Network) -> None:
    """Keeps the state of every neuron and forgets how it came about: the cut of truncated backpropagation.

    Args:
        net: As for `reset_net`.

    Raises:
        ParameterError: `net` is no network.

    Example:
        >>> import numpy as np
        >>> from grilly import functional as F, nn
        >>> net, x_seq = nn.IFNode(step_mode="m"), np.full((3, 1, 2), 0.25, np.float32)
        >>> for _ in range(2):  # two parts of one sequence, each with a backward of its own
        ...     spikes = net(x_seq)
        ...     gradient = net.backward(np.ones((1, 2), np.float32))
        ...     F.detach_net(net)
        >>> np.asarray(net.v).tolist()  # of 1.5 that came in, 1 went into a spike, which resets to 0
        [[0.5, 0.5]]
    """
    _network(net).detach()


def set_step_mode(net: Network, mode: str) -> None:
    """Makes every layer take one step at a time ('s': `(N, *)`), or whole sequences ('m': `(T, N, *)`).

    The inside of a `MultiStepContainer` keeps its single steps.

    Args:
        net: As for `reset_net`.
        mode: 's' or 'm'.

    Raises:
        ParameterError: `mode` is neither, or `net` is no network.

    Example:
        >>> import numpy as np
        >>> from grilly import functional as F, nn
        >>> net = nn.Sequential(nn.SeqToANNContainer(nn.Linear(3, 2)), nn.LIFNode())
        >>> F.set_step_mode(net, "m")
        >>> net(np.ones((8, 4, 3), np.float32)).shape
        (8, 4, 2)
        >>> F.set_step_mode(net, "s"); F.reset_net(net)
        >>> net(np.ones((4, 3), np.float32)).shape
        (4, 2)
    """
    check_step_mode(mode)
    _network(net).set_step_mode(mode)


def _network(net: Network) -> Network:
    if not all(hasattr(net, method) for method in ("reset", "detach", "set_step_mode")):
        raise ParameterError(f"a {type(net).__name__} was given: a grilly.nn.Module was expected.")
    return net
