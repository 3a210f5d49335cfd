"""Reductions other than ``sum``: extrema, products, truth, positions; and cumulative sums."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import numpy as np

from slope.core.operator import Operand, Operator, Sample, Tangent, register
from slope.core.tensor import Splat, Tensor
from slope.core.types import TensorType
from slope.dtypes import bool_, int64
from slope.errors import DTypeError, ShapeError
from slope.ops._family import draws, flags, ints, require_dim, require_kind, shifted, splat_like
from slope.ops.elementwise import add, div, mul
from slope.ops.linear import (
    LinearOperator,
    batch_reduction,
    broadcast,
    cast,
    permute,
    reshape,
    sum_,
)
from slope.ops.logic import eq, where
from slope.ops.slicing import cat, slice_


class Reduction(Operator):
    """The family base: the dimensions ``dim`` (ascending) vanish.

    Class attributes:
        kinds: the kinds of dtype it takes.
        empty: whether an empty reduction has a value.
    """

    kinds: ClassVar[str] = "biuf"
    empty: ClassVar[bool] = False

    def infer(self, x: TensorType, *, dim: tuple[int, ...]) -> TensorType:
        require_kind(self, x, self.kinds)
        for each in dim:
            require_dim(self, x, each)
            if not self.empty and x.shape[each] == 0:
                raise ShapeError(
                    f"{self.name}: dimension {each} of {x} is empty, and {self.name} of nothing "
                    f"has no value."
                )
        return x.with_shape(tuple(length for each, length in enumerate(x.shape) if each not in dim))

    def batch(
        self,
        size: Any,
        args: Sequence[Tensor],
        in_dims: Sequence[int | None],
        *,
        dim: tuple[int, ...],
    ) -> tuple[Any, Any]:
        (at,) = in_dims
        assert at is not None
        return batch_reduction(self, args[0], at, dim)

    def samples(self) -> Iterator[Sample]:
        if "f" in self.kinds:
            yield Sample((draws(2, 3, 4),), {"dim": (1,)})
            yield Sample((draws(2, 3, 4),), {"dim": (0, 2)})
            yield Sample((draws(3, 4),), {"dim": (0, 1)})
        if "i" in self.kinds:
            yield Sample((ints(3, 4),), {"dim": (0,)}, False)
        if "b" in self.kinds:
            yield Sample((flags(3, 4),), {"dim": (1,)}, False)


def spread(x: Tensor, like: Tensor, dim: tuple[int, ...]) -> Tensor:
    """A reduction's result repeated back along the reduced dimensions."""
    return broadcast(
        x, shape=like.shape, dims=tuple(each for each in range(like.ndim) if each not in dim)
    )


class _Extreme(Reduction):
    def jvp(self, primals: Sequence[Any], tangents: Sequence[Tangent], **params: Any) -> Any:
        (x,), (tangent,) = primals, tangents
        dim = params["dim"]
        out = self(x, dim=dim)
        if tangent is None:
            return out, None
        # Ties share the derivative evenly, as PyTorch's amax and amin do.
        at_best = cast(eq(x, spread(out, x, dim)), dtype=x.dtype)
        weight = div(at_best, spread(sum_(at_best, dim=dim), x, dim))
        return out, sum_(mul(tangent, weight), dim=dim)

    def samples(self) -> Iterator[Sample]:
        yield from super().samples()
        yield Sample((np.array([[1, np.nan], [2, 3]], np.float32),), {"dim": (1,)}, False)


class Amax(_Extreme):
    """The largest element; NaN if any is NaN. Ties share the derivative evenly.

    Params:
        dim: the dimensions to reduce, ascending; not empty ones.
    """

    name = "amax"


class Amin(_Extreme):
    """The smallest element; NaN if any is NaN. Ties share the derivative evenly.

    Params:
        dim: the dimensions to reduce, ascending; not empty ones.
    """

    name = "amin"


class Prod(Reduction):
    """The product; of nothing it is 1. Its derivative is right where factors are zero.

    Params:
        dim: the dimensions to reduce, ascending.
    """

    name = "prod"
    kinds = "iuf"
    empty = True

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Tangent], **params: Any) -> Any:
        (x,), (tangent,) = primals, tangents
        dim = params["dim"]
        out = prod(x, dim=dim)
        if tangent is None:
            return out, None
        count = math.prod(x.shape[each] for each in dim)
        if isinstance(count, int):
            return out, _product_tangent(x, tangent, dim, count)
        return out, sum_(mul(tangent, _others(x, dim)), dim=dim)

    def samples(self) -> Iterator[Sample]:
        yield from super().samples()
        yield Sample((np.array([[0, 2, 3], [0, 0, 4]], np.float32),), {"dim": (1,)})
        yield Sample((draws(2, 0),), {"dim": (1,)})


