"""A line on the terminal while something takes long."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

PATIENCE = 2.0  # seconds of silence


@contextmanager
def notice(text: str) -> Iterator[None]:
    """Print ``text`` once the block has taken :data:`PATIENCE`; at its end, the seconds it took.

    It goes to stderr. Nothing is printed where that is no terminal.
    """
    stream = sys.stderr
    if not stream.isatty():
        yield
        return
    begun, told = time.perf_counter(), threading.Event()

    def tell() -> None:
        told.set()
        stream.write(f"slope: {text} ...")
        stream.flush()

    timer = threading.Timer(PATIENCE, tell)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()
        if told.is_set():
            stream.write(f" {time.perf_counter() - begun:.1f} s\n")
            stream.flush()
