"""Equations with triangular matrices."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from slope import functions as fn
from slope.api import scan
from slope.core.operator import Sample, Tangent, register
from slope.core.tensor import Tensor
from slope.core.types import TensorType
from slope.functions._arguments import flag_of
from slope.functions._at_once import at_once
from slope.functions._base import as_tensor
from slope.linalg._arguments import fitting, square_of
from slope.linalg._family import Solver, cuts, samples_of
from slope.ops._family import draws

__all__ = ["solve_triangular"]


class SolveTriangle(Solver):
    """The solution of ``a @ out == b``, with a triangle of ``a``; linear in ``b``.

    ``a`` (..., n, n), of which the other triangle is not looked at; ``b`` (..., n, k), of the same
    batches. Where there is a zero on the diagonal, the solution is not finite.

    With ``A`` the triangle and ``X`` the result, ``dX = A^-1 (dB - dA X)``.

    Source: M. Giles, "Collected matrix derivative results for forward and reverse mode algorithmic
    differentiation" (2008), 2.3.1.

    Params:
        upper: which triangle it is.
        unit: take its diagonal as ones.
    """

    name = "solve_triangle"

    def infer(self, a: TensorType, b: TensorType, *, upper: bool, unit: bool = False) -> TensorType:
        return self.solution_type(a, b)

    def jvp(
        self, primals: Sequence[Any], tangents: Sequence[Tangent], *, upper: bool, unit: bool
    ) -> Any:
        (a, b), (da, db) = primals, tangents
        out = self(a, b, upper=upper, unit=unit)
        change = db
        if da is not None:
            moved = triangle(da, upper, unit) @ out
            change = -moved if db is None else db - moved
        assert change is not None
        return out, self(a, change, upper=upper, unit=unit)

    def transpose(
        self, cotangent: Any, a: Any, b: Any, *, upper: bool, unit: bool
    ) -> Sequence[Tangent]:
        self.refuse_linear(a)
        return None, self(a.mT, cotangent, upper=not upper, unit=unit)

    def expand(self, a: Any, b: Any, *, upper: bool, unit: bool = False) -> Any:
        panels = cuts(a.shape[-1])
        if len(panels) == 1:
            return _by_rows(a, b, upper, unit)
        found: list[Tensor] = []  # in the order of the rows
        for start, stop in reversed(panels) if upper else panels:
            right = b[..., start:stop, :]
            if found:
                known = a[..., start:stop, stop:] if upper else a[..., start:stop, :start]
                right = right - known @ fn.cat(found, -2)
            part = _by_rows(a[..., start:stop, start:stop], right, upper, unit)
            found = [part, *found] if upper else [*found, part]
        return fn.cat(found, -2)

    def flops(self, a: TensorType, b: TensorType, **_params: Any) -> Any:
        return b.size * a.shape[-1]

    def samples(self) -> Iterator[Sample]:
        yield Sample((samples_of(3, 3), draws(3, 2)), {"upper": False, "unit": False})
        yield Sample((samples_of(2, 3, 3), draws(2, 3, 1)), {"upper": True, "unit": False})
        yield Sample((samples_of(4, 4), draws(4, 2)), {"upper": True, "unit": True})
        yield Sample((samples_of(1, 1), draws(1, 2)), {"upper": False, "unit": True})
        yield Sample((draws(0, 0), draws(0, 2)), {"upper": False, "unit": False})


def triangle(x: Tensor, upper: bool, unit: bool = False) -> Tensor:
    """The triangle that counts."""
    edge = int(unit)
    return fn.triu(x, edge) if upper else fn.tril(x, -edge)


def rows_of(x: Tensor) -> Tensor:
    """The rows of matrices first: (..., n, k) as (n, ..., k)."""
    return x.movedim(-2, 0)


def _by_rows(a: Tensor, b: Tensor, upper: bool, unit: bool) -> Tensor:
    """Each row from those before it, or behind it, of an upper triangle."""

    def step(found: Tensor, now: Any) -> tuple[Tensor, Tensor]:
        row, one, right = now
        rest = right - (row.unsqueeze(-2) @ found).squeeze(-2)
        value = rest if unit else rest / (row * one).sum(-1, keepdim=True)
        return found + one.unsqueeze(-1) * value.unsqueeze(-2), value

    ones = fn.eye(a.shape[-1], dtype=a.dtype)
    _, values = scan(step, fn.zeros_like(b), (rows_of(a), ones, rows_of(b)), reverse=upper)
    return values.movedim(0, -2)


solve_triangle = register(SolveTriangle())


@at_once
def solve_triangular(
    x: Any, y: Any, *, upper: bool, left: bool = True, unitriangular: bool = False
) -> Tensor:
    """The solution s of ``x @ s == y`` (``s @ x == y`` without ``left``), x a triangle.

    Args:
        x: shape (..., n, n); its other triangle is not looked at.
        y: shape (..., n, k), or (..., k, n) without ``left``.
        upper: which triangle it is.
        left: on which side x stands.
        unitriangular: take the diagonal as ones.

    Raises:
        ShapeError: shapes that do not fit.
        DTypeError: half precision.
    """
    matrix = square_of("solve_triangular", x)
    upper = flag_of(upper, "linalg.solve_triangular", "upper")
    unit = flag_of(unitriangular, "linalg.solve_triangular", "unitriangular")
    if flag_of(left, "linalg.solve_triangular", "left"):
        return solve_triangle(*fitting("solve_triangular", matrix, y), upper=upper, unit=unit)
    right = as_tensor(y, "linalg.solve_triangular", "y")
    right = right.mT if right.ndim > 1 else right
    turned = fitting("solve_triangular", matrix.mT, right)
    return solve_triangle(*turned, upper=not upper, unit=unit).mT
