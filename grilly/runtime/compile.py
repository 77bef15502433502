"""`grilly.jit`: from a Python function to executables, one for each signature of its arguments."""

import functools
import gc
import operator
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

import jax
import numpy as np

from ..config import config
from ..errors import DeviceError, ParameterError, ShapeError
from . import debug
from .arguments import Arguments, TracedError, entered
from .array import Array, Donated, Form
from .border import COMPLEX, is_key
from .cpu import CpuDevice, CpuExecutable
from .devices import Device, default_device, find_device
from .ir import Aval
from .lower import lower
from .plans import plan_of
from .report import MemoryReport, report
from .stages import Stages
from .target import Target

if TYPE_CHECKING:
    from .gpu.device import VulkanDevice

_compiling = threading.RLock()


@contextmanager
def _without_collections() -> Iterator[None]:
    """Python does not look for garbage: little is made here, and going through all of JAX took a fifth of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def jit(
    function: Callable,
    *,
    device: str | Device | None = None,
    donate_argnums: int | Sequence[int] = (),
    static_argnums: int | Sequence[int] = (),
    steady_argnums: int | Sequence[int] = (),
) -> "Jit":
    """Compiles a pure function of arrays for a device, as `jax.jit` does for XLA.

    The function is traced once for each new combination of shapes, dtypes and static values. Calls return at
    once: the host waits when it looks at a result. (Except for a `lax.while_loop` whose steps mix elements: there it
    looks after each step whether to go on, and the call returns after the last one.)

    Args:
        function: Takes and returns pytrees of arrays and numbers. float64 enters as float32, 64-bit integers
            as 32-bit ones; NumPy arrays are copied before the call returns.
        device: Where it runs: a name as for GRILLY_DEVICE, or a device. None: where its Array arguments live,
            or the default device.
        donate_argnums: Positions of arguments whose memory the results may take over. An Array that is
            donated cannot be used afterwards.
        static_argnums: Positions of arguments that are hashable Python values, not arrays: a new value
            recompiles.
        steady_argnums: Positions of arguments that are often the same arrays as in the call before, such as
            the weights of a net in evaluation: the form in which large products read them is kept until
            others come, beside the arrays themselves.

    Returns:
        A function of the same arguments whose results have `grilly.Array` as leaves. Under a JAX
        transformation (`jax.grad`, another `jit`) it is just `function`.

    Raises:
        ParameterError: `function` is none.
        ShapeError: An argument is no array (when called).
        DataError: An integer does not fit into 32 bits (when called).
        DeviceError: An Array argument lives on another device, or there is no such device (when called).

    Example:
        >>> import grilly, numpy as np
        >>> step = grilly.jit(lambda v, x: v / 2 + x)
        >>> step(np.float32(1), np.ones(3, np.float32))
        Array([1.5, 1.5, 1.5], dtype=float32)
    """
    if not callable(function):
        raise ParameterError(f"grilly.jit was given a {type(function).__name__}: a function of arrays was expected.")
    positions = map(_positions, (donate_argnums, static_argnums, steady_argnums))
    return Jit(function, device, *positions)


class Jit:
    """A function that compiles itself for the arguments it meets; made by `jit`.

    Attributes:
        advice: What to do, in the error of who uses an array after it was donated.
    """

    __name__: str
    advice = "Use what that call returned, or take the argument out of donate_argnums."

    def __init__(
        self,
        function: Callable,
        device: str | Device | None,
        donated: tuple[int, ...],
        static: tuple[int, ...],
        steady: tuple[int, ...],
    ) -> None:
        functools.update_wrapper(self, function, updated=())  # not its __dict__, which may be that of another Jit
        self._function = function
        self._name = getattr(function, "__name__", type(function).__name__)
        self._given = device
        self._donated, self._static, self._steady = donated, static, steady
        self._compiled: dict[tuple, Compiled] = {}
        self._known: dict[tuple, Compiled] = {}  # the same, by calls as they are: Arrays or NumPy's

    def __reduce__(self) -> Any:
        """For copies and pickles: without what was compiled, which belongs to this process."""
        made_of = self._function, self._given, self._donated, self._static, self._steady
        return Jit, made_of, {"advice": self.advice}

    def __repr__(self) -> str:
        return f"grilly.jit({self._name})"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        try:
            call = self._flat(args, kwargs)
        except TracedError:
            return self._function(*jax.tree.map(_for_jax, args), **jax.tree.map(_for_jax, kwargs))
        return self.compiled(call)(call)

    def lower(self, *args: Any, **kwargs: Any) -> Stages:
        """The stages of compiling a call with these arguments, as text: `jaxpr`, `kernels`, `spirv`, `plan`.

        Nothing runs. On `cpu`, where JAX compiles, it is what a Vulkan device of modest limits would run.

        Example:
            >>> import grilly, numpy as np
            >>> print(grilly.jit(lambda x: x.sum()).lower(np.zeros(3, np.float32)).plan)
            arena 0 bytes, constants 0 bytes, donated []
                            1x1x1  reduction[]  a0 o0
            results o0
        """
        return self.stages(self.concrete(args, kwargs))

    def memory(self, *args: Any, **kwargs: Any) -> MemoryReport:
        """What a call with these arguments takes of the device's memory, in bytes; nothing runs.

        On `cpu`, where JAX compiles, it is what a Vulkan device of modest limits would take.

        Example:
            >>> import grilly, numpy as np
            >>> grilly.jit(lambda x: x @ x).memory(np.ones((8, 8), np.float32)).peak
            512
        """
        call = self.concrete(args, kwargs)
        return report(repr(self), self.stages(call).lowered, lambda k: self._path(call.tree, k))

    def compiled(self, call: Arguments) -> "Compiled":
        """What runs a call."""
        return self._known.get(call.key) or self._compiled_for(call)

    def _compiled_for(self, call: Arguments) -> "Compiled":
        """What runs a call such as there was none before."""
        device = self._device_of(call)
        key = (call.tree, call.statics, call.avals, call.precision, device)
        with _compiling, _without_collections():  # threads that meet a new signature at once wait for the first
            if key not in self._compiled:
                self._compiled[key] = Compiled(self, call, device, _Flat(self._function, call))
            self._known[call.key] = self._compiled[key]
        return self._compiled[key]

    def stages(self, call: Arguments) -> Stages:
        """The stages of compiling a call; nothing runs."""
        donated, steady = self.donated_leaves(call.tree), self.steady_leaves(call.tree)
        return _stages(_Flat(self._function, call), call.avals, self._device_of(call), donated, steady, repr(self))

    def concrete(self, args: tuple, kwargs: dict[str, Any]) -> Arguments:
        """A call with these arguments.

        Raises:
            ParameterError: JAX traces it.
        """
        try:
            return self._flat(args, kwargs)
        except TracedError:
            message = f"{self!r} needs arrays here, but is being traced by JAX. Call it outside."
            raise ParameterError(message) from None

    def _flat(self, args: tuple, kwargs: dict[str, Any]) -> Arguments:
        statics: tuple = ()
        if self._static:
            statics = tuple([(k, type(args[k]), self._static_value(args, k)) for k in self._static if k < len(args)])
            args = tuple([arg for k, arg in enumerate(args) if k not in self._static])
        leaves, tree = jax.tree_util.tree_flatten((args, kwargs))
        precision = jax.config.jax_default_matmul_precision  # pyright: ignore[reportAttributeAccessIssue]
        return Arguments(leaves, *entered(leaves, functools.partial(self.argument, tree)), tree, statics, precision)

    def _static_value(self, args: tuple, k: int) -> Any:
        try:
            hash(args[k])
        except TypeError as error:
            raise ParameterError(
                f"argument {k} of `{self._name}` is static, but a {type(args[k]).__name__} has no hash. "
                "Give a hashable value, or take it out of static_argnums."
            ) from error
        return args[k]

    @functools.cached_property
    def _device(self) -> Device | None:
        """The device that was asked for."""
        return None if self._given is None else find_device(self._given)

    def _device_of(self, call: Arguments) -> Device:
        """Where a call runs."""
        device = self._device
        for k, leaf in enumerate(call.leaves):
            if type(leaf) is Array and leaf.device is not device:
                if device is not None:
                    name = self.argument(call.tree, k)
                    raise DeviceError(
                        f"{name} lives on {leaf.device.name}, but the call runs on {device.name}. "
                        "Move the array with its method to(device), or build everything on one device."
                    )
                device = leaf.device
        return device or default_device()

    def argument(self, tree: Any, k: int) -> str:
        """What to call leaf `k` of the arguments in a message."""
        return f"{self._path(tree, k)} of `{self._name}`"

    def _path(self, tree: Any, k: int) -> str:
        numbers = jax.tree_util.tree_unflatten(tree, range(tree.num_leaves))
        path = jax.tree_util.tree_flatten_with_path(numbers)[0][k][0]
        name = path[1].key if path[0].idx else self._position(path[1].idx)
        return f"argument {name!r}{jax.tree_util.keystr(path[2:])}"

    def _position(self, k: int) -> int:
        """The position of the `k`-th argument that is not static."""
        for static in self._static:
            k += static <= k
        return k

    def donated_leaves(self, tree: Any) -> frozenset[int]:
        """Which leaves are donated."""
        return self._leaves(tree, self._donated)

    def steady_leaves(self, tree: Any) -> frozenset[int]:
        """Which leaves are steady."""
        return self._leaves(tree, self._steady)

    def _leaves(self, tree: Any, positions: tuple[int, ...]) -> frozenset[int]:
        """The leaves of the arguments at these positions."""
        leaves, start = set(), 0
        for k, part in enumerate(tree.children()[0].children()):
            if self._position(k) in positions:
                leaves.update(range(start, start + part.num_leaves))
            start += part.num_leaves
        return frozenset(leaves)


class _Flat:
    """A function of flat arrays; once traced, it knows the structure of the results."""

    def __init__(self, function: Callable, call: Arguments) -> None:
        self._function, self._arguments, self._statics = function, call.tree, call.statics
        self.results: Any = None
        self.complex: list[bool] = []

    def __call__(self, *leaves: Any) -> list[Any]:
        args, kwargs = jax.tree_util.tree_unflatten(self._arguments, leaves)
        args = list(args)
        for k, _, value in self._statics:
            args.insert(k, value)
        results, self.results = jax.tree_util.tree_flatten(self._function(*args, **kwargs))
        if any(is_key(result) for result in results):
            raise ShapeError("a compiled function cannot return a typed random key. Return jax.random.key_data(key).")
        self.complex = [np.iscomplexobj(result) for result in results]
        return [_for_jax(result) for result in results]


class Compiled:
    """One signature of a function: its executable, and how flat results become what the function returns."""

    def __init__(self, jitted: Jit, call: Arguments, device: Device, flat: _Flat) -> None:
        self._device, self._flat = device, flat
        donated = jitted.donated_leaves(call.tree)
        self.donations = {k: Donated(functools.partial(jitted.argument, call.tree, k), jitted.advice) for k in donated}
        self.executable = _executable(flat, call.avals, device, donated, jitted.steady_leaves(call.tree), repr(jitted))

    def __call__(self, call: Arguments) -> Any:
        storages, leaves = self.executable(call.values), call.leaves
        for k, donated in self.donations.items():
            if type(leaves[k]) is Array:
                leaves[k].donate(donated)
        return jax.tree_util.tree_unflatten(self.results, map(Array, storages, self.forms))

    @property
    def results(self) -> Any:
        """The structure of what the function returns."""
        return self._flat.results

    @functools.cached_property
    def forms(self) -> list[Form]:
        """The form of each result, known once it has run."""
        avals = map(_as_returned, self.executable.results, self._flat.complex)
        return [Form(aval.shape, aval.dtype, self._device) for aval in avals]


def _executable(
    flat: _Flat, avals: tuple[Aval, ...], device: Device, donated: frozenset[int], steady: frozenset[int], name: str
) -> Any:
    if "time" in config.debug:
        debug.time_the_process()
    if isinstance(device, CpuDevice):
        return CpuExecutable(device, flat, donated, name)
    from .gpu.executable import Executable  # needs a Vulkan loader

    vulkan = cast("VulkanDevice", device)
    if config.debug - {"time"}:
        stages = _stages(flat, avals, device, donated, steady, name)
        debug.show(stages, config.debug)
        return Executable(vulkan, stages.lowered.plan, name)
    return Executable(vulkan, plan_of(flat, list(avals), donated, vulkan.target, steady), name)


def _stages(
    flat: _Flat, avals: tuple[Aval, ...], device: Device, donated: frozenset[int], steady: frozenset[int], name: str
) -> Stages:
    return Stages(name, lower(flat, list(avals), donated, getattr(device, "target", Target()), steady))


def _as_returned(aval: Aval, is_complex: bool) -> Aval:
    """What the caller sees: complex numbers, which programs compute as pairs of floats."""
    return Aval(aval.shape[:-1], COMPLEX) if is_complex and aval.dtype.kind == "f" else aval


def _for_jax(leaf: Any) -> Any:
    """An Array as the jax.Array that JAX's own transformations take."""
    return leaf.__jax_array__() if type(leaf) is Array else leaf


def _positions(argnums: int | Sequence[int]) -> tuple[int, ...]:
    given = argnums if isinstance(argnums, Iterable) else (argnums,)
    positions = tuple(sorted(set(map(operator.index, given))))
    if any(k < 0 for k in positions):
        raise ParameterError(f"argument positions count from 0; {positions} holds a negative one.")
    return positions
