"""An open Vulkan device: its queue and timeline, its memory, and the way in and out for arrays."""

import functools
import threading
import weakref
from collections import deque
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import DeviceError, ShaderError
from ..ir import Aval
from ..plan import Shader
from .bandwidth import copy_bandwidth
from .commands import Recording
from .descriptors import Descriptors
from .heap import Buffer, Heap
from .instance import Instance, Message
from .physical import PhysicalDevice
from .pipeline_cache import pipeline_cache
from .vulkan import COMPUTE_STAGE, ENUM, NULL, check, ffi, lib, new, strings

if TYPE_CHECKING:
    from .executable import Executable

MIB = 1 << 20
DEVICE_BLOCK, HOST_BLOCK = 64 * MIB, 16 * MIB
CHUNK = 64 * MIB  # larger arrays are moved piece by piece
IN_FLIGHT = 256  # submissions that may wait for the device, so that the driver's list of them stays bounded
FOREVER = (1 << 64) - 1
# Objects that are not made by vkCreate<kind> and destroyed by vkDestroy<kind>.
SPECIAL = {"DeviceMemory": ("vkAllocateMemory", "vkFreeMemory")}
# What is destroyed in which order when the device is closed.
ORDER = (
    "CommandBuffer",
    "CommandPool",
    "QueryPool",
    "Pipeline",
    "PipelineLayout",
    "DescriptorSetLayout",
    "Semaphore",
    "Buffer",
    "DeviceMemory",
)
TIMELINE, COMMAND_POOL_RESET = 1, 2


