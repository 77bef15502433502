"""A plan as bytes, and back: JSON for its structure, and behind it the raw bytes of shaders and constants.

Reading it builds a plan's own classes and nothing else, so that a foreign file cannot run anything.
"""

import dataclasses
import json
from typing import Any

import numpy as np

from . import plan as plans
from .ir import Aval
from .plan import Plan

CLASSES = {kind.__name__: kind for kind in (*vars(plans).values(), Aval) if dataclasses.is_dataclass(kind)}
START = 8  # bytes that say how long the JSON is


def packed(plan: Plan) -> bytes:
    """A plan as bytes."""
    blobs: dict[bytes, int] = {}
    structure = _simple(plan, blobs)
    text = json.dumps([structure, [len(blob) for blob in blobs]], separators=(",", ":")).encode()
    return b"".join([len(text).to_bytes(START, "little"), text, *blobs])


def unpacked(data: bytes) -> Plan | None:
    """The plan that `packed` made bytes of; None where they are something else."""
    end = START + int.from_bytes(data[:START], "little")
    try:
        structure, lengths = json.loads(data[START:end])
        blobs = []
        for length in lengths:
            blobs.append(data[end : end + length])
            end += length
        plan = _whole(structure, blobs)
    except (ValueError, TypeError, LookupError, RecursionError):
        return None
    return plan if isinstance(plan, Plan) and end == len(data) else None


def _simple(thing: Any, blobs: dict[bytes, int]) -> Any:
    """As JSON has it: a tuple is a list; anything that JSON has not is an object of its kind and its parts."""
    if thing is None or isinstance(thing, bool | int | float | str):
        return thing
    if isinstance(thing, tuple):
        return [_simple(part, blobs) for part in thing]
    if isinstance(thing, frozenset):
        return {"set": sorted(thing)}
    if isinstance(thing, np.dtype):
        return {"dtype": thing.name}
    if isinstance(thing, bytes):
        return {"bytes": blobs.setdefault(thing, len(blobs))}
    if isinstance(thing, np.ndarray):
        return {"array": [thing.dtype.name, thing.shape, blobs.setdefault(thing.tobytes(), len(blobs))]}
    fields = [_simple(getattr(thing, field.name), blobs) for field in dataclasses.fields(thing)]
    return {type(thing).__name__: fields}


def _whole(thing: Any, blobs: list[bytes]) -> Any:
    """What `_simple` was given."""
    if isinstance(thing, list):
        return tuple([_whole(part, blobs) for part in thing])
    if not isinstance(thing, dict):
        return thing
    ((kind, parts),) = thing.items()
    match kind:
        case "set":
            return frozenset(parts)
        case "dtype":
            return np.dtype(parts)
        case "bytes":
            return blobs[parts]
        case "array":
            dtype, shape, blob = parts
            return np.frombuffer(blobs[blob], np.dtype(dtype)).reshape(shape)
    return CLASSES[kind](*_whole(parts, blobs))
