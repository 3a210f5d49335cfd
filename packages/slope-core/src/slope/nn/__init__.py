"""Modules, layers and optimizers: what slope-nn exports, under the name ``slope.nn``."""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any, Final

from slope.errors import RenamedError, SlopeError


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

_NOT_HERE: Final = {
    "DataParallel": "a program runs on one device",
    "lr_scheduler": "schedules are rates: nn.Adam(model, lr=nn.CosineSchedule(1e-3, steps))",
    "optim": "optimizers are in slope.nn itself: nn.Adam(model, lr=1e-3)",
    "utils": "use nn.clip_grad_norm(gradients, 1.0), nn.parameters_to_vector(model), nn.WeightNorm",
}


def __getattr__(name: str) -> Any:
    if name == "data":  # loaded when asked for: models need no loaders
        return importlib.import_module("slope.nn.data")
    if name in _NOT_HERE:
        raise RenamedError(f"slope.nn has no {name!r}: {_NOT_HERE[name]}.")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
