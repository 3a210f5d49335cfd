"""Operators that pad, cut, reverse and join along dimensions. All are linear."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from slope.core.operator import Linear, Operand, Sample, Tangent, register
from slope.core.tensor import Tensor
from slope.core.types import TensorType
from slope.errors import ShapeError
from slope.ops._family import draws, insert, ints, require_dim, require_rank, shifted
from slope.ops.linear import LinearOperator, batched_at


class Pad(LinearOperator):
    """Add elements before, after and between the elements of each dimension.

    Linear when ``value`` is 0; its tangent is padded with 0 always.

    Params:
        low, high: how many before and after, one entry for each dimension, not negative.
        interior: how many between each two neighbours.
        value: what the new elements are, a Python scalar.
    """

    name = "interior_pad"

    def infer(
        self, x: TensorType, *, low: Any, high: Any, interior: Any, value: Any = 0
    ) -> TensorType:
        for name, values in (("low", low), ("high", high), ("interior", interior)):
            require_rank(self, values, x, name)
            if any(each < 0 for each in values):
                raise ShapeError(
                    f"interior_pad: {name}={tuple(values)} must not be negative; use slice to cut."
                )
        shape = []
        for length, before, after, between in zip(x.shape, low, high, interior, strict=True):
            gaps = 0 if between == 0 or length == 0 else (length - 1) * between
            shape.append(before + length + gaps + after)
        return x.with_shape(tuple(shape))

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Tangent], **params: Any) -> Any:
        (x,), (tangent,) = primals, tangents
        return pad(x, **params), None if tangent is None else pad(tangent, **{**params, "value": 0})

    def transpose(
        self, cotangent: Any, x: Operand, *, low: Any, high: Any, interior: Any, value: Any = 0
    ) -> Sequence[Tangent]:
        stop = tuple(length - after for length, after in zip(cotangent.shape, high, strict=True))
        return (
            slice_(
                cotangent, start=tuple(low), stop=stop, step=tuple(each + 1 for each in interior)
            ),
        )

    def batch(
        self, size: Any, args: Sequence[Tensor], in_dims: Sequence[int | None], **params: Any
    ) -> tuple[Any, Any]:
        (at,) = in_dims
        assert at is not None
        low, high, interior = (insert(params[name], at, 0) for name in ("low", "high", "interior"))
        return pad(args[0], low=low, high=high, interior=interior, value=params.get("value", 0)), at

    def samples(self) -> Iterator[Sample]:
        yield Sample(
            (draws(2, 3),), {"low": (1, 0), "high": (0, 2), "interior": (0, 0), "value": 0}
        )
        yield Sample(
            (draws(2, 3),), {"low": (0, 1), "high": (1, 0), "interior": (2, 1), "value": 0}
        )
        yield Sample(
            (draws(3),),
            {"low": (1,), "high": (1,), "interior": (0,), "value": float("-inf")},
            False,
        )
        yield Sample((ints(3),), {"low": (2,), "high": (0,), "interior": (1,), "value": 7}, False)


class Slice(LinearOperator):
    """Every ``step``-th element of each dimension from ``start`` to before ``stop``.

    Params:
        start, stop, step: one entry for each dimension; ``0 <= start <= stop <= length``,
            ``step >= 1``.
    """

    name = "slice"

    def infer(self, x: TensorType, *, start: Any, stop: Any, step: Any) -> TensorType:
        for name, values in (("start", start), ("stop", stop), ("step", step)):
            require_rank(self, values, x, name)
        shape = []
        for dim, (length, first, last, stride) in enumerate(
            zip(x.shape, start, stop, step, strict=True)
        ):
            if not (0 <= first <= last <= length) or stride < 1:
                raise ShapeError(
                    f"slice: {first}:{last}:{stride} does not fit dimension {dim} of {x}."
                )
            shape.append((last - first + stride - 1) // stride)
        return x.with_shape(tuple(shape))

    def transpose(
        self, cotangent: Any, x: Operand, *, start: Any, stop: Any, step: Any
    ) -> Sequence[Tangent]:
        high = []
        for length, first, stride, kept in zip(x.shape, start, step, cotangent.shape, strict=True):
            used = kept if stride == 1 else 0 if kept == 0 else (kept - 1) * stride + 1
            high.append(length - first - used)
        interior = tuple(stride - 1 for stride in step)
        return (pad(cotangent, low=tuple(start), high=tuple(high), interior=interior, value=0),)

    def batch(
        self, size: Any, args: Sequence[Tensor], in_dims: Sequence[int | None], **params: Any
    ) -> tuple[Any, Any]:
        (at,) = in_dims
        assert at is not None
        start, stop, step = params["start"], params["stop"], params["step"]
        return slice_(
            args[0],
            start=insert(start, at, 0),
            stop=insert(stop, at, size),
            step=insert(step, at, 1),
        ), at

    def samples(self) -> Iterator[Sample]:
        yield Sample((draws(5, 6),), {"start": (1, 0), "stop": (4, 6), "step": (1, 2)})
        yield Sample((draws(7),), {"start": (1,), "stop": (6,), "step": (3,)})
        yield Sample((draws(4),), {"start": (2,), "stop": (2,), "step": (1,)})


class Flip(LinearOperator):
    """The elements in reverse order along some dimensions.

    Params:
        dims: the dimensions.
    """

    name = "flip"

    def infer(self, x: TensorType, *, dims: tuple[int, ...]) -> TensorType:
        for dim in dims:
            require_dim(self, x, dim, "dims")
        return x

    def transpose(self, cotangent: Any, x: Operand, *, dims: tuple[int, ...]) -> Sequence[Tangent]:
        return (flip(cotangent, dims=dims),)

    def batch(
        self, size: Any, args: Sequence[Tensor], in_dims: Sequence[int | None], **params: Any
    ) -> tuple[Any, Any]:
        (at,) = in_dims
        assert at is not None
        return flip(args[0], dims=tuple(shifted(dim, at) for dim in params["dims"])), at

    def samples(self) -> Iterator[Sample]:
        yield Sample((draws(3, 4),), {"dims": (0,)})
        yield Sample((draws(2, 3, 2),), {"dims": (0, 2)})


class Cat(LinearOperator):
    """Operands one after the other along a dimension; all other lengths are equal.

    Params:
        dim: the dimension.
    """

    name = "concatenate"

    def infer(self, *xs: TensorType, dim: int) -> TensorType:
        if not xs:
            raise ShapeError("concatenate takes at least one operand.")
        first = xs[0]
        require_dim(self, first, dim)
        for x in xs:
            if (
                x.dtype is not first.dtype
                or x.ndim != first.ndim
                or any(
                    a != b
                    for each, (a, b) in enumerate(zip(x.shape, first.shape, strict=True))
                    if each != dim
                )
            ):
                raise ShapeError(f"concatenate along dim={dim}: {x} does not go with {first}.")
        return first.with_shape(
            (*first.shape[:dim], sum(x.shape[dim] for x in xs), *first.shape[dim + 1 :])
        )

    def transpose(self, cotangent: Any, *xs: Operand, dim: int) -> Sequence[Tangent]:
        results: list[Tangent] = []
        offset: Any = 0
        for x in xs:
            length = x.shape[dim]
            if isinstance(x, Linear):
                start = tuple(offset if each == dim else 0 for each in range(x.ndim))
                stop = tuple(
                    offset + length if each == dim else total for each, total in enumerate(x.shape)
                )
                results.append(slice_(cotangent, start=start, stop=stop, step=(1,) * x.ndim))
            else:
                results.append(None)
            offset = offset + length
        return results

    def batch(
        self, size: Any, args: Sequence[Tensor], in_dims: Sequence[int | None], *, dim: int
    ) -> tuple[Any, Any]:
        moved = [batched_at(x, at, size, 0) for x, at in zip(args, in_dims, strict=True)]
        return cat(*moved, dim=dim + 1), 0

    def samples(self) -> Iterator[Sample]:
        yield Sample((draws(2, 3), draws(2, 1, seed=1)), {"dim": 1})
        yield Sample((draws(2), draws(0), draws(3, seed=2)), {"dim": 0})
        yield Sample((draws(2, 2, 2),), {"dim": 2})


pad = register(Pad())
slice_ = register(Slice())
flip = register(Flip())
cat = register(Cat())
