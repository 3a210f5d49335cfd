"""For type checkers: ``slope.nn.init`` is the module ``slope_nn.init`` itself."""

from slope_nn.init import *  # noqa: F403  # the facade shows exactly slope_nn.init.__all__
from slope_nn.init import __all__ as __all__  # noqa: PLC0414  # so that checkers see it re-exported