def _product_tangent(x: Tensor, tangent: Tensor, dim: tuple[int, ...], count: int) -> Tensor:
    # The product rule over pairs, pairs of pairs, ...: no division, so right at zeros to any order.
    kept = tuple(each for each in range(x.ndim) if each not in dim)
    shape = tuple(x.shape[each] for each in kept)
    if not count:
        return Splat(0, x.type.with_shape(shape))
    x, tangent = (
        reshape(permute(each, dims=(*kept, *dim)), shape=(*shape, count)) for each in (x, tangent)
    )
    while count > 1:
        half = count // 2
        (first, second, rest), (d_first, d_second, d_rest) = (
            [_cut(each, *ends) for ends in ((0, half), (half, 2 * half), (2 * half, count))]
            for each in (x, tangent)
        )
        x = mul(first, second)
        tangent = add(mul(d_first, second), mul(first, d_second))
        if count % 2:
            x, tangent = cat(x, rest, dim=len(shape)), cat(tangent, d_rest, dim=len(shape))
        count = half + count % 2
    return reshape(tangent, shape=shape)


def _cut(x: Tensor, start: int, stop: int) -> Tensor:
    lead = x.ndim - 1
    return slice_(x, start=(0,) * lead + (start,), stop=(*x.shape[:lead], stop), step=(1,) * x.ndim)


def _others(x: Tensor, dim: tuple[int, ...]) -> Tensor:
    # The product of all elements but one's own: over the others that are not zero, unless there is
    # a zero among them.
    zero, one = splat_like(0, x), splat_like(1, x)
    is_zero = eq(x, zero)
    zeros = sum_(cast(is_zero, dtype=x.dtype), dim=dim)
    safe = where(is_zero, one, x)
    product = prod(safe, dim=dim)
    count = spread(zeros, x, dim)
    nonzero = div(spread(product, x, dim), safe)
    alone = where(is_zero, nonzero, zero)
    return where(eq(count, zero), nonzero, where(eq(count, one), alone, zero))


class _Truth(Reduction):
    kinds = "b"
    differentiable = False
    empty = True


class Any_(_Truth):  # noqa: N801  # not to shadow typing.Any
    """Whether any element is True; of nothing it is False.

    Params:
        dim: the dimensions to reduce, ascending.
    """

    name = "any"


class All(_Truth):
    """Whether all elements are True; of nothing it is True.

    Params:
        dim: the dimensions to reduce, ascending.
    """

    name = "all"


class _Position(Operator):
    differentiable = False

    def infer(self, x: TensorType, *, dim: int) -> TensorType:
        require_dim(self, x, dim)
        if x.dtype is bool_:
            raise DTypeError(f"{self.name} takes numbers, and got {x}.")
        if x.shape[dim] == 0:
            raise ShapeError(
                f"{self.name}: dimension {dim} of {x} is empty, and {self.name} of nothing has no "
                f"value."
            )
        return TensorType((*x.shape[:dim], *x.shape[dim + 1 :]), int64)

    def batch(
        self, size: Any, args: Sequence[Tensor], in_dims: Sequence[int | None], *, dim: int
    ) -> tuple[Any, Any]:
        (at,) = in_dims
        assert at is not None
        moved = shifted(dim, at)
        return self(args[0], dim=moved), at - (1 if moved < at else 0)

    def samples(self) -> Iterator[Sample]:
        yield Sample((draws(3, 4),), {"dim": 1}, False)
        yield Sample((ints(3, 4, low=0, high=1),), {"dim": 0}, False)
        yield Sample((np.array([[1, np.nan, 3, np.nan]], np.float32),), {"dim": 1}, False)


class Argmax(_Position):
    """The position (int64) of the largest element, the first of equal ones.

    If there is a NaN, it is the position of the first.

    Params:
        dim: the dimension to reduce.
    """

    name = "argmax"


class Argmin(_Position):
    """The position (int64) of the smallest element, the first of equal ones.

    If there is a NaN, it is the position of the first.

    Params:
        dim: the dimension to reduce.
    """

    name = "argmin"


class Cumsum(LinearOperator):
    """Running sums along a dimension, each including its own element.

    Params:
        dim: the dimension.
        reverse: sum from the end.
    """

    name = "cumsum"

    def infer(self, x: TensorType, *, dim: int, reverse: bool = False) -> TensorType:
        require_kind(self, x, "iuf")
        require_dim(self, x, dim)
        return x

    def transpose(
        self, cotangent: Any, x: Operand, *, dim: int, reverse: bool = False
    ) -> Sequence[Tangent]:
        return (cumsum(cotangent, dim=dim, reverse=not reverse),)

    def batch(
        self, size: Any, args: Sequence[Tensor], in_dims: Sequence[int | None], **params: Any
    ) -> tuple[Any, Any]:
        (at,) = in_dims
        assert at is not None
        return cumsum(args[0], **{**params, "dim": shifted(params["dim"], at)}), at

    def samples(self) -> Iterator[Sample]:
        yield Sample((draws(3, 4),), {"dim": 1, "reverse": False})
        yield Sample((draws(3, 4),), {"dim": 0, "reverse": True})
        yield Sample((ints(5),), {"dim": 0, "reverse": False}, False)


amax = register(Amax())
amin = register(Amin())
prod = register(Prod())
any_ = register(Any_())
all_ = register(All())
argmax = register(Argmax())
argmin = register(Argmin())
cumsum = register(Cumsum())
