"""List the devices there are, and say which one is used and why."""

import argparse

from ..runtime.devices import Description, Device, default_device, devices, find_device

GIB = 2**30


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """None: `grilly devices` takes no arguments."""


def run(arguments: argparse.Namespace) -> int:
    """`grilly devices`. Returns the exit status."""
    for description in devices():
        mark = "*" if description.default else " "
        print(f"{mark} {_titled(description)}: {description.why}")
    print("* is used unless --device or GRILLY_DEVICE names another.")
    return 0


def chosen_device(name: str | None) -> Device:
    """The device that `--device` names, or the default one; prints which it is, and why."""
    device = default_device() if name is None else find_device(name)
    why = f"--device {name}"
    if name is None:
        (why,) = (description.why for description in devices() if description.default)
    print(f"device  {device.name} ({why})")
    return device


def _titled(device: Description) -> str:
    if device.index is None or device.memory_bytes is None:
        return device.name
    memory = f"{device.memory_bytes / GIB:.1f} GiB"
    return f"vulkan:{device.index}, {device.name}, {device.kind}, {memory}, Vulkan {device.api}, {device.driver}"
