"""Files out of archives."""

from __future__ import annotations

import shutil
import tarfile
from pathlib import Path, PurePosixPath
from typing import IO

from slope_nn.data._source import SourceError, gunzip


def unpack(stream: IO[bytes], mode: str, folder: str, target: Path) -> None:
    """Put the files that stand in one folder of a tar archive into another, a new one.

    In one pass in archive order (a compressed stream cannot seek back cheaply), under the members'
    bare names, so that no path in the archive can lead out of `target`.
    """
    target.mkdir()
    wanted = PurePosixPath(folder)
    with tarfile.open(fileobj=stream, mode=mode) as archive:  # pyright: ignore[reportCallIssue, reportArgumentType]
        for member in archive:
            path = PurePosixPath(member.name)
            if member.isfile() and path.parent == wanted:
                reader = archive.extractfile(member)
                if reader is not None:
                    with reader, (target / path.name).open("wb") as writer:
                        shutil.copyfileobj(reader, writer, 1 << 20)


def take(unpacked: Path, folder: str, name: str, target: Path) -> None:
    """Copy a file that was unpacked, uncompressed if it is there as `.gz`.

    Raises:
        SourceError: It is not there; `folder` is what the message calls its place.
    """
    if (unpacked / name).is_file():
        shutil.copyfile(unpacked / name, target)
    elif (unpacked / f"{name}.gz").is_file():
        gunzip(unpacked / f"{name}.gz", target)
    else:
        raise SourceError(f"the package holds no {PurePosixPath(folder) / name}")
