"""For type checkers: ``slope.nn.functional`` is the module ``slope_nn.functional`` itself."""

from slope_nn.functional import *  # noqa: F403  # the facade shows exactly slope_nn.functional.__all__
from slope_nn.functional import __all__ as __all__  # noqa: PLC0414  # so that checkers see it re-exported
