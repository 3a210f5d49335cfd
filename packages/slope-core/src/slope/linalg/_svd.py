"""Singular values and vectors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from slope import functions as fn
from slope.core.operator import Sample, Tangent, register
from slope.core.tensor import Tensor
from slope.core.types import TensorType
from slope.dims import is_static
from slope.errors import ArgumentError, ShapeError
from slope.functions._arguments import flag_of
from slope.functions._at_once import at_once
from slope.linalg._arguments import matrix_of
from slope.linalg._eigh import evened, signs_of
from slope.linalg._family import MatrixOperator, picking, require_matrix, samples_of
from slope.linalg._jacobi import orthogonalized
from slope.linalg._qr import qr_factors
from slope.ops._family import draws

__all__ = ["SVD", "svd", "svdvals"]


class SvdFactors(MatrixOperator):
    """``U @ diag(S) @ Vh == x`` of matrices (..., m, n): orthonormal vectors and their stretching.

    Results: U (..., m, k), S (..., k), descending, and Vh (..., k, n); k is the smaller of m and n.
    If ``full``, U and Vh are square; what is added to them is not determined. Of each column of U
    the first element that is at least half as large as its largest is positive.

    With ``X = U' dx V`` and ``F[i, j] = 1 / (s[j]^2 - s[i]^2)`` beside the diagonal: ``dS`` is the
    diagonal of X, ``dU = U (F * (X S + S X')) + (1 - U U') dx V S^-1`` and ``dV = V (F * (S X + X'
    S)) + (1 - V V') dx' U S^-1``; not finite where singular values are equal, or 0 and the matrix
    not square. There is no derivative if ``full`` adds vectors.

    Source: J. Townsend, "Differentiating the singular value decomposition" (2016).

    Params:
        full: whether U and Vh are square.
    """

    name = "svd_factors"
    multiple = True

    def infer(self, x: TensorType, *, full: bool = False) -> tuple[TensorType, ...]:
        require_matrix(self, x)
        *lead, rows, columns = x.shape
        if not is_static((rows, columns)):
            raise ShapeError(f"{self.name}: rows and columns must be known, and x is {x}.")
        count = min(rows, columns)
        left, right = (rows, columns) if full else (count, count)
        shapes = (*lead, rows, left), (*lead, count), (*lead, right, columns)
        return tuple(x.with_shape(shape) for shape in shapes)

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Tangent], *, full: bool) -> Any:
        (x,), (dx,) = primals, tangents
        assert dx is not None
        rows, columns = x.shape[-2:]
        if full and rows != columns:
            raise ArgumentError(
                f"linalg.svd: full_matrices=True has no derivative for {x.type}: the vectors that "
                f"it adds are not determined. Use full_matrices=False."
            )
        u, s, vh = self(x, full=full)
        inner = u.mT @ dx @ vh.mT
        row, column = s[..., None, :], s[..., :, None]
        unit = fn.eye(s.shape[-1], dtype=x.dtype)
        factor = (1 - unit) / ((row - column) * (row + column) + unit)
        right, left = inner * row, column * inner
        du = u @ (factor * (right + right.mT))
        dv = vh.mT @ (factor * (left + left.mT))
        if rows > columns:
            along = dx @ vh.mT
            du = du + (along - u @ (u.mT @ along)) / row
        if columns > rows:
            along = dx.mT @ u
            dv = dv + (along - vh.mT @ (vh @ along)) / row
        return (u, s, vh), (du, fn.diagonal(inner, 0, -2, -1), dv.mT)

    def expand(self, x: Any, *, full: bool = False) -> Any:
        *lead, rows, columns = x.shape
        if not min(rows, columns):
            u = fn.eye(rows, rows if full else 0, dtype=x.dtype)
            vh = fn.eye(columns if full else 0, columns, dtype=x.dtype)
            return u.expand(*lead, *u.shape), x.reshape(*lead, 0), vh.expand(*lead, *vh.shape)
        if rows < columns:
            v, s, uh = self.expand(x.mT, full=full)
            turn = signs_of(uh.mT)
            count = min(rows, columns)
            kept = fn.cat([turn[..., :count], signs_of(v)[..., count:]], -1) if full else turn
            return uh.mT * turn, s, (v * kept).mT
        scale = fn.amax(fn.abs(x), (-2, -1), True)
        scale = fn.where(scale == 0, 1.0, scale)
        made, v = orthogonalized(evened(x / scale, -1))
        # What is orthogonal has no part in a column that was added; it is the last of all.
        sizes = fn.sqrt((made * made).sum(-2))
        keys = sizes if columns % 2 == 0 else fn.where(v[..., -1, :] != 0, -1.0, sizes)
        order = fn.argsort(keys, -1, descending=True, stable=True)[..., :columns]
        picked = picking(order, sizes.shape[-1], x.dtype)
        s = (picked @ sizes[..., None])[..., 0]
        made, v = made @ picked.mT, v[..., :columns, :] @ picked.mT
        # Columns of 0 get a direction, too.
        u, r = qr_factors(made, complete=full)
        turned = fn.diagonal(r, 0, -2, -1)[..., None, :] < 0
        turn = signs_of(u)
        flip = fn.where(turned, -turn[..., :columns], turn[..., :columns])
        return u * turn, s * scale[..., 0], (v * flip).mT

    def flops(self, x: TensorType, *, full: bool = False) -> Any:
        return 14 * x.size * min(x.shape[-2:])

    def samples(self) -> Iterator[Sample]:
        yield Sample((samples_of(3, 3),), {"full": False})
        yield Sample((draws(2, 4, 2),), {"full": False})
        yield Sample((draws(2, 3),), {"full": False})
        yield Sample((draws(3, 2, seed=2),), {"full": True}, differentiable=False)
        yield Sample((samples_of(1, 1),), {"full": True})
        yield Sample((draws(3, 0),), {"full": True}, differentiable=False)
        yield Sample((draws(2, 0, 3),), {"full": True}, differentiable=False)


svd_factors = register(SvdFactors())


# --- what users call


class SVD(NamedTuple):
    """What :func:`svd` gives: ``x == U @ diag(S) @ Vh``."""

    U: Tensor
    S: Tensor
    Vh: Tensor


@at_once
def svd(x: Any, full_matrices: bool = True, *, driver: str | None = None) -> SVD:
    """Singular values and vectors: ``x == U @ diag(S) @ Vh``.

    Of each column of U the first element at least half as large as its largest is positive, on
    every backend; the vectors that ``full_matrices`` adds may differ.

    Args:
        x: shape (..., m, n).
        full_matrices: give square U (..., m, m) and Vh (..., n, n), which have a derivative for
            m == n only; else U (..., m, k) and Vh (..., k, n), k the smaller of m and n.
        driver: None, as on PyTorch's CPU.

    Returns:
        A named tuple: U; S (..., k), descending; Vh.

    Raises:
        ShapeError: ``x`` holds no matrices.
        DTypeError: half precision.
        ArgumentError: a ``driver``.
    """
    refuse_driver("svd", driver, (None,))
    full = flag_of(full_matrices, "linalg.svd", "full_matrices")
    return SVD(*svd_factors(matrix_of("svd", x), full=full))


@at_once
def svdvals(x: Any, *, driver: str | None = None) -> Tensor:
    """The singular values of matrices (..., m, n), descending: shape (..., min(m, n)).

    The derivative is finite, but where one of the values is 0, any of many.

    Args:
        x: shape (..., m, n).
        driver: None, as on PyTorch's CPU.

    Raises:
        ShapeError: ``x`` holds no matrices.
        DTypeError: half precision.
        ArgumentError: a ``driver``.
    """
    refuse_driver("svdvals", driver, (None,))
    return singular_values(matrix_of("svdvals", x))


def singular_values(x: Tensor) -> Tensor:
    """The singular values of checked matrices."""
    return svd_factors(x, full=False)[1]


def refuse_driver(function: str, driver: Any, known: tuple[str | None, ...]) -> None:
    """Refuse a driver that PyTorch would not take either.

    Raises:
        ArgumentError: it is not one of those known.
    """
    if driver not in known:
        names = " or ".join(repr(each) for each in known)
        raise ArgumentError(
            f"linalg.{function}: driver must be {names}, and is {driver!r:.60}: each backend has "
            f"one way to compute it."
        )
