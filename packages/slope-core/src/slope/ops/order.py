"""Order along one dimension: sorting, the largest elements, running products and extrema.

One order holds everywhere: that of numbers, with every NaN after all of them (as PyTorch's) and
with -0.0 equal to 0.0. Sorting is stable, downward too: of equal elements the earlier one comes
first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar

import numpy as np

from slope.core.operator import Operator, Sample, Tangent, register
from slope.core.tensor import Tensor
from slope.core.types import TensorType
from slope.dtypes import accumulator, int64
from slope.errors import ShapeError
from slope.ops._family import draws, ints, require_dim, require_kind, shifted, splat_like
from slope.ops.create import iota
from slope.ops.elementwise import maximum, minimum, mul
from slope.ops.index import take_along
from slope.ops.linear import cast, reshape
from slope.ops.logic import bitwise_or, eq, isnan, where
from slope.ops.reduce import amax, amin, argmax, argmin
from slope.ops.slicing import cat, slice_

TIES = np.array([[2, 1, 2, 0, 1, 1]], np.float32)
ODD = np.array([[1, np.nan, -np.inf, np.inf, np.nan, 0.0, -0.0, np.inf]], np.float32)


def _following(
    op: Operator, primals: Sequence[Any], tangents: Sequence[Tangent], params: dict[str, Any]
) -> Any:
    """The jvp of operators that give elements and their places: a tangent follows its element."""
    (x,), (tangent,) = primals, tangents
    values, indices = op(x, **params)
    moved = None if tangent is None else take_along(tangent, indices, params["dim"])
    return (values, indices), (moved, None)


class _Ordered(Operator):
    """The base of operators that give elements, and where along ``dim`` they stood (int64)."""

    multiple = True

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Tangent], **params: Any) -> Any:
        return _following(self, primals, tangents, params)

    def batch(
        self, size: Any, args: Sequence[Tensor], in_dims: Sequence[int | None], **params: Any
    ) -> tuple[Any, Any]:
        (at,) = in_dims
        assert at is not None
        return self(args[0], **{**params, "dim": shifted(params["dim"], at)}), (at, at)


class Sort(_Ordered):
    """The elements in order along a dimension, and where they stood.

    Stable; NaN last, or first if descending.

    Params:
        dim: the dimension.
        descending: the largest first.
    """

    name = "sort"

    def infer(
        self, x: TensorType, *, dim: int, descending: bool = False
    ) -> tuple[TensorType, TensorType]:
        require_dim(self, x, dim)
        return x, x.with_dtype(int64)

    def samples(self) -> Iterator[Sample]:
        yield Sample((draws(3, 4),), {"dim": 1, "descending": False})
        yield Sample((draws(2, 5, 3),), {"dim": 1, "descending": True})
        yield Sample((draws(7),), {"dim": 0, "descending": True})
        for descending in (False, True):
            yield Sample((TIES,), {"dim": 1, "descending": descending}, False)
            yield Sample((ODD,), {"dim": 1, "descending": descending}, False)
            yield Sample((ints(4, 6, low=-3, high=3),), {"dim": 0, "descending": descending}, False)
        yield Sample(
            (np.array([2**62 + 1, 2**62, -(2**63), 2**63 - 1, 1]),),
            {"dim": 0, "descending": False},
            False,
        )
        yield Sample(
            (np.array([True, False, True, False]),), {"dim": 0, "descending": False}, False
        )
        yield Sample((draws(2, 0),), {"dim": 1, "descending": False})
        yield Sample((draws(3, 1),), {"dim": 1, "descending": False})


class Topk(_Ordered):
    """The first ``k`` elements of a sorted dimension, and where they stood: :class:`Sort`, cut off.

    Params:
        k: how many.
        dim: the dimension.
        largest: the largest, largest first; else the smallest, smallest first. A NaN counts as the
            largest.
    """

    name = "topk"

    def infer(
        self, x: TensorType, *, k: int, dim: int, largest: bool = True
    ) -> tuple[TensorType, TensorType]:
        require_dim(self, x, dim)
        if not 0 <= k <= x.shape[dim]:
            raise ShapeError(f"topk: k={k} is out of range for dimension {dim} of {x}.")
        out = x.with_shape((*x.shape[:dim], k, *x.shape[dim + 1 :]))
        return out, out.with_dtype(int64)

    def expand(self, x: Any, *, k: int, dim: int, largest: bool = True) -> Any:
        return tuple(cut(each, dim, 0, k) for each in sort(x, dim=dim, descending=largest))

    def samples(self) -> Iterator[Sample]:
        yield Sample((draws(3, 6),), {"k": 2, "dim": 1, "largest": True})
        yield Sample((draws(5, 2, 2),), {"k": 3, "dim": 0, "largest": False})
        for largest in (False, True):
            yield Sample((TIES,), {"k": 4, "dim": 1, "largest": largest}, False)
            yield Sample((ODD,), {"k": 5, "dim": 1, "largest": largest}, False)
            yield Sample((ints(9),), {"k": 9, "dim": 0, "largest": largest}, False)
        yield Sample((draws(2, 3),), {"k": 0, "dim": 1, "largest": True})
        yield Sample((draws(0, 3, 0),), {"k": 0, "dim": 0, "largest": True})


class _Best(Operator):
    """The base of extrema along one dimension together with where they stand.

    It computes as the two reductions that it expands to. Its own is the derivative, which goes to
    the element that the index names, while ``amax`` and ``amin`` share it among equal ones.
    """

    multiple = True
    value: ClassVar[Any] = None
    position: ClassVar[Any] = None

    def infer(self, x: TensorType, *, dim: int) -> tuple[TensorType, TensorType]:
        return self.value.infer(x, dim=(dim,)), self.position.infer(x, dim=dim)

    def expand(self, x: Any, *, dim: int) -> Any:
        return self.value(x, dim=(dim,)), self.position(x, dim=dim)

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Tangent], *, dim: int) -> Any:
        (x,), (tangent,) = primals, tangents
        values, indices = self(x, dim=dim)
        if tangent is None:
            return (values, indices), (None, None)
        place = reshape(indices, shape=(*x.shape[:dim], 1, *x.shape[dim + 1 :]))
        return (values, indices), (
            reshape(take_along(tangent, place, dim), shape=values.shape),
            None,
        )

    def batch(
        self, size: Any, args: Sequence[Tensor], in_dims: Sequence[int | None], *, dim: int
    ) -> tuple[Any, Any]:
        (at,) = in_dims
        assert at is not None
        moved = shifted(dim, at)
        left = at - 1 if moved < at else at
        return self(args[0], dim=moved), (left, left)

    def samples(self) -> Iterator[Sample]:
        yield Sample((draws(3, 4),), {"dim": 1})
        yield Sample((draws(2, 3, 2),), {"dim": 0})
        yield Sample((TIES,), {"dim": 1}, False)
        yield Sample((ODD,), {"dim": 1}, False)
        yield Sample((ints(4, 6, low=-3, high=3),), {"dim": 0}, False)


class MaxWithIndices(_Best):
    """The largest element along a dimension, and where the first of equal ones stands.

    Params:
        dim: the dimension, which vanishes; not an empty one.
    """

    name = "max_with_indices"
    value = amax
    position = argmax


class MinWithIndices(_Best):
    """The smallest element along a dimension, and where the first of equal ones stands.

    Params:
        dim: the dimension, which vanishes; not an empty one.
    """

    name = "min_with_indices"
    value = amin
    position = argmin


# --- running products and extrema


def cut(x: Tensor, dim: int, start: Any, stop: Any) -> Tensor:
    """``x[start:stop]`` along one dimension."""
    return slice_(
        x,
        start=tuple(start if each == dim else 0 for each in range(x.ndim)),
        stop=tuple(stop if each == dim else length for each, length in enumerate(x.shape)),
        step=(1,) * x.ndim,
    )


def scan_pairs(x: Tensor, dim: int, combine: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """Running combinations along a dimension.

    Those of long dimensions come from the running combinations of pairs, which give every second
    one (G. Blelloch, "Prefix sums and their applications", 1990): two combinations an element in
    all. Short ones go by doubling: in step ``i`` every element takes in what stands ``2**i``
    before it.

    ``combine`` must be associative; its first operand is the earlier.
    """
    length, step = x.shape[dim], 1
    if length > _DOUBLED:
        return _scan_by_halves(x, dim, combine)
    while step < length:
        later = combine(cut(x, dim, 0, length - step), cut(x, dim, step, length))
        x = cat(cut(x, dim, 0, step), later, dim=dim)
        step *= 2
    return x


_DOUBLED = 32  # elements


def _scan_by_halves(x: Tensor, dim: int, combine: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    length = x.shape[dim]
    half = length // 2
    first, second = (_every_second(x, dim, start) for start in (0, 1))
    pairs = scan_pairs(combine(cut(first, dim, 0, half), second), dim, combine)
    count = first.shape[dim]
    rest = combine(cut(pairs, dim, 0, count - 1), cut(first, dim, 1, count))
    firsts = cat(cut(first, dim, 0, 1), rest, dim=dim)
    together = cat(
        *(_with_ones(cut(each, dim, 0, half), dim) for each in (firsts, pairs)), dim=dim + 1
    )
    shape = (*x.shape[:dim], 2 * half, *x.shape[dim + 1 :])
    together = reshape(together, shape=shape)
    return cat(together, cut(firsts, dim, half, count), dim=dim) if count > half else together


def _every_second(x: Tensor, dim: int, start: int) -> Tensor:
    return slice_(
        x,
        start=tuple(start if each == dim else 0 for each in range(x.ndim)),
        stop=x.shape,
        step=tuple(2 if each == dim else 1 for each in range(x.ndim)),
    )


def _with_ones(x: Tensor, dim: int) -> Tensor:
    """With a dimension of length 1 behind ``dim``."""
    return reshape(x, shape=(*x.shape[: dim + 1], 1, *x.shape[dim + 1 :]))


class _Running(Operator):
    """The base of operators that keep the shape and run along one dimension."""

    kinds: ClassVar[str] = "iuf"

    def infer(self, x: TensorType, *, dim: int) -> Any:
        require_kind(self, x, self.kinds)
        require_dim(self, x, dim)
        return x

    def batch(
        self, size: Any, args: Sequence[Tensor], in_dims: Sequence[int | None], *, dim: int
    ) -> tuple[Any, Any]:
        (at,) = in_dims
        assert at is not None
        out = self(args[0], dim=shifted(dim, at))
        return out, (at, at) if self.multiple else at

    def samples(self) -> Iterator[Sample]:
        yield Sample((draws(3, 5),), {"dim": 1})
        yield Sample((draws(4, 2),), {"dim": 0})
        yield Sample((draws(2, 0),), {"dim": 1})
        yield Sample((draws(1, 1),), {"dim": 0})
        yield Sample((ints(3, 7, low=-3, high=3),), {"dim": 1}, False)


class Cumprod(_Running):
    """Running products along a dimension, each including its own element.

    Half precision is multiplied in float32.

    Its derivative, by the products' own, is right where factors are zero.

    Params:
        dim: the dimension.
    """

    name = "cumprod"

    def expand(self, x: Any, *, dim: int) -> Any:
        wide = accumulator(x.dtype) if x.dtype.kind == "f" else x.dtype
        return cast(scan_pairs(cast(x, dtype=wide), dim, mul), dtype=x.dtype)

    def samples(self) -> Iterator[Sample]:
        yield from super().samples()
        yield Sample((np.array([[2, 0, 3, 4], [0, 5, 0, 6]], np.float32),), {"dim": 1})


class _CumulativeExtreme(_Running):
    multiple = True
    combine: ClassVar[Any] = None

    def infer(self, x: TensorType, *, dim: int) -> tuple[TensorType, TensorType]:
        return super().infer(x, dim=dim), x.with_dtype(int64)

    def expand(self, x: Any, *, dim: int) -> Any:
        values = scan_pairs(x, dim, self.combine)
        hit = eq(x, values)
        if x.dtype.kind == "f":
            hit = bitwise_or(hit, isnan(x))
        places = iota(shape=x.shape, dim=dim, dtype=int64)
        return values, scan_pairs(where(hit, places, splat_like(0, places)), dim, maximum)

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Tangent], **params: Any) -> Any:
        return _following(self, primals, tangents, params)

    def samples(self) -> Iterator[Sample]:
        yield from super().samples()
        yield Sample((TIES,), {"dim": 1}, False)
        yield Sample((ODD,), {"dim": 1}, False)
        yield Sample((np.array([0.0, -0.0, 0.0, -1.0], np.float32),), {"dim": 0}, False)


class Cummax(_CumulativeExtreme):
    """The largest element so far along a dimension, and where it stands.

    Of equal ones that is the last, as in PyTorch.

    From a NaN on all are NaN, and the place is the last NaN's.

    Params:
        dim: the dimension.
    """

    name = "cummax"
    combine = maximum


class Cummin(_CumulativeExtreme):
    """The smallest element so far along a dimension, and where it stands.

    Of equal ones that is the last, as in PyTorch.

    From a NaN on all are NaN, and the place is the last NaN's.

    Params:
        dim: the dimension.
    """

    name = "cummin"
    combine = minimum


sort = register(Sort())
topk = register(Topk())
max_with_indices = register(MaxWithIndices())
min_with_indices = register(MinWithIndices())
cumprod = register(Cumprod())
cummax = register(Cummax())
cummin = register(Cummin())
