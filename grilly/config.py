"""What the environment says: the variables GRILLY_*. Read once, at import."""

import importlib.metadata
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import jax
import platformdirs

from .errors import ParameterError

__version__ = importlib.metadata.version("grilly")
STAGES = ("jaxpr", "kernels", "spirv", "plan")  # of compiling, in order


@dataclass(frozen=True)
class Config:
    """Settings that hold for the whole process, from the environment's variables GRILLY_DEVICE, GRILLY_DEBUG,
    GRILLY_VALIDATION, GRILLY_BINDINGS and GRILLY_CACHE.

    Attributes:
        device: The default device: `cpu`, `vulkan`, `vulkan:1`, a kind, or a part of a name; None leaves it to grilly.
        debug: The compiler's stages to print, some of `jaxpr,kernels,spirv,plan`; and `time`, where the time went,
            when the process ends.
        validation: Whether Vulkan's validation layer watches, synchronization too. Slow; for tests.
        bindings: Whether kernels take storage-buffer bindings instead of addresses, which have no limits.
            Synchronization validation sees hazards between bindings alone; for tests.
        cache: The folder of what was compiled; None keeps nothing. It is made when first needed.
    """

    device: str | None = None
    debug: frozenset[str] = frozenset()
    validation: bool = False
    bindings: bool = False
    cache: Path | None = None

    @classmethod
    def read(cls, environment: Mapping[str, str] = os.environ) -> "Config":
        """The settings in an environment.

        Raises:
            ParameterError: A variable holds something it cannot mean.

        Example:
            >>> Config.read({"GRILLY_DEVICE": "vulkan:1"}).device
            'vulkan:1'
        """
        debug = frozenset(filter(None, environment.get("GRILLY_DEBUG", "").split(",")))
        if unknown := debug - {*STAGES, "time"}:
            raise ParameterError(
                f"GRILLY_DEBUG names the unknown stages {', '.join(sorted(unknown))}. "
                f"Give some of {', '.join(STAGES)}, time, separated by commas."
            )
        switches = [_switch(environment, name) for name in ("GRILLY_VALIDATION", "GRILLY_BINDINGS")]
        return cls(environment.get("GRILLY_DEVICE") or None, debug, *switches, cache=_cache(environment))


def _switch(environment: Mapping[str, str], name: str) -> bool:
    value = environment.get(name, "0")
    if value not in ("0", "1"):
        raise ParameterError(f"{name} is {value!r}. Give 0 or 1.")
    return value == "1"


def _cache(environment: Mapping[str, str]) -> Path | None:
    """GRILLY_CACHE: a folder; empty or `off` for none. Where it is not set, one among the user's caches."""
    folder = environment.get("GRILLY_CACHE")
    if folder is None:
        return platformdirs.user_cache_path("grilly") / "compiled"
    return None if folder in ("", "off") else Path(folder)


def _keep_jax_on_cpu() -> None:
    """Tells JAX to leave the GPU alone, unless the user has chosen a platform.

    JAX's CUDA backend takes three quarters of the card's memory with its first array, where grilly needs JAX
    only to trace and to run on the CPU.
    """
    if not jax.config.jax_platforms:  # pyright: ignore[reportAttributeAccessIssue]  # JAX_PLATFORMS sets it too
        jax.config.update("jax_platforms", "cpu")


config = Config.read()
_keep_jax_on_cpu()  # at import, before anybody makes an array
