"""What a source of files is, and what may go wrong with one."""

from __future__ import annotations

import gzip
import logging
import lzma
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from slope.extend import SlopeError

log = logging.getLogger("slope.data")

Fetch = Callable[[str, Path], None]


class DataError(SlopeError):
    """The data cannot be had or are damaged; the message says why and names the way out."""


class SourceError(Exception):
    """One source failed, for the reason given in one line."""


# What a source that is out of reach, or that gives what is damaged, may raise.
FAILURES = (
    SourceError,
    OSError,
    EOFError,
    zlib.error,
    lzma.LZMAError,
    tarfile.TarError,
    zipfile.BadZipFile,
)


@dataclass(frozen=True)
class Source:
    """A place to get files from.

    Attributes:
        name: What log lines and errors call it.
        open: Makes the context in which files can be fetched; it yields `fetch(file_name, target)`,
            which writes the uncompressed file to the path `target`, and raises
            `slope.nn.data.SourceError` or an `OSError` if it cannot.
        holds: Whether to ask for a file of that name at all; a source that holds nothing wanted is
            passed over in silence.
    """

    name: str
    open: Callable[[], AbstractContextManager[Fetch]]
    holds: Callable[[str], bool] = lambda name: True


def gunzip(packed: Path, target: Path) -> None:
    """Write what a `.gz` file holds to another file, a piece at a time."""
    with gzip.open(packed, "rb") as reader, target.open("wb") as writer:
        shutil.copyfileobj(reader, writer, 1 << 20)
