"""Several devices: what a name means, which one is the default, and that what belongs to one stays there."""

import copy
import importlib
import pickle
import subprocess
import sys
from dataclasses import dataclass

import jax
import numpy as np
import pytest

import grilly
from grilly.config import Config
from grilly.errors import DeviceError
from grilly.runtime.devices import default_device, find_device
from grilly.runtime.gpu import device as device_module

devices = importlib.import_module("grilly.runtime.devices")  # `grilly.runtime.devices` is the function

X = np.arange(3, dtype=np.float32)


@dataclass(frozen=True)
class Card:
    """A physical device that is not there."""

    index: int
    name: str
    kind: str
    lacking: str = ""
    memory_bytes: int = 1 << 30
    api: tuple[int, int, int] = (1, 3, 0)
    driver: str = "a driver"


MACHINE = [
    Card(0, "llvmpipe", "software"),
    Card(1, "Intel Arc iGPU", "integrated"),
    Card(2, "Old GPU", "discrete", "no timelineSemaphore"),
    Card(3, "NVIDIA H200", "discrete"),
    Card(4, "NVIDIA H200", "discrete"),
]


class Opened:
    """What is opened in place of a Vulkan device."""

    def __init__(self, instance, physical):
        self.physical, self.name, self.kind = physical, physical.name, physical.kind

    def close(self):
        """Nothing to close."""


@pytest.fixture
def machine(monkeypatch, no_default):
    """A machine of many devices; gives a function that says which of them there are."""

    there_are = lambda cards: monkeypatch.setattr(devices, "_found", lambda: cards)  # noqa: E731
    monkeypatch.setattr(devices, "_absent", lambda: None)
    monkeypatch.setattr(device_module, "VulkanDevice", Opened)
    monkeypatch.setattr(devices, "config", Config())
    there_are(MACHINE)
    return there_are


NAMES = {
    "vulkan": 3,  # the first usable one of the best kind
    "vulkan:1": 1,
    "vulkan:4": 4,
    "discrete": 3,
    "integrated": 1,
    "software": 0,
    "arc": 1,
    "H200": 3,
}


@pytest.mark.parametrize("name", NAMES)
def test_a_device_by_index_kind_or_part_of_its_name(machine, name):
    found = find_device(name)
    assert found.physical.index == NAMES[name]
    assert find_device(name) is found


def test_equal_cards_are_told_apart(machine):
    names = [find_device(f"vulkan:{index}").name for index in (1, 3, 4)]
    assert names == ["Intel Arc iGPU", "NVIDIA H200 (vulkan:3)", "NVIDIA H200 (vulkan:4)"]


def test_the_default_is_the_first_real_gpu_else_the_cpu(machine):
    assert default_device().physical.index == 3
    devices._default.cache_clear()
    machine(MACHINE[:1])
    assert default_device().name == "cpu"


def test_the_environment_chooses(machine, monkeypatch):
    monkeypatch.setattr(devices, "config", Config(device="integrated"))
    assert default_device().physical.index == 1


@pytest.mark.parametrize("name", ["virtual", "vulkan:7", "vulkan:x", "radeon"])
def test_one_that_is_not_there_is_an_error_that_lists_those_there_are(machine, name):
    with pytest.raises(DeviceError) as error:
        find_device(name)
    assert str(error.value) == (
        f"there is no device {name!r}. There are: cpu, vulkan:0 (llvmpipe, software), vulkan:1 (Intel Arc iGPU, "
        "integrated), vulkan:2 (Old GPU, discrete), vulkan:3 (NVIDIA H200, discrete), vulkan:4 (NVIDIA H200, "
        "discrete). Give one of these, a kind, or a part of a name."
    )


@pytest.mark.parametrize("name", ["0", "200"])
def test_a_number_alone_is_not_part_of_a_name(machine, name):
    with pytest.raises(DeviceError) as error:
        find_device(name)
    assert str(error.value) == f"there is no device {name!r}: a number alone names none. Give vulkan:{name}."


def test_this_machine(device):
    for name in ("vulkan", f"vulkan:{device.physical.index}", device.kind, device.name):
        assert find_device(name) is device
        assert grilly.put(X, name).device is device


def test_arrays_of_two_devices_do_not_mix(device, own_device):
    here, there = grilly.put(X, device), grilly.put(X, own_device)
    own_device.name = "the other"
    with pytest.raises(DeviceError) as error:
        here + there
    assert str(error.value) == (
        f"argument 1 of `add` lives on the other, but the call runs on {device.name}. "
        "Move the array with its method to(device), or build everything on one device."
    )
    np.testing.assert_array_equal(here + there.to(device), 2 * X)


def test_a_function_has_an_executable_for_each_device(device, own_device):
    run = grilly.jit(lambda x: x + 1)
    for place in (device, own_device, find_device("cpu"), device):
        result = run(grilly.put(X, place))
        assert result.device is place
        np.testing.assert_array_equal(result, X + 1)


def test_a_device_that_was_closed_says_so(own_device):
    run, x = grilly.jit(lambda x: x + 1), grilly.put(X, own_device)
    run(x)
    own_device.close()
    closed = f"{own_device.name} was closed: its arrays and compiled functions are gone with it."
    for use in (lambda: run(x), lambda: np.asarray(x), lambda: x + 1, x.copy, x.block_until_ready, lambda: x[0]):
        with pytest.raises(DeviceError) as error:
            use()
        assert str(error.value) == closed


def test_threads_that_ask_for_a_device_at_once_get_the_same_one(device):
    code = (
        "import threading, grilly\n"
        "found, together = [], threading.Barrier(4)\n"
        "def ask():\n"
        "    together.wait()\n"
        "    found.append(grilly.runtime.find_device('vulkan'))\n"
        "threads = [threading.Thread(target=ask) for _ in range(4)]\n"
        "[thread.start() for thread in threads]\n"
        "[thread.join() for thread in threads]\n"
        "print(len(set(map(id, found))))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1"]


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda place: pickle.loads(pickle.dumps(place))])
@pytest.mark.parametrize("name", ["cpu", "vulkan"])
def test_a_copy_of_a_device_is_that_device(copied, name):
    """As where what holds one is copied: a net, or a compiled function that was told where to run."""
    place = find_device(name)
    assert copied(place) is place


@pytest.mark.parametrize("device", [3, 0, np.zeros(1), jax.devices()[0], grilly.devices()[0]])
def test_what_is_no_device(device):
    said = (
        f"{device!r} is no device: a name as for GRILLY_DEVICE was expected, such as 'cpu' or 'vulkan', or the device "
        "of an array, array.device."
    )
    array = grilly.put(X, "cpu")
    run = grilly.jit(lambda x: x, device=device)
    for use in (lambda: grilly.put(X, device), lambda: array.to(device), lambda: run(X)):
        with pytest.raises(DeviceError) as error:
            use()
        assert str(error.value) == said
