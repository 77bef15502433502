"""Devices of their own, for tests that close or bend them."""

import pytest

from grilly.config import config
from grilly.runtime.gpu.device import VulkanDevice
from grilly.runtime.gpu.instance import Instance


@pytest.fixture
def own_device(device):
    """A second opening of the device under test, for tests that close or bend it."""
    instance = Instance(config.validation)
    handle = instance.physical_devices()[device.physical.index]
    own = VulkanDevice(instance, device.physical.__class__(handle, 0, instance.handle))
    yield own
    own.close()
    assert not instance.messages
    instance.close()
