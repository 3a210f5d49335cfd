"""Factors by elimination with partial pivoting."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from slope import functions as fn
from slope.api import scan
from slope.core.operator import Sample, Tangent, register
from slope.core.tensor import Tensor
from slope.core.types import Shape, TensorType
from slope.dims import is_static, same
from slope.dtypes import int32, int64
from slope.errors import ArgumentError, ShapeError
from slope.functions._arguments import flag_of
from slope.functions._at_once import at_once
from slope.functions._base import as_tensor
from slope.linalg._arguments import fitting, matrix_of, square_of
from slope.linalg._family import (
    LEAF,
    MatrixOperator,
    cuts,
    permuted,
    picking,
    require_matrix,
    samples_of,
)
from slope.linalg._triangular import solve_triangle
from slope.ops._family import draws

__all__ = ["LU", "LUFactors", "lu", "lu_factor", "lu_solve"]


class LuFactors(MatrixOperator):
    """L and U with ``x[order] == L @ U``, of matrices (..., m, n), by elimination.

    Results: U in the upper triangle and L, whose diagonal is ones, below it (..., m, n); with which
    row each row was exchanged (..., min(m, n)), and from where in ``x`` each row comes (..., m),
    both int64 and from 0. Of equal sizes in a column the first is the pivot; a column of zeros is
    left as it is.

    With ``X = L^-1 dx[order] U^-1``, where L and U are filled up with unit matrices to squares,
    ``dL = L tril(X, -1)`` and ``dU = triu(X) U``.

    Source: F. de Hoog, R. Anderssen, M. Lukas, "Differentiation of matrix functionals using
    triangular factorization", Mathematics of computation 80 (2011).
    """

    name = "lu_factors"
    multiple = True

    def infer(self, x: TensorType) -> tuple[TensorType, ...]:
        require_matrix(self, x)
        *lead, rows, _ = x.shape
        pivots = TensorType((*lead, _steps(x.shape)), int64)
        return x, pivots, pivots.with_shape((*lead, rows))

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Tangent]) -> Any:
        (x,), (dx,) = primals, tangents
        assert dx is not None
        both, pivots, order = self(x)
        low, up = _filled(both)
        inner = solve_triangle(low, permuted(dx, order), upper=False, unit=True)
        inner = solve_triangle(up.mT, inner.mT, upper=False, unit=False).mT
        moved = low @ fn.tril(inner, -1) + fn.triu(inner) @ up
        return (both, pivots, order), (moved, None, None)

    def expand(self, x: Any) -> Any:
        rest, left, finished = x, None, []
        order = fn.arange(x.shape[-2]).expand(*x.shape[:-1])
        steps = _steps(x.shape)
        if is_static((steps,)) and not steps:
            return x, order[..., :0], order
        all_pivots, orders = [], []
        for start, stop in cuts(steps, 2 * LEAF):
            width = stop - start
            panel, pivots, moved = _panel(rest[..., :width])
            left = panel if left is None else fn.cat([permuted(left, moved), panel], -1)
            done, left = left[..., :width, :], left[..., width:, :]
            order = fn.take_along_dim(order, moved, -1)
            if not same((stop,), x.shape[-1:]):
                right = permuted(rest[..., width:], moved)
                corner = panel[..., :width, :]
                above = solve_triangle(corner, right[..., :width, :], upper=False, unit=True)
                done = fn.cat([done, above], -1)
                rest = right[..., width:, :] - panel[..., width:, :] @ above
            finished.append(done)
            all_pivots.append(pivots + start)
            orders.append(order[..., :width])
            order = order[..., width:]
        if left is not None and not same((steps,), x.shape[-2:-1]):
            finished.append(left)
        return (
            fn.cat(finished, -2),
            fn.cat(all_pivots, -1),
            fn.cat([*orders, order], -1),
        )

    def flops(self, x: TensorType) -> Any:
        return 2 * x.size * min(x.shape[-2:]) // 3

    def samples(self) -> Iterator[Sample]:
        yield Sample((draws(3, 3),))
        yield Sample((draws(2, 4, 2),))
        yield Sample((draws(2, 3),))
        yield Sample((samples_of(1, 1),))
        yield Sample((draws(2, 0, 3),))


def _steps(shape: Shape) -> Any:
    """How many columns are eliminated.

    Raises:
        ShapeError: rows and columns are not known, nor equal.
    """
    rows, columns = shape[-2:]
    if same((rows,), (columns,)):
        return rows
    if not is_static((rows, columns)):
        raise ShapeError(f"lu_factors: rows and columns must be known or equal, and are {shape}.")
    return min(rows, columns)


def _filled(both: Tensor) -> tuple[Tensor, Tensor]:
    """L as (..., m, m) and U as (..., n, n), filled up with unit matrices."""
    *lead, rows, columns = both.shape
    count = _steps(both.shape)
    low, up = both[..., :, :count], both[..., :count, :]
    if not same((rows,), (count,)):
        low = fn.cat([low, fn.zeros(*lead, rows, rows - count, dtype=both.dtype)], -1)
    if not same((columns,), (count,)):
        beside = fn.cat(
            [
                fn.zeros(columns - count, count, dtype=both.dtype),
                fn.eye(columns - count, dtype=both.dtype),
            ],
            -1,
        )
        up = fn.cat([up, beside.expand(*lead, *beside.shape)], -2)
    unit = fn.eye(rows, dtype=both.dtype)
    return fn.tril(low, -1) + unit, fn.triu(up)


def _panel(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Eliminate in matrices of at least as many rows as columns, one column after the other."""
    *lead, count, width = x.shape
    rows = fn.arange(count)

    def step(state: Any, now: Any) -> tuple[Any, Tensor]:
        rest, order = state
        place, one = now  # ``one`` marks the place in a row
        below, here = rows > place, rows == place
        column = (rest @ one.unsqueeze(-1)).squeeze(-1)
        best = fn.argmax(fn.where(rows < place, -1.0, fn.abs(column)), -1, keepdim=True)
        chosen = rows == best
        row = (chosen.astype(x.dtype).unsqueeze(-2) @ rest).squeeze(-2)
        other = here.astype(x.dtype).unsqueeze(-2) @ rest
        moved = fn.where(chosen.unsqueeze(-1), other, rest)
        rest = fn.where(here.unsqueeze(-1), row.unsqueeze(-2), moved)
        came = fn.where(here, order, 0).sum(-1, keepdim=True)
        goes = fn.where(chosen, order, 0).sum(-1, keepdim=True)
        order = fn.where(here, goes, fn.where(chosen, came, order))
        column = (rest @ one.unsqueeze(-1)).squeeze(-1)
        pivot = (row * one).sum(-1, keepdim=True)  # where it is 0, so is all that is below
        factors = column / fn.where(pivot == 0, 1.0, pivot)
        behind = row * (fn.cumsum(one, 0) - one)
        reduced = rest - fn.where(below, factors, 0.0).unsqueeze(-1) * behind.unsqueeze(-2)
        column = fn.where(below, factors, column)
        rest = fn.where(one != 0, column.unsqueeze(-1), reduced)
        return (rest, order), best.squeeze(-1)

    start = (x, rows.expand(*lead, count))
    (both, order), pivots = scan(step, start, (fn.arange(width), fn.eye(width, dtype=x.dtype)))
    return both, pivots.movedim(0, -1), order


