"""Files from the web."""

from __future__ import annotations

import queue
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from slope_nn.data._extra import need
from slope_nn.data._source import Fetch, Source, SourceError, gunzip
from slope_nn.data._unpack import take, unpack

ANSWER_SECONDS = 4.0  # for a mirror to answer at all: two dead mirrors must not cost ten seconds
STALL_SECONDS = 20.0  # without a byte, once a download runs


def mirror(base_url: str) -> Source:
    """A web folder that holds `FILE.gz` for every FILE; time-limited, with a progress bar."""
    return Source(base_url, partial(_open_mirror, base_url.rstrip("/")))


def web_archive(url: str, folder: str) -> Source:
    """Files in a folder of a tar archive on the web, compressed or not; as limited and shown."""
    return Source(url, partial(_open_archive, url, folder))


@contextmanager
def _open_mirror(base_url: str) -> Iterator[Fetch]:
    download = _downloader()

    def fetch(name: str, target: Path) -> None:
        packed = target.with_name(target.name + ".gz")
        download(f"{base_url}/{name}.gz", packed)
        gunzip(packed, target)

    yield fetch


@contextmanager
def _open_archive(url: str, folder: str) -> Iterator[Fetch]:
    with tempfile.TemporaryDirectory(prefix="slope-data-") as scratch:
        archive, unpacked = Path(scratch) / url.rpartition("/")[2], Path(scratch) / "unpacked"
        _downloader()(url, archive)
        with archive.open("rb") as stream:
            unpack(stream, "r|*", folder, unpacked)
        yield partial(take, unpacked, folder)


def _downloader() -> Callable[[str, Path], None]:
    # The first address that a source asks for must answer soon.
    tqdm, pooch = need("tqdm.auto").tqdm, need("pooch")
    answered = False

    def download(url: str, target: Path) -> None:
        nonlocal answered
        if not answered:
            _wait_for_answer(url, ANSWER_SECONDS)
            answered = True
        # A total of 1 until the size is known: pooch asks whether the bar is true, and without a
        # total tqdm refuses to say.
        options = {"unit": "B", "unit_scale": True, "leave": False, "disable": None}
        with tqdm(desc=target.name, total=1, **options) as bar:
            fetch = pooch.HTTPDownloader(
                progressbar=bar, chunk_size=1 << 16, timeout=(ANSWER_SECONDS, STALL_SECONDS)
            )
            fetch(url, str(target), None)

    return download


def _wait_for_answer(url: str, seconds: float) -> None:
    # In a thread, because neither the name look-up nor the walk through all addresses of a host
    # obeys the time-out of an HTTP client. A status other than 200 is left to the download, which
    # words it better.
    answers: queue.SimpleQueue[Exception | None] = queue.SimpleQueue()

    def ask() -> None:
        try:
            need("pooch").HTTPDownloader(timeout=seconds)(url, None, None, check_only=True)
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
