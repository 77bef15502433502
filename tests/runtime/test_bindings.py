"""Kernels that bind their buffers: synchronization validation sees these, so its silence means that no barrier lacks.

Here are some programs of each kind; GRILLY_BINDINGS=1 runs the whole suite so.
"""

from dataclasses import replace

import jax
import numpy as np
import pytest
from called import train_step_of_a_conv_net, train_step_of_the_page
from checks import gives_jaxs_values, lowered, validate
from programs_all import ALL

import grilly
from grilly.config import config
from grilly.errors import DeviceError, ShaderError
from grilly.runtime.gpu.commands import Recording
from grilly.runtime.gpu.device import VulkanDevice
from grilly.runtime.gpu.executable import Executable
from grilly.runtime.gpu.instance import Instance
from grilly.runtime.gpu.physical import PhysicalDevice
from grilly.runtime.ir import Aval
from grilly.runtime.lower import lower
from grilly.runtime.plan import Binding, Shader
from grilly.runtime.target import Target

SOME = (
    *("float32s", "int8s", "bfloat16s", "split", "sum_many", "matmul_bias", "conv_gradients", "max_pool_gradient"),
    *("scan_both_ways", "scan_wide", "net_gradient", "update_in_place", "recurrent_gradients", "gated_gradients"),
    *("passing_carries", "nested_loops", "sort", "sort_long", "cumulate_gradient", "index_gradient", "count"),
)
FEW = Target(bindings=8)
FLOATS = np.dtype(np.float32)


@pytest.fixture(scope="module")
def opened(device):
    """The device under test, opened anew for kernels that bind their buffers."""
    instance = Instance(config.validation)
    handle = instance.physical_devices()[device.physical.index]
    own = VulkanDevice(instance, PhysicalDevice(handle, device.physical.index, instance.handle, binds=True))
    yield own
    own.close()
    instance.close()


@pytest.fixture
def bound(opened):
    """That device; a test fails during which the validation layer warned."""
    opened.messages.clear()
    yield opened
    assert not opened.messages, "\n".join(message.text for message in opened.messages)


@pytest.mark.parametrize("name", SOME)
def test_programs_give_the_same_values(name, bound):
    gives_jaxs_values(ALL[name], bound)


@pytest.mark.parametrize("name", SOME)
def test_their_shaders_are_valid_and_take_no_address(name, tmp_path):
    for dispatch in lowered(ALL[name], Target(bindings=32)).plan.dispatches:
        validate(dispatch.shader.spirv, tmp_path)
        assert len(dispatch.shader.bindings) == len(dispatch.slots)
        assert not dispatch.shader.table


@pytest.mark.parametrize("train", [train_step_of_the_page, train_step_of_a_conv_net])
def test_training_steps_give_the_same_loss(train, bound):
    losses = []
    for place in ("cpu", bound):
        grilly.seed(0)
        step = train(4, place)
        losses.append([float(step()[0]) for _ in range(3)])
    np.testing.assert_allclose(*losses, rtol=1e-5)


@pytest.mark.skipif(not config.validation, reason="GRILLY_VALIDATION=0 was asked for")
@pytest.mark.parametrize("name", ["net_gradient", "conv_gradients", "sort_gradient", "recurrent", "moving_carry"])
def test_a_missing_barrier_is_heard(name, bound):
    program = ALL[name]
    plan = lowered(program, bound.target).plan
    needed = [k for k, dispatch in enumerate(plan.dispatches) if dispatch.barrier]
    assert needed
    for k in needed:
        wrong = list(plan.dispatches)
        wrong[k] = replace(wrong[k], barrier=False)
        Executable(bound, replace(plan, work=tuple(wrong)))(program.arguments())
        heard = {message.name for message in bound.messages}
        bound.messages.clear()
        assert heard
        assert all(name.startswith("SYNC-HAZARD-") for name in heard)


@pytest.mark.skipif(not config.validation, reason="GRILLY_VALIDATION=0 was asked for")
def test_a_missing_barrier_between_submissions_is_heard(bound, monkeypatch):
    executable = Executable(bound, lower(lambda x: [x + 1], [Aval((5,), FLOATS)], target=bound.target).plan)
    monkeypatch.setattr(Recording, "barrier", lambda self: None)
    (first,) = executable([bound.put(np.zeros(5, np.float32))])
    executable([first])
    heard = {message.name for message in bound.messages}
    bound.messages.clear()
    assert "SYNC-HAZARD-READ-AFTER-WRITE" in heard


@pytest.mark.parametrize(("name", "limit"), [("cumulate_gradient", 25), ("cumulate_gradient_long", 32)])
def test_kernels_with_too_many_buffers_are_cut(name, limit, bound):
    program = ALL[name]
    plan = lowered(program, replace(bound.target, bindings=limit)).plan
    assert len(plan.dispatches) > program.kernels
    assert all(len(dispatch.slots) <= limit for dispatch in plan.dispatches)
    results = Executable(bound, plan)(program.arguments())
    expected = jax.tree.leaves(jax.jit(program.function)(*program.arguments()))
    for buffer, aval, theirs in zip(results, plan.results, expected, strict=True):
        np.testing.assert_allclose(bound.get(buffer, aval), theirs, rtol=0, atol=1e-5 * np.abs(theirs).max())


def test_a_task_with_too_many_buffers_is_an_error():
    with pytest.raises(ShaderError) as error:
        lower(lambda *xs: [sum(xs)], [Aval((5,), FLOATS)] * 8, target=FEW)
    assert str(error.value) == (
        "the kernel 'map[5]' has 9 buffers: null binds at most 8. "
        "Unset GRILLY_BINDINGS, or compute less in one function."
    )


def test_a_buffer_that_is_too_large_is_an_error(bound):
    limit = bound.physical.limits.maxStorageBufferRange
    with pytest.raises(DeviceError) as error:
        bound.pipeline(Shader("map[5]", b"", bindings=(Binding(20, False), Binding(limit + 1, True))))
    assert str(error.value) == (
        f"{bound.name} binds at most {limit} bytes of a buffer: the kernel 'map[5]' has one of {limit + 1} bytes. "
        "Unset GRILLY_BINDINGS, or make the array smaller."
    )
