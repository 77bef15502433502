"""A Vulkan device: memory in and out, what it counts, and what is left when it is closed."""

import os
import re
import subprocess
import sys

import numpy as np
import pytest
from device_plans import FLOATS, SIMPLE

from grilly.config import config
from grilly.errors import DeviceError, DeviceMemoryError
from grilly.runtime.devices import default_device, devices, find_device, validation_messages
from grilly.runtime.gpu import device as device_module
from grilly.runtime.gpu.commands import Recording
from grilly.runtime.gpu.executable import Executable
from grilly.runtime.gpu.vulkan import lib
from grilly.runtime.ir import Aval
from grilly.runtime.profile import profile


def roundtrip(device, array):
    return device.get(device.put(array), Aval(array.shape, array.dtype))


@pytest.mark.parametrize("shape", [(), (0,), (3, 0), (1,), (17,), (4, 5, 6)])
@pytest.mark.parametrize("dtype", [np.float32, np.uint8, np.bool_, np.int32, np.float16])
def test_what_is_put_comes_back(device, shape, dtype):
    array = (np.arange(np.prod(shape, dtype=int)).reshape(shape) % 2).astype(dtype)

    back = roundtrip(device, array)

    assert back.dtype == array.dtype
    np.testing.assert_array_equal(back, array)


def test_arrays_that_are_not_contiguous_are_put_in_their_own_order(device):
    array = np.arange(24, dtype=np.float32).reshape(4, 6)[:, ::-2].T

    np.testing.assert_array_equal(roundtrip(device, array), array)


def test_large_arrays_travel_in_pieces(device, monkeypatch):
    monkeypatch.setattr(device_module, "CHUNK", 1024)
    array = np.arange(1000, dtype=np.float32)

    np.testing.assert_array_equal(roundtrip(device, array), array)


def test_a_copy_has_memory_of_its_own(device):
    array = np.arange(5, dtype=np.float32)
    buffer = device.put(array)

    copy = device.copy(buffer, Aval((5,), array.dtype))

    assert copy.address != buffer.address
    np.testing.assert_array_equal(device.get(copy, Aval((5,), array.dtype)), array)


def test_the_array_may_change_once_it_was_put(device):
    array = np.ones(5, np.float32)
    buffer = device.put(array)
    array[:] = 7

    np.testing.assert_array_equal(device.get(buffer, Aval((5,), array.dtype)), np.ones(5))


def test_freed_memory_is_given_out_again_from_the_same_blocks(device):
    device.collect()
    before = device.heap.used
    addresses = []
    for _ in range(100):
        buffer = device.heap.allocate(5000)
        addresses.append(buffer.address)
        del buffer

    assert len(set(addresses)) == 1
    device.collect()
    assert device.heap.used == before


