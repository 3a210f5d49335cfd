"""How glibc's allocator should treat the memory that compiled programs work in.

IREE takes the scratch memory of each call from ``malloc`` and frees it at the call's end, in the
threads of its pool. Each of those has a heap of its own by default, too small for large blocks and
returned to the system when empty: a training step of a small transformer then pays 40,000 page
faults, 40 % of its time. With one heap for all threads, which keeps what is freed, it pays none.

Source: ``mallopt(3)``, ``malloc_trim(3)``.
"""

from __future__ import annotations

import ctypes
import functools
import os
import sys
from typing import Final

_M_TRIM_THRESHOLD: Final = -1
_M_TOP_PAD: Final = -2
_M_MMAP_MAX: Final = -4
_M_ARENA_MAX: Final = -8
_TOP_PAD: Final = 16 << 20  # bytes; how much the heap grows by at a time


@functools.cache
def tune_allocator() -> bool:
    """Tell glibc to keep freed memory, in one heap for all threads that start from now on.

    Concerns the whole process. ``SLOPE_IREE_MALLOPT=0`` leaves the allocator alone; so does any
    system without glibc.

    Returns:
        Whether the allocator follows.
    """
    libc = _glibc()
    if libc is None:
        return False
    mallopt = libc.mallopt
    mallopt.argtypes, mallopt.restype = (ctypes.c_int, ctypes.c_int), ctypes.c_int
    wanted = (
        (_M_ARENA_MAX, 1),
        (_M_MMAP_MAX, 0),
        (_M_TRIM_THRESHOLD, -1),
        (_M_TOP_PAD, _TOP_PAD),
    )
    return all(mallopt(parameter, value) == 1 for parameter, value in wanted)


def release_freed() -> bool:
    """Give freed memory back to the system once, also where it is kept by default.

    After a compilation, whose memory no call of a program will use again.

    Returns:
        Whether any was given back.
    """
    libc = _glibc()
    return libc is not None and libc.malloc_trim(0) == 1


def _glibc() -> ctypes.CDLL | None:
    """The process's C library, if it is glibc and may be told what to do."""
    if os.environ.get("SLOPE_IREE_MALLOPT", "1") == "0" or not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None)
    return libc if hasattr(libc, "gnu_get_libc_version") else None
