"""The manifest beside an exported file: its inputs and outputs, as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from slope.api._exports.signature import Port
from slope.core.types import TensorType
from slope.dims import Dim, parse
from slope.dtypes import as_dtype
from slope.errors import ExportError

VERSION: Final = 1


def manifest_path(path: Path) -> Path:
    """Where the manifest of a file is: beside it, with ``.json`` behind its name."""
    return path.with_name(f"{path.name}.json")


def port_json(port: Port) -> dict[str, Any]:
    """An input or output, without what goes without saying."""
    made: dict[str, Any] = {
        "name": port.name,
        "dtype": port.type.dtype.name,
        "shape": [length if isinstance(length, int) else str(length) for length in port.type.shape],
        "path": list(port.path),
    }
    if port.argument:
        made["argument"] = port.argument
    if port.weak:
        made["number"] = True
    if port.feeds is not None:
        made["feeds"] = port.feeds
    return made


def bounds_json(ports: Sequence[Port]) -> dict[str, Any]:
    """The bounds of the symbolic dimensions, by name."""
    found: dict[str, Any] = {}
    for port in ports:
        for length in port.type.shape:
            if isinstance(length, Dim):
                found[length.name] = {"min": length.min, "max": length.max}
    return found


def _length(length: Any, dims: Sequence[Dim]) -> Any:
    return length if isinstance(length, int) else parse(length, dims)


def _port_of(entry: Mapping[str, Any], dims: Sequence[Dim]) -> Port:
    """What :func:`port_json` wrote."""
    shape = tuple([_length(length, dims) for length in entry["shape"]])
    return Port(
        entry["name"],
        TensorType(shape, as_dtype(entry["dtype"])),
        entry.get("argument", ""),
        tuple(entry["path"]),
        entry.get("number", False),
        entry.get("feeds"),
    )


def ports_of(manifest: Mapping[str, Any], which: str) -> tuple[Port, ...]:
    """The ``"inputs"`` or ``"outputs"`` of a manifest."""
    bounds = manifest["dimensions"].items()
    dims = [Dim(name, min=each["min"], max=each["max"]) for name, each in bounds]
    return tuple([_port_of(entry, dims) for entry in manifest[which]])


def write_manifest(path: Path, manifest: Mapping[str, Any]) -> None:
    """Write the manifest of a file; what JSON cannot hold is written as Python prints it."""
    manifest_path(path).write_text(json.dumps(manifest, indent=1, default=repr) + "\n")


def read_manifest(path: Path) -> dict[str, Any]:
    """The manifest of a file.

    Raises:
        ExportError: there is none, or it is no manifest of this version.
    """
    place = manifest_path(path)
    try:
        manifest = json.loads(place.read_text())
    except OSError as error:
        raise ExportError(
            f"load_exported: {str(path)!r} has no manifest: {error.strerror}: {str(place)!r}. "
            f"slope.export writes both; keep them together."
        ) from None
    except ValueError as error:
        raise ExportError(f"load_exported: {str(place)!r} is no JSON: {error}.") from None
    version = manifest.get("slope_export") if isinstance(manifest, dict) else None
    if version != VERSION:
        raise ExportError(
            f"load_exported: {str(place)!r} is a manifest of version {version!r}, and this slope "
            f"reads version {VERSION}: export the program again, or install the slope that wrote "
            f"it."
        )
    return manifest
