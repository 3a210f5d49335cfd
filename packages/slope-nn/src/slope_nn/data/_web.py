"""Files from a folder of the web."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from slope_nn.data._extra import need
from slope_nn.data._source import Fetch, Source, SourceError, gunzip

ANSWER_SECONDS = 4.0  # for a mirror to answer at all: two dead mirrors must not cost ten seconds
STALL_SECONDS = 20.0  # without a byte, once a download runs


def mirror(base_url: str, *, gzipped: bool = True) -> Source:
    """A web folder of files; time-limited, with a progress bar.

    Args:
        base_url: Address of the folder.
        gzipped: Whether FILE is there as `FILE.gz`, rather than as it is.
    """
    return Source(base_url, partial(_open_mirror, base_url.rstrip("/"), gzipped))


@contextmanager
def _open_mirror(base_url: str, gzipped: bool) -> Iterator[Fetch]:
    tqdm, pooch = need("tqdm.auto").tqdm, need("pooch")
    answered = False

    def fetch(name: str, target: Path) -> None:
        nonlocal answered
        url = f"{base_url}/{name}.gz" if gzipped else f"{base_url}/{name}"
        if not answered:
            _wait_for_answer(url, ANSWER_SECONDS)
            answered = True
        raw = target.with_name(target.name + ".gz") if gzipped else target
        # A total of 1 until the size is known: pooch asks whether the bar is true, and without a
        # total tqdm refuses to say.
        options = {"unit": "B", "unit_scale": True, "leave": False, "disable": None}
        with tqdm(desc=raw.name, total=1, **options) as bar:
            download = pooch.HTTPDownloader(
                progressbar=bar, chunk_size=1 << 16, timeout=(ANSWER_SECONDS, STALL_SECONDS)
            )
            download(url, str(raw), None)
        if gzipped:
            gunzip(raw, target)
            raw.unlink()

    yield fetch


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
