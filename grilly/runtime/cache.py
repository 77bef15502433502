"""What was compiled before, kept on disk: bytes by name, in the folder `GRILLY_CACHE`, of bounded size.

A cache may lose anything at any time. What is not there, not whole or not ours is a miss; what cannot be written is not
kept; neither is ever an error. Many processes may use one folder: files appear whole, under their final name.
"""

import contextlib
import hashlib
import logging
import os
from collections.abc import Iterator
from pathlib import Path

from ..config import config
from ..files import replacing

log = logging.getLogger("grilly")
SUFFIX = ".grilly"  # of our files: the folder may be anybody's, and nothing else in it is touched
LIMIT = 256 << 20  # bytes of all files; beyond it, those that were not used for the longest time are removed
DIGEST = hashlib.sha256().digest_size


class Cache:
    """Bytes by name.

    Args:
        folder: Where; made when something is kept. None: nothing is.
        limit: Bytes of all files together.
    """

    def __init__(self, folder: Path | None, limit: int = LIMIT) -> None:
        self.folder, self._limit = folder, limit
        self._room = 0  # bytes that may be written before the folder is looked at again

    def get(self, name: str) -> bytes | None:
        """What was put under this name; None unless it is there as it was written."""
        if self.folder is None:
            return None
        path = self.folder / (name + SUFFIX)
        try:
            content = path.read_bytes()
        except OSError:
            return None
        with contextlib.suppress(OSError):
            os.utime(path)  # it was used now
        data = content[DIGEST:]
        return data if content[:DIGEST] == _digest(name, data) else None

    def put(self, name: str, data: bytes) -> None:
        """Keeps bytes under a name, unless they are so many that they would displace all others."""
        if self.folder is None or len(data) > self._limit // 8:
            return
        try:
            with replacing(self.folder / (name + SUFFIX)) as beside:
                beside.write_bytes(_digest(name, data) + data)
            self._make_room(self.folder, len(data))
        except OSError as error:
            log.info("nothing is kept in %s: %s", self.folder, error)

    def _make_room(self, folder: Path, written: int) -> None:
        """Removes what was not used for the longest time; looks at the folder now and then only."""
        self._room -= written
        if self._room > 0:
            return
        files = sorted(_files(folder), key=lambda file: file[0].st_mtime_ns)
        total = sum(stat.st_size for stat, _ in files)
        for stat, path in files:
            if total <= self._limit:
                break
            with contextlib.suppress(FileNotFoundError):  # another process removed it
                os.unlink(path)
            total -= stat.st_size
        self._room = self._limit // 16


def _files(folder: Path) -> Iterator[tuple[os.stat_result, str]]:
    """Ours, and when they were last used."""
    for entry in os.scandir(folder):
        if entry.name.endswith(SUFFIX):
            with contextlib.suppress(FileNotFoundError):
                yield entry.stat(), entry.path


def _digest(name: str, data: bytes) -> bytes:
    return hashlib.sha256(name.encode() + b"\0" + data).digest()


cache = Cache(config.cache)
