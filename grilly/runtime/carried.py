"""A compiled call that goes on from what it gave, as each step of a scan does: a training step, say."""

import functools
from itertools import chain
from typing import Any

import jax

from .arguments import entered, refuse_gone
from .array import Array, Form
from .compile import Compiled, Jit

Lists = tuple[list[Array], ...]


class Carried:
    """Calls `step(shown, hidden, fixed, *given)`, which gives `(shown, hidden, out)`, again and again.

    What is carried from call to call, and what is fixed, is taken apart once: a call flattens and looks up `given`
    alone, and makes Arrays of `shown` and `out` alone.

    Args:
        jitted: The step, which donates `shown` and `hidden`.
        shown: Arrays that others may have: a call donates them, and gives new ones.
        hidden: Arrays that nobody else has: a call puts its results into these very Arrays.
        fixed: Arrays that every call takes.
    """

    def __init__(self, jitted: Jit, shown: Lists, hidden: Lists, fixed: Lists) -> None:
        self._jitted = jitted
        self._shown, self._hidden, self._fixed = (list(chain(*lists)) for lists in (shown, hidden, fixed))
        self._structure = jax.tree.structure((shown, hidden, fixed))
        self._ways: dict[tuple, _Way] = {}

    def __call__(self, *given: Any) -> tuple[Any, Any]:
        """Runs the step.

        Returns:
            The new `shown`, and `out`.

        Raises:
            GrillyError: As a call of the step raises it; nothing is changed then.
        """
        leaves, structure = jax.tree_util.tree_flatten(given)
        values, forms = entered(leaves, lambda k: self._argument(given, k))
        way = self._ways.get((structure, forms)) or self._way(given, (structure, forms))
        carry = [array._storage for array in self._arrays]
        refuse_gone(self._arrays, carry)
        storages = way.compiled.executable(carry + values)
        shown, carried = len(self._shown), len(self._shown) + len(self._hidden)
        for k, array in enumerate(self._shown):
            array.donate(way.compiled.donations[k])
        for array, storage in zip(self._hidden, storages[shown:carried], strict=True):
            array._storage = storage
        seen = list(map(Array, storages[:shown] + storages[carried:], way.forms))
        self._shown = seen[:shown]
        if not way.steady:
            self._take_forms(way)
        return jax.tree_util.tree_unflatten(way.structure, seen)

    @property
    def _arrays(self) -> list[Array]:
        return self._shown + self._hidden + self._fixed

    def _with(self, given: tuple) -> tuple:
        """All arguments of the step."""
        return (*jax.tree.unflatten(self._structure, self._arrays), *given)

    def _way(self, given: tuple, key: tuple) -> "_Way":
        """How a call runs such as there was none before."""
        compiled = self._jitted.compiled(self._jitted.concrete(self._with(given), {}))
        self._ways[key] = _Way(compiled, [array._form for array in self._shown + self._hidden])
        return self._ways[key]

    def _take_forms(self, way: "_Way") -> None:
        """Other shapes or dtypes are carried from now on: other ways."""
        for array, form in zip(self._hidden, way.left[len(self._shown) :], strict=True):
            array._form = form
        self._ways = {}

    def _argument(self, given: tuple, k: int) -> str:
        """What a message calls leaf `k` of what is given."""
        return self._jitted.argument(jax.tree.structure((self._with(given), {})), len(self._arrays) + k)


class _Way:
    """How calls run whose given arrays have the same forms."""

    def __init__(self, compiled: Compiled, found: list[Form]) -> None:
        self.compiled, self._found = compiled, found

    @functools.cached_property
    def left(self) -> list[Form]:
        """The forms of what is carried, after a call."""
        return self.compiled.forms[: len(self._found)]

    @functools.cached_property
    def steady(self) -> bool:
        """Whether what is carried keeps its forms: a buffer may turn from int to float, say."""
        return self.left == self._found

    @functools.cached_property
    def structure(self) -> Any:
        """Of what a call returns; known once it has run, as the forms of its arrays."""
        return jax.tree.structure(self._seen(range(len(self.compiled.forms))))

    @functools.cached_property
    def forms(self) -> list[Form]:
        return jax.tree.leaves(self._seen(self.compiled.forms), is_leaf=lambda node: type(node) is Form)

    def _seen(self, results: Any) -> tuple[Any, Any]:
        shown, _, out = jax.tree.unflatten(self.compiled.results, results)
        return shown, out
