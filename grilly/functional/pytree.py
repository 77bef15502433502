"""How grilly makes a pytree: frozen dataclasses whose fields are leaves, checked when a user builds one."""

import dataclasses
import functools
from typing import Any, TypeVar, dataclass_transform

import chex

Class = TypeVar("Class", bound=type)


@dataclass_transform(frozen_default=True)
def pytree(kind: Class) -> Class:
    """Makes a class a frozen chex dataclass: its fields are leaves, given in order or by keyword.

    If the class has a method `check`, it is called on every instance that a user builds, and not on those
    that JAX rebuilds: a gradient with respect to `tau` comes back in the same class, and is no time constant.
    (chex calls `__post_init__` there too, so that is no place for a check.)
    """
    kind = chex.dataclass(frozen=True)(kind)  # pyright: ignore[reportAssignmentType]
    build = kind.__init__

    @functools.wraps(build)
    def __init__(self: Any, *values: Any, **leaves: Any) -> None:  # noqa: N807
        build(self, **_by_name(kind, values, leaves))
        if hasattr(kind, "check"):
            self.check()

    kind.__init__ = __init__  # pyright: ignore[reportAttributeAccessIssue]
    return kind


def leaf_names(kind: Any) -> list[str]:
    """The leaves of such a class, in order."""
    return [field.name for field in dataclasses.fields(kind)]


def _by_name(kind: type, values: tuple[Any, ...], leaves: dict[str, Any]) -> dict[str, Any]:
    """All leaves that were given, by name.

    Raises:
        TypeError: One is unknown, or given twice, or there are too many.
    """
    names = leaf_names(kind)
    listed, given = ", ".join(names), dict(zip(names, values, strict=False))
    if len(values) > len(names):
        raise TypeError(f"{kind.__name__} was given {len(values)} leaves in order: it has {len(names)}, {listed}.")
    if unknown := [name for name in leaves if name not in names]:
        raise TypeError(f"{kind.__name__} has no leaf {', '.join(unknown)}: it has {listed}.")
    if twice := [name for name in leaves if name in given]:
        raise TypeError(f"{kind.__name__} was given {', '.join(twice)} twice: in order and by keyword.")
    return given | leaves
