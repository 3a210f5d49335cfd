"""Preparing items ahead of their use, in a thread."""

from __future__ import annotations

import contextvars
import queue
import threading
from collections.abc import Generator, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from slope.extend import ArgumentError

T = TypeVar("T")


@dataclass(frozen=True)
class _Failure:
    error: BaseException


_END = object()


def prefetch(iterable: Iterable[T], ahead: int = 2) -> Generator[T, None, None]:
    """Give the items of an iterable, which a thread prepares ahead.

    An exception in the iterable is raised here, in its turn. The thread starts with the first item
    and has ended when the iteration has: at its end, at an exception, or when the generator that
    this returns is closed or dropped.

    Args:
        iterable: Run in the thread, under the caller's backend and device.
        ahead: How many items may be ready and not yet taken, at least 1.

    Raises:
        ArgumentError: `ahead` is no positive int.
    """
    if isinstance(ahead, bool) or not isinstance(ahead, int) or ahead < 1:
        raise ArgumentError(f"prefetch: ahead must be a positive int, not {ahead!r}.")
    return _prefetched(iterable, ahead)


def _prefetched(iterable: Iterable[T], ahead: int) -> Generator[T, None, None]:
    ready: queue.SimpleQueue[Any] = queue.SimpleQueue()
    room = threading.Semaphore(ahead)
    stop = threading.Event()

    def work() -> None:
        try:
            iterator = iter(iterable)
            try:
                while room.acquire() and not stop.is_set():
                    ready.put(next(iterator, _END))
            finally:
                if isinstance(iterator, Generator):
                    iterator.close()
        except BaseException as error:  # noqa: BLE001  # whatever it is, the caller raises it
            ready.put(_Failure(error))

    context = contextvars.copy_context()
    thread = threading.Thread(target=context.run, args=(work,), name="slope-prefetch", daemon=True)
    thread.start()
    try:
        while (item := ready.get()) is not _END:
            if isinstance(item, _Failure):
                raise item.error
            room.release()
            yield item
    finally:
        stop.set()
        room.release()
        thread.join()
