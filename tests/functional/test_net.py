"""What one does to a whole network: it reaches the network, and is refused by everything else."""

import re

import pytest

from grilly import ParameterError
from grilly import functional as F


class Told:
    """A network of somebody else: it has the three methods, and no class of ours above it."""

    def __init__(self):
        self.calls = []

    def reset(self):
        self.calls.append("reset")

    def detach(self):
        self.calls.append("detach")

    def set_step_mode(self, mode):
        self.calls.append(mode)


def test_a_network_is_told():
    net = Told()
    F.reset_net(net), F.detach_net(net), F.set_step_mode(net, "m"), F.set_step_mode(net, "s")
    assert net.calls == ["reset", "detach", "m", "s"]


@pytest.mark.parametrize("mode", ["M", "multi", None, 1])
def test_an_unknown_step_mode_is_refused_before_anything_is_told(mode):
    net = Told()
    said = f"step_mode is {mode!r}: 's' (one step, (N, *)) or 'm' (a sequence, (T, N, *)) was expected."
    with pytest.raises(ParameterError, match=f"^{re.escape(said)}$"):
        F.set_step_mode(net, mode)
    assert net.calls == []


@pytest.mark.parametrize("call", [F.reset_net, F.detach_net, lambda net: F.set_step_mode(net, "m")])
def test_what_is_no_network_is_refused(call):
    with pytest.raises(ParameterError, match=r"^a list was given: a grilly\.nn\.Module was expected\.$"):
        call([Told()])
    with pytest.raises(ParameterError, match=r"^a NoneType was given: a grilly\.nn\.Module was expected\.$"):
        call(None)
