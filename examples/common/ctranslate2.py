"""Read the weights in a `model.bin` of CTranslate2.

The layout, all little-endian: the format's version (uint32); the model's kind (string) and revision
(uint32); the number of variables (uint32), then for each its name, its rank (uint8) and dimensions
(uint32), the code of its type (uint8), its size in bytes (uint32) and its values in row-major
order; then the number of aliases (uint32), and for each the alias and the name it stands for. A
string is its length (uint16) with the closing zero byte, then its bytes. Source: `ModelSpec.save`
in https://github.com/OpenNMT/CTranslate2, python/ctranslate2/specs/model_spec.py.
"""

from __future__ import annotations

import math
import os
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from slope.nn import data

VERSION = 6
# The place of a type is its code; bfloat16, which NumPy lacks, is read as its 16 bits.
TYPES = ("float32", "int8", "int16", "int32", "float16", "bfloat16")


@dataclass(frozen=True)
class Weights:
    """What a `model.bin` holds.

    Attributes:
        kind: The name of the model's specification, such as `WhisperSpec`.
        revision: Of that specification.
        arrays: Name to values, aliases included (they share the array that they stand for). The
            arrays are read-only views of the file's bytes; those of bfloat16 are float32.
    """

    kind: str
    revision: int
    arrays: dict[str, npt.NDArray[np.generic]]


def read_ctranslate2(path: str | os.PathLike[str]) -> Weights:
    """Read a `model.bin`, format version 6.

    Raises:
        DataError: The file is of another version or format, cut short, or contradicts itself; the
            message names the file, the variable and the numbers that do not fit.
        OSError: The file cannot be read.
    """
    reader = _Reader(Path(path).name, Path(path).read_bytes())
    version = reader.number("<I", "the format's version")
    if version != VERSION:
        raise reader.error(
            f"format version {version} is not supported, only {VERSION}; "
            "is it a model.bin of CTranslate2? Convert the model again with a recent converter."
        )
    kind = reader.text("the model's kind")
    revision = reader.number("<I", "the model's revision")
    arrays: dict[str, npt.NDArray[np.generic]] = {}
    for _ in range(reader.number("<I", "the number of variables")):
        name = reader.text("a variable's name")
        if name in arrays:
            raise reader.error(f"variable {name!r} stands in it twice.")
        arrays[name] = _variable(reader, name)
    for _ in range(reader.number("<I", "the number of aliases")):
        alias, name = reader.text("an alias"), reader.text("an alias's variable")
        if name not in arrays or alias in arrays:
            what = "is a variable too" if alias in arrays else "is not there"
            raise reader.error(
                f"alias {alias!r} of {name!r}: {alias if alias in arrays else name!r} {what}."
            )
        arrays[alias] = arrays[name]
    if reader.place != len(reader.raw):
        raise reader.error(f"{len(reader.raw) - reader.place} bytes follow its end.")
    return Weights(kind, revision, arrays)


def _variable(reader: _Reader, name: str) -> npt.NDArray[np.generic]:
    rank = reader.number("<B", f"the rank of {name!r}")
    shape = tuple(reader.number("<I", f"the shape of {name!r}") for _ in range(rank))
    code = reader.number("<B", f"the type of {name!r}")
    if code >= len(TYPES):
        known = ", ".join(f"{place} {dtype}" for place, dtype in enumerate(TYPES))
        raise reader.error(f"variable {name!r} has the unknown type {code} (known: {known}).")
    stored = np.dtype("<u2" if TYPES[code] == "bfloat16" else TYPES[code]).newbyteorder("<")
    size = reader.number("<I", f"the size of {name!r}")
    if size != math.prod(shape) * stored.itemsize:
        raise reader.error(
            f"variable {name!r}, {TYPES[code]} of shape {shape}, needs "
            f"{math.prod(shape) * stored.itemsize} bytes and claims {size}."
        )
    values = np.frombuffer(reader.take(size, f"the values of {name!r}"), stored).reshape(shape)
    if TYPES[code] == "bfloat16":  # the upper half of a float32
        values = (values.astype(np.uint32) << 16).view(np.float32)
    return values


class _Reader:
    """The file's bytes and how far they are read."""

    def __init__(self, name: str, raw: bytes) -> None:
        self.name, self.raw, self.place = name, memoryview(raw), 0

    def error(self, what: str) -> data.DataError:
        return data.DataError(f"{self.name}: {what}")

    def take(self, count: int, what: str) -> memoryview:
        left = len(self.raw) - self.place
        if count > left:
            raise self.error(
                f"cut short: {what} takes {count} bytes at byte {self.place}, and {left} are left."
            )
        self.place += count
        return self.raw[self.place - count : self.place]

    def number(self, form: str, what: str) -> int:
        return struct.unpack(form, self.take(struct.calcsize(form), what))[0]

    def text(self, what: str) -> str:
        raw = bytes(self.take(self.number("<H", what), what))
        try:
            return raw.removesuffix(b"\0").decode()
        except UnicodeDecodeError:
            raise self.error(f"{what} is no UTF-8: {raw[:40]!r}.") from None
