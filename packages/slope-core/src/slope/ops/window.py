"""Windows at computed places: cut out, and written.

The starts are integer tensors of shape (), one for each dimension of ``x``, and are clamped so that
the window fits, as in JAX. Each of the two operators is the other's transpose.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from slope.core.operator import Linear, Operand, Operator, Sample, Tangent, register
from slope.core.tensor import Splat, Tensor
from slope.core.types import TensorType
from slope.dims import same
from slope.dtypes import int64
from slope.errors import DTypeError, ShapeError
from slope.ops._family import draws, ints, splat_like
from slope.ops.create import iota
from slope.ops.elementwise import add, maximum, minimum
from slope.ops.index import gather, scatter
from slope.ops.linear import batched_at, broadcast, cast, reshape
from slope.ops.slicing import cat


def _check(op: Operator, x: TensorType, sizes: Sequence[Any], starts: Sequence[TensorType]) -> None:
    if len(starts) != x.ndim or len(sizes) != x.ndim:
        raise ShapeError(
            f"{op.name}: {x} needs a start and a size for each dimension, and got {len(starts)} "
            f"and {len(sizes)}."
        )
    if any(start.shape != () or not start.dtype.is_integer for start in starts):
        given = ", ".join(map(str, starts))
        raise DTypeError(
            f"{op.name} takes starts of an integer dtype and shape (), and got {given}."
        )
    if any(not 0 <= size <= length for size, length in zip(sizes, x.shape, strict=True)):
        raise ShapeError(f"{op.name}: a window of sizes {tuple(sizes)} does not fit into {x}.")


class DynamicSlice(Operator):
    """The window of ``x`` that begins at computed places: ``dynamic_slice(x, *starts)``.

    Params:
        sizes: the window's shape.
    """

    name = "dynamic_slice"

    def infer(self, x: TensorType, *starts: TensorType, sizes: tuple[Any, ...]) -> TensorType:
        _check(self, x, sizes, starts)
        return x.with_shape(tuple(sizes))

    def jvp(
        self, primals: Sequence[Any], tangents: Sequence[Tangent], *, sizes: tuple[Any, ...]
    ) -> Any:
        x, *starts = primals
        out = dynamic_slice(x, *starts, sizes=sizes)
        return out, None if tangents[0] is None else dynamic_slice(
            tangents[0], *starts, sizes=sizes
        )

    def transpose(
        self, cotangent: Any, x: Operand, *starts: Any, sizes: tuple[Any, ...]
    ) -> Sequence[Tangent]:
        return dynamic_update_slice(splat_like(0, x), cotangent, *starts), *[None] * len(starts)

    def batch(
        self,
        size: Any,
        args: Sequence[Tensor],
        in_dims: Sequence[int | None],
        *,
        sizes: tuple[Any, ...],
    ) -> tuple[Any, Any]:
        x, *starts = args
        if all(at is None for at in in_dims[1:]):
            x = batched_at(x, in_dims[0], size, 0)
            return dynamic_slice(
                x, Splat(0, TensorType((), int64)), *starts, sizes=(size, *sizes)
            ), 0
        x = batched_at(x, in_dims[0], size, 0)
        for dim, length in enumerate(sizes):  # one after the other, those that are cut alone
            if not same((length,), (x.shape[dim + 1],)):
                start = _clamped(
                    batched_at(starts[dim], in_dims[dim + 1], size, 0), x.shape[dim + 1] - length
                )
                x = gather(x, _counted(start, length), axis=dim + 1, batch_dims=1)
        return x, 0

    def samples(self) -> Iterator[Sample]:
        yield Sample((draws(5, 4), np.array(1), np.array(2, np.int32)), {"sizes": (2, 2)})
        yield Sample((draws(2, 6, 3), np.array(0), np.array(4), np.array(0)), {"sizes": (2, 1, 3)})
        yield Sample((draws(5), np.array(4)), {"sizes": (3,)})
        yield Sample((draws(5), np.array(-7)), {"sizes": (2,)})
        yield Sample((draws(4), np.array(200, np.uint8)), {"sizes": (4,)})
        yield Sample((ints(5), np.array(2**63, np.uint64)), {"sizes": (2,)}, False)
        yield Sample((draws(3, 2), np.array(1), np.array(1)), {"sizes": (0, 1)})
        yield Sample((draws(),), {"sizes": ()})


class DynamicUpdateSlice(Operator):
    """``x`` with a window overwritten: ``dynamic_update_slice(x, update, *starts)``."""

    name = "dynamic_update_slice"

    def infer(self, x: TensorType, update: TensorType, *starts: TensorType) -> TensorType:
        if update.dtype is not x.dtype or update.ndim != x.ndim:
            raise ShapeError(
                f"dynamic_update_slice: an update {update} does not go into {x}; dtype and "
                f"number of dimensions must be equal."
            )
        _check(self, x, update.shape, starts)
        return x

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Tangent]) -> Any:
        x, update, *starts = primals
        dx, du = tangents[:2]
        out = dynamic_update_slice(x, update, *starts)
        if dx is None and du is None:
            return out, None
        dx, du = splat_like(0, x) if dx is None else dx, splat_like(0, update) if du is None else du
        return out, dynamic_update_slice(dx, du, *starts)

    def transpose(
        self, cotangent: Any, x: Operand, update: Operand, *starts: Any
    ) -> Sequence[Tangent]:
        to_x = (
            dynamic_update_slice(cotangent, splat_like(0, update), *starts)
            if isinstance(x, Linear)
            else None
        )
        to_update = (
            dynamic_slice(cotangent, *starts, sizes=update.shape)
            if isinstance(update, Linear)
            else None
        )
        return to_x, to_update, *[None] * len(starts)

    def batch(
        self, size: Any, args: Sequence[Tensor], in_dims: Sequence[int | None]
    ) -> tuple[Any, Any]:
        x, update, *starts = args
        x, update = batched_at(x, in_dims[0], size, 0), batched_at(update, in_dims[1], size, 0)
        if all(at is None for at in in_dims[2:]):
            return dynamic_update_slice(x, update, Splat(0, TensorType((), int64)), *starts), 0
        partial = [
            dim for dim in range(1, x.ndim) if not same((x.shape[dim],), (update.shape[dim],))
        ]
        if not partial:  # the window is everything
            return update, 0
        first, last = partial[0], partial[-1] + 1
        places = update.shape[first:last]
        spread = (size, *places, 1)
        columns = []
        for dim in range(first, last):
            start = _clamped(
                batched_at(starts[dim - 1], in_dims[dim + 1], size, 0),
                x.shape[dim] - update.shape[dim],
            )
            along = reshape(_counted(start, update.shape[dim]), shape=(size, update.shape[dim]))
            columns.append(
                reshape(
                    broadcast(along, shape=spread[:-1], dims=(0, dim - first + 1)), shape=spread
                )
            )
        indices = columns[0] if len(columns) == 1 else cat(*columns, dim=len(places) + 1)
        return scatter(x, indices, update, axis=first, batch_dims=1, mode="set"), 0

    def samples(self) -> Iterator[Sample]:
        yield Sample((draws(5, 4), draws(2, 2, seed=1), np.array(1), np.array(2, np.int32)))
        yield Sample(
            (draws(2, 6, 3), draws(2, 1, 3, seed=1), np.array(0), np.array(4), np.array(0))
        )
        yield Sample(
            (
                draws(2, 3, 4, 2),
                draws(1, 3, 2, 2, seed=1),
                np.array(1),
                np.array(0),
                np.array(1),
                np.array(0),
            )
        )
        yield Sample((draws(5), draws(3, seed=1), np.array(4)))
        yield Sample((draws(5), draws(2, seed=1), np.array(-7)))
        yield Sample((draws(4), draws(4, seed=1), np.array(200, np.uint8)))
        yield Sample((ints(5), ints(2, seed=1), np.array(2**63, np.uint64)), {}, False)
        yield Sample((draws(3, 2), draws(0, 1), np.array(1), np.array(1)))
        yield Sample((draws(), draws(seed=1)))


def _clamped(start: Tensor, limit: Any) -> Tensor:
    """Starts as int64, within ``0 .. limit``."""
    if start.dtype.kind == "u":
        start = minimum(start, splat_like(min(limit, (1 << start.dtype.bits) - 1), start))
        return cast(start, dtype=int64)
    start = cast(start, dtype=int64)
    return maximum(minimum(start, splat_like(limit, start)), splat_like(0, start))


def _counted(start: Tensor, length: Any) -> Tensor:
    """``start, start + 1, ...`` for every example, of shape ``(batch, length, 1)``."""
    shape = (*start.shape, length, 1)
    return add(broadcast(start, shape=shape, dims=(0,)), iota(shape=shape, dim=1, dtype=int64))


dynamic_slice = register(DynamicSlice())
dynamic_update_slice = register(DynamicUpdateSlice())
