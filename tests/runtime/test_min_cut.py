"""What the way back through a scan finds of the steps that are computed again: no more than it needs."""

from dataclasses import replace

import jax
import pytest
from checks import lowered
from programs import Program
from programs_recompute import by_output, refractory, sequence

from grilly.runtime.ir import ScanParams
from grilly.runtime.target import Target

GPU = replace(Target(), software=False)


def growth(x, g, v):
    """The way back needs the state, and x itself."""
    y, vjp = jax.vjp(lambda x: sequence(lambda v, x: (v / 2 + x * v, 3 * v), v, x)[1], x)
    return y, vjp(g)[0]


def twin_of(function, length: int) -> tuple[ScanParams, int]:
    """The reverse twin, and how many of its operands are x or the cotangent."""
    graph = lowered(Program(function, ((length, 6), (length, 6), (6,))), GPU).graph
    (eqn,) = (eqn for eqn in graph.equations if "scan" in eqn.params and eqn.params["scan"].replay)
    return eqn.params["scan"], sum(operand in graph.inputs[:2] for operand in eqn.inputs)


@pytest.mark.parametrize("length", [16, 131], ids=["one chunk", "several"])
def test_of_a_lif_step_the_way_back_needs_h_alone(length):
    """Not v, of which h was computed, nor x: that is read once, and the cotangent once."""
    scan, reads = twin_of(by_output, length)
    assert (scan.replay.found, scan.sequences, reads) == (1, 1, 2)


def test_what_can_be_read_again_is_not_held():
    scan, reads = twin_of(growth, 131)
    assert (scan.replay.found, scan.sequences, reads) == (1, 2, 3)


def test_a_neuron_of_three_states_leaves_what_its_branches_and_slopes_need():
    scan, _ = twin_of(refractory, 131)
    assert scan.replay.found <= 3
