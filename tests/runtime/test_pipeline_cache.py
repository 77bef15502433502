"""What drivers make of shaders, on disk: the same driver gets it back, and no other does.

lavapipe keeps nothing of its own in a VkPipelineCache, so that the bytes of one that does are made up here.
"""

import os
from typing import Any

import numpy as np
import pytest
from device_plans import AFFINE

from grilly.runtime.gpu import pipeline_cache as module
from grilly.runtime.gpu.device import VulkanDevice
from grilly.runtime.gpu.pipeline_cache import HEADER, pipeline_cache
from grilly.runtime.ir import Aval
from grilly.runtime.lower import lower

COMPILED = bytes(64)  # behind the header; lavapipe reads it as an empty list


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(module.cache, "folder", tmp_path)
    return tmp_path


@pytest.fixture
def given(monkeypatch) -> list[int]:
    """How many bytes each VkPipelineCache started with."""
    sizes, new = [], module.new

    def noting(kind: str, **fields: Any) -> Any:
        sizes.append(fields["initialDataSize"])
        return new(kind, **fields)

    monkeypatch.setattr(module, "new", noting)
    return sizes


def speak(monkeypatch, header: bytes, compiled: bytes = COMPILED):
    """Makes the driver hand over these bytes."""
    monkeypatch.setattr(module, "_data", lambda *_: header + compiled)


def header(device: VulkanDevice, **other: Any) -> bytes:
    vendor, number, build, _ = device.physical.pipeline_identity
    fields = {"size": HEADER.size, "version": 1, "vendor": vendor, "number": number, "build": build}
    return HEADER.pack(*(fields | other).values())


def make(device: VulkanDevice):
    with pipeline_cache(device, AFFINE.spirv):
        pass


def test_a_driver_gets_back_what_it_made(device, folder, given, monkeypatch):
    speak(monkeypatch, header(device))
    make(device)
    monkeypatch.setattr(module.cache, "put", None)  # nothing new: it is not written again
    make(device)

    assert given == [0, HEADER.size + len(COMPILED)]
    assert len(os.listdir(folder)) == 1


def test_what_the_driver_adds_is_kept(device, folder, given, monkeypatch):
    for compiled in (COMPILED, COMPILED * 2, COMPILED * 2):
        speak(monkeypatch, header(device), compiled)
        make(device)
    assert given == [0, HEADER.size + len(COMPILED), HEADER.size + 2 * len(COMPILED)]


@pytest.mark.parametrize(
    "strange",
    [{"size": 16}, {"version": 2}, {"vendor": 1}, {"number": 1}, {"build": b"another build..."}],
    ids=lambda strange: next(iter(strange)),
)
def test_data_with_a_foreign_header_are_not_given_to_the_driver(strange, device, folder, given, monkeypatch):
    speak(monkeypatch, header(device, **strange))
    make(device)
    make(device)
    assert given == [0, 0]


def test_another_driver_or_another_shader_has_a_file_of_its_own(device, folder, given, monkeypatch):
    speak(monkeypatch, header(device))
    make(device)
    with pipeline_cache(device, AFFINE.spirv + bytes(4)):
        pass
    vendor, number, build, version = device.physical.pipeline_identity
    monkeypatch.setattr(type(device.physical), "pipeline_identity", (vendor, number, build, version + 1))
    make(device)

    assert given == [0, 0, 0]
    assert len(os.listdir(folder)) == 3


def test_a_header_alone_is_not_worth_a_file(device, folder, monkeypatch):
    speak(monkeypatch, header(device), b"")
    make(device)
    assert os.listdir(folder) == []


def shader_adding(number):
    plan = lower(lambda x: [x + number], [Aval((3,), np.dtype(np.float32))]).plan
    return plan.dispatches[0].shader


def test_pipelines_are_made_side_by_side_each_once(device, folder):
    before = device.counts()["Pipeline"]
    shaders = [shader_adding(0.1234), shader_adding(0.2345)]
    device.make_pipelines(shaders * 2)
    first, second = map(device.pipeline, shaders)
    device.make_pipelines(shaders)

    assert device.counts()["Pipeline"] == before + 2
    assert first != second
    assert device.pipeline(shaders[0]) is first
