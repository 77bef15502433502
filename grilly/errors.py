"""What grilly raises on purpose, and warns of. Each says what happened, what was expected, and how to fix it."""


class GrillyError(Exception):
    """The root of grilly's own errors: `except grilly.GrillyError` catches them all."""


class ShapeError(GrillyError, ValueError):
    """An array has another shape, dtype or number of dimensions than the function takes."""


class ParameterError(GrillyError, ValueError):
    """A parameter lies outside its range: a `tau` of 1, an unknown `step_mode`, a negative learning rate."""


class StateError(GrillyError, RuntimeError):
    """Calls in an order that has no meaning: backward before forward, training on a net that was not reset."""


class DataError(GrillyError, ValueError):
    """A data set or a checkpoint is absent, corrupt, or of another kind than asked for."""


class UnsupportedPrimitiveError(GrillyError, NotImplementedError):
    """`grilly.jit` met a JAX primitive that it cannot compile."""


class ShaderError(GrillyError, RuntimeError):
    """A shader was refused by the driver, or has more buffers than it can bind."""


class PlanError(GrillyError, RuntimeError):
    """A plan breaks one of its own rules: a bug in grilly, worth reporting."""


class DeviceError(GrillyError, RuntimeError):
    """No such device, no Vulkan loader or driver, or a device that was lost."""


class DeviceMemoryError(GrillyError, MemoryError):
    """The device has no memory left."""


class GrillyWarning(UserWarning):
    """What is probably a mistake, though it is no error."""
