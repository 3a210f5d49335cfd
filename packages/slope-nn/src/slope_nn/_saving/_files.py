"""Safetensors files: one header of JSON with dtypes, shapes and places, then the bytes.

Format: https://huggingface.co/docs/safetensors. The library ``safetensors`` checks each file
(header length, overlaps, gaps, dtype names, sizes) before a byte of it is used; the arrays are then
views of the mapped file.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import safetensors

import slope
from slope.extend import ArgumentError, SlopeError
from slope_nn import _checks

DTYPES: Final = {
    "BOOL": "bool",
    "I8": "int8",
    "I16": "int16",
    "I32": "int32",
    "I64": "int64",
    "U8": "uint8",
    "U16": "uint16",
    "U32": "uint32",
    "U64": "uint64",
    "F16": "float16",
    "BF16": "bfloat16",
    "F32": "float32",
    "F64": "float64",
}
_CODES: Final = {name: code for code, name in DTYPES.items()}
INDEX: Final = "model.safetensors.index.json"


class CheckpointError(SlopeError, ValueError):
    """A file of tensors that is truncated, malformed, or not what was expected."""


def write_safetensors(
    path: str | os.PathLike[str],
    tensors: Mapping[str, slope.Tensor | np.ndarray[Any, Any]],
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write tensors by name into one safetensors file, atomically.

    The file is written beside its place, brought to the disk, and renamed: whoever is killed on the
    way leaves the old file as it was.

    Args:
        path: where to; the folder must exist.
        tensors: names and tensors.
        metadata: text by name, kept in the header.

    Raises:
        ArgumentError: something is no tensor.
    """
    path = _checks.path("write_safetensors", path)
    tensors = _checks.mapping("write_safetensors", "tensors", tensors)
    metadata = _checks.mapping("write_safetensors", "metadata", metadata or {})
    arrays = {name: _array(name, tensor) for name, tensor in tensors.items()}
    # Wide elements first, so that every array starts at a multiple of its element's size.
    order = sorted(arrays, key=lambda name: -arrays[name].itemsize)
    ends = np.cumsum([arrays[name].nbytes for name in order], dtype=np.int64).tolist()
    places = dict(zip(order, zip([0, *ends], ends, strict=False), strict=True))
    entries = {
        name: {
            "dtype": _CODES[array.dtype.name],
            "shape": list(array.shape),
            "data_offsets": places[name],
        }
        for name, array in arrays.items()
    }
    told = {"__metadata__": dict(metadata), **entries} if metadata else entries
    header = json.dumps(told, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    content = (np.ascontiguousarray(arrays[name]).reshape(-1).view(np.uint8) for name in order)
    write_atomically(path, [len(header).to_bytes(8, "little"), header, *content])


def _array(name: str, tensor: Any) -> np.ndarray[Any, Any]:
    array = tensor.numpy() if isinstance(tensor, slope.Tensor) else tensor
    if not isinstance(array, np.ndarray) or array.dtype.name not in DTYPES.values():
        raise ArgumentError(
            f"cannot save {name!r}: it is {getattr(array, 'dtype', type(array).__name__)}, and "
            f"safetensors files hold tensors of {', '.join(DTYPES.values())}."
        )
    return array


def write_atomically(path: str | os.PathLike[str], content: Iterable[Any]) -> None:
    """Put a file at a path whole or not at all: temporary file, fsync, rename."""
    path = Path(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {path.parent} to write {path.name} into")
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder, and a file is to be written there")
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with temporary.open("xb") as file:
            for part in content:
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if os.name == "posix":  # the rename itself must reach the disk, too
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def read_safetensors(path: str | os.PathLike[str]) -> dict[str, slope.Tensor]:
    """The tensors of a safetensors file by name, or those of a folder of shards.

    A folder holds either ``model.safetensors`` or shards that ``model.safetensors.index.json``
    lists, as models on the Hugging Face hub do. Arrays are mapped into memory and not copied.

    Raises:
        CheckpointError: the file is truncated or malformed, holds dtypes that slope has not, or the
            index names a file outside of its folder or tensors that are not in their shard.
        FileNotFoundError: there is no such file.
    """
    path = _checks.path("read_safetensors", path)
    return _read_folder(path) if path.is_dir() else read_file(path)[0]


def read_file(path: Path) -> tuple[dict[str, slope.Tensor], dict[str, str]]:
    """The tensors and the metadata of one file."""
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    try:
        with safetensors.safe_open(path, framework="numpy"):
            pass  # all checks are made on opening
    except safetensors.SafetensorError as error:
        remedy = "It may be truncated: fetch or save it again."
        with path.open("rb") as file:
            if file.read(4) in (b"PK\x03\x04", b"\x80\x02\x8a\n"):  # its formats, new and old
                remedy = (
                    "It looks like one of torch.save: with PyTorch, "
                    "model.load_state_dict(nn.from_torch(torch.load(path))) takes it over."
                )
        raise CheckpointError(f"{path} is no whole safetensors file ({error}). {remedy}") from None
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error}.") from None
    header, start = _header(path)
    metadata = header.pop("__metadata__", {})
    data = np.memmap(path, np.uint8, "r") if path.stat().st_size > start else np.zeros(0, np.uint8)
    return {name: _mapped(path, data, start, name, told) for name, told in header.items()}, metadata


def _header(path: Path) -> tuple[dict[str, Any], int]:
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        return json.loads(file.read(length)), 8 + length


def _mapped(
    path: Path, data: np.ndarray[Any, Any], start: int, name: str, entry: dict[str, Any]
) -> slope.Tensor:
    dtype = DTYPES.get(entry["dtype"])
    if dtype is None:
        raise CheckpointError(
            f"{path}: {name!r} is of dtype {entry['dtype']}, and slope has {', '.join(DTYPES)}."
        )
    first, last = entry["data_offsets"]
    kind = getattr(slope, dtype if dtype != "bool" else "bool_").numpy
    content = data[start + first : start + last]
    if dtype == "bool" and content.size and content.max() > 1:
        raise CheckpointError(f"{path}: {name!r} holds bytes that are no bools.")
    array = np.asarray(content).view(kind) if content.size else np.zeros(0, kind)
    return slope.from_numpy(array.reshape(entry["shape"]))


def _read_folder(folder: Path) -> dict[str, slope.Tensor]:
    if not (folder / INDEX).is_file():
        return read_file(folder / "model.safetensors")[0]
    places = _index(folder)
    found: dict[str, slope.Tensor] = {}
    for shard in sorted(set(places.values())):
        tensors = read_file(folder / shard)[0]
        wanted = [name for name, place in places.items() if place == shard]
        missing = [name for name in wanted if name not in tensors]
        if missing:
            raise CheckpointError(
                f"{folder / shard} lacks {', '.join(missing[:5])}, which the index puts there."
            )
        found.update({name: tensors[name] for name in wanted})
    return {name: found[name] for name in places}


def _index(folder: Path) -> dict[str, str]:
    """Which shard each tensor of a folder is in, by the index."""
    try:
        places = json.loads((folder / INDEX).read_text(encoding="utf-8"))["weight_map"]
        shards = set(places.values())
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(
            f"{folder / INDEX} is no index of shards: it needs a weight_map from names to files "
            f"({type(error).__name__}: {error})."
        ) from None
    for shard in shards:
        if not isinstance(shard, str) or shard in ("", ".", "..") or set(shard) & set("/\\:\0"):
            raise CheckpointError(
                f"{folder / INDEX} names the shard {shard!r}; shards are plain file names beside "
                f"the index."
            )
    return places


def write_sharded(
    folder: str | os.PathLike[str],
    tensors: Mapping[str, slope.Tensor],
    shard_bytes: int = 5 * 10**9,
) -> None:
    """Write tensors into a folder of shards with an index, as models on the Hugging Face hub are.

    The index is replaced at the end, atomically; until then the shards of the one before stay as
    they are, so whoever is killed on the way leaves the old model whole. What only it needed is
    removed afterwards.

    Args:
        folder: made if it is not there.
        tensors: names and tensors.
        shard_bytes: the largest size of a shard, unless one tensor is larger.
    """
    room = shard_bytes = _checks.whole("write_sharded", "shard_bytes", shard_bytes)
    folder = _checks.path("write_sharded", folder)
    tensors = _checks.mapping("write_sharded", "tensors", tensors)
    folder.mkdir(parents=True, exist_ok=True)
    shards: list[dict[str, slope.Tensor]] = [{}]
    total = 0
    for name, tensor in tensors.items():
        size = _array(name, tensor).nbytes
        if size > room and shards[-1]:
            shards.append({})
            room = shard_bytes
        shards[-1][name] = tensor
        room, total = room - size, total + size
    old = _shards_of(folder)
    places: dict[str, str] = {}
    for number, shard in enumerate(shards, 1):
        file = _free_name(f"model-{number:05}-of-{len(shards):05}", old)
        write_safetensors(folder / file, shard, {"format": "pt"})
        places.update(dict.fromkeys(shard, file))
    index = {"metadata": {"total_size": total}, "weight_map": places}
    write_atomically(folder / INDEX, [json.dumps(index, indent=2).encode()])
    for file in old - set(places.values()):
        (folder / file).unlink(missing_ok=True)


def _shards_of(folder: Path) -> set[str]:
    """The shards that a folder's index names; none if there is no index that can be read."""
    try:
        return set(_index(folder).values())
    except (CheckpointError, FileNotFoundError):
        return set()


def _free_name(stem: str, taken: set[str]) -> str:
    """A shard's usual name, or one with a letter more while the index still needs that one."""
    return next(
        name for name in (f"{stem}{mark}.safetensors" for mark in ("", "-b")) if name not in taken
    )
