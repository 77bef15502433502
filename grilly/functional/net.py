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

    Raises:
        ParameterError: `net` is no network.
    """
    _network(net).reset()


def detach_net(net: Network) -> None:
    """Keeps the state of every neuron and forgets how it came about: the cut of truncated backpropagation.

    Raises:
        ParameterError: `net` is no network.
    """
    _network(net).detach()


def set_step_mode(net: Network, mode: str) -> None:
    """Makes every layer take one step at a time ('s': `(N, *)`), or whole sequences ('m': `(T, N, *)`).

    The inside of a `MultiStepContainer` keeps its single steps.

    Raises:
        ParameterError: `mode` is neither, or `net` is no network.
    """
    check_step_mode(mode)
    _network(net).set_step_mode(mode)


def _network(net: Network) -> Network:
    if not all(hasattr(net, method) for method in ("reset", "detach", "set_step_mode")):
        raise ParameterError(f"a {type(net).__name__} was given: a grilly.nn.Module was expected.")
    return net
