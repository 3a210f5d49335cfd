"""What ``python -m slope info`` says: versions, plugins, backends, operators, the cache.

:func:`collect` gathers it as plain data, which survives JSON; :func:`render` lays it out as
text. A plugin or a backend that fails is reported, and the rest still told.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from slope.errors import SlopeError
from slope.plugins import selection
from slope.plugins.cache_root import cache_root, is_caching
from slope.plugins.loading import Plugin
from slope.plugins.manager import MANAGER

OWN: Final = (
    "slope-core",
    "slope-backend-iree",
    "slope-backend-onnx",
    "slope-backend-numpy",
    "slope-nn",
)
LIBRARIES: Final = ("numpy", "ml_dtypes", "optree", "pluggy")
MIB: Final = 1024 * 1024  # bytes
_NONE: Final = "(none)"


def collect() -> dict[str, Any]:
    """Everything that is reported, as dicts, lists, strings and numbers.

    Keys: ``versions``, ``plugins``, ``backends``, ``selected`` (``name``, ``by``, ``error``),
    ``operators``, ``cache`` (``location``, ``on``, ``by``, ``size_mib``, ``folders``). Every
    installed backend is made, to be asked for its devices.
    """
    # Backends first: what fails while they are made is part of the plugins' story.
    backends = [_backend(name) for name in selection.installed()]
    selected = _selected()
    for entry in backends:
        entry["selected"] = entry["name"] == selected["name"]
    return {
        "versions": _versions(),
        "plugins": [_plugin(plugin) for plugin in MANAGER.snapshot().plugins],
        "backends": backends,
        "selected": selected,
        "operators": _operators(),
        "cache": _cache(),
    }


def _versions() -> dict[str, str]:
    from importlib.metadata import PackageNotFoundError, version

    versions = {"python": platform.python_version(), "platform": platform.platform()}
    others = (p.distribution for p in MANAGER.snapshot().plugins if not p.in_process)
    for name in dict.fromkeys([*OWN, *sorted(others), *LIBRARIES]):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "not installed"
    return versions


def _plugin(plugin: Plugin) -> dict[str, Any]:
    keys = ("name", "distribution", "version", "entry_point", "state", "reason", "traceback")
    return {key: getattr(plugin, key) for key in keys}


def _backend(name: str) -> dict[str, Any]:
    claims = MANAGER.snapshot().backends[name]
    entry: dict[str, Any] = {
        "name": name,
        "aliases": list(claims[0].spec.aliases),
        "distribution": " and ".join(claim.plugin.distribution for claim in claims),
        "description": claims[0].spec.description,
        "version": "",
        "devices": [],
        "error": "",
    }
    try:
        made = selection.backend(name)
        entry["version"] = made.version()
        entry["devices"] = [str(device) for device in made.devices()]
    except Exception as error:  # noqa: BLE001  # whatever a backend raises is what is reported
        kind = "" if isinstance(error, SlopeError) else f"{type(error).__name__}: "
        entry["error"] = f"{kind}{error}"
    return entry


def _selected() -> dict[str, str]:
    try:
        name = selection.current_backend().name
    except SlopeError as error:
        return {"name": "", "by": "", "error": str(error)}
    return {"name": name, "by": selection.selected_by(), "error": ""}


def _operators() -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "plugin": claim.plugin.name,
            "distribution": claim.plugin.distribution,
            "method": claim.spec.method,
            "problem": _operator_problem(name, len(claims), method=claim.spec.method),
        }
        for name, claims in sorted(MANAGER.snapshot().operators.items())
        for claim in claims
    ]


def _operator_problem(name: str, claims: int, *, method: bool) -> str:
    import slope

    if claims > 1:
        return "offered twice: an error when it is used"
    if name in vars(slope):
        return "hidden by slope's own"
    return "the method is hidden by slope's own" if method and name in vars(slope.Tensor) else ""


def _cache() -> dict[str, Any]:
    root = cache_root()
    folders = {"": 0.0}
    if root.is_dir():
        for entry in sorted(root.iterdir()):
            key = entry.name if entry.is_dir() else ""
            folders[key] = folders.get(key, 0.0) + _size(entry) / MIB
    return {
        "location": str(root),
        "on": is_caching(),
        "by": "SLOPE_CACHE" if os.environ.get("SLOPE_CACHE") else "default",
        "size_mib": round(sum(folders.values()), 3),
        "folders": {name: round(size, 3) for name, size in folders.items() if name},
    }


def _size(path: Path) -> int:
    """Bytes of a file, or of all files in a folder; other processes may be removing some."""
    paths: Iterable[Path] = path.rglob("*") if path.is_dir() else [path]
    total = 0
    for file in paths:
        try:
            if file.is_file():
                total += file.stat().st_size
        except FileNotFoundError:
            continue
    return total


# --- text


def render(info: dict[str, Any], verbose: bool = False) -> str:
    """The report as text with aligned columns.

    Args:
        info: What :func:`collect` returned.
        verbose: Whether to print the tracebacks of plugins that failed.
    """
    cache = info["cache"]
    folders = "".join(f", {name} {size:.1f}" for name, size in cache["folders"].items())
    off = "" if cache["on"] else "; switched off"
    sections = [
        ("Versions", _columns(list(info["versions"].items()))),
        ("Plugins", _columns([_plugin_row(plugin) for plugin in info["plugins"]])),
        ("Backends", _backend_lines(info)),
        ("Operators of plugins", _columns([_operator_row(op) for op in info["operators"]])),
        ("Cache", [f"{cache['location']}  ({cache['size_mib']:.1f} MiB{folders}{off})"]),
    ]
    if verbose:
        failed = [plugin for plugin in info["plugins"] if plugin["traceback"]]
        sections += [(f"Traceback of {p['name']}", p["traceback"].splitlines()) for p in failed]
    blocks = ["\n".join([title, *(f"  {line}" for line in lines)]) for title, lines in sections]
    return "\n\n".join(blocks)


def _plugin_row(plugin: dict[str, Any]) -> tuple[str, ...]:
    state = plugin["state"] + (f": {plugin['reason']}" if plugin["reason"] else "")
    distribution = f"{plugin['distribution']} {plugin['version']}".strip()
    return plugin["name"], distribution, plugin["entry_point"], state


def _operator_row(op: dict[str, Any]) -> tuple[str, ...]:
    form = f"slope.{op['name']}" + (f", Tensor.{op['name']}" if op["method"] else "")
    return form, f"{op['plugin']} (from {op['distribution']})", op["problem"]


def _backend_lines(info: dict[str, Any]) -> list[str]:
    rows = [
        (
            "*" if entry["selected"] else " ",
            ", ".join([entry["name"], *entry["aliases"]]),
            " ".join(entry["devices"]) or "-",
            " ".join(entry["error"].split()) or entry["version"],
        )
        for entry in info["backends"]
    ]
    selected = info["selected"]
    told = f"* selected by {selected['by']}" if selected["name"] else selected["error"]
    return [*_columns(rows), told.splitlines()[0]]  # the rows tell the rest


def _columns(rows: Sequence[tuple[str, ...]]) -> list[str]:
    if not rows:
        return [_NONE]
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    widths[-1] = 0  # nothing follows it
    lines = ("  ".join(f"{c:<{w}}" for c, w in zip(r, widths, strict=True)) for r in rows)
    return [line.rstrip() for line in lines]
