"""Linear algebra: factors of matrices, and equations solved by them; names as in ``torch.linalg``.

All is written with slope's own loops, one step a row, so it runs and differentiates on every
backend. Matrices are the last two dimensions; those before are batches. The derivatives are not
those of the loops, but the closed forms (M. Giles, "Collected matrix derivative results for forward
and reverse mode algorithmic differentiation", 2008; I. Murray, arXiv:1602.07527).
"""

from __future__ import annotations

from typing import Any

from slope import dtypes
from slope import functions as fn
from slope.api import custom_jvp, scan
from slope.core.tensor import Tensor
from slope.errors import ShapeError

__all__ = [
    "cholesky",
    "cholesky_solve",
    "det",
    "inv",
    "slogdet",
    "solve",
    "solve_triangular",
]


def cholesky(x: Any, *, upper: bool = False) -> Tensor:
    """The lower triangle L with ``L @ L.mT == x``, of symmetric positive definite matrices.

    Only the lower triangle of ``x`` is looked at, and the derivative is that of a symmetric matrix:
    both triangles share it evenly. Where ``x`` is not positive definite, there are NaNs in L.

    Args:
        x: shape (..., n, n).
        upper: give ``L.mT``.

    Raises:
        ShapeError: ``x`` holds no square matrices.
    """
    low = _cholesky(_square("cholesky", x))
    return low.mT if upper else low


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
    """
    if not left:
        turned = solve_triangular(
            _square("solve_triangular", x).mT,
            fn.as_tensor(y).mT,
            upper=not upper,
            unitriangular=unitriangular,
        )
        return turned.mT
    matrix, right = _fitting("solve_triangular", x, y)
    return _triangular(bool(upper), bool(unitriangular), matrix, right)


def cholesky_solve(y: Any, factor: Any, upper: bool = False) -> Tensor:
    """The solution s of ``L @ L.mT @ s == y``, from what :func:`cholesky` gives.

    Args:
        y: shape (..., n, k).
        factor: shape (..., n, n): L, or ``L.mT`` if ``upper``.
        upper: which of them.

    Raises:
        ShapeError: shapes that do not fit.
    """
    low = _square("cholesky_solve", factor)
    low = low.mT if upper else low
    half = solve_triangular(low, y, upper=False)
    return solve_triangular(low.mT, half, upper=True)


def solve(x: Any, y: Any, *, left: bool = True) -> Tensor:
    """The solution s of ``x @ s == y`` (``s @ x == y`` without ``left``), by elimination.

    Rows are exchanged so that each divides by the largest of its column. Where ``x`` is singular,
    the solution is not finite.

    Args:
        x: shape (..., n, n).
        y: shape (..., n, k); for one equation each (n,), or (..., n) with the batches of ``x``.
        left: on which side x stands.

    Raises:
        ShapeError: shapes that do not fit.
    """
    matrix, right = _square("solve", x), fn.as_tensor(y)
    if right.ndim == 1 or right.shape == matrix.shape[:-1]:
        at = -1 if left else -2
        return solve(matrix, right.unsqueeze(at), left=left).squeeze(at)
    if not left:
        return solve(matrix.mT, right.mT).mT
    return _solution(*_fitting("solve", matrix, right))


def inv(x: Any) -> Tensor:
    """The inverses of matrices of shape (..., n, n); see :func:`solve`, which is better than them.

    Raises:
        ShapeError: ``x`` holds no square matrices.
    """
    matrix = _square("inv", x)
    return _solution(*_fitting("inv", matrix, fn.eye(matrix.shape[-1], dtype=matrix.dtype)))


def slogdet(x: Any) -> tuple[Tensor, Tensor]:
    """Signs and logarithms of sizes of the determinants of matrices of shape (..., n, n).

    Returns:
        Two tensors of shape (...): 1, -1 or 0, and numbers, -inf where the determinant is 0.

    Raises:
        ShapeError: ``x`` holds no square matrices.
    """
    return _slogdet(_square("slogdet", x))


def det(x: Any) -> Tensor:
    """The determinants of matrices of shape (..., n, n).

    The derivative is ``det(x) * inv(x).mT``, so it is not finite where x is singular.

    Raises:
        ShapeError: ``x`` holds no square matrices.
    """
    sign, size = slogdet(x)
    return sign * fn.exp(size)


def _square(function: str, x: Any) -> Tensor:
    matrix = fn.as_tensor(x)
    if matrix.ndim < 2 or matrix.shape[-1] != matrix.shape[-2]:
        raise ShapeError(f"linalg.{function}: x must be (..., n, n), and is {matrix.type}.")
    return matrix if matrix.dtype.is_floating_point else matrix.astype(dtypes.float32)


def _fitting(function: str, x: Any, y: Any) -> tuple[Tensor, Tensor]:
    """A square matrix and a right side, of one dtype and with the same batches."""
    matrix, right = _square(function, x), fn.as_tensor(y)
    if right.ndim < 2 or right.shape[-2] != matrix.shape[-1]:
        raise ShapeError(
            f"linalg.{function}: for x {matrix.type} the right side must be (..., "
            f"{matrix.shape[-1]}, k), and is {right.type}."
        )
    dtype = fn.result_type(matrix, right)
    try:
        batch = fn.zeros(*matrix.shape[:-2], 1, 1) + fn.zeros(*right.shape[:-2], 1, 1)
    except ShapeError:
        raise ShapeError(
            f"linalg.{function}: the batches of x {matrix.type} and of the right side "
            f"{right.type} do not fit."
        ) from None
    lead = batch.shape[:-2]
    return (
        matrix.astype(dtype).expand(*lead, *matrix.shape[-2:]),
        right.astype(dtype).expand(*lead, *right.shape[-2:]),
    )


def _rows(x: Tensor) -> Tensor:
    """The rows of matrices first: (..., n, k) as (n, ..., k)."""
    return x.movedim(-2, 0)


def _substitute(x: Tensor, y: Tensor, upper: bool, unit: bool) -> Tensor:
    """Solve by rows, each from those before (behind, of an upper triangle); linear in ``y``."""

    def step(found: Tensor, now: Any) -> tuple[Tensor, Tensor]:
        row, one, right = now
        rest = right - (row.unsqueeze(-2) @ found).squeeze(-2)
        value = rest if unit else rest / (row * one).sum(-1, keepdim=True)
        return found + one.unsqueeze(-1) * value.unsqueeze(-2), value

    ones = fn.eye(x.shape[-1], dtype=x.dtype)
    _, values = scan(step, fn.zeros_like(y), (_rows(x), ones, _rows(y)), reverse=upper)
    return values.movedim(0, -2)


def _half(x: Tensor, upper: bool, unit: bool) -> Tensor:
    """The triangle that counts."""
    edge = int(unit)
    return fn.triu(x, edge) if upper else fn.tril(x, -edge)


def _triangular_value(upper: bool, unit: bool, x: Tensor, y: Tensor) -> Tensor:
    return _substitute(x, y, upper, unit)


def _triangular_rule(upper: bool, unit: bool, primals: Any, tangents: Any) -> Any:
    (x, y), (dx, dy) = primals, tangents
    out = _triangular(upper, unit, x, y)
    return out, _substitute(x, dy - _half(dx, upper, unit) @ out, upper, unit)


_triangular = custom_jvp(_triangular_value, nondiff_argnums=(0, 1))
_triangular.defjvp(_triangular_rule)


@custom_jvp
def _cholesky(x: Tensor) -> Tensor:
    def step(rest: Tensor, one: Tensor) -> tuple[Tensor, Tensor]:
        column = (rest @ one.unsqueeze(-1)).squeeze(-1) * fn.cumsum(one, 0)
        column = column / fn.sqrt((column * one).sum(-1, keepdim=True))
        return rest - column.unsqueeze(-1) * column.unsqueeze(-2), column

    symmetric = fn.tril(x) + fn.tril(x, -1).mT
    _, columns = scan(step, symmetric, fn.eye(x.shape[-1], dtype=x.dtype))
    return columns.movedim(0, -1)


@_cholesky.defjvp
def _cholesky_rule(primals: Any, tangents: Any) -> Any:
    (x,), (dx,) = primals, tangents
    low = _cholesky(x)
    change = 0.5 * (dx + dx.mT)
    inner = _substitute(low, _substitute(low, change, False, False).mT, False, False)
    weights = fn.tril(fn.ones_like(low)) - 0.5 * fn.eye(low.shape[-1], dtype=low.dtype)
    return low, low @ (inner * weights)


def _eliminated(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """L and U in one matrix, the permutation of the rows, and its sign.

    The permutation stands beside the matrix, so that rows are exchanged in both together.
    """
    count = x.shape[-1]
    if count == 0:  # nothing to exchange, and a determinant of 1
        return x, x, fn.ones(*x.shape[:-2], dtype=x.dtype)
    places = fn.arange(count)
    own, beside = fn.eye(count, dtype=x.dtype), fn.zeros(count, count, dtype=x.dtype)

    def step(state: Any, now: Any) -> tuple[Any, None]:
        rest, sign = state
        place, one, wide = now  # ``one`` and ``wide`` mark the place in a column and in a row
        below = places > place
        column = (rest @ wide.unsqueeze(-1)).squeeze(-1)
        size = fn.where(places < place, -1.0, fn.abs(column))
        best = fn.argmax(size, -1, keepdim=True)
        chosen = places == best
        row = (chosen.astype(x.dtype).unsqueeze(-2) @ rest).squeeze(-2)
        moved = fn.where(chosen.unsqueeze(-1), one.unsqueeze(-2) @ rest, rest)
        rest = fn.where(one.unsqueeze(-1) != 0, row.unsqueeze(-2), moved)
        sign = fn.where(best.squeeze(-1) == place, sign, -sign)
        column = (rest @ wide.unsqueeze(-1)).squeeze(-1)
        pivot = (row * wide).sum(-1, keepdim=True)  # where it is 0, so is all that is below
        factors = column / fn.where(pivot == 0, 1.0, pivot)
        behind = fn.cat([below, fn.zeros_like(below)])
        reduced = rest - fn.where(below, factors, 0.0).unsqueeze(-1) * (row * behind).unsqueeze(-2)
        column = fn.where(below, factors, column)
        return (fn.where(wide != 0, column.unsqueeze(-1), reduced), sign), None

    start = (fn.cat([x, own.expand(*x.shape)], -1), fn.ones(*x.shape[:-2], dtype=x.dtype))
    (both, sign), _ = scan(step, start, (places, own, fn.cat([own, beside], -1)))
    return both[..., :count], both[..., count:], sign


def _by_factors(factors: tuple[Tensor, Tensor], y: Tensor) -> Tensor:
    both, order = factors
    return _substitute(both, _substitute(both, order @ y, False, True), True, False)


@custom_jvp
def _solution(x: Tensor, y: Tensor) -> Tensor:
    return _by_factors(_eliminated(x)[:2], y)


@_solution.defjvp
def _solution_rule(primals: Any, tangents: Any) -> Any:
    (x, y), (dx, dy) = primals, tangents
    factors = _eliminated(x)[:2]
    out = _by_factors(factors, y)
    return out, _by_factors(factors, dy - dx @ out)


@custom_jvp
def _slogdet(x: Tensor) -> tuple[Tensor, Tensor]:
    both, _, sign = _eliminated(x)
    pivots = fn.diagonal(both, 0, -2, -1)
    return sign * fn.sign(pivots).prod(-1), fn.log(fn.abs(pivots)).sum(-1)


@_slogdet.defjvp
def _slogdet_rule(primals: Any, tangents: Any) -> Any:
    (x,), (dx,) = primals, tangents
    sign, size = _slogdet(x)
    change = (inv(x).mT * dx).sum((-2, -1))
    return (sign, size), (fn.zeros_like(sign), change)
