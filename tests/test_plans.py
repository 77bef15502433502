"""What runs on a device, written down in `golden/plans`: every dispatch of the functions that people call most.

The plans are those for the null target, so they are the same on every machine. After a change that is meant:
`pytest tests/test_plans.py --update-golden`, and read the difference.
"""

import contextlib
import pathlib
from dataclasses import replace

import pytest
from called import CALLED, train_step_of_a_conv_net, train_step_of_the_page

import grilly
from grilly.runtime import Jit, debug
from grilly.runtime.kernels.pull import RULES

GOLDEN = pathlib.Path(__file__).parent / "golden" / "plans"


@contextlib.contextmanager
def lowered_calls(monkeypatch):
    """All functions of arguments that are compiled meanwhile, lowered for the null target."""
    found, compiled = [], Jit.compiled

    def lowering(self, call):
        if call.leaves:  # an optimizer's first state, which has none, is made once
            found.append(self.stages(call))
        return compiled(self, call)

    with monkeypatch.context() as patch:
        patch.setattr(Jit, "compiled", lowering)
        yield found


def plans(name, T, monkeypatch):
    grilly.seed(0)
    with lowered_calls(monkeypatch) as found:
        CALLED[name][0](T)
    return found


def written(found, capsys):
    """What GRILLY_DEBUG=plan prints."""
    for number, each in enumerate(found):
        debug.show(replace(each, name=f"function {number}"), {"plan"})
    return capsys.readouterr().err


@pytest.mark.parametrize("name", CALLED)
def test_the_dispatches_are_those_written_down(name, monkeypatch, capsys, request):
    text, path = written(plans(name, 16, monkeypatch), capsys), GOLDEN / f"{name}.txt"
    if request.config.getoption("--update-golden"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    assert text == path.read_text()


@pytest.mark.parametrize("T", [1, 16, 200])
@pytest.mark.parametrize("name", ["scan_forward", "scan_both_ways", "train_step", "conv_train_step"])
def test_they_are_few_whatever_the_number_of_steps(name, T, monkeypatch):
    (stages,) = plans(name, T, monkeypatch)
    assert len(stages.lowered.plan.dispatches) <= CALLED[name][1]


@pytest.mark.parametrize("name", CALLED)
def test_a_view_is_never_a_dispatch(name, monkeypatch):
    """No kernel's whole work is to store what an array shows in another shape or order."""
    for stages in plans(name, 4, monkeypatch):
        lowered = stages.lowered
        for kernel in lowered.partition.kernels:
            producers = [lowered.graph.producer.get(root) for task in kernel.tasks for root in task.roots]
            assert not all(eqn and eqn.primitive in RULES and eqn.inputs[0].shape for eqn in producers), kernel


@pytest.mark.parametrize("T", [4, 16])
@pytest.mark.parametrize("train", [train_step_of_the_page, train_step_of_a_conv_net])
def test_a_training_step_is_one_submit(train, T, device):
    step = train(T, device)
    step(), step()  # a recording for each upload slot; each sends its table of addresses once
    before = device.submits
    step(), step()
    assert device.submits == before + 2
