"""Orthogonal factors, by Householder's reflections."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from slope import functions as fn
from slope.api import scan
from slope.core.operator import Sample, Tangent, register
from slope.core.tensor import Tensor
from slope.core.types import TensorType
from slope.dims import is_static
from slope.errors import ArgumentError, ShapeError
from slope.functions._at_once import at_once
from slope.functions._base import as_tensor
from slope.linalg._arguments import matrix_of, wide_enough
from slope.linalg._family import MatrixOperator, require_matrix, samples_of
from slope.linalg._triangular import solve_triangle
from slope.ops._family import draws

__all__ = ["QR", "householder_product", "qr"]


class QrFactors(MatrixOperator):
    """``Q @ R == x`` of matrices (..., m, n), with orthonormal columns in Q and a triangle R.

    Results: Q (..., m, k) and R (..., k, n); k is the smaller of m and n, or m if ``complete``. The
    signs are LAPACK's (``geqrf``): a diagonal element of R is negative where that of the column as
    it is reflected was not, and a column with nothing below its diagonal is left as it is.

    With ``X = Q' dx R^-1``, ``dR = (X - O) R`` and ``dQ = Q (O - X) + dx R^-1``, where O is the
    lower triangle of X less its transpose. Columns behind the m-th of wide matrices are ``Q R2``.
    There is no derivative if ``complete`` adds columns.

    Source: M. Seeger et al., "Auto-differentiating linear algebra", arXiv:1710.08717; the
    convention is that of JAX.

    Params:
        complete: whether Q is square.
    """

    name = "qr_factors"
    multiple = True

    def infer(self, x: TensorType, *, complete: bool = False) -> tuple[TensorType, TensorType]:
        require_matrix(self, x)
        *lead, rows, columns = x.shape
        if not is_static((rows, columns)):
            raise ShapeError(f"{self.name}: rows and columns must be known, and x is {x}.")
        inner = rows if complete else min(rows, columns)
        return x.with_shape((*lead, rows, inner)), x.with_shape((*lead, inner, columns))

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Tangent], *, complete: bool) -> Any:
        (x,), (dx,) = primals, tangents
        assert dx is not None
        rows, columns = x.shape[-2:]
        if complete and rows > columns:
            raise ArgumentError(
                f"linalg.qr: mode='complete' has no derivative for {x.type}: the columns that it "
                f"adds are not determined. Use mode='reduced'."
            )
        q, r = self(x, complete=complete)
        count = min(rows, columns)
        # dx R^-1, of the columns that R^-1 belongs to
        turned = solve_triangle(r[..., :count].mT, dx[..., :count].mT, upper=False, unit=False).mT
        inner = q.mT @ turned
        low = fn.tril(inner, -1)
        odd = low - low.mT
        dq = q @ (odd - inner) + turned
        dr = (inner - odd) @ r[..., :count]
        if columns > count:
            beside = dq.mT @ x[..., count:] + q.mT @ dx[..., count:]
            dr = fn.cat([dr, beside], -1)
        return (q, r), (dq, dr)

    def expand(self, x: Any, *, complete: bool = False) -> Any:
        *lead, rows, columns = x.shape
        inner = rows if complete else min(rows, columns)
        unit = fn.eye(rows, inner, dtype=x.dtype).expand(*lead, rows, inner)
        if not rows or not columns:
            return unit, fn.zeros(*lead, inner, columns, dtype=x.dtype)
        scale = fn.amax(fn.abs(x), (-2, -1), True)
        scale = fn.where(scale == 0, 1.0, scale)
        r, (vectors, sizes) = _reflected(x / scale, min(rows, columns))
        return reflections(unit, vectors, sizes), fn.triu(r[..., :inner, :] * scale)

    def flops(self, x: TensorType, *, complete: bool = False) -> Any:
        return 4 * x.size * min(x.shape[-2:])

    def samples(self) -> Iterator[Sample]:
        yield Sample((samples_of(3, 3),), {"complete": False})
        yield Sample((draws(2, 4, 2),), {"complete": False})
        yield Sample((draws(2, 3),), {"complete": True})
        yield Sample((draws(3, 2),), {"complete": True}, differentiable=False)
        yield Sample((samples_of(1, 1),), {"complete": False})
        yield Sample((draws(2, 0),), {"complete": True}, differentiable=False)


def _reflected(x: Tensor, count: int) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """R, and the reflections ``1 - size * v v'`` that make it of ``x``, one a column."""
    rows = fn.arange(x.shape[-2])

    def step(rest: Tensor, now: Any) -> tuple[Tensor, Any]:
        place, one = now  # ``one`` marks the place in a row
        column = (rest @ one.unsqueeze(-1)).squeeze(-1)
        head = fn.where(rows == place, column, 0.0).sum(-1, keepdim=True)
        below = fn.where(rows > place, column, 0.0)
        left = (below * below).sum(-1, keepdim=True)
        length = fn.sqrt(head * head + left)
        end = fn.where(head < 0, length, -length)
        idle = left == 0
        size = fn.where(idle, 0.0, (end - head) / fn.where(idle, 1.0, end))
        vector = below / fn.where(idle, 1.0, head - end) + (rows == place).to(x.dtype)
        along = (vector.unsqueeze(-2) @ rest) * size.unsqueeze(-1)
        return rest - vector.unsqueeze(-1) * along, (vector, size)

    ones = fn.eye(count, x.shape[-1], dtype=x.dtype)
    return scan(step, x, (fn.arange(count), ones))


