"""The process's connection to Vulkan: one instance, and the validation layer's messages where wanted."""

from typing import Any, NamedTuple

from ...errors import DeviceError, ParameterError
from .vulkan import ENUM, NULL, check, enumerated, ffi, lib, new, strings, version

LAYER = "VK_LAYER_KHRONOS_validation"
REQUIRED = (1, 2)
USED = 1 << 22 | 3 << 12  # Vulkan 1.3 where there is one; everything beyond 1.2 is optional
PORTABILITY = "VK_KHR_portability_enumeration"  # lists drivers such as MoltenVK, which are not quite conformant
SYNCHRONIZATION = ENUM.VkValidationFeatureEnableEXT["VK_VALIDATION_FEATURE_ENABLE_SYNCHRONIZATION_VALIDATION_EXT"]
WARNING, ERROR = 0x100, 0x1000


class Message(NamedTuple):
    """One remark of the validation layer."""

    severity: int
    name: str
    text: str


class Instance:
    """An open instance.

    Args:
        validation: Whether the validation layer, with synchronization validation, watches every call.

    Raises:
        DeviceError: Vulkan is older than 1.2, or there is no driver.
        ParameterError: The validation layer is not installed.
    """

    def __init__(self, validation: bool = False) -> None:
        self.messages: list[Message] = []
        self._callback = _callback(self.messages)
        self._messenger: Any = None
        self.handle: Any = None
        number = ffi.new("uint32_t*")
        check(lib.vkEnumerateInstanceVersion(number), "vkEnumerateInstanceVersion")
        if version(number[0]) < REQUIRED:
            raise DeviceError(f"the Vulkan loader is of version {version(number[0])}: 1.2 is needed. Update libvulkan.")
        self.handle = self._created(validation)
        if validation:
            self._messenger = self._listening()

    def _created(self, validation: bool) -> Any:
        extensions = [PORTABILITY] if PORTABILITY in _offered_extensions() else []
        flags = 1 if extensions else 0  # VK_INSTANCE_CREATE_ENUMERATE_PORTABILITY_BIT_KHR
        layers = []
        if validation:
            _check_layer()
            layers = [LAYER]
            extensions += ["VK_EXT_debug_utils", "VK_EXT_validation_features"]
        info = new(
            "VkInstanceCreateInfo",
            pNext=_checks() if validation else NULL,
            flags=flags,
            pApplicationInfo=new("VkApplicationInfo", apiVersion=USED),
            enabledLayerCount=len(layers),
            ppEnabledLayerNames=strings(layers),
            enabledExtensionCount=len(extensions),
            ppEnabledExtensionNames=strings(extensions),
        )
        instance = ffi.new("VkInstance*")
        result = lib.vkCreateInstance(info, NULL, instance)
        if result == ENUM.VkResult["VK_ERROR_INCOMPATIBLE_DRIVER"]:
            raise DeviceError(
                "there is a Vulkan loader but no driver. Install the GPU's; for the CPU, on Debian and "
                "Ubuntu: apt-get install mesa-vulkan-drivers."
            )
        check(result, "vkCreateInstance")
        return instance[0]

    def _listening(self) -> Any:
        info = new(
            "VkDebugUtilsMessengerCreateInfoEXT",
            messageSeverity=WARNING | ERROR,
            messageType=7,  # general, validation, performance
            pfnUserCallback=self._callback,
        )
        messenger = ffi.new("VkDebugUtilsMessengerEXT*")
        create = self._function("vkCreateDebugUtilsMessengerEXT")
        check(create(self.handle, info, NULL, messenger), "vkCreateDebugUtilsMessengerEXT")
        return messenger[0]

    def _function(self, name: str) -> Any:
        return ffi.cast(f"PFN_{name}", lib.vkGetInstanceProcAddr(self.handle, name.encode()))

    def physical_devices(self) -> list[Any]:
        """The handles of what drivers there are, in their order."""
        return enumerated("VkPhysicalDevice", lib.vkEnumeratePhysicalDevices, self.handle)

    def close(self) -> None:
        if self._messenger is not None:
            self._function("vkDestroyDebugUtilsMessengerEXT")(self.handle, self._messenger, NULL)
            self._messenger = None
        if self.handle is not None:
            lib.vkDestroyInstance(self.handle, NULL)
            self.handle = None


def _offered_extensions() -> set[str]:
    return _names("VkExtensionProperties", lib.vkEnumerateInstanceExtensionProperties, "extensionName", NULL)


def _check_layer() -> None:
    if LAYER not in _names("VkLayerProperties", lib.vkEnumerateInstanceLayerProperties, "layerName"):
        raise ParameterError(
            f"GRILLY_VALIDATION=1, but {LAYER} is not installed. On Debian and Ubuntu: apt-get install "
            "vulkan-validationlayers."
        )


def _checks() -> Any:
    enabled = ffi.new("VkValidationFeatureEnableEXT[]", [SYNCHRONIZATION])
    return new("VkValidationFeaturesEXT", enabledValidationFeatureCount=1, pEnabledValidationFeatures=enabled)


def _callback(messages: list[Message]) -> Any:
    @ffi.callback(
        "VkBool32(VkDebugUtilsMessageSeverityFlagBitsEXT, VkDebugUtilsMessageTypeFlagsEXT, "
        "const VkDebugUtilsMessengerCallbackDataEXT*, void*)"
    )
    def heard(severity: Any, _kind: Any, data: Any, _user: Any) -> int:
        name = ffi.string(data.pMessageIdName).decode() if data.pMessageIdName != NULL else ""
        messages.append(Message(int(severity), name, ffi.string(data.pMessage).decode()))
        return 0

    return heard


def _names(kind: str, function: Any, field: str, *arguments: Any) -> set[str]:
    return {ffi.string(getattr(item, field)).decode() for item in enumerated(kind, function, *arguments)}
