"""Factors of matrices and equations: NumPy's functions, which are LAPACK's, without their errors.

NumPy raises an error where one matrix of many is singular or not positive definite; compiled code
gives NaN there, and the other matrices their results. Results are contiguous, whatever their
operands are: the code around takes a contiguous copy of a transposed result for memory of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np

Array = np.ndarray[Any, Any]

_PANEL: Final = 48  # rows that LAPACK solves at once; products do the rest


def each_apart(function: Callable[..., Array], out: Array, *operands: Array) -> Array:
    """Compute matrix by matrix; NaN where NumPy raises its error."""
    for place in np.ndindex(out.shape[:-2]):
        try:
            out[place] = function(*(each[place] for each in operands))
        except np.linalg.LinAlgError:
            out[place] = np.nan
    return out


def cholesky(x: Array) -> Array:
    """The lower factors; NaN in the triangle where there is none."""
    try:
        return np.linalg.cholesky(x)
    except np.linalg.LinAlgError:
        return np.tril(each_apart(np.linalg.cholesky, np.empty(x.shape, x.dtype), x))


def solve(a: Array, b: Array, transposed: bool) -> Array:
    """The solutions of equations; NaN where a matrix is singular."""
    a = np.swapaxes(a, -1, -2) if transposed else a
    try:
        return np.linalg.solve(a, b)
    except np.linalg.LinAlgError:
        return each_apart(np.linalg.solve, np.empty(b.shape, b.dtype), a, b)


def inverse(x: Array) -> Array:
    """The inverses; NaN where a matrix is singular."""
    try:
        return np.linalg.inv(x)
    except np.linalg.LinAlgError:
        return each_apart(np.linalg.inv, np.empty(x.shape, x.dtype), x)


def solve_triangle(a: Array, b: Array, upper: bool, unit: bool) -> Array:
    """Solve with a triangle of ``a``, panel by panel."""
    count = a.shape[-1]
    if unit:
        a = a.copy()
        places = np.arange(count)
        a[..., places, places] = 1
    if not upper:  # from the last row to the first, it is an upper triangle
        turned = solve_triangle(a[..., ::-1, ::-1], b[..., ::-1, :], True, False)
        return np.ascontiguousarray(turned[..., ::-1, :])
    if count <= _PANEL:
        return _solve_panel(a, b)
    out = np.empty(b.shape, b.dtype)
    for stop in range(count, 0, -_PANEL):
        start = max(stop - _PANEL, 0)
        right = b[..., start:stop, :]
        if stop < count:
            right = right - a[..., start:stop, stop:] @ out[..., stop:, :]
        out[..., start:stop, :] = _solve_panel(a[..., start:stop, start:stop], right)
    return out


def _solve_panel(a: Array, b: Array) -> Array:
    """Solve with an upper triangle: elimination has nothing to do, and exchanges no rows."""
    try:
        return np.linalg.solve(np.triu(a), b)
    except np.linalg.LinAlgError:
        return _by_rows(a, b)


def _by_rows(a: Array, b: Array) -> Array:
    """The same row by row: infinities and NaN where there are zeros on the diagonal."""
    out = np.zeros(b.shape, b.dtype)
    with np.errstate(all="ignore"):
        for row in range(a.shape[-1] - 1, -1, -1):
            known = (a[..., row, None, row + 1 :] @ out[..., row + 1 :, :])[..., 0, :]
            out[..., row, :] = (b[..., row, :] - known) / a[..., row, row, None]
    return out
