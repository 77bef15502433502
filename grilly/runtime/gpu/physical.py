"""What a driver offers: a physical device's description, its `Target`, and the features grilly switches on.

To use a further feature or extension, add its name to FEATURES.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from ..target import Target
from .vulkan import ENUM, NULL, enumerated, ffi, lib, new, version

KINDS = {0: "other", 1: "integrated", 2: "discrete", 3: "virtual", 4: "software"}
# (struct, the extension it belongs to or None, fields): each is switched on where it is offered.
FEATURES: tuple[tuple[str, str | None, tuple[str, ...]], ...] = (
    ("VkPhysicalDeviceFeatures2", None, ("shaderInt16",)),
    ("VkPhysicalDeviceVulkan11Features", None, ("storageBuffer16BitAccess",)),
    (
        "VkPhysicalDeviceVulkan12Features",
        None,
        (
            *("bufferDeviceAddress", "timelineSemaphore", "scalarBlockLayout"),
            *("vulkanMemoryModel", "vulkanMemoryModelDeviceScope"),
            *("shaderFloat16", "shaderInt8", "storageBuffer8BitAccess"),
        ),
    ),
    ("VkPhysicalDeviceCooperativeMatrixFeaturesKHR", "VK_KHR_cooperative_matrix", ("cooperativeMatrix",)),
)
PUSH_DESCRIPTOR = "VK_KHR_push_descriptor"
EXTENSIONS = ("VK_KHR_portability_subset", PUSH_DESCRIPTOR)  # without features of their own; the first is a must
PUSHED = 32  # descriptors that every driver with that extension takes at once
REQUIRED = (
    *("bufferDeviceAddress", "timelineSemaphore"),
    *("shaderInt8", "storageBuffer8BitAccess", "shaderInt16", "storageBuffer16BitAccess"),
)
LLVMPIPE = ENUM.VkDriverId["VK_DRIVER_ID_MESA_LLVMPIPE"]
COMPUTE, DEVICE_LOCAL = 2, 1
FLOAT16, FLOAT32, SUBGROUP = 0, 1, 3  # VkComponentTypeKHR, VkScopeKHR


class Budget(NamedTuple):
    """Bytes of a heap that this process uses, and the most that it may use."""

    used: int
    most: int


@dataclass(frozen=True)
class PhysicalDevice:
    """One driver's device, not opened.

    Attributes:
        handle: Vulkan's.
        index: Its place in Vulkan's list, the number in the name `vulkan:1`.
        instance: Vulkan's, that it belongs to.
        binds: Whether its kernels shall take storage-buffer bindings instead of addresses.
    """

    handle: Any
    index: int
    instance: Any
    binds: bool = False

    @cached_property
    def _structs(self) -> tuple[Any, Any, Any]:
        ours = new("VkPhysicalDeviceVulkan12Properties")
        older = new("VkPhysicalDeviceVulkan11Properties", pNext=ours)
        properties = new("VkPhysicalDeviceProperties2", pNext=older)
        lib.vkGetPhysicalDeviceProperties2(self.handle, properties)
        return properties, older, ours

    @property
    def _properties(self) -> Any:
        return self._structs[0].properties

    @property
    def limits(self) -> Any:
        return self._properties.limits

    @property
    def largest_allocation(self) -> int:
        """Bytes that one vkAllocateMemory may ask for."""
        return self._structs[1].maxMemoryAllocationSize

    @property
    def name(self) -> str:
        return ffi.string(self._properties.deviceName).decode()

    @property
    def kind(self) -> str:
        """`discrete`, `integrated`, `virtual`, `software` (a driver on the CPU) or `other`."""
        return KINDS[self._properties.deviceType]

    @property
    def api(self) -> tuple[int, int, int]:
        return version(self._properties.apiVersion)

    @property
    def driver(self) -> str:
        names = (ffi.string(self._structs[2].driverName), ffi.string(self._structs[2].driverInfo))
        return " ".join(name.decode() for name in names).strip()

    @property
    def pipeline_identity(self) -> tuple[int, int, bytes, int]:
        """Vendor, device, the driver's build and its version: compiled shaders are good for these alone."""
        properties = self._properties
        build = bytes(properties.pipelineCacheUUID)
        return properties.vendorID, properties.deviceID, build, properties.driverVersion

    @property
    def memory_types(self) -> list[Any]:
        memory = self._memory
        return list(memory.memoryTypes[0 : memory.memoryTypeCount])

    @property
    def memory_bytes(self) -> int:
        """Bytes of the largest heap that belongs to the device."""
        memory = self._memory
        heaps = memory.memoryHeaps[0 : memory.memoryHeapCount]
        return max((heap.size for heap in heaps if heap.flags & DEVICE_LOCAL), default=0)

    def budget(self, memory_type: int) -> Budget | None:
        """What the driver says of the heap of a memory type now; None where it says nothing (VK_EXT_memory_budget)."""
        if "VK_EXT_memory_budget" not in self._extensions:
            return None
        told = new("VkPhysicalDeviceMemoryBudgetPropertiesEXT")
        lib.vkGetPhysicalDeviceMemoryProperties2(self.handle, new("VkPhysicalDeviceMemoryProperties2", pNext=told))
        heap = self.memory_types[memory_type].heapIndex
        return Budget(told.heapUsage[heap], told.heapBudget[heap])

    @cached_property
    def _memory(self) -> Any:
        memory = new("VkPhysicalDeviceMemoryProperties")
        lib.vkGetPhysicalDeviceMemoryProperties(self.handle, memory)
        return memory

    @cached_property
    def queue_family(self) -> int | None:
        """The first queue family that computes."""
        families = enumerated("VkQueueFamilyProperties", lib.vkGetPhysicalDeviceQueueFamilyProperties, self.handle)
        return next((k for k, family in enumerate(families) if family.queueFlags & COMPUTE), None)

    @cached_property
    def _extensions(self) -> set[str]:
        function = lib.vkEnumerateDeviceExtensionProperties
        found = enumerated("VkExtensionProperties", function, self.handle, NULL)
        return {ffi.string(extension.extensionName).decode() for extension in found}

    @cached_property
    def features(self) -> frozenset[str]:
        """Those of FEATURES that are offered."""
        chain = self._chain(())
        lib.vkGetPhysicalDeviceFeatures2(self.handle, chain[0])
        return frozenset(
            name
            for struct, (_, _, fields) in zip(chain, self._rows(), strict=True)
            for name in fields
            if getattr(_fields_of(struct), name)
        )

    @cached_property
    def matrix(self) -> tuple[int, int, int] | None:
        """Rows, columns and depth of the largest cooperative matrices of float16 with float32 sums."""
        if not {"cooperativeMatrix", "vulkanMemoryModel", "shaderFloat16"} <= self.features:
            return None
        name = "vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR"
        function = ffi.cast(f"PFN_{name}", lib.vkGetInstanceProcAddr(self.instance, name.encode()))
        found = enumerated("VkCooperativeMatrixPropertiesKHR", function, self.handle)
        shapes = [(m.MSize, m.NSize, m.KSize) for m in found if _is_half(m)]
        return max(shapes, key=math.prod, default=None)

    def _rows(self) -> Iterator[tuple[str, str | None, tuple[str, ...]]]:
        return (row for row in FEATURES if row[1] is None or row[1] in self._extensions)

    def _chain(self, enabled: Iterable[str]) -> list[Any]:
        """The structs of FEATURES, each pointing to the next, with `enabled` switched on."""
        structs: list[Any] = []
        for kind, _, fields in reversed(list(self._rows())):
            struct = new(kind, pNext=structs[0] if structs else NULL)
            for name in set(fields) & set(enabled):
                setattr(_fields_of(struct), name, 1)
            structs.insert(0, struct)
        return structs

    def wanted(self) -> tuple[list[Any], list[str]]:
        """What to open the device with: the chain of feature structs, and the extensions."""
        extensions = [name for _, name, fields in self._rows() if name and set(fields) & self.features]
        return self._chain(self.features), [*extensions, *(n for n in EXTENSIONS if n in self._extensions)]

    @cached_property
    def lacking(self) -> str:
        """What keeps grilly from using it; empty where nothing does."""
        if self.api < (1, 2):
            return f"Vulkan {'.'.join(map(str, self.api))}, where 1.2 is needed"
        if self.queue_family is None:
            return "no queue that computes"
        absent = [name for name in REQUIRED if name not in self.features]
        absent += [PUSH_DESCRIPTOR] if self.binds and PUSH_DESCRIPTOR not in self._extensions else []
        return ", ".join(f"no {name}" for name in absent)

    @cached_property
    def target(self) -> Target:
        limits = self.limits
        llvmpipe = self._structs[2].driverID == LLVMPIPE
        return Target(
            name=self.name,
            subgroup_size=self._structs[1].subgroupSize,
            max_groups_x=limits.maxComputeWorkGroupCount[0],
            shared_bytes=limits.maxComputeSharedMemorySize,
            push_constant_bytes=min(limits.maxPushConstantsSize, 256),
            bindings=min(PUSHED, limits.maxPerStageDescriptorStorageBuffers) if self.binds else 0,
            float16="shaderFloat16" in self.features and bool(self._structs[2].shaderDenormPreserveFloat16),
            strict_floats=bool(self._structs[2].shaderSignedZeroInfNanPreserveFloat32),
            forgets_zeros=llvmpipe,
            exact_division=llvmpipe,
            software=self.kind == "software",
            matrix=self.matrix,
        )


def _is_half(offered: Any) -> bool:
    """Whether matrices of float16 are summed in float32, by a subgroup."""
    types = (offered.AType, offered.BType, offered.CType, offered.ResultType)
    return types == (FLOAT16, FLOAT16, FLOAT32, FLOAT32) and offered.scope == SUBGROUP


def _fields_of(struct: Any) -> Any:
    """Where a struct keeps its features: VkPhysicalDeviceFeatures2 has them one level down."""
    return struct.features if hasattr(struct, "features") else struct
