"""Eigenvalues and eigenvectors of symmetric matrices."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple, NoReturn

import numpy as np

from slope import functions as fn
from slope.core.operator import Sample, Tangent, register
from slope.core.tensor import Tensor
from slope.core.types import TensorType
from slope.dims import is_static
from slope.errors import ArgumentError, ShapeError
from slope.functions._at_once import at_once
from slope.linalg._arguments import square_of
from slope.linalg._cholesky import as_symmetric
from slope.linalg._family import MatrixOperator, definite, picking, require_matrix
from slope.linalg._jacobi import diagonalized
from slope.ops._family import draws

__all__ = ["Eigh", "eig", "eigh", "eigvals", "eigvalsh"]


class EighFactors(MatrixOperator):
    """Eigenvalues of symmetric matrices, ascending, and orthonormal eigenvectors as columns.

    ``x`` (..., n, n), of which the upper triangle is not looked at. Results (..., n), (..., n, n).
    Of each vector the first element that is at least half as large as its largest is positive.

    With ``X = V' S V``, S the symmetric change that ``dx``'s lower triangle means, ``dw`` is the
    diagonal of X and ``dV = V (F * X)``, ``F[i, j] = 1 / (w[j] - w[i])`` beside the diagonal: not
    finite where eigenvalues are equal.

    Source: M. Giles, "Collected matrix derivative results for forward and reverse mode algorithmic
    differentiation" (2008), 3.1.
    """

    name = "eigh_factors"
    multiple = True

    def infer(self, x: TensorType) -> tuple[TensorType, TensorType]:
        require_matrix(self, x, square=True)
        if not is_static(x.shape[-1:]):
            raise ShapeError(f"{self.name}: rows and columns must be known, and x is {x}.")
        return x.with_shape(x.shape[:-1]), x

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Tangent]) -> Any:
        (x,), (dx,) = primals, tangents
        assert dx is not None
        values, vectors = self(x)
        change = fn.tril(dx) + fn.tril(dx, -1).mT
        inner = vectors.mT @ change @ vectors
        unit = fn.eye(x.shape[-1], dtype=x.dtype)
        apart = values[..., None, :] - values[..., :, None] + unit
        moved = vectors @ (inner * ((1 - unit) / apart))
        return (values, vectors), (fn.diagonal(inner, 0, -2, -1), moved)

    def expand(self, x: Any) -> Any:
        count = x.shape[-1]
        if count < 2:
            return x.sum(-1), fn.ones_like(x)
        given = fn.tril(x) + fn.tril(x, -1).mT
        scale = fn.amax(fn.abs(given), (-2, -1), True)
        scale = fn.where(scale == 0, 1.0, scale)
        values, vectors = diagonalized(evened(evened(given / scale, -1), -2))
        # Rotations leave the column that was added as it is, apart from its place.
        keys = values
        if count % 2:
            keys = fn.where(vectors[..., -1, :] != 0, float("inf"), values)
        order = fn.argsort(keys, -1, stable=True)[..., :count]
        picked = picking(order, values.shape[-1], x.dtype)
        values = (picked @ values[..., None])[..., 0]
        vectors = vectors[..., :count, :] @ picked.mT
        return values * scale[..., 0], vectors * signs_of(vectors)

    def flops(self, x: TensorType) -> Any:
        return 9 * x.size * x.shape[-1]

    def samples(self) -> Iterator[Sample]:
        yield Sample((definite(3, 3),))
        yield Sample((definite(2, 4, 4, seed=1) - 2 * np.eye(4, dtype=np.float32),))
        yield Sample((definite(1, 1),))
        yield Sample((draws(0, 0),))


def evened(x: Tensor, dim: int) -> Tensor:
    """One more element of 0 along a dimension of odd length."""
    if x.shape[dim] % 2 == 0:
        return x
    shape = list(x.shape)
    shape[dim] = 1
    return fn.cat([x, fn.zeros(*shape, dtype=x.dtype)], dim)


def signs_of(vectors: Tensor) -> Tensor:
    """1 or -1 for each column, by which its first large element becomes positive: (..., 1, n).

    Large is what is at least half as large as the largest, so that rounding does not decide.
    """
    sizes = fn.abs(vectors)
    large = sizes >= 0.5 * fn.amax(sizes, -2, True)
    first = large & (fn.cumsum(large.to(vectors.dtype), -2) < 1.5)
    chosen = fn.where(first, vectors, 0.0).sum(-2, keepdim=True)
    return fn.where(chosen < 0, -1.0, 1.0).to(vectors.dtype)


eigh_factors = register(EighFactors())


# --- what users call


class Eigh(NamedTuple):
    """What :func:`eigh` gives: ``x == V @ diag(w) @ V.mT``."""

    eigenvalues: Tensor
    eigenvectors: Tensor


@at_once
def eigh(x: Any, UPLO: str = "L") -> Eigh:  # PyTorch's name
    """Eigenvalues and orthonormal eigenvectors of symmetric matrices.

    Of each vector the first element at least half as large as its largest is positive, on every
    backend. The derivative is that of a symmetric matrix; of the vectors, it is not finite where
    eigenvalues are equal.

    Args:
        x: shape (..., n, n).
        UPLO: which triangle is looked at: ``"L"``, the lower one, or ``"U"``.

    Returns:
        A named tuple: eigenvalues (..., n), ascending; eigenvectors (..., n, n), the columns.

    Raises:
        ShapeError: ``x`` holds no square matrices.
        DTypeError: half precision.
        ArgumentError: another ``UPLO``.
    """
    return Eigh(*eigh_factors(_one_triangle("eigh", x, UPLO)))


@at_once
def eigvalsh(x: Any, UPLO: str = "L") -> Tensor:
    """The eigenvalues of symmetric matrices, ascending: shape (..., n); see :func:`eigh`.

    Raises:
        ShapeError, DTypeError, ArgumentError: as :func:`eigh`.
    """
    return eigh_factors(_one_triangle("eigvalsh", x, UPLO))[0]


def _one_triangle(function: str, x: Any, uplo: str) -> Tensor:
    if not isinstance(uplo, str) or uplo.upper() not in ("L", "U"):
        raise ArgumentError(f"linalg.{function}: UPLO must be 'L' or 'U', and is {uplo!r:.60}.")
    given = square_of(function, x)
    return as_symmetric(given if uplo.upper() == "L" else given.mT)


def eig(x: Any) -> NoReturn:
    """Eigenvalues of matrices that are not symmetric: refused, since they are complex numbers.

    Raises:
        ArgumentError: always.
    """
    raise ArgumentError(_COMPLEX.format("eig", "eigh", "svd"))


def eigvals(x: Any) -> NoReturn:
    """Eigenvalues of matrices that are not symmetric: refused, since they are complex numbers.

    Raises:
        ArgumentError: always.
    """
    raise ArgumentError(_COMPLEX.format("eigvals", "eigvalsh", "svdvals"))


_COMPLEX: Final = (
    "linalg.{0}: eigenvalues of a matrix that is not symmetric are complex numbers, which slope "
    "does not have. Use linalg.{1} for a symmetric matrix, or linalg.{2}."
)
