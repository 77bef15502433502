"""A random program: text, so that one which fails can be printed and run by itself."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.ad_checkpoint
import numpy as np
from jax import lax
from jax import numpy as jnp

PRELUDE = """import jax
import jax.ad_checkpoint
import numpy as np
from jax import lax
from jax import numpy as jnp

"""
# Limits at which small programs do what else large ones do: fold their grids, and take their addresses from tables.
# Their scans load ahead, as on GPUs.
SMALL = {"max_groups_x": 3, "push_constant_bytes": 32, "software": False}
NAMES = {"jax": jax, "np": np, "lax": lax, "jnp": jnp}


@dataclass(frozen=True)
class RandomProgram:
    """A function and its arguments, as text.

    Attributes:
        source: `def program(...)`, and `def arguments(seed)`, which gives its arguments.
        static, donated: Positions of arguments.
        small: Whether it is compiled for a device of the least limits: see `SMALL`.
    """

    source: str
    static: tuple[int, ...]
    donated: tuple[int, ...]
    small: bool = False

    def functions(self) -> tuple[Callable, Callable]:
        """`program` and `arguments`."""
        names = dict(NAMES)
        exec(self.source, names)
        return names["program"], names["arguments"]

    def whole(self, arrays: Sequence[Any], arguments: Sequence[Any]) -> list[Any]:
        """All arguments: these arrays, and the static ones of `arguments`."""
        given = iter(arrays)
        return [x if k in self.static else next(given) for k, x in enumerate(arguments)]

    def __repr__(self) -> str:
        limits = f"device.target = dataclasses.replace(device.target, **{SMALL})\n" if self.small else ""
        return (
            f"\nimport dataclasses\n\n{PRELUDE}import grilly\nfrom grilly.runtime.devices import find_device\n\n\n"
            f'{self.source}\ndevice = find_device("vulkan")\n{limits}'
            f"static, donated = {self.static}, {self.donated}\n"
            "compiled = grilly.jit(program, device=device, static_argnums=static, donate_argnums=donated)\n"
            "jitted = jax.jit(program, static_argnums=static)\n"
            "for ours, theirs in zip(compiled(*arguments(0)), jitted(*arguments(0)), strict=True):\n"
            '    print(ours, theirs, sep="\\n")\n'
        )
