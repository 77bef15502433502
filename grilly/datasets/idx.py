"""IDX, the format of MNIST's files: arrays of bytes behind a short big-endian header, gzipped or not.

Reference: Y. LeCun, C. Cortes, C. Burges, The MNIST database of handwritten digits (1998), "File formats".
"""

import gzip
import math
import os
import zlib
from pathlib import Path

import numpy as np

from ..errors import DataError

UNSIGNED_BYTES = b"\0\0\x08"  # two zeros and the element type; the number of axes follows
GZIP = b"\x1f\x8b"


def read_idx(path: str | os.PathLike[str]) -> np.ndarray:
    """The array in an IDX file of unsigned bytes, gzipped or not.

    Returns: uint8, of the shape that the header states; read-only.

    Raises:
        DataError: The file is absent, damaged, not IDX, or shorter or longer than its header says.
    """
    try:
        content = Path(path).read_bytes()
        content = gzip.decompress(content) if content.startswith(GZIP) else content
    except (OSError, EOFError, zlib.error) as error:
        raise _unreadable(path, getattr(error, "strerror", None) or str(error)) from error
    if content[:3] != UNSIGNED_BYTES or len(content) < 4 + 4 * content[3]:
        raise _unreadable(path, f"it starts with {content[:4].hex(' ')}, expected 00 00 08 and the number of axes")
    axes = content[3]
    shape = tuple(int(extent) for extent in np.frombuffer(content, ">u4", axes, offset=4))
    values = np.frombuffer(content, np.uint8, offset=4 + 4 * axes)
    if values.size != math.prod(shape):
        raise _unreadable(path, f"it holds {values.size} values, and its header announces the shape {shape}")
    return values.reshape(shape)


def _unreadable(path: str | os.PathLike[str], why: str) -> DataError:
    return DataError(
        f"cannot read {os.fspath(path)}: {why}. Expected an IDX file of unsigned bytes, gzipped or not; "
        "get the file again from where it came."
    )