def test_spare_buffers_are_joined_where_a_larger_one_is_wanted(own_device):
    limit = own_device.heap.allocate(1).block.space.size
    small = [own_device.heap.allocate(limit // 8) for _ in range(8)]
    blocks = own_device.allocations
    del small

    own_device.heap.allocate(limit - 4096)

    assert own_device.allocations == blocks


def test_every_object_is_destroyed_when_the_device_is_closed(own_device):
    run = Executable(own_device, SIMPLE)
    a = np.ones(FLOATS.shape, np.float32)
    result = run([a, own_device.put(a)])
    with profile(), profile():
        run([a, a])
    assert own_device.counts()["Pipeline"] == 2  # its own, and the copy that a profile compares with

    own_device.close()

    assert set(own_device.counts().values()) == {0}
    with pytest.raises(DeviceError, match="was closed: its arrays and compiled functions are gone with it"):
        own_device.get(result[0], FLOATS)
    with pytest.raises(DeviceError, match="was closed"):
        run([a, a])


def test_an_allocation_beyond_the_drivers_limit_is_an_error(device):
    limit = device.physical.largest_allocation
    with pytest.raises(DeviceMemoryError) as error:
        device.heap.allocate(limit + 1)

    asked = -(-(limit + 1) // 256) * 256
    assert str(error.value) == (
        f"{device.name} allocates at most {limit} bytes at once: {asked} were asked for. "
        "Make the array smaller, for example by a smaller batch or fewer time steps."
    )


def test_memory_of_host_buffers_waits_for_the_timeline(device):
    buffer = device.host_heap.allocate(1 << 16)
    address, buffer.value = buffer.address, device._submitted + 1  # as if a submission to come would read it
    del buffer

    other = device.host_heap.allocate(1 << 16)
    assert other.address != address
    device.wait_for(device.submit(Recording(device).end()))
    assert device.host_heap.allocate(1 << 16).address == address


def test_devices_lists_cpu_first_and_says_why(device):
    cpu, *others = devices()
    assert (cpu.name, cpu.kind, cpu.index) == ("cpu", "cpu", None)
    assert sum(d.default for d in (cpu, *others)) == 1
    mine = next(d for d in others if d.index == device.physical.index)
    assert (mine.name, mine.kind) == (device.name, device.kind)
    assert mine.memory_bytes
    assert mine.why


def test_a_device_is_found_by_index_and_by_part_of_its_name_and_opened_once(device):
    assert find_device(f"vulkan:{device.physical.index}") is device
    assert find_device(device.name[1:].upper()) is device
    assert find_device("cpu").name == "cpu"


def test_the_default_is_chosen_and_logged_once(caplog, no_default):
    with caplog.at_level("INFO", "grilly"):
        first, second = default_device(), default_device()

    assert first is second
    (chosen,) = (d for d in devices() if d.default)
    assert [record.getMessage() for record in caplog.records] == [f"device: {chosen.name} ({chosen.why})"]


def test_an_unknown_device_is_an_error_that_lists_those_there_are():
    known = ", ".join(["cpu", *(f"vulkan:{d.index} ({d.name}, {d.kind})" for d in devices()[1:])])
    with pytest.raises(DeviceError) as error:
        find_device("geforce 256")
    assert str(error.value) == (
        f"there is no device 'geforce 256'. There are: {known}. Give one of these, a kind, or a part of a name."
    )


WITHOUT_LOADER = """
import sys
class NoLoader:
    def find_spec(self, name, path=None, target=None):
        if name == "vulkan._vulkan":
            raise OSError("Cannot find Vulkan SDK version.")
sys.meta_path.insert(0, NoLoader())
import grilly, numpy
print([d.name for d in grilly.devices()])
print(grilly.jit(lambda x: x + 1)(numpy.float32(1)))
try:
    grilly.jit(lambda x: x, device="vulkan")(1.0)
except grilly.DeviceError as error:
    print(error)
"""


def test_without_a_loader_there_is_the_cpu_and_asking_for_vulkan_says_what_to_install():
    unchosen = {name: value for name, value in os.environ.items() if name != "GRILLY_DEVICE"}
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_LOADER], capture_output=True, text=True, check=True, env=unchosen
    )
    assert done.stdout.splitlines() == [
        "['cpu']",
        "2.0",
        "there is no device 'vulkan': there is no Vulkan loader (libvulkan) on this machine. Install it with "
        "the GPU's driver; on Debian and Ubuntu: apt-get install libvulkan1 mesa-vulkan-drivers (the latter "
        "has a driver for the CPU too).",
    ]


@pytest.mark.skipif(not config.validation, reason="GRILLY_VALIDATION=0 was asked for")
def test_the_validation_layer_speaks(device):
    """The suite's silence means something: a dispatch of more groups than the device allows is heard."""
    recording = Recording(device)
    pipeline = device.pipeline(SIMPLE.dispatches[0].shader)
    too_many = device.target.max_groups_x + 1
    recording.dispatch(pipeline, [0, 0, 0], (too_many, 1, 1))

    said = [message.name for message in validation_messages()]
    validation_messages().clear()
    assert any(re.search("VUID-vkCmdDispatch-groupCountX-00386", name) for name in said), said
    lib.vkEndCommandBuffer(recording.handle)
