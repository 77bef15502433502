"""Indexing of `grilly.Array`: on its device, by everything whose result has a shape that is known before."""

import operator
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import jax
import numpy as np

from .arithmetic import device_or_host, downloaded, is_ours

GAP = "an array of indices"


def item(array: Any, index: Any) -> Any:
    """What `Array.__getitem__` returns.

    Masks that NumPy knows become the places that they choose. Masks that lie on a device are looked at, with the array.

    Raises:
        IndexError: NumPy's own.
    """
    parts = index if isinstance(index, tuple) else (index,)
    on_host = lambda: np.asarray(array)[tuple(map(downloaded, parts))]  # noqa: E731
    if any(isinstance(part, (bool, np.bool_)) or (is_ours(part) and part.dtype == bool) for part in parts):
        return on_host()
    parts = tuple(_part(part) for part in parts)
    np.broadcast_to(np.False_, array.shape)[parts]  # for the IndexError, where there is one
    parts = tuple(place for part in parts for place in _places(part))
    arrays = [part.astype(np.int32) for part in parts if isinstance(part, np.ndarray)]
    return device_or_host(lambda: _indexing(tuple(map(_key, parts)))(array, *arrays), on_host)


def _part(part: Any) -> Any:
    """Numbers and arrays of indices as NumPy's arrays: it has to see them to know whether they lie inside."""
    if isinstance(part, slice):
        return slice(*(None if end is None else operator.index(end) for end in (part.start, part.stop, part.step)))
    if not (is_ours(part) or isinstance(part, (int, np.integer, list, jax.Array))):
        return part
    array = np.asarray(part)
    return array if array.size else array.astype(np.intp)


def _places(part: Any) -> tuple:
    return part.nonzero() if isinstance(part, np.ndarray) and part.dtype == bool else (part,)


def _key(part: Any) -> Any:
    """What a compiled indexing depends on. Not on where indices point: a loop over rows compiles one."""
    if isinstance(part, slice):
        return (part.start, part.stop, part.step)
    return GAP if isinstance(part, np.ndarray) else part


@lru_cache(maxsize=1024)
def _indexing(key: tuple) -> Callable:
    from .compile import jit  # what is compiled returns Arrays, and Arrays compute by compiling

    def getitem(array: Any, *arrays: Any) -> Any:
        gaps = iter(arrays)
        index = (next(gaps) if part == GAP else slice(*part) if isinstance(part, tuple) else part for part in key)
        return array[tuple(index)]

    return jit(getitem)
