"""Modules, layers and optimizers: what slope-nn exports, under the name ``slope.nn``."""

from typing import TYPE_CHECKING, Any

from slope.errors import SlopeError


class NotInstalledError(SlopeError, ImportError):
    """A distribution that is needed is not installed."""


try:
    import slope_nn
    from slope_nn import *  # noqa: F403  # the facade shows exactly slope_nn.__all__
    from slope_nn import __all__ as __all__  # noqa: PLC0414  # so that checkers see it re-exported
except ModuleNotFoundError as error:
    if error.name != "slope_nn":
        raise
    raise NotInstalledError("slope.nn is a package of its own: pip install slope-nn") from None

if TYPE_CHECKING:
    data = slope_nn.data


def __getattr__(name: str) -> Any:
    return getattr(slope_nn, name)  # slope.nn.data, which slope_nn loads when asked for
