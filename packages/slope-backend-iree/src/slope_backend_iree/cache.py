"""A disk cache of opaque bytes: safe for many processes, checked on reading, bounded in size.

It knows nothing of what it holds. An entry is one file, `<directory>/<key>.bin`: a magic number,
the SHA-256 of the payload, the payload. Files appear whole or not at all (written aside, then
`os.replace`d), so readers need no lock; a file which is cut short or altered fails its checksum and
counts as absent.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import tempfile
import time
from pathlib import Path

__all__ = ["DEFAULT_MAX_BYTES", "DiskCache", "digest"]

DEFAULT_MAX_BYTES = 2 * 1024**3

_MAGIC = b"slopec01"
_HEADER = len(_MAGIC) + hashlib.sha256().digest_size
_SUFFIX = ".bin"
_TEMPORARY = ".part"
_ABANDONED_SECONDS = 3600.0  # a part file this old was left by a process that died
_KEY = re.compile(r"[0-9A-Za-z_-]{1,128}")


def digest(*parts: str) -> str:
    """A cache key for several texts: 64 hexadecimal digits of SHA-256.

    Each part is hashed with its length, so `("ab", "c")` and `("a", "bc")` differ.
    """
    state = hashlib.sha256()
    for part in parts:
        data = part.encode("utf-8", "surrogatepass")
        state.update(len(data).to_bytes(8, "little"))
        state.update(data)
    return state.hexdigest()


class DiskCache:
    """Bytes by key in a directory; the least recently used go first when they outgrow it.

    Arguments:
        directory: where the entries lie; made at the first write.
        max_bytes: bound on the sum of the files' sizes, in bytes. It is enforced after each write,
            so the directory may pass it for a moment, by what the processes write meanwhile.

    Any number of threads and processes may share a directory. Two that miss the same key both make
    the entry, and the last one written stays.
    """

    def __init__(
        self, directory: str | os.PathLike[str], max_bytes: int = DEFAULT_MAX_BYTES
    ) -> None:
        if max_bytes < 0:
            raise ValueError(f"max_bytes must not be negative, got {max_bytes}")
        self.directory = Path(directory)
        self.max_bytes = max_bytes

    def get(self, key: str) -> bytes | None:
        """The entry's bytes, marked as just used; None where it is absent, damaged or unreadable.

        A damaged entry is removed.
        """
        path = self._path(key)
        try:
            data = path.read_bytes()
        except OSError:
            return None
        payload = data[_HEADER:]
        if data[:_HEADER] != _MAGIC + hashlib.sha256(payload).digest():
            with contextlib.suppress(OSError):  # another process was first, or holds it open
                path.unlink()
            return None
        with contextlib.suppress(OSError):  # a read-only cache only forgets the order of use
            os.utime(path)
        return payload

    def put(self, key: str, payload: bytes) -> None:
        """Stores `payload` under `key`, over what was there; then drops old entries as needed.

        A payload which alone exceeds the bound is not stored.

        Raises:
            OSError: where the directory cannot be written.
        """
        path = self._path(key)
        if len(payload) + _HEADER > self.max_bytes:
            return
        self.directory.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(_TEMPORARY, dir=self.directory)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(_MAGIC + hashlib.sha256(payload).digest())
                file.write(payload)
            Path(temporary).replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                Path(temporary).unlink()
            raise
        self._evict(keep=path.name)

    def size(self) -> int:
        """The sum of the sizes of all entries' files, in bytes."""
        return sum(size for _, size, _ in self._entries())

    def clear(self) -> None:
        """Removes every entry."""
        for _, _, path in self._entries():
            with contextlib.suppress(OSError):
                path.unlink()

    def _path(self, key: str) -> Path:
        if not _KEY.fullmatch(key):
            raise ValueError(f"a cache key is 1 to 128 letters, digits, '-' or '_', got {key!r}")
        return self.directory / (key + _SUFFIX)

    def _entries(self) -> list[tuple[int, int, Path]]:
        """(last use in ns, bytes, path) of each entry; removes part files long abandoned."""
        found: list[tuple[int, int, Path]] = []
        try:
            listing = os.scandir(self.directory)
        except FileNotFoundError:
            return found
        with listing:
            for item in listing:
                with contextlib.suppress(FileNotFoundError):  # another process may remove it
                    if item.name.endswith(_SUFFIX):
                        status = item.stat()
                        found.append((status.st_mtime_ns, status.st_size, Path(item.path)))
                    elif item.name.endswith(_TEMPORARY) and _abandoned(item):
                        Path(item.path).unlink()
        return found

    def _evict(self, keep: str) -> None:
        entries = sorted(self._entries())
        total = sum(size for _, size, _ in entries)
        for _, size, path in entries:
            if total <= self.max_bytes:
                return
            if path.name == keep:
                continue
            with contextlib.suppress(OSError):  # gone, or open elsewhere: tried again next time
                path.unlink()
            total -= size


def _abandoned(item: os.DirEntry[str]) -> bool:
    return time.time() - item.stat().st_mtime > _ABANDONED_SECONDS
