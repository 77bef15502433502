"""Writing files that are whole or absent. What is in them is their writers' business."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A path beside `path` to write to; takes `path`'s place at the end, and is removed if anything fails.

    Makes the directory. It keeps `path`'s suffix, from which some writers choose the format.

    Example:
        >>> with tempfile.TemporaryDirectory() as directory:
        ...     with replacing(Path(directory) / "notes.txt") as beside:
        ...         _ = beside.write_text("whole")
        ...     os.listdir(directory)
        ['notes.txt']
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=path.suffix, dir=path.parent)
    os.close(descriptor)
    beside = Path(name)
    try:
        yield beside
        beside.chmod(0o644)  # mkstemp's is for the owner alone
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
