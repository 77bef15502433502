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
NAMES = {"jax": jax, "np": np, "lax": lax, "jnp": jnp}


@dataclass(frozen=True)
class RandomProgram:
    """A function and its arguments, as text.

    Attributes:
        source: `def program(...)`, and `def arguments(seed)`, which gives its arguments.
        static, donated: Positions of arguments.
    """

    source: str
    static: tuple[int, ...]
    donated: tuple[int, ...]

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
        options = f"static_argnums={self.static}, donate_argnums={self.donated}"
        return (
            f"\n{PRELUDE}import grilly\n\n\n{self.source}\n"
            f'got = grilly.jit(program, device="vulkan", {options})(*arguments(0))\n'
            f"want = jax.jit(program, static_argnums={self.static})(*arguments(0))\n"
            "for ours, theirs in zip(got, want, strict=True):\n    print(ours, theirs, sep='\\n')\n"
        )