lu_factors = register(LuFactors())


# --- what users call


class LU(NamedTuple):
    """What :func:`lu` gives: ``x == P @ L @ U``."""

    P: Tensor
    L: Tensor
    U: Tensor


class LUFactors(NamedTuple):
    """What :func:`lu_factor` gives, as :func:`lu_solve` takes it."""

    LU: Tensor
    pivots: Tensor


@at_once
def lu(x: Any, *, pivot: bool = True) -> LU:
    """``x == P @ L @ U``, of matrices (..., m, n), by elimination with partial pivoting.

    Args:
        x: shape (..., m, n).
        pivot: whether rows are exchanged; they are always.

    Returns:
        A named tuple: P, a permutation (..., m, m); L (..., m, k), whose diagonal is ones; U
        (..., k, n); k is the smaller of m and n.

    Raises:
        ShapeError: ``x`` holds no matrices.
        DTypeError: half precision.
        ArgumentError: ``pivot=False``.
    """
    given = matrix_of("lu", x)
    _require_pivots("lu", pivot)
    both, _, order = lu_factors(given)
    rows, columns = given.shape[-2:]
    count = min(rows, columns)
    low = fn.tril(both[..., :, :count], -1) + fn.eye(rows, count, dtype=given.dtype)
    return LU(picking(order, rows, given.dtype).mT, low, fn.triu(both[..., :count, :]))


