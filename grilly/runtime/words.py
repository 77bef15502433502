"""Values of several words: random keys, which become their uint32 data, and complex numbers, pairs of floats.

The words lie along a further axis, the last; what only moves values moves that axis, too.
"""

from functools import lru_cache
from typing import Any

import jax

from .border import COMPLEX, is_key_type


@lru_cache
def words_of(dtype: Any) -> int:
    """How many words of data a random key has, or a complex number; of numbers that are their own word, 0."""
    if is_key_type(dtype):
        return jax.eval_shape(jax.random.key_data, jax.ShapeDtypeStruct((), dtype)).shape[0]
    return 2 if dtype == COMPLEX else 0


def _slice(params: dict[str, Any], rank: int, _: int, words: int) -> None:
    params["start_indices"] = (*params["start_indices"], 0)
    params["limit_indices"] = (*params["limit_indices"], words)
    if params.get("strides"):
        params["strides"] = (*params["strides"], 1)


def _broadcast(params: dict[str, Any], _: int, out_rank: int, words: int) -> None:
    params["shape"] = (*params["shape"], words)
    params["broadcast_dimensions"] = (*params["broadcast_dimensions"], out_rank)


def _reshape(params: dict[str, Any], _: int, __: int, words: int) -> None:
    params["new_sizes"] = (*params["new_sizes"], words)


def _gather(params: dict[str, Any], _: int, out_rank: int, words: int) -> None:
    numbers = params["dimension_numbers"]
    params["dimension_numbers"] = numbers._replace(offset_dims=(*numbers.offset_dims, out_rank))
    params["slice_sizes"] = (*params["slice_sizes"], words)


def _dynamic_slice(params: dict[str, Any], _: int, __: int, words: int) -> None:
    params["slice_sizes"] = (*params["slice_sizes"], words)


def _transpose(params: dict[str, Any], rank: int, _: int, __: int) -> None:
    params["permutation"] = (*params["permutation"], rank)


def _tile(params: dict[str, Any], _: int, __: int, ___: int) -> None:
    params["reps"] = (*params["reps"], 1)


def _unchanged(_: dict[str, Any], __: int, ___: int, ____: int) -> None:
    """Squeezing, joining and cutting name axes that the further one does not move."""


MOVED = {
    "slice": _slice,
    "broadcast_in_dim": _broadcast,
    "reshape": _reshape,
    "transpose": _transpose,
    "gather": _gather,
    "dynamic_slice": _dynamic_slice,
    "squeeze": _unchanged,
    "rev": _unchanged,
    "tile": _tile,
    "dynamic_update_slice": _unchanged,
    "concatenate": _unchanged,
    "stack": _unchanged,
    "unstack": _unchanged,
    "split": _unchanged,
}
