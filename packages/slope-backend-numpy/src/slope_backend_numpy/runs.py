"""How long NumPy's inner loops are: to the place where an operand is repeated, and begins again."""

from __future__ import annotations

import math
from typing import Any, Final

from slope_backend_numpy.sizes import known, large, same

Shape = tuple[Any, ...]

SHORT: Final = 48  # elements
MANY: Final = 1280  # loops


def short_runs(narrow: Shape, shape: Shape) -> tuple[int, int] | None:
    """The dimensions along which an operand is repeated so that NumPy's inner loops are short.

    Returns:
        How many they are, side by side, and how many dimensions stand behind them; ``None`` where
        the loops are long or few, or nothing is repeated.
    """
    own = (1,) * (len(shape) - len(narrow)) + narrow
    alike = [same((length,), (wanted,)) for length, wanted in zip(own, shape, strict=True)]
    if all(alike) or (known(own) and math.prod(own) == 1):
        return None
    behind = alike[::-1].index(False)
    start = end = len(shape) - behind
    while start and not alike[start - 1]:
        start -= 1
    run = math.prod(own[end:])
    loop = math.prod(shape[start:end]) if same((run,), (1,)) else run
    if not known((loop,)) or not 0 < loop <= SHORT:
        return None
    return (end - start, behind) if large(math.prod(shape) // loop, MANY) else None
