"""The Cholesky factor of symmetric positive definite matrices, and what it solves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from slope import functions as fn
from slope.api import scan
from slope.core.operator import Sample, Tangent, register
from slope.core.tensor import Tensor, Tracer
from slope.core.types import TensorType
from slope.functions._arguments import flag_of
from slope.functions._at_once import at_once
from slope.linalg._arguments import fitting, square_of
from slope.linalg._family import SquareOperator, cuts, definite
from slope.linalg._triangular import solve_triangle

__all__ = ["cholesky", "cholesky_inverse", "cholesky_solve"]


class Symmetric(SquareOperator):
    """Matrices (..., n, n) as they are, known to be symmetric: both triangles share tangents.

    What follows reads the lower triangle alone; the tangent it sees is ``(dx + dx.mT) / 2``, so
    that a gradient is symmetric, too, as PyTorch's and JAX's are.
    """

    name = "symmetric"

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Tangent]) -> Any:
        (x,), (dx,) = primals, tangents
        assert dx is not None
        return as_symmetric(x), 0.5 * (dx + dx.mT)  # for derivatives of derivatives

    def batch(self, size: Any, args: Sequence[Tensor], in_dims: Sequence[int | None]) -> Any:
        (at,) = in_dims
        assert at is not None
        return self(args[0].movedim(at, 0)), 0

    def expand(self, x: Any) -> Any:
        return x

    def samples(self) -> Iterator[Sample]:
        # Differences along a direction that is not symmetric are others than this rule's.
        yield Sample((definite(3, 3),), {}, differentiable=False)


class Cholesky(SquareOperator):
    """The lower triangle L with ``L @ L.mT == x``, of symmetric positive definite matrices.

    ``x`` (..., n, n), of which the upper triangle is not looked at. Where ``x`` is not positive
    definite, the whole lower triangle is NaN.

    With ``S`` the symmetric change that ``dx``'s lower triangle means, ``dL = L tril(L^-1 S L^-T)``
    with half the diagonal.

    Source: I. Murray, "Differentiation of the Cholesky decomposition", arXiv:1602.07527.
    """

    name = "cholesky_factor"

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Tangent]) -> Any:
        (x,), (dx,) = primals, tangents
        assert dx is not None
        low = self(x)
        change = fn.tril(dx) + fn.tril(dx, -1).mT
        half = solve_triangle(low, change, upper=False, unit=False)
        inner = solve_triangle(low, half.mT, upper=False, unit=False)
        return low, low @ (fn.tril(inner) - 0.5 * diagonal_part(inner))

    def expand(self, x: Any) -> Any:
        panels = cuts(x.shape[-1])
        if len(panels) == 1:
            low = _by_columns(fn.tril(x) + fn.tril(x, -1).mT)
        else:
            low = _by_panels(x, panels)
        bad = fn.isnan(low.sum((-2, -1)))[..., None, None]
        return fn.tril(fn.where(bad, float("nan"), low))

    def flops(self, x: TensorType) -> Any:
        return x.size * x.shape[-1] // 3

    def samples(self) -> Iterator[Sample]:
        yield Sample((definite(3, 3),))
        yield Sample((definite(2, 4, 4),))
        yield Sample((definite(1, 1),))
        yield Sample((definite(2, 0, 0),))
        yield Sample((-definite(2, 2),), {}, differentiable=False)


def diagonal_part(x: Tensor) -> Tensor:
    """Matrices of their diagonals alone."""
    return x * fn.eye(x.shape[-1], dtype=x.dtype)


def _by_columns(rest: Tensor, beside: Tensor | None = None) -> Any:
    """Eliminate one column after the other, in ``rest`` and in what stands beside it.

    Without ``beside`` the factor of ``rest``. With a unit matrix there, also its inverse: the same
    steps turn ``[x, 1]`` into ``[L.mT, L^-1]``.
    """
    count = rest.shape[-1]
    both = rest if beside is None else fn.cat([rest, beside], -1)

    def step(rest: Tensor, now: Any) -> tuple[Tensor, Tensor]:
        one, wide = now
        row = (one.unsqueeze(-2) @ rest).squeeze(-2)
        row = row / fn.sqrt((row * wide).sum(-1, keepdim=True))
        column = row[..., :count] * (fn.cumsum(one, 0) - one)  # below the diagonal
        return rest - column.unsqueeze(-1) * row.unsqueeze(-2), row

    ones = fn.eye(count, dtype=rest.dtype)
    wide = ones if beside is None else fn.cat([ones, fn.zeros_like(ones)], -1)
    _, rows = scan(step, both, (ones, wide))
    made = rows.movedim(0, -2)
    if beside is None:
        return made.mT
    return made[..., :count].mT, made[..., count:]


def _by_panels(x: Tensor, panels: list[tuple[int, int]]) -> Tensor:
    """Panels of columns, and products that take them off from all that is behind."""
    rest, columns = x, []
    for start, stop in panels:
        width = stop - start
        corner = rest[..., :width, :width]
        corner = fn.tril(corner) + fn.tril(corner, -1).mT
        last = stop == x.shape[-1]
        unit = fn.eye(width, dtype=x.dtype).expand(*corner.shape)
        low, inverse = (_by_columns(corner), None) if last else _by_columns(corner, unit)
        parts = [low]
        if inverse is not None:
            below = rest[..., width:, :width] @ inverse.mT
            rest = rest[..., width:, width:] - below @ below.mT
            parts.append(below)
        if start:
            parts.insert(0, fn.zeros(*x.shape[:-2], start, width, dtype=x.dtype))
        columns.append(fn.cat(parts, -2))
    return fn.cat(columns, -1)


symmetric = register(Symmetric())
cholesky_factor = register(Cholesky())


def as_symmetric(x: Tensor) -> Tensor:
    """Matrices of which one triangle is read, as symmetric ones to derivatives."""
    return symmetric(x) if isinstance(x, Tracer) else x


@at_once
def cholesky(x: Any, *, upper: bool = False) -> Tensor:
    """The lower triangle L with ``L @ L.mT == x``, of symmetric positive definite matrices.

    Only the lower triangle of ``x`` is looked at, and the derivative is that of a symmetric matrix:
    both triangles share it evenly. Where ``x`` is not positive definite, L is NaN, as compiled code
    raises no errors.

    Args:
        x: shape (..., n, n).
        upper: give ``L.mT``.

    Raises:
        ShapeError: ``x`` holds no square matrices.
        DTypeError: half precision.
    """
    low = cholesky_factor(as_symmetric(square_of("cholesky", x)))
    return low.mT if flag_of(upper, "linalg.cholesky", "upper") else low


@at_once
def cholesky_solve(y: Any, factor: Any, upper: bool = False) -> Tensor:
    """The solution s of ``L @ L.mT @ s == y``, from what :func:`cholesky` gives.

    Args:
        y: shape (..., n, k).
        factor: shape (..., n, n): L, or ``L.mT`` if ``upper``.
        upper: which of them.

    Raises:
        ShapeError: shapes that do not fit.
        DTypeError: half precision.
    """
    low, right = fitting("cholesky_solve", square_of("cholesky_solve", factor, "factor"), y)
    low = low.mT if flag_of(upper, "linalg.cholesky_solve", "upper") else low
    half = solve_triangle(low, right, upper=False, unit=False)
    return solve_triangle(low.mT, half, upper=True, unit=False)


@at_once
def cholesky_inverse(factor: Any, upper: bool = False) -> Tensor:
    """The inverses of ``L @ L.mT``, from what :func:`cholesky` gives.

    Args:
        factor: shape (..., n, n): L, or ``L.mT`` if ``upper``.
        upper: which of them.

    Raises:
        ShapeError: ``factor`` holds no square matrices.
        DTypeError: half precision.
    """
    low = square_of("cholesky_inverse", factor, "factor")
    low = low.mT if flag_of(upper, "linalg.cholesky_inverse", "upper") else low
    unit = fn.eye(low.shape[-1], dtype=low.dtype).expand(*low.shape)
    half = solve_triangle(low, unit, upper=False, unit=False)
    return half.mT @ half
