"""Which backend writes which kind of file, for ``slope.export``: found by the file's suffix."""

from __future__ import annotations

from pathlib import PurePath
from typing import Final

from slope.errors import ArgumentError, ExportError
from slope.plugins.backend import Backend
from slope.plugins.manager import MANAGER, Claim, only
from slope.plugins.selection import KNOWN, backend

KNOWN_FORMATS: Final = {
    ".onnx": ("ONNX", "onnxruntime"),
    ".mlir": ("StableHLO", "iree"),
    ".vmfb": ("a compiled module of IREE", "iree"),
}
"""The formats that slope's own backends write: what each is, and the backend's name."""


def format_backend(path: PurePath) -> Backend:
    """The backend that writes and reads files of this suffix.

    Raises:
        ExportError: nobody offers the format; lists those that there are, and what to install.
        PluginError: two plugins offer it.
        BackendError: its backend cannot be used.
    """
    suffix = path.suffix.lower()
    claims = _offers().get(suffix, ())
    if claims:
        return backend(only(claims, f"the format {suffix}").spec.name)
    if suffix in KNOWN_FORMATS:
        what, name = KNOWN_FORMATS[suffix]
        raise ExportError(
            f"{str(path)!r}: {what} files ({suffix}) are written by the backend {name!r}, which is "
            f"not installed or is kept out: {KNOWN[name]}"
        )
    raise ExportError(
        f"{str(path)!r}: the suffix says which format to write, and "
        f"{repr(suffix) if suffix else 'none'} is not among them: {_listed()}."
    )


def _offers() -> dict[str, tuple[Claim, ...]]:
    """Who offers each suffix."""
    found: dict[str, tuple[Claim, ...]] = {}
    for plugin in MANAGER.snapshot().plugins:
        for spec in plugin.backends:
            for suffix in spec.formats:
                found[suffix] = (*found.get(suffix, ()), Claim(plugin, spec))
    return found


def _listed() -> str:
    """All formats, each with who writes it or what to install."""
    offers = _offers()
    told = []
    for suffix in sorted({*KNOWN_FORMATS, *offers}):
        what, name = KNOWN_FORMATS.get(suffix, ("", ""))
        if suffix in offers:
            name = offers[suffix][0].spec.name
            by = f"backend {name}"
        else:
            by = KNOWN[name]
        told.append(f"{suffix} ({f'{what}; ' if what else ''}{by})")
    return ", ".join(told)


def checked_path(path: object) -> PurePath:
    """A path from a string or a path.

    Raises:
        ArgumentError: it is neither.
    """
    if not isinstance(path, (str, PurePath)):
        raise ArgumentError(
            f"export: path must be a string or a path, such as 'step.onnx', and is {path!r:.80}."
        )
    return PurePath(path)
