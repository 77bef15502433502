"""What a forward call keeps for backward: what it computed for that, and which of its own arguments.

An argument is not returned a second time: parameters stay the only arrays that see their memory, so that an
optimizer updates them in place.
"""

from dataclasses import dataclass
from typing import Any

import jax


@dataclass(frozen=True)
class Residuals:
    """A vjp without those of its residuals that are arguments of the call it is of. A pytree of the others.

    Attributes:
        computed: The residuals that are no arguments.
        places: Of each residual, which argument it is; None where it is the next of `computed`.
        structure: The vjp's, as a pytree.
    """

    computed: list[Any]
    places: tuple[int | None, ...]
    structure: Any

    @classmethod
    def of(cls, vjp: Any, arguments: Any) -> "Residuals":
        """Those of a vjp, while its call is traced with these arguments."""
        numbers = {id(leaf): number for number, leaf in enumerate(jax.tree_util.tree_leaves(arguments))}
        leaves, structure = jax.tree_util.tree_flatten(vjp)
        places = tuple(numbers.get(id(leaf)) for leaf in leaves)
        computed = [leaf for leaf, place in zip(leaves, places, strict=True) if place is None]
        return cls(computed, places, structure)

    def vjp(self, arguments: Any) -> Any:
        """The whole vjp, for the call's arguments."""
        given, computed = jax.tree_util.tree_leaves(arguments), iter(self.computed)
        leaves = [next(computed) if place is None else given[place] for place in self.places]
        return jax.tree_util.tree_unflatten(self.structure, leaves)


jax.tree_util.register_dataclass(Residuals, data_fields=["computed"], meta_fields=["places", "structure"])
