"""Variances, standard deviations and norms as operators, with gradients of their own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from slope import dtypes, ops
from slope.core.operator import Sample, Tangent, register
from slope.core.tensor import Tensor
from slope.core.types import TensorType
from slope.functions._base import count_of
from slope.ops._family import draws, splat_like
from slope.ops.reduce import Reduction, spread

__all__ = [
    "vector_norm",
]

Dims = tuple[int, ...]


class _Moment(Reduction):
    kinds = "f"
    empty = True

    def infer(self, x: TensorType, *, dim: Dims, correction: float = 1.0) -> TensorType:
        return super().infer(x, dim=dim)

    def samples(self) -> Iterator[Sample]:
        yield Sample((draws(2, 3, 4),), {"dim": (1,), "correction": 1.0})
        yield Sample((draws(2, 3, 4),), {"dim": (0, 2), "correction": 0.0})
        yield Sample((draws(3, 4),), {"dim": (0, 1), "correction": 1.5})
        yield Sample((draws(3, 1),), {"dim": (1,), "correction": 1.0}, False)
        yield Sample((draws(3, 0),), {"dim": (1,), "correction": 0.0}, False)


class Var(_Moment):
    """The variance: squared distances from the mean, over the count less ``correction``.

    That divisor is at least 0. Half precision is computed in float32. The derivative is
    ``2 (x - mean)`` over the same divisor.

    Params:
        dim: the dimensions to reduce, ascending.
        correction: a float.
    """

    name = "var"

    def expand(self, x: Any, *, dim: Dims, correction: float) -> Any:
        return ops.cast(_variance(x, dim, correction)[0], dtype=x.dtype)

    def jvp(
        self, primals: Sequence[Any], tangents: Sequence[Tangent], *, dim: Dims, correction: float
    ) -> Any:
        (x,), (tangent,) = primals, tangents
        out, away, left = _variance(x, dim, correction)
        out = ops.cast(out, dtype=x.dtype)
        if tangent is None:
            return out, None
        moved = ops.sum_(ops.mul(ops.cast(tangent, dtype=away.dtype), away), dim=dim)
        return out, ops.cast(ops.mul(moved, ops.div(splat_like(2.0, left), left)), dtype=x.dtype)


class Std(_Moment):
    """The square root of :class:`Var`; its derivative where that is 0 is 0, as PyTorch's.

    Params:
        dim: the dimensions to reduce, ascending.
        correction: a float.
    """

    name = "std"

    def expand(self, x: Any, *, dim: Dims, correction: float) -> Any:
        return ops.cast(ops.sqrt(_variance(x, dim, correction)[0]), dtype=x.dtype)

    def jvp(
        self, primals: Sequence[Any], tangents: Sequence[Tangent], *, dim: Dims, correction: float
    ) -> Any:
        (x,), (tangent,) = primals, tangents
        square, away, left = _variance(x, dim, correction)
        root = ops.sqrt(square)
        out = ops.cast(root, dtype=x.dtype)
        if tangent is None:
            return out, None
        moved = ops.sum_(ops.mul(ops.cast(tangent, dtype=away.dtype), away), dim=dim)
        zero = splat_like(0.0, root)
        flat = ops.eq(root, zero)
        safe = ops.mul(ops.where(flat, splat_like(1.0, root), root), left)
        return out, ops.cast(ops.where(flat, zero, ops.div(moved, safe)), dtype=x.dtype)


def _variance(x: Tensor, dim: Dims, correction: float) -> tuple[Tensor, Tensor, Tensor]:
    """The variance, the distances from the mean, the divisor: in the dtype that sums have."""
    wide = ops.cast(x, dtype=dtypes.accumulator(x.dtype))
    count = count_of(wide, dim)
    mean = ops.div(ops.sum_(wide, dim=dim), count)
    away = ops.sub(wide, spread(mean, wide, dim))
    left = count
    if correction:
        left = ops.sub(count, splat_like(correction, count))
    left = ops.maximum(left, splat_like(0.0, left))
    return ops.div(ops.sum_(ops.mul(away, away), dim=dim), left), away, left


class VectorNorm(Reduction):
    """``sum(abs(x) ** p) ** (1 / p)`` for finite ``p`` that is not 0.

    Its derivative is 0 where the norm is, as PyTorch's.

    Params:
        dim: the dimensions to reduce, ascending.
        p: a float.
    """

    name = "vector_norm"
    kinds = "f"
    empty = True

    def infer(self, x: TensorType, *, dim: Dims, p: float) -> TensorType:
        return super().infer(x, dim=dim)

    def expand(self, x: Any, *, dim: Dims, p: float) -> Any:
        wide = ops.abs_(ops.cast(x, dtype=dtypes.accumulator(x.dtype)))
        total = ops.sum_(ops.pow_(wide, splat_like(p, wide)), dim=dim)
        return ops.cast(ops.pow_(total, splat_like(1.0 / p, total)), dtype=x.dtype)

    def jvp(
        self, primals: Sequence[Any], tangents: Sequence[Tangent], *, dim: Dims, p: float
    ) -> Any:
        (x,), (tangent,) = primals, tangents
        out = vector_norm(x, dim=dim, p=p)
        if tangent is None:
            return out, None
        zero, one = splat_like(0.0, x), splat_like(1.0, x)
        size = spread(out, x, dim)
        flat = ops.eq(size, zero)
        if p < 1:
            flat = ops.bitwise_or(flat, ops.eq(x, zero))
        ratio = ops.div(ops.abs_(x), ops.where(flat, one, size))
        share = ops.pow_(ops.where(flat, one, ratio), splat_like(p - 1.0, x))
        slope = ops.where(flat, zero, ops.mul(ops.sign(x), share))
        return out, ops.sum_(ops.mul(tangent, slope), dim=dim)

    def samples(self) -> Iterator[Sample]:
        yield Sample((draws(2, 3, 4),), {"dim": (1,), "p": 3.0})
        yield Sample((draws(2, 3),), {"dim": (0, 1), "p": 1.5})
        yield Sample((draws(2, 3, low=0.2),), {"dim": (0,), "p": 0.5})
        yield Sample((np.array([[0, 2], [0, 0]], np.float32),), {"dim": (1,), "p": 3.0}, False)


var = register(Var())
std = register(Std())
vector_norm = register(VectorNorm())
