"""For type checkers: ``slope.nn.metrics`` is the module ``slope_nn.metrics`` itself."""

from slope_nn.metrics import *  # noqa: F403  # the facade shows exactly slope_nn.metrics.__all__
from slope_nn.metrics import __all__ as __all__  # noqa: PLC0414  # so that checkers see it re-exported
