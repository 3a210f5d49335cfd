"""Modules, layers and optimizers: what slope-nn exports, under the name ``slope.nn``."""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

from slope.errors import SlopeError


class NotInstalledError(SlopeError, ImportError):
    """A distribution that is needed is not installed."""


try:
    from slope_nn import *  # noqa: F403  # the facade shows exactly slope_nn.__all__
    from slope_nn import __all__ as __all__  # so that checkers see it re-exported
except ModuleNotFoundError as error:
    if error.name != "slope_nn":
        raise
    raise NotInstalledError("slope.nn is a package of its own: pip install slope-nn") from None

# So that `import slope.nn.functional as F` finds the module that the attribute is.
for _name in ("functional", "init", "metrics"):
    sys.modules[f"{__name__}.{_name}"] = sys.modules[f"slope_nn.{_name}"]

if TYPE_CHECKING:
    from slope.nn import data as data  # likewise


def __getattr__(name: str) -> Any:
    if name == "data":  # loaded when asked for: models need no loaders
        return importlib.import_module("slope.nn.data")
    return getattr(sys.modules["slope_nn"], name)  # which says what to write instead
