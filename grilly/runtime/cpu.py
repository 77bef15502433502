"""The device `cpu`: JAX compiles and runs. It answers to the same calls as a Vulkan device."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from .ir import Aval


class CpuDevice:
    """The CPU, through `jax.jit`. What an Array keeps there is a jax.Array."""

    name = "cpu"
    kind = "cpu"

    def __repr__(self) -> str:
        return "Device(cpu)"

    def put(self, array: np.ndarray) -> jax.Array:
        """A copy of `array` on this device."""
        # A copy made by NumPy, because JAX may go on looking at the caller's own memory.
        return jax.device_put(array.copy(), _first_cpu())

    def get(self, storage: jax.Array, aval: Aval) -> np.ndarray:
        """The values, once they are computed."""
        return np.asarray(storage)

    def copy(self, storage: jax.Array, aval: Aval) -> jax.Array:
        """The same values in memory of their own."""
        return jax.numpy.copy(storage)

    def wait(self, storage: jax.Array) -> None:
        storage.block_until_ready()


class CpuExecutable:
    """A compiled function of flat arrays."""

    def __init__(self, device: CpuDevice, function: Callable[..., Sequence[Any]]) -> None:
        self._device = device
        self._compiled = jax.jit(function)
        self.results: tuple[Aval, ...] = ()

    def __call__(self, values: Sequence[Any]) -> Sequence[Any]:
        """Runs it.

        Args:
            values: jax.Arrays, or NumPy arrays, which are copied.
        """
        ready = [self._device.put(v) if isinstance(v, np.ndarray) else v for v in values]
        with jax.default_device(_first_cpu()):
            storages = self._compiled(*ready)
        self.results = self.results or tuple(Aval(s.shape, np.dtype(s.dtype)) for s in storages)
        return storages

    def profile(self, values: Sequence[Any]) -> list[tuple[str, float]]:
        """How long a call takes: one row, in milliseconds, once it is compiled."""
        jax.block_until_ready(self(values))
        start = time.perf_counter()
        jax.block_until_ready(self(values))
        return [("jax.jit", 1e3 * (time.perf_counter() - start))]


def _first_cpu() -> Any:
    return jax.devices("cpu")[0]


cpu = CpuDevice()
