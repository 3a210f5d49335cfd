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

_PANEL: Final = 32  # rows that LAPACK solves at once; products do the rest


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


# --- orthonormal factors


def qr(x: Array, complete: bool) -> tuple[Array, Array]:
    """Orthonormal columns and a triangle."""
    q, r = np.linalg.qr(x, "complete" if complete else "reduced")
    return np.ascontiguousarray(q), np.ascontiguousarray(r)


def eigh(x: Array) -> tuple[Array, Array]:
    """Eigenvalues and eigenvectors of symmetric matrices; NaN where there are none."""
    try:
        values, vectors = np.linalg.eigh(x)
    except np.linalg.LinAlgError:
        if x.ndim > 2:
            return _stacked(eigh, x)
        return np.full(x.shape[:-1], np.nan, x.dtype), np.full(x.shape, np.nan, x.dtype)
    return values, np.ascontiguousarray(vectors * _signs(vectors))


def svd(x: Array, full: bool) -> tuple[Array, Array, Array]:
    """Singular values between their vectors; NaN where there are none."""
    try:
        u, s, vh = np.linalg.svd(x, full_matrices=full)
    except np.linalg.LinAlgError:
        if x.ndim > 2:
            return _stacked(lambda each: svd(each, full), x)
        u, s, vh = np.linalg.svd(np.zeros(x.shape, x.dtype), full_matrices=full)
        for each in (u, s, vh):
            each[...] = np.nan
        return u, s, vh
    count = s.shape[-1]
    signs, own = _signs(u), _signs(np.swapaxes(vh, -1, -2))
    turned = np.concatenate([signs[..., :count], own[..., count:]], -1)
    vh = vh * np.swapaxes(turned, -1, -2)
    return np.ascontiguousarray(u * signs), s, np.ascontiguousarray(vh)


def _stacked(function: Callable[[Array], Any], x: Array) -> Any:
    """Factors of matrix by matrix."""
    made = zip(*(function(x[place]) for place in np.ndindex(x.shape[:-2])), strict=True)
    return tuple(np.stack(each).reshape(*x.shape[:-2], *each[0].shape) for each in made)


def _signs(vectors: Array) -> Array:
    """1 or -1 for each column, by which its first large element becomes positive.

    Large is what is at least half as large as the largest, so that rounding does not decide.
    """
    if not vectors.size:
        return np.ones((*vectors.shape[:-2], 1, vectors.shape[-1]), vectors.dtype)
    sizes = np.abs(vectors)
    first = np.argmax(sizes >= 0.5 * sizes.max(-2, keepdims=True), -2)[..., None, :]
    chosen = np.take_along_axis(vectors, first, -2)
    return np.where(chosen < 0, -1, 1).astype(vectors.dtype)
