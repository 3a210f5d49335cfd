"""A process-wide hint to glibc's allocator: keep the memory of large arrays between uses.

By default glibc maps big allocations afresh and gives the top of its heap back on ``free``; each
temporary array of a training step then pays page faults for every page it touches. Generated code
frees temporaries as soon as they are dead and makes new ones of the same sizes, so memory that
stays in the process is used again at once.

Source: ``mallopt(3)``: ``M_MMAP_MAX``, ``M_TRIM_THRESHOLD``, ``M_TOP_PAD``.
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
_TOP_PAD: Final = 16 << 20  # bytes; how much the heap grows by at a time


@functools.cache
def tune_allocator() -> bool:
    """Tell glibc to serve all allocations from its heap and keep freed memory; once in a process.

    ``SLOPE_NUMPY_MALLOPT=0`` leaves the allocator alone; so does any system without glibc.

    Returns:
        Whether the allocator follows the hint.
    """
    if os.environ.get("SLOPE_NUMPY_MALLOPT", "1") == "0":
        return False
    if not sys.platform.startswith("linux"):
        return False
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "gnu_get_libc_version"):  # some other C library
        return False
    mallopt = libc.mallopt
    mallopt.argtypes, mallopt.restype = (ctypes.c_int, ctypes.c_int), ctypes.c_int
    wanted = ((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, -1), (_M_TOP_PAD, _TOP_PAD))
    return all(mallopt(parameter, value) == 1 for parameter, value in wanted)
