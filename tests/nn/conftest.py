"""Both devices under every test, and one seed: what a net starts from is the same in each run."""

import pytest

import grilly
from grilly.runtime.devices import find_device


@pytest.fixture(params=["cpu", "vulkan"])
def place(request):
    """The name of a device, for `net.to(place)`."""
    return request.param


@pytest.fixture
def place_device(place):
    return find_device(place)


@pytest.fixture(autouse=True)
def seeded():
    grilly.seed(0)
