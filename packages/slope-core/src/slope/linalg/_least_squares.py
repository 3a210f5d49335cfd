"""What singular values tell: pseudo-inverses, least squares, ranks and condition numbers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from slope import functions as fn
from slope.core.operator import Sample, Tangent, register
from slope.core.tensor import Tensor
from slope.core.types import TensorType
from slope.dims import is_static, same
from slope.dtypes import finfo
from slope.errors import ArgumentError, ShapeError
from slope.functions._arguments import flag_of
from slope.functions._at_once import at_once
from slope.functions._base import as_tensor, to_dtype
from slope.linalg._arguments import fitting, matrix_of, square_of
from slope.linalg._family import MatrixOperator, require_matrix
from slope.linalg._norms import matrix_norm
from slope.linalg._solve import inverse_matrix
from slope.linalg._svd import refuse_driver, singular_values, svd_factors
from slope.ops._family import draws

__all__ = ["Lstsq", "cond", "lstsq", "matrix_rank", "pinv"]

_DRIVERS = (None, "gels", "gelsy", "gelsd", "gelss")


class PseudoInverse(MatrixOperator):
    """The pseudo-inverses of Moore and Penrose, of matrices (..., m, n): (..., n, m).

    Operands: the matrices, and up to where singular values count as 0: (..., 1, 1).

    With P the result, ``dP = -P dx P + P P' dx' (1 - x P) + (1 - P x) dx' P' P``: that for a rank
    that does not change.

    Source: G. Golub, V. Pereyra, "The differentiation of pseudo-inverses and nonlinear least
    squares problems whose variables separate" (1973).
    """

    name = "pseudo_inverse"

    def infer(self, x: TensorType, cut: TensorType) -> TensorType:
        require_matrix(self, x)
        *lead, rows, columns = x.shape
        if cut.dtype is not x.dtype or not same(cut.shape, (*lead, 1, 1)):
            raise ShapeError(f"{self.name}: a tolerance {cut} does not fit {x}.")
        if not is_static((rows, columns)):
            raise ShapeError(f"{self.name}: rows and columns must be known, and x is {x}.")
        return x.with_shape((*lead, columns, rows))

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Tangent]) -> Any:
        (x, cut), (dx, _) = primals, tangents
        out = self(x, cut)
        if dx is None:
            return out, None
        moved = out @ (out.mT @ dx.mT)
        other = (dx.mT @ out.mT) @ out
        change = -(out @ dx @ out) + (moved - (moved @ x) @ out) + (other - out @ (x @ other))
        return out, change

    def expand(self, x: Any, cut: Any) -> Any:
        if 0 in x.shape[-2:]:
            return x.mT
        u, s, vh = svd_factors(x, full=False)
        kept = s > cut[..., 0]
        turned = fn.where(kept, 1 / fn.where(kept, s, 1.0), 0.0)
        return (vh.mT * turned[..., None, :]) @ u.mT

    def samples(self) -> Iterator[Sample]:
        low = np.full((1, 1), 1e-5, np.float32)
        yield Sample((draws(3, 2), low))
        yield Sample((draws(2, 2, 3), np.full((2, 1, 1), 1e-5, np.float32)))
        yield Sample((draws(0, 2), low))


pseudo_inverse = register(PseudoInverse())


# --- what users call


@at_once
def pinv(x: Any, *, atol: Any = None, rtol: Any = None, hermitian: bool = False) -> Tensor:
    """The pseudo-inverses of Moore and Penrose, of matrices (..., m, n): shape (..., n, m).

    The derivative is that for a rank that does not change.

    Args:
        x: shape (..., m, n).
        atol: singular values of at most ``max(atol, rtol * largest)`` count as 0; a number, or a
            tensor that broadcasts to the batches. Default: 0.
        rtol: likewise. Default: ``max(m, n)`` times the dtype's ``eps``, or 0 beside a positive
            ``atol``.
        hermitian: whether ``x`` is symmetric; what is computed is the same.

    Raises:
        ShapeError: ``x`` holds no matrices, or no square ones with ``hermitian``.
        DTypeError: half precision.
    """
    given = _matrices("pinv", x, hermitian)
    if 0 in given.shape[-2:]:
        return given.mT
    values = singular_values(fn.stop_gradient(given))
    cut = _tolerance("pinv", given, values, atol, rtol)[..., None, None]
    return pseudo_inverse(given, fn.broadcast_to(cut, (*given.shape[:-2], 1, 1)))


@at_once
def matrix_rank(x: Any, *, atol: Any = None, rtol: Any = None, hermitian: bool = False) -> Tensor:
    """How many singular values of matrices (..., m, n) are not 0: int64 of shape (...).

    Args:
        x: shape (..., m, n).
        atol: as for :func:`pinv`.
        rtol: as for :func:`pinv`.
        hermitian: as for :func:`pinv`.

    Raises:
        ShapeError: ``x`` holds no matrices, or no square ones with ``hermitian``.
        DTypeError: half precision.
    """
    given = _matrices("matrix_rank", x, hermitian)
    values = singular_values(given)
    cut = _tolerance("matrix_rank", given, values, atol, rtol)
    return (values > cut[..., None]).sum(-1)


@at_once
def cond(x: Any, p: float | str | None = None) -> Tensor:
    """Condition numbers of matrices: the norm of each times that of its inverse.

    Args:
        x: shape (..., m, n), square unless ``p`` is None, 2 or -2.
        p: an ``ord`` of :func:`matrix_norm`. None: 2, the largest singular value divided by the
            smallest; -2 divides the other way.

    Returns:
        Shape (...): infinite where a matrix is singular.

    Raises:
        ShapeError: ``x`` holds no (square) matrices.
        DTypeError: half precision.
        ArgumentError: another ``p``.
    """
    if p in (None, 2, -2):
        given = matrix_of("cond", x)
        if 0 in given.shape[-2:]:
            return given.sum((-2, -1))
        values = singular_values(given)
        largest, smallest = values[..., 0], values[..., -1]
        return smallest / largest if p == -2 else largest / smallest
    given = square_of("cond", x)
    order: Any = p
    made = matrix_norm(given, order) * matrix_norm(inverse_matrix(given), order)
    known = ~fn.isnan(given).any(-1).any(-1)
    return fn.where(fn.isnan(made) & known, fn.full_like(made, math.inf), made)


class Lstsq(NamedTuple):
    """What :func:`lstsq` gives."""

    solution: Tensor
    residuals: Tensor
    rank: Tensor
    singular_values: Tensor


@at_once
def lstsq(x: Any, y: Any, rcond: Any = None, *, driver: str | None = None) -> Lstsq:
    """The s of least squares of ``x @ s - y``; of several, the shortest one.

    Args:
        x: shape (..., m, n).
        y: shape (..., m, k), or (..., m) with the batches of ``x``.
        rcond: singular values of at most ``rcond * largest`` count as 0. Default: ``max(m, n)``
            times the dtype's ``eps``.
        driver: the name of one of LAPACK's, as PyTorch takes it, or None: all give the same.

    Returns:
        A named tuple: solution (..., n, k), or (..., n); residuals (..., k), the sums of squares,
        which are empty (0,) for m <= n; rank (...); singular_values (..., min(m, n)).

    Raises:
        ShapeError: shapes that do not fit.
        DTypeError: half precision.
        ArgumentError: another ``driver``.
    """
    refuse_driver("lstsq", driver, _DRIVERS)
    matrix, right = matrix_of("lstsq", x), as_tensor(y, "linalg.lstsq", "y")
    if right.ndim == 1 or same(right.shape, matrix.shape[:-1]):
        found = lstsq(matrix, right.unsqueeze(-1), rcond)
        residuals = found.residuals
        residuals = residuals if residuals.shape == (0,) else residuals.squeeze(-1)
        return found._replace(solution=found.solution.squeeze(-1), residuals=residuals)
    matrix, right = fitting("lstsq", matrix, right)
    solution = pinv(matrix, rtol=rcond) @ right
    rows, columns = matrix.shape[-2:]
    values = singular_values(matrix)
    cut = _tolerance("lstsq", matrix, values, None, rcond)
    away = matrix @ solution - right
    residuals = (away * away).sum(-2) if rows > columns else fn.zeros(0, dtype=away.dtype)
    return Lstsq(solution, residuals, (values > cut[..., None]).sum(-1), values)


def _matrices(function: str, x: Any, hermitian: Any) -> Tensor:
    square = flag_of(hermitian, f"linalg.{function}", "hermitian")
    return (square_of if square else matrix_of)(function, x)


def _tolerance(function: str, x: Tensor, values: Tensor, atol: Any, rtol: Any) -> Tensor:
    """Up to where singular values count as 0, for each matrix."""
    usual = max(x.shape[-2:]) * finfo(x.dtype).eps
    lowest = 0.0 if atol is None else _number(function, "atol", atol, x)
    if rtol is None:
        beside = fn.full_like(values[..., :0].sum(-1), usual)
        share = beside if atol is None else fn.where(lowest > 0, 0.0, beside)
    else:
        share = _number(function, "rtol", rtol, x)
    top = values[..., 0] if values.shape[-1] else values.sum(-1)
    return fn.maximum(fn.stop_gradient(top) * share, lowest)


def _number(function: str, argument: str, value: Any, x: Tensor) -> Tensor:
    given = as_tensor(value, f"linalg.{function}", argument)
    if given.dtype.kind == "b":
        raise ArgumentError(f"linalg.{function}: {argument} must be a number, and is {value!r}.")
    return to_dtype(given, x.dtype)
