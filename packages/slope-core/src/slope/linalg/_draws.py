"""Draws that need factors of matrices; ``slope.random`` offers them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from slope import functions as fn
from slope.core.tensor import Tensor
from slope.dims import same
from slope.errors import ShapeError
from slope.functions._arguments import shape_of
from slope.functions._base import TensorLike, as_tensor, broadcast_shapes
from slope.linalg._arguments import square_of
from slope.linalg._cholesky import cholesky

__all__ = ["multivariate_normal"]


def multivariate_normal(
    key: TensorLike, mean: TensorLike, cov: TensorLike, shape: Sequence[Any] | int | None = None
) -> Tensor:
    """Draws from normal distributions of several correlated numbers: ``mean + L @ normal``.

    L is the Cholesky factor of the covariance; derivatives pass to ``mean`` and ``cov``.

    Args:
        key: a key.
        mean: shape (..., n).
        cov: covariances, shape (..., n, n): symmetric and positive definite. Where one is not, the
            draws are NaN.
        shape: of the result without its last dimension; that of ``mean`` and ``cov`` together by
            default.

    Raises:
        ShapeError: the shapes do not fit one another.
        DTypeError: half precision, in which there are no factors.

    Example:
        >>> slope.random.multivariate_normal(key, slope.zeros(2), slope.eye(2), (1000,)).shape
        (1000, 2)
    """
    covariance = square_of("multivariate_normal", cov, "cov")
    center = as_tensor(mean, "random.multivariate_normal", "mean")
    if not center.ndim or not same(center.shape[-1:], covariance.shape[-1:]):
        raise ShapeError(
            f"random.multivariate_normal: mean must be (..., n) for cov (..., n, n), and they are "
            f"{center.type} and {covariance.type}."
        )
    batch = broadcast_shapes("multivariate_normal", center.shape[:-1], covariance.shape[:-2])
    given = batch if shape is None else shape_of((shape,), "random.multivariate_normal")
    if not same(broadcast_shapes("multivariate_normal", batch, given), given):
        raise ShapeError(
            f"random.multivariate_normal: shape {given} does not hold the batch {batch} of mean "
            f"{center.type} and cov {covariance.type}."
        )
    unit = fn.random.normal(key, (*given, center.shape[-1]), dtype=covariance.dtype)
    return center + fn.matmul(cholesky(covariance), unit.unsqueeze(-1)).squeeze(-1)
