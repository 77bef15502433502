"""How grilly makes a pytree: frozen dataclasses whose fields are leaves, checked when a user builds one."""

import functools
from typing import Any, TypeVar, dataclass_transform

import chex

Class = TypeVar("Class", bound=type)


@dataclass_transform(kw_only_default=True, frozen_default=True)
def pytree(kind: Class) -> Class:
    """Makes a class a frozen chex dataclass: its fields are leaves, and given by keyword.

    If the class has a method `check`, it is called on every instance that a user builds, and not on those
    that JAX rebuilds: a gradient with respect to `tau` comes back in the same class, and is no time constant.
    (chex calls `__post_init__` there too, so that is no place for a check.)
    """
    kind = chex.dataclass(frozen=True)(kind)  # pyright: ignore[reportAssignmentType]
    if hasattr(kind, "check"):
        build = kind.__init__

        @functools.wraps(build)
        def __init__(self: Any, **leaves: Any) -> None:  # noqa: N807
            build(self, **leaves)
            self.check()

        kind.__init__ = __init__  # pyright: ignore[reportAttributeAccessIssue]
    return kind
