"""Arrays by name in files that other languages read: safetensors, .npz, a folder of .npy."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

Arrays = Mapping[str, np.ndarray[Any, Any]]

_SAFETENSORS: Final = {
    "bool": "BOOL",
    "int8": "I8",
    "int16": "I16",
    "int32": "I32",
    "int64": "I64",
    "uint8": "U8",
    "uint16": "U16",
    "uint32": "U32",
    "uint64": "U64",
    "float16": "F16",
    "bfloat16": "BF16",
    "float32": "F32",
    "float64": "F64",
}


def write_safetensors(path: Path, arrays: Arrays) -> None:
    """Write one file in the format safetensors: a header in JSON, then the elements."""
    header: dict[str, Any] = {}
    end = 0
    for name, array in arrays.items():
        start, end = end, end + array.nbytes
        header[name] = {
            "dtype": _SAFETENSORS[array.dtype.name],
            "shape": list(array.shape),
            "data_offsets": [start, end],
        }
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)  # the elements are aligned
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for array in arrays.values():
            file.write(array.tobytes())


def _plain(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """bfloat16, which NumPy's files have no name for, as its bits."""
    return array.view(np.uint16) if array.dtype.name == "bfloat16" else array


def write_npz(path: Path, arrays: Arrays) -> None:
    """Write one file of NumPy's; bfloat16 as uint16."""
    np.savez(path, **{name: _plain(array) for name, array in arrays.items()})  # pyright: ignore[reportArgumentType]  # a name may be that of its flag


def write_npy(path: Path, arrays: Arrays) -> None:
    """Write a folder with a file for each array; bfloat16 as uint16."""
    path.mkdir()
    for name, array in arrays.items():
        np.save(path / f"{name}.npy", _plain(array))


WRITERS: Final[dict[str, tuple[str, Callable[[Path, Arrays], None]]]] = {
    "safetensors": (".safetensors", write_safetensors),
    "npz": (".npz", write_npz),
    "npy": (".values", write_npy),
}
"""By format: what stands behind the exported file's name, and who writes it."""


def read_values(path: Path) -> dict[str, np.ndarray[Any, Any]]:
    """What one of the writers wrote; bfloat16 as uint16."""
    if path.is_dir():
        return {each.name.removesuffix(".npy"): np.load(each) for each in path.iterdir()}
    if path.suffix == ".npz":
        with np.load(path) as arrays:
            return dict(arrays)
    data = path.read_bytes()
    (length,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8 : 8 + length])
    types = {code: name for name, code in _SAFETENSORS.items()} | {"BF16": "uint16"}
    found = {}
    for name, entry in header.items():
        start, end = (8 + length + offset for offset in entry["data_offsets"])
        array = np.frombuffer(data[start:end], types[entry["dtype"]])
        found[name] = array.reshape(entry["shape"])
    return found
