"""Where slope keeps what it can make again: one folder in the user's cache directory."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final

_NO: Final = frozenset(("", "0", "false", "no", "off"))


def is_caching() -> bool:
    """Whether backends may keep anything: not with ``SLOPE_DISK_CACHE=0``, or ``SLOPE_CACHE=off``.

    Of either variable 0, false, no and off say so.
    """
    settings = os.environ.get("SLOPE_DISK_CACHE", "1"), os.environ.get("SLOPE_CACHE") or "1"
    return not any(each.strip().lower() in _NO for each in settings)


def cache_root() -> Path:
    """The folder that holds slope's caches; it may not exist yet. Backends use folders in it.

    ``SLOPE_CACHE`` if that names one, else ``slope`` in the platform's cache directory:
    ``$XDG_CACHE_HOME`` or ``~/.cache`` on Linux, ``~/Library/Caches`` on macOS, ``%LOCALAPPDATA%``
    on Windows.
    """
    chosen = os.environ.get("SLOPE_CACHE")
    if chosen and chosen.strip().lower() not in _NO:
        return Path(chosen).expanduser().absolute()
    return _user_caches() / "slope"


def _user_caches() -> Path:
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA")
        return Path(local) if local else Path.home() / "AppData" / "Local"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    given = os.environ.get("XDG_CACHE_HOME", "")
    # The XDG specification has relative paths ignored.
    return Path(given) if Path(given).is_absolute() else Path.home() / ".cache"