class VulkanDevice:
    """A GPU, or a CPU driver of Vulkan, with one queue.

    Work is submitted in order and runs in order. `submit` gives each submission a number, and the timeline
    tells which numbers are done. Every method may be called from any thread.

    Attributes:
        name: The driver's name for it.
        kind: `discrete`, `integrated`, `virtual`, `software` or `other`.
        target: What code is generated for.
        submits: How often vkQueueSubmit was called.
        allocations: How often vkAllocateMemory was called.
        messages: What the validation layer said, where it is on.
        executables: Those alive.

    Raises:
        DeviceError: The driver lacks something that grilly needs, or refuses.
    """

    def __init__(self, instance: Instance, physical: PhysicalDevice) -> None:
        if physical.lacking:
            raise DeviceError(
                f"{physical.name} cannot be used: {physical.lacking}. Update its driver, or take another."
            )
        self.physical, self.target = physical, physical.target
        self.name, self.kind = physical.name, physical.kind
        self.messages: list[Message] = instance.messages
        self.lock = threading.RLock()
        self.submits = self.allocations = 0
        self.retired: deque[tuple[int, Any]] = deque()  # command buffers, and when they may be freed
        self.executables: weakref.WeakSet[Executable] = weakref.WeakSet()
        self._handles: dict[str, dict[int, Any]] = {kind: {} for kind in ORDER}
        self._pipelines: dict[bytes, Any] = {}
        self.handle: Any = _opened(physical)
        self._open_queue()
        self.heap = Heap(self, DEVICE_BLOCK, host=False)
        self.host_heap = Heap(self, HOST_BLOCK, host=True)

    def _open_queue(self) -> None:
        queue = ffi.new("VkQueue*")
        lib.vkGetDeviceQueue(self.handle, self.physical.queue_family, 0, queue)
        self._queue = queue[0]
        pool = new("VkCommandPoolCreateInfo", flags=COMMAND_POOL_RESET, queueFamilyIndex=self.physical.queue_family)
        self._pool = self.create("CommandPool", pool)
        self.command_buffer_info = new("VkCommandBufferAllocateInfo", commandPool=self._pool, commandBufferCount=1)
        constants = new("VkPushConstantRange", stageFlags=COMPUTE_STAGE, size=self.target.push_constant_bytes)
        layout = new("VkPipelineLayoutCreateInfo", pushConstantRangeCount=1, pPushConstantRanges=constants)
        if self.target.bindings:
            self.descriptors = Descriptors(self)
            layout.setLayoutCount, layout.pSetLayouts = 1, self.descriptors.layouts
        self.layout = self.create("PipelineLayout", layout)
        kind = new("VkSemaphoreTypeCreateInfo", semaphoreType=TIMELINE)
        self._timeline = self.create("Semaphore", new("VkSemaphoreCreateInfo", pNext=kind))
        self._submission = _Submission(self._timeline)
        self._submitted = self._completed = 0

    def __repr__(self) -> str:
        return f"Device({self.name})"

    def __reduce__(self) -> Any:
        """For copies, this very device; for pickles, the one of that number where they are read."""
        from ..devices import find_device  # which imports this file when a device is opened

        return find_device, (f"vulkan:{self.physical.index}",)

    # Vulkan's objects ---------------------------------------------------------------------------------------

    def create(self, kind: str, info: Any) -> Any:
        """A new object of Vulkan's; it is counted, and destroyed with the device at the latest."""
        out = ffi.new(f"Vk{kind}*")
        if kind == "CommandBuffer":
            check(lib.vkAllocateCommandBuffers(self.handle, info, out), "vkAllocateCommandBuffers")
        else:
            name = SPECIAL.get(kind, (f"vkCreate{kind}",))[0]
            self.allocations += kind == "DeviceMemory"
            check(getattr(lib, name)(self.handle, info, NULL, out), name)
        return self._counted(kind, out[0])

    def _counted(self, kind: str, handle: Any) -> Any:
        self._handles[kind][int(ffi.cast("uintptr_t", handle))] = handle
        return handle

    def destroy(self, kind: str, handle: Any) -> None:
        del self._handles[kind][int(ffi.cast("uintptr_t", handle))]
        if kind == "CommandBuffer":
            lib.vkFreeCommandBuffers(self.handle, self._pool, 1, [handle])
        else:
            name = SPECIAL.get(kind, (None, f"vkDestroy{kind}"))[1]
            getattr(lib, name)(self.handle, handle, NULL)

    def counts(self) -> dict[str, int]:
        """How many objects of each kind are alive."""
        with self.lock:
            self.collect()
            return {kind: len(handles) for kind, handles in self._handles.items()}

    def pipeline(self, shader: Shader) -> Any:
        """The pipeline of a shader, made when it is first asked for.

        Raises:
            ShaderError: The driver refused the shader.
        """
        if shader.spirv not in self._pipelines:
            self.make_pipelines([shader])
        return self._pipelines[shader.spirv]

    def make_pipelines(self, shaders: Iterable[Shader]) -> None:
        """Makes the pipelines of shaders that have none yet: the driver compiles them side by side."""
        missing = {shader.spirv: shader for shader in shaders if shader.spirv not in self._pipelines}
        if len(missing) == 1:  # no thread for one: at the interpreter's end there are none
            self._pipelines.update((spirv, self._pipeline(shader)) for spirv, shader in missing.items())
        elif missing:
            with ThreadPoolExecutor() as pool:
                self._pipelines.update(zip(missing, pool.map(self._pipeline, missing.values()), strict=True))

    def _pipeline(self, shader: Shader) -> Any:
        if shader.bindings:
            self.descriptors.check(shader)
        code = ffi.from_buffer("uint32_t[]", shader.spirv)
        info = new("VkShaderModuleCreateInfo", codeSize=len(shader.spirv), pCode=code)
        module, pipeline = ffi.new("VkShaderModule*"), ffi.new("VkPipeline*")
        check(lib.vkCreateShaderModule(self.handle, info, NULL, module), "vkCreateShaderModule")
        pipeline_info = new("VkComputePipelineCreateInfo", layout=self.layout)
        stage, entry = pipeline_info.stage, ffi.new("char[]", b"main")
        stage.sType = ENUM.VkStructureType["VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO"]
        stage.stage, stage.module, stage.pName = COMPUTE_STAGE, module[0], entry
        with pipeline_cache(self, shader.spirv) as known:
            result = lib.vkCreateComputePipelines(self.handle, known, 1, pipeline_info, NULL, pipeline)
        lib.vkDestroyShaderModule(self.handle, module[0], NULL)
        if result < 0:
            raise ShaderError(
                f"{self.name} refused the shader {shader.name!r} ({len(shader.spirv)} bytes of SPIR-V). "
                "This is a bug in grilly or in the driver: please report it."
            )
        return self._counted("Pipeline", pipeline[0])

    # The timeline -------------------------------------------------------------------------------------------

    def submit(self, recording: Recording) -> int:
        """Hands a recording to the device; gives the timeline's value once it is done."""
        with self.lock:
            self.check_open()
            self._submitted += 1
            self.submits += 1
            self._submission.to(self._queue, recording.handle, self._submitted)
            recording.value = self._submitted
            if self._submitted - self._completed > IN_FLIGHT:
                self.wait_for(self._submitted - IN_FLIGHT // 2)
            return self._submitted

    def completed(self) -> int:
        """The timeline's value: submissions up to it are done."""
        value = ffi.new("uint64_t*")
        check(lib.vkGetSemaphoreCounterValue(self.handle, self._timeline, value), "vkGetSemaphoreCounterValue")
        self._completed = value[0]
        return self._completed

    def wait_for(self, value: int) -> None:
        """Blocks until the timeline has reached `value`."""
        if value <= self._completed:
            return
        info = self._submission.waiting(value)
        check(lib.vkWaitSemaphores(self.handle, info, FOREVER), "vkWaitSemaphores")
        self._completed = max(self._completed, value)

    def collect(self) -> None:
        """Frees what finalizers left behind and the device is done with."""
        self.heap.collect()
        self.host_heap.collect()
        if not self.retired:
            return
        completed = self.completed()
        for _ in range(len(self.retired)):
            value, handle = self.retired.popleft()
            if value <= completed:
                self.destroy("CommandBuffer", handle)
            else:
                self.retired.append((value, handle))

    def wait_idle(self) -> None:
        """Waits for all that was submitted."""
        self.wait_for(self._submitted)

    def trim(self) -> None:
        """Waits until the device is idle, and gives unused memory back to the driver."""
        self.wait_idle()
        for executable in self.executables:
            executable.forget()
        self.collect()
        self.heap.trim()
        self.host_heap.trim()

    @functools.cached_property
    def copy_bandwidth(self) -> float:
        """Bytes a second that it reads and writes when it copies; measured when first asked for."""
        return copy_bandwidth(self)

    # Arrays -------------------------------------------------------------------------------------------------

    def put(self, array: np.ndarray) -> Buffer:
        """A copy of `array` on this device."""
        with self.lock:
            self.check_open()
            target = self.heap.allocate(array.nbytes)
            source = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
            for start in range(0, source.size, CHUNK):
                piece = source[start : start + CHUNK]
                staging = self.host_heap.allocate(piece.size, "a transfer")
                staging.view(piece.dtype, piece.shape)[:] = piece
                staging.value = target.value = self._copied(staging, target, piece.size, target_start=start)
                if source.size > CHUNK:
                    self.wait_for(target.value)  # one piece of staging memory at a time
            return target

    def get(self, storage: Buffer, aval: Aval) -> np.ndarray:
        """The values, once they are computed; read-only."""
        values = np.empty(aval.nbytes, np.uint8)
        with self.lock:
            self.check_open()
            for start in range(0, aval.nbytes, CHUNK):
                piece = values[start : start + CHUNK]
                staging = self.host_heap.allocate(piece.size, "a transfer")
                staging.value = self._copied(storage, staging, piece.size, source_start=start, to_host=True)
                self.wait_for(staging.value)
                piece[:] = staging.view(piece.dtype, piece.shape)
        values = values.view(aval.dtype).reshape(aval.shape)
        values.flags.writeable = False
        return values

    def copy(self, storage: Buffer, aval: Aval) -> Buffer:
        """The same values in memory of their own."""
        with self.lock:
            self.check_open()
            target = self.heap.allocate(aval.nbytes)
            if aval.nbytes:
                target.value = self._copied(storage, target, aval.nbytes)
            return target

    def _copied(
        self, source: Buffer, target: Buffer, nbytes: int, source_start: int = 0, target_start: int = 0,
        to_host: bool = False,
    ) -> int:  # fmt: skip
        """Submits a copy; gives its timeline value."""
        recording = Recording(self)
        recording.copy(source, target, nbytes, source_start, target_start)
        if to_host:
            recording.barrier_to_host()
        return self.submit(recording.end())

    def wait(self, storage: Buffer) -> None:
        """Blocks until the values are computed."""
        self.check_open()
        self.wait_for(storage.value)

    # The end ------------------------------------------------------------------------------------------------

    def check_open(self) -> None:
        if self.handle is None:
            raise DeviceError(f"{self.name} was closed: its arrays and compiled functions are gone with it.")

    def close(self) -> None:
        """Waits for the device, and destroys every object on it. Its arrays are gone."""
        with self.lock:
            if self.handle is None:
                return
            lib.vkDeviceWaitIdle(self.handle)
            for kind in ORDER:
                for handle in list(self._handles[kind].values()):
                    self.destroy(kind, handle)
            lib.vkDestroyDevice(self.handle, NULL)
            self.handle = None


class _Submission:
    """The structs of vkQueueSubmit and vkWaitSemaphores, made once."""

    def __init__(self, timeline: Any) -> None:
        self._semaphores = ffi.new("VkSemaphore[]", [timeline])
        self._value, self._awaited = ffi.new("uint64_t[1]"), ffi.new("uint64_t[1]")
        self._commands = ffi.new("VkCommandBuffer[1]")
        values = new("VkTimelineSemaphoreSubmitInfo", signalSemaphoreValueCount=1, pSignalSemaphoreValues=self._value)
        self._info = new(
            "VkSubmitInfo",
            pNext=values,
            commandBufferCount=1,
            pCommandBuffers=self._commands,
            signalSemaphoreCount=1,
            pSignalSemaphores=self._semaphores,
        )

    def to(self, queue: Any, commands: Any, value: int) -> None:
        self._commands[0], self._value[0] = commands, value
        check(lib.vkQueueSubmit(queue, 1, self._info, NULL), "vkQueueSubmit")

    def waiting(self, value: int) -> Any:
        values = ffi.new("uint64_t[]", [value])
        return new("VkSemaphoreWaitInfo", semaphoreCount=1, pSemaphores=self._semaphores, pValues=values)


def _opened(physical: PhysicalDevice) -> Any:
    """A VkDevice with one queue, and every feature that physical.py wants."""
    chain, extensions = physical.wanted()
    queue = new(
        "VkDeviceQueueCreateInfo",
        queueFamilyIndex=physical.queue_family,
        queueCount=1,
        pQueuePriorities=ffi.new("float[]", [1.0]),
    )
    info = new(
        "VkDeviceCreateInfo",
        pNext=chain[0],
        queueCreateInfoCount=1,
        pQueueCreateInfos=queue,
        enabledExtensionCount=len(extensions),
        ppEnabledExtensionNames=strings(extensions),
    )
    device = ffi.new("VkDevice*")
    check(lib.vkCreateDevice(physical.handle, info, NULL, device), f"opening {physical.name}")
    return device[0]
