"""Data to learn from: what ``slope_nn.data`` exports, under the name ``slope.nn.data``."""

from slope_nn.data import *  # noqa: F403  # the facade shows exactly slope_nn.data.__all__
from slope_nn.data import __all__ as __all__  # noqa: PLC0414  # so that checkers see it re-exported
