"""What a driver made of a shader, kept on disk: compiling one takes it milliseconds to a second, loading it none.

A driver hands this over as bytes with a header that names the device and the driver's build. It is asked to check them
itself; some do not, so that we do, and give it nothing else.
"""

import hashlib
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ..cache import cache
from .vulkan import NULL, check, ffi, lib, new

if TYPE_CHECKING:
    from .device import VulkanDevice

HEADER = struct.Struct("<IIII16s")  # VkPipelineCacheHeaderVersionOne


@contextmanager
def pipeline_cache(device: "VulkanDevice", spirv: bytes) -> Iterator[Any]:
    """A VkPipelineCache with what is known of this shader; what the driver adds to it is kept. NULL without a cache."""
    if cache.folder is None:
        yield NULL
        return
    identity = device.physical.pipeline_identity
    name = hashlib.sha256(repr(identity).encode() + spirv).hexdigest()
    known = cache.get(name) or b""
    if not _is_for(identity, known):
        known = b""
    data = ffi.from_buffer(known)
    info = new("VkPipelineCacheCreateInfo", initialDataSize=len(known), pInitialData=data)
    handle = ffi.new("VkPipelineCache*")
    check(lib.vkCreatePipelineCache(device.handle, info, NULL, handle), "vkCreatePipelineCache")
    try:
        yield handle[0]
        made = _data(device, handle[0])
        if made != known and len(made) > HEADER.size:
            cache.put(name, made)
    finally:
        lib.vkDestroyPipelineCache(device.handle, handle[0], NULL)


def _is_for(identity: tuple, data: bytes) -> bool:
    """Whether the data are of this very device and driver."""
    if len(data) < HEADER.size:
        return False
    size, version, vendor, device, build = HEADER.unpack_from(data)
    return (size, version) == (HEADER.size, 1) and (vendor, device, build) == identity[:3]


def _data(device: "VulkanDevice", handle: Any) -> bytes:
    size = ffi.new("size_t*")
    check(lib.vkGetPipelineCacheData(device.handle, handle, size, NULL), "vkGetPipelineCacheData")
    data = ffi.new("char[]", size[0])
    check(lib.vkGetPipelineCacheData(device.handle, handle, size, data), "vkGetPipelineCacheData")
    return bytes(ffi.buffer(data, size[0]))
