"""Elimination with partial pivoting, which NumPy keeps to itself: in panels of columns."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np

from slope_backend_numpy.lower.factors import solve_triangle

Array = np.ndarray[Any, Any]

_PANEL: Final = 32


def eliminated(x: Array) -> tuple[Array, Array, Array]:
    """L and U in one matrix, the exchanges of rows, and the order of rows that they make."""
    *lead, rows, columns = x.shape
    steps = min(rows, columns)
    both = np.array(x.reshape(math.prod(lead), rows, columns), order="C")
    pivots = np.empty((len(both), steps), np.int64)
    order = np.tile(np.arange(rows), (len(both), 1))
    for start in range(0, steps, _PANEL):
        stop = min(start + _PANEL, steps)
        for place in range(start, stop):
            pivots[:, place] = _step(both, order, place, stop)
        above = both[:, start:stop, stop:]
        above[...] = solve_triangle(both[:, start:stop, start:stop], above, False, True)
        both[:, stop:, stop:] -= both[:, stop:, start:stop] @ above
    shape = tuple(lead)
    return both.reshape(x.shape), pivots.reshape(*shape, steps), order.reshape(*shape, rows)


def _step(both: Array, order: Array, place: int, stop: int) -> Array:
    """Eliminate one column in all matrices, up to the end of its panel; the rows exchanged."""
    every = np.arange(len(both))
    best = place + np.argmax(np.abs(both[:, place:, place]), -1)
    for each in (both, order):
        row = each[:, place].copy()
        each[:, place] = each[every, best]
        each[every, best] = row
    pivot = both[:, place, place, None]
    below = both[:, place + 1 :, place]
    below /= np.where(pivot == 0, 1, pivot)
    both[:, place + 1 :, place + 1 : stop] -= (
        below[:, :, None] * both[:, place, None, place + 1 : stop]
    )
    return best
