"""The device `cpu`: JAX compiles and runs. It answers to the same calls as a Vulkan device."""

import time
import warnings
from collections.abc import Callable, Sequence, Set
from contextlib import nullcontext
from typing import Any

import jax
import numpy as np

from ..errors import StateError
from .ir import Aval
from .plan import Dispatch, Shader
from .profile import Call, Noted, active, note
from .trace import KEPT, is_tracing

WHOLE = Dispatch(Shader("jax.jit", b""), (), (1, 1, 1), False, "jax.jit")  # a function, as a profile shows it


class CpuDevice:
    """The CPU, through `jax.jit`. What an Array keeps there is a jax.Array."""

    name = "cpu"
    kind = "cpu"

    def __repr__(self) -> str:
        return "Device(cpu)"

    def __reduce__(self) -> str:
        """For copies and pickles: the one that there is."""
        return "cpu"

    def put(self, array: np.ndarray) -> jax.Array:
        """A copy of `array` on this device."""
        # A copy made by NumPy, because JAX may go on looking at the caller's own memory.
        with _now():
            return jax.device_put(array.copy(), _first_cpu())

    def get(self, storage: jax.Array, aval: Aval) -> np.ndarray:
        """The values, once they are computed."""
        return np.asarray(storage)

    def copy(self, storage: jax.Array, aval: Aval) -> jax.Array:
        """The same values in memory of their own."""
        with _now():
            return jax.numpy.copy(storage)

    def wait(self, storage: jax.Array) -> None:
        storage.block_until_ready()


class CpuExecutable:
    """A compiled function of flat arrays, of which `donated` may be written over.

    What JAX returns has memory of its own, so that no two Arrays share any; and it copies what it would write over
    while NumPy still looks at it, or has allocated it.
    """

    def __init__(self, device: CpuDevice, function: Callable[..., Sequence[Any]], donated: Set[int], name: str) -> None:
        self._device, self._donated, self._name = device, sorted(donated), name
        self._compiled = jax.jit(function, donate_argnums=tuple(self._donated))
        self.results: tuple[Aval, ...] = ()

    def __call__(self, values: Sequence[Any]) -> Sequence[Any]:
        """Runs it.

        Args:
            values: jax.Arrays, or NumPy arrays, which are copied.
        """
        return self._profiled(values) if active else self._run(values)

    def _run(self, values: Sequence[Any]) -> Sequence[Any]:
        ready = [self._device.put(v) if isinstance(v, np.ndarray) else v for v in values]
        self._unshare(ready)
        with _now(), jax.default_device(_first_cpu()):
            return self._compiled(*ready) if self.results else self._first(ready)

    def _unshare(self, ready: list[Any]) -> None:
        """Gives donated arguments memory of their own where others are the same array."""
        if self._donated and len(set(map(id, ready))) < len(ready):
            for k in self._donated:
                if sum(value is ready[k] for value in ready) > 1:
                    ready[k] = jax.numpy.copy(ready[k])

    def _first(self, ready: list[Any]) -> Sequence[Any]:
        """The first run, which compiles. As on other devices, a donated array that fits no result is no fault."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Some donated buffers were not usable")
            try:
                storages = self._compiled(*ready)
            except jax.errors.UnexpectedTracerError as error:
                raise StateError(KEPT) from error
        self.results = tuple(Aval(s.shape, np.dtype(s.dtype)) for s in storages)
        return storages

    def _profiled(self, values: Sequence[Any]) -> Sequence[Any]:
        """Runs it to its end, and has the active profiles know of it."""
        began = time.perf_counter()
        storages = jax.block_until_ready(self._run(values))
        ended = time.perf_counter()
        note(Call(self._name, self._device, [WHOLE], began, ended - began, Noted(np.array([began, ended]))))
        return storages


def _now() -> Any:
    """In it, JAX computes: an Array is no tracer, though it be used in a function that JAX traces."""
    return jax.ensure_compile_time_eval() if is_tracing() else nullcontext()


def _first_cpu() -> Any:
    return jax.devices("cpu")[0]


cpu = CpuDevice()
