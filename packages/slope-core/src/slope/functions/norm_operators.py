"""Normalizations as operators with gradients of their own.

A gradient is two sums and a few products instead of a chain through the variance. All compute in
float32 where the operand is half precision.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from slope import dtypes, ops
from slope.core.operator import Operator, Sample, Tangent, register
from slope.core.tensor import Splat, Tensor
from slope.core.types import TensorType
from slope.errors import ShapeError
from slope.functions._base import count_of
from slope.ops._family import draws, require_dim, require_kind, shifted, splat_like
from slope.ops.reduce import spread

__all__ = [
    "normalize_batch",
    "rms_normalize",
    "standardize",
]

Dims = tuple[int, ...]


def _wide(x: Tensor) -> Tensor:
    return ops.cast(x, dtype=dtypes.accumulator(x.dtype))


def _like(x: Tensor, other: Tensor | TensorType) -> Tensor:
    return ops.cast(x, dtype=other.dtype)


def _mean(x: Tensor, dim: Dims) -> Tensor:
    total = ops.sum_(x, dim=dim)
    count = count_of(x, dim)
    if isinstance(count, Splat) and count.value:
        return ops.mul(total, splat_like(1.0 / count.value, total))
    return ops.div(total, count)


class _Normalize(Operator):
    """The base of those that keep the shape: a subclass gives ``_forward`` and ``pullback``."""

    def _forward(self, x: Tensor, dim: Dims, eps: float) -> tuple[Tensor, Tensor]:
        """The result, and one over what ``x`` was divided by, both as wide as sums are."""
        raise NotImplementedError  # on purpose: each norm has its own, and none is without one

    def infer(self, x: TensorType, *, dim: Dims, eps: float) -> TensorType:
        require_kind(self, x, "f")
        for each in dim:
            require_dim(self, x, each)
        return x

    def expand(self, x: Any, *, dim: Dims, eps: float) -> Any:
        return _like(self._forward(x, dim, eps)[0], x)

    def vjp(self, *primals: Any, dim: Dims, eps: float) -> Any:
        out, inverse = self._forward(primals[0], dim, eps)
        return _like(out, primals[0]), (out, inverse)

    def batch(
        self,
        size: Any,
        args: Sequence[Tensor],
        in_dims: Sequence[int | None],
        *,
        dim: Dims,
        eps: float,
    ) -> tuple[Any, Any]:
        (at,) = in_dims
        assert at is not None
        return self(args[0], dim=tuple(shifted(each, at) for each in dim), eps=eps), at

    def samples(self) -> Iterator[Sample]:
        yield Sample((draws(3, 4),), {"dim": (1,), "eps": 1e-5})
        yield Sample((draws(2, 3, 4),), {"dim": (0, 2), "eps": 1e-3})
        yield Sample((draws(2, 0),), {"dim": (1,), "eps": 1e-5})


class Standardize(_Normalize):
    """``(x - mean) / sqrt(variance + eps)``, the mean and variance taken over some dimensions.

    With ``n`` elements taken together, ``y`` the result and ``g`` its cotangent, ``x``'s cotangent
    is ``(g - mean(g) - y * mean(g * y)) / sqrt(variance + eps)``.

    Source: J. Ba, J. Kiros, G. Hinton, "Layer normalization" (2016).

    Params:
        dim: the dimensions, ascending.
        eps: a float.
    """

    name = "standardize"

    def _forward(self, x: Tensor, dim: Dims, eps: float) -> tuple[Tensor, Tensor]:
        wide = _wide(x)
        away = ops.sub(wide, spread(_mean(wide, dim), wide, dim))
        variance = _mean(ops.mul(away, away), dim)
        inverse = ops.rsqrt(ops.add(variance, splat_like(eps, variance)))
        return ops.mul(away, spread(inverse, wide, dim)), inverse

    def pullback(
        self, residuals: tuple[Any, ...], cotangent: Any, *, dim: Dims, eps: float
    ) -> Sequence[Tangent]:
        out, inverse = residuals
        given = _wide(cotangent)
        slope = ops.mul(out, spread(_mean(ops.mul(given, out), dim), out, dim))
        centered = ops.sub(given, spread(_mean(given, dim), out, dim))
        return (_like(ops.mul(ops.sub(centered, slope), spread(inverse, out, dim)), cotangent),)


class RmsNormalize(_Normalize):
    """``x / sqrt(mean(x^2) + eps)``, the mean taken over some dimensions.

    With ``y`` the result and ``g`` its cotangent, ``x``'s cotangent is ``(g - y * mean(g * y)) /
    sqrt(mean(x^2) + eps)``.

    Source: B. Zhang, R. Sennrich, "Root mean square layer normalization" (2019).

    Params:
        dim: the dimensions, ascending.
        eps: a float.
    """

    name = "rms_normalize"

    def _forward(self, x: Tensor, dim: Dims, eps: float) -> tuple[Tensor, Tensor]:
        wide = _wide(x)
        square = _mean(ops.mul(wide, wide), dim)
        inverse = ops.rsqrt(ops.add(square, splat_like(eps, square)))
        return ops.mul(wide, spread(inverse, wide, dim)), inverse

    def pullback(
        self, residuals: tuple[Any, ...], cotangent: Any, *, dim: Dims, eps: float
    ) -> Sequence[Tangent]:
        out, inverse = residuals
        given = _wide(cotangent)
        slope = ops.mul(out, spread(_mean(ops.mul(given, out), dim), out, dim))
        return (_like(ops.mul(ops.sub(given, slope), spread(inverse, out, dim)), cotangent),)


class NormalizeBatch(Operator):
    """Batch normalization: ``(x - mean) / sqrt(variance + eps) * weight + bias``.

    Operands: ``x``; ``weight`` and ``bias``, one element for each place along ``dim``, in the
    dtype that sums of ``x``'s are formed in. Results: the normalized ``x``; the means and variances
    (divided by the count) over all other dimensions.

    With ``g`` the cotangent, ``c = x - mean``, ``s = 1 / sqrt(variance + eps)`` and ``n`` elements
    a place: the bias' cotangent is ``sum(g)``, the weight's ``w' = s * sum(g * c)``, and ``x``'s
    ``weight * s * (g - sum(g)/n - c * s * w'/n)``.

    Source: S. Ioffe, C. Szegedy, "Batch normalization" (2015).

    Params:
        dim: the dimension of the channels.
        eps: a float.
    """

    name = "normalize_batch"
    multiple = True

    def infer(
        self, x: TensorType, weight: TensorType, bias: TensorType, *, dim: int, eps: float
    ) -> tuple[TensorType, ...]:
        require_kind(self, x, "f")
        require_dim(self, x, dim)
        wanted = TensorType((x.shape[dim],), dtypes.accumulator(x.dtype))
        for name, each in (("weight", weight), ("bias", bias)):
            if each != wanted:
                raise ShapeError(f"{self.name}: {name} must be {wanted} for x {x}, not {each}.")
        return x, wanted, wanted

    def expand(self, x: Any, weight: Any, bias: Any, *, dim: int, eps: float) -> Any:
        return self._forward(x, weight, bias, dim, eps)[0]

    def _forward(
        self, x: Tensor, weight: Tensor, bias: Tensor, dim: int, eps: float
    ) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        others = _others(x, dim)
        wide = _wide(x)
        mean = _mean(wide, others)
        away = ops.sub(wide, spread(mean, wide, others))
        variance = _mean(ops.mul(away, away), others)
        inverse = ops.rsqrt(ops.add(variance, splat_like(eps, variance)))
        scale = ops.mul(inverse, weight)
        out = ops.add(ops.mul(away, spread(scale, wide, others)), spread(bias, wide, others))
        return (_like(out, x), mean, variance), (away, inverse, scale)

    def vjp(self, *primals: Any, dim: int, eps: float) -> Any:
        x, weight, bias = primals
        return self._forward(x, weight, bias, dim, eps)

    def pullback(
        self, residuals: tuple[Any, ...], cotangent: Any, *, dim: int, eps: float
    ) -> Sequence[Tangent]:
        away, inverse, scale = residuals
        others = _others(away, dim)
        given = _wide(cotangent[0])
        of_bias = ops.sum_(given, dim=others)
        of_weight = ops.mul(inverse, ops.sum_(ops.mul(given, away), dim=others))
        count = count_of(away, others)
        # x's cotangent is affine in g and c, with factors for each channel.
        by_away = ops.neg(ops.div(ops.mul(ops.mul(scale, inverse), of_weight), count))
        offset = ops.neg(ops.div(ops.mul(scale, of_bias), count))
        of_mean, of_variance = cotangent[1:]
        if not _is_zero(of_variance):
            by_away = ops.add(by_away, ops.div(ops.add(of_variance, of_variance), count))
        if not _is_zero(of_mean):
            offset = ops.add(offset, ops.div(of_mean, count))
        direct = ops.mul(given, spread(scale, away, others))
        along = ops.mul(away, spread(by_away, away, others))
        of_x = ops.add(ops.add(direct, along), spread(offset, away, others))
        return _like(of_x, cotangent[0]), of_weight, of_bias

    def samples(self) -> Iterator[Sample]:
        params = {"dim": 1, "eps": 1e-5}
        yield Sample((draws(4, 3), draws(3, seed=1), draws(3, seed=2)), params)
        yield Sample((draws(2, 3, 2), draws(3, seed=1), draws(3, seed=2)), params)
        yield Sample((draws(3, 2, 2), draws(3, seed=1), draws(3, seed=2)), {"dim": 0, "eps": 1e-3})


def _others(x: Tensor, dim: int) -> Dims:
    return tuple(each for each in range(x.ndim) if each != dim)


def _is_zero(x: Tensor) -> bool:
    return isinstance(x, Splat) and x.value == 0


standardize = register(Standardize())
rms_normalize = register(RmsNormalize())
normalize_batch = register(NormalizeBatch())