def reflections(x: Tensor, vectors: Tensor, sizes: Tensor) -> Tensor:
    """Matrices reflected by each of a stack of vectors (count, ..., m), the last one first."""

    def step(rest: Tensor, now: Any) -> tuple[Tensor, None]:
        vector, size = now
        along = (vector.unsqueeze(-2) @ rest) * size.unsqueeze(-1)
        return rest - vector.unsqueeze(-1) * along, None

    return scan(step, x, (vectors, sizes), reverse=True)[0]


qr_factors = register(QrFactors())


# --- what users call


class QR(NamedTuple):
    """What :func:`qr` gives: ``x == Q @ R``."""

    Q: Tensor
    R: Tensor


@at_once
def qr(x: Any, mode: str = "reduced") -> QR:
    """``x == Q @ R``: orthonormal columns, and a triangle.

    The signs are LAPACK's on every backend. The derivative is not finite where the first
    ``min(m, n)`` columns of ``x`` are dependent.

    Args:
        x: shape (..., m, n).
        mode: ``"reduced"``: Q (..., m, k) and R (..., k, n), k the smaller of m and n;
            ``"complete"``: Q (..., m, m) and R (..., m, n), which has a derivative for m <= n only;
            ``"r"``: R as reduced, and an empty Q.

    Returns:
        A named tuple, Q and R.

    Raises:
        ShapeError: ``x`` holds no matrices.
        DTypeError: half precision.
        ArgumentError: another ``mode``.
    """
    if mode not in ("reduced", "complete", "r"):
        raise ArgumentError(
            f"linalg.qr: mode must be 'reduced', 'complete' or 'r', and is {mode!r:.60}."
        )
    q, r = qr_factors(matrix_of("qr", x), complete=mode == "complete")
    return QR(fn.zeros(0, dtype=r.dtype) if mode == "r" else q, r)


@at_once
def householder_product(x: Any, tau: Any) -> Tensor:
    """The first n columns of a product of k reflections ``1 - tau[i] v[i] v[i]'``.

    Args:
        x: shape (..., m, n), m >= n; below its diagonal the columns hold the vectors, whose
            diagonal elements are ones.
        tau: shape (..., k), k <= n.

    Raises:
        ShapeError: shapes that do not fit.
        DTypeError: half precision.
    """
    given = matrix_of("householder_product", x)
    sizes = wide_enough(
        "householder_product", as_tensor(tau, "linalg.householder_product", "tau"), "tau"
    )
    rows, columns = given.shape[-2:]
    count = sizes.shape[-1] if sizes.ndim else 0
    if sizes.shape[:-1] != given.shape[:-2] or not count <= columns <= rows or not sizes.ndim:
        raise ShapeError(
            f"linalg.householder_product: x must be (..., m, n) and tau (..., k), k <= n <= m, and "
            f"are {given.type} and {sizes.type}."
        )
    vectors = fn.tril(given, -1)[..., :count] + fn.eye(rows, count, dtype=given.dtype)
    unit = fn.eye(rows, columns, dtype=given.dtype).expand(*given.shape)
    return reflections(unit, vectors.movedim(-1, 0), sizes.movedim(-1, 0).unsqueeze(-1))
