"""Arrays of bytes in the IDX format of MNIST and its kin."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import numpy.typing as npt

from slope_nn.data._source import DataError

Bytes = npt.NDArray[np.uint8]

_IDX_UBYTE = 0x08


def read_idx(path: str | os.PathLike[str], shape: tuple[int, ...] | None = None) -> Bytes:
    """Read a file of unsigned bytes in LeCun's IDX format.

    The format: two zero bytes, a type code (0x08 for unsigned bytes), the number of dimensions,
    each dimension as a big-endian 32-bit integer, then the values in row-major order
    (http://yann.lecun.com/exdb/mnist/, "file formats").

    Args:
        path: The file, not compressed.
        shape: What the file must hold; any shape if None.

    Returns:
        A writable uint8 array.

    Raises:
        DataError: The file is no such file, is cut short or too long, or holds another shape.
    """
    name = Path(path).name
    raw = np.fromfile(path, dtype=np.uint8)
    magic = raw[:4].tobytes()
    if len(magic) < 4 or magic[:2] != b"\0\0":
        raise DataError(
            f"{name} is no IDX file: it starts with {magic.hex(' ') or 'nothing'}, not 00 00."
        )
    if magic[2] != _IDX_UBYTE:
        raise DataError(
            f"{name}: IDX type code 0x{magic[2]:02x} is not supported, only 0x08 (unsigned bytes)."
        )
    header = 4 + 4 * magic[3]
    if raw.size < header:
        raise DataError(
            f"{name} is cut short: {raw.size} bytes, and its header of {magic[3]} dimensions "
            f"alone takes {header}."
        )
    found = tuple(int(size) for size in raw[4:header].view(">u4"))
    values = int(np.prod(found, dtype=object))  # exact: a damaged header may claim more than 2**64
    if raw.size != header + values:
        raise DataError(
            f"{name}: shape {found} needs {header + values} bytes, the file has {raw.size}."
        )
    if shape is not None and found != shape:
        raise DataError(f"{name} holds shape {found}, expected {shape}.")
    return raw[header:].reshape(found)