@at_once
def lu_factor(x: Any, *, pivot: bool = True) -> LUFactors:
    """L and U in one matrix, and the exchanges of rows, for :func:`lu_solve`.

    Args:
        x: shape (..., m, n).
        pivot: whether rows are exchanged; they are always.

    Returns:
        A named tuple: LU (..., m, n), U above and L, without its diagonal of ones, below; pivots
        int32 (..., k): the row, from 1, that each row was exchanged with.

    Raises:
        ShapeError: ``x`` holds no matrices.
        DTypeError: half precision.
        ArgumentError: ``pivot=False``.
    """
    given = matrix_of("lu_factor", x)
    _require_pivots("lu_factor", pivot)
    both, pivots, _ = lu_factors(given)
    return LUFactors(both, (pivots + 1).to(int32))


@at_once
def lu_solve(
    LU: Any,  # PyTorch's name
    pivots: Any,
    B: Any,
    *,
    left: bool = True,
    adjoint: bool = False,
) -> Tensor:
    """The solution s of ``x @ s == B``, from what :func:`lu_factor` gives for x.

    Args:
        LU: shape (..., n, n).
        pivots: integers (..., n).
        B: shape (..., n, k), or (..., k, n) without ``left``.
        left: whether x stands on the left; else ``s @ x == B``.
        adjoint: solve with ``x.mT``.

    Raises:
        ShapeError: shapes that do not fit.
        DTypeError: half precision.
    """
    both = square_of("lu_solve", LU, "LU")
    swaps = as_tensor(pivots, "linalg.lu_solve", "pivots")
    if not swaps.dtype.is_integer or swaps.shape[-1:] != both.shape[-1:]:
        raise ShapeError(
            f"linalg.lu_solve: pivots must be integers (..., {both.shape[-1]}), as lu_factor gives "
            f"them, and are {swaps.type}."
        )
    adjoint = flag_of(adjoint, "linalg.lu_solve", "adjoint")
    if not flag_of(left, "linalg.lu_solve", "left"):
        right = as_tensor(B, "linalg.lu_solve", "B").mT
        return lu_solve(both, swaps, right, adjoint=not adjoint).mT
    both, right = fitting("lu_solve", both, B)
    order = _order_of(swaps).expand(*both.shape[:-1])
    return by_factors(both, order, right, adjoint)


def by_factors(both: Tensor, order: Tensor, y: Tensor, transposed: bool) -> Tensor:
    """Solve with the matrix, or its transpose, that has these factors."""
    if not transposed:
        half = solve_triangle(both, permuted(y, order), upper=False, unit=True)
        return solve_triangle(both, half, upper=True, unit=False)
    half = solve_triangle(both.mT, y, upper=False, unit=False)
    half = solve_triangle(both.mT, half, upper=True, unit=True)
    return picking(order, order.shape[-1], y.dtype).mT @ half


def _order_of(pivots: Tensor) -> Tensor:
    """From where each row comes, after exchanges of rows one by one, counted from 1."""
    count = pivots.shape[-1]
    rows = fn.arange(count)

    def step(order: Tensor, now: Any) -> tuple[Tensor, None]:
        place, pivot = now
        here, chosen = rows == place, rows == pivot.unsqueeze(-1)
        came = fn.where(here, order, 0).sum(-1, keepdim=True)
        goes = fn.where(chosen, order, 0).sum(-1, keepdim=True)
        return fn.where(here, goes, fn.where(chosen, came, order)), None

    swaps = (pivots.to(int64) - 1).movedim(-1, 0)
    return scan(step, rows.expand(*pivots.shape), (rows, swaps))[0]


def _require_pivots(function: str, pivot: bool) -> None:
    if not flag_of(pivot, f"linalg.{function}", "pivot"):
        raise ArgumentError(
            f"linalg.{function}: pivot=False is not offered: without exchanges of rows, "
            f"elimination divides by small numbers. Leave it out."
        )
