"""Devices of their own, for tests that close or bend them."""

import pytest

from grilly.config import config
from grilly.runtime.device import VulkanDevice
from grilly.runtime.instance import Instance


@pytest.fixture
def own_device(device):
    """A second opening of the device under test, for tests that close or bend it."""
    instance = Instance(config.validation)
    own = VulkanDevice(instance, device.physical.__class__(instance.physical_devices()[device.physical.index], 0))
    yield own
    own.close()
    assert not instance.messages
    instance.close()
