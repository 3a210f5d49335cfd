"""Bring files of known SHA-256 into a cache folder, from the first source that can give them.

Whatever the source, one table of hashes of the *uncompressed* files decides what is accepted, so a
new source needs no new hash and no trust.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from slope_nn.data._extra import need
from slope_nn.data._source import FAILURES, DataError, Fetch, Source, SourceError, gunzip, log


def cache_root(cache: str | os.PathLike[str] | None = None) -> Path:
    """The folder under which data sets are kept.

    That is `cache` if given, else the environment variable `SLOPE_DATA`, else slope's folder in the
    user's cache directory (`~/.cache/slope` on Linux).
    """
    chosen = cache or os.environ.get("SLOPE_DATA") or need("pooch").os_cache("slope")
    return Path(chosen).expanduser().absolute()


def ensure_files(
    what: str, sha256: Mapping[str, str], folder: Path, sources: Sequence[Source]
) -> None:
    """Make `folder` hold every file named in `sha256`, each with the hash given there.

    Files already there are kept if their hash is right and removed if it is not. The others come
    from the first source that has them, and enter the folder whole or not at all, so several
    processes may do this at once. A `.gz` of a wanted file that the user put into the folder is
    tried before any source, and never removed.

    Args:
        what: The data set's name, for messages.
        sha256: File name to SHA-256 (hexadecimal) of the uncompressed file.
        folder: Where the files are kept; made if missing.
        sources: Tried in order.

    Raises:
        DataError: All sources failed, or the folder cannot be written.
        MissingExtraError: A source was needed and `slope-nn[data]` is not installed.
    """
    missing = {name: want for name, want in sha256.items() if not _is_cached(folder / name, want)}
    if not missing:
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(
            f"{what}: cannot make the folder {folder} ({_reason(error)}). Set SLOPE_DATA to a "
            "folder that can be written."
        ) from error

    failures: list[str] = []
    for source in (_local_gzip(folder), *sources):
        held = [name for name in missing if source.holds(name)]
        if not held:
            continue
        try:
            with source.open() as fetch:
                for name in held:
                    _install(name, missing[name], folder, fetch)
                    del missing[name]
        except FAILURES as error:
            failures.append(f"{source.name}: {_reason(error)}")
            log.warning("%s could not come from %s", what, failures[-1])
        if not missing:
            log.info("%s: %s gave the files, kept in %s", what, source.name, folder)
            return
    raise DataError(_all_failed(what, missing, folder, failures))


def _local_gzip(folder: Path) -> Source:
    # Files that lie in the cache folder as `FILE.gz`, put there by hand.
    def holds(name: str) -> bool:
        return (folder / f"{name}.gz").is_file()

    return Source(f"the .gz files in {folder}", partial(_open_local_gzip, folder), holds)


@contextmanager
def _open_local_gzip(folder: Path) -> Iterator[Fetch]:
    def fetch(name: str, target: Path) -> None:
        gunzip(folder / f"{name}.gz", target)

    yield fetch


def _is_cached(path: Path, want: str) -> bool:
    if not path.is_file():
        return False
    got = _sha256(path)
    if got == want:
        return True
    log.warning("%s", f"{path} is damaged: expected SHA-256 {want}, got {got}. Removed.")
    path.unlink(missing_ok=True)
    return False


def _sha256(path: Path) -> str:
    with path.open("rb") as reader:
        return hashlib.file_digest(reader, "sha256").hexdigest()


def _install(name: str, want: str, folder: Path, fetch: Fetch) -> None:
    # Scratch stands in the cache folder because only a move within one file system is atomic.
    with tempfile.TemporaryDirectory(prefix=".part-", dir=folder) as scratch:
        part = Path(scratch) / name
        fetch(name, part)
        got = _sha256(part)
        if got != want:
            raise SourceError(
                f"{name} is damaged: expected SHA-256 {want}, got {got}; the copy was removed"
            )
        part.replace(folder / name)


def _reason(error: BaseException) -> str:
    # requests wraps urllib3, which wraps the socket's error: the innermost says it shortest.
    while not isinstance(error, SourceError) and error.__context__ is not None:
        error = error.__context__
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def _all_failed(
    what: str, missing: Mapping[str, str], folder: Path, failures: Sequence[str]
) -> str:
    tried = "\n".join(f"  - {failure}" for failure in failures)
    return (
        f"{what}: no source could give {', '.join(missing)}.\nTried, in order:\n{tried}\n"
        f"Check the connection and run again, or put the missing files into {folder} by hand "
        "(plain or as .gz; any true copy will do, the SHA-256 is checked). "
        "Set SLOPE_DATA to keep data elsewhere."
    )
