"""Rules for reading and writing at computed places.

The ``k`` indexed dimensions of ``x`` are flattened into one, the coordinates into places along it,
so that every gather and scatter indexes one dimension.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from slope.extend import TensorType, dims
from slope_backend_onnx.lower.context import Lowering, Result, Rule, Value
from slope_backend_onnx.lower.lengths import is_one, same

# What repeated places are combined in: half precision accumulates in float32, and bools are
# counted.
_COMBINED: Final = {"float16": "float32", "bfloat16": "float32", "bool": "int32"}


class _Layout(NamedTuple):
    """The parts of ``x``'s shape, and the shape of the places.

    Attributes:
        batch, before, indexed, after: see :mod:`slope.ops.index`.
        places: the index dimensions other than the batch ones and the coordinates.
    """

    batch: tuple[int, ...]
    before: tuple[int, ...]
    indexed: tuple[int, ...]
    after: tuple[int, ...]
    places: tuple[int, ...]

    @property
    def flat(self) -> tuple[int, ...]:
        """``x``'s shape with one indexed dimension."""
        return (*self.batch, *self.before, math.prod(self.indexed), *self.after)

    @property
    def axis(self) -> int:
        return len(self.batch) + len(self.before)

    def with_places_last(self) -> _Layout:
        """The layout of ``x`` with the indexed dimensions behind all others."""
        return self._replace(before=(*self.before, *self.after), after=())


def _layout(x: Value, indices: Value, axis: int, batch_dims: int) -> _Layout:
    shape, places = x.type.shape, indices.type.shape
    end = axis + places[-1]
    return _Layout(
        shape[:batch_dims],
        shape[batch_dims:axis],
        shape[axis:end],
        shape[end:],
        places[batch_dims:-1],
    )


def as_int64(cx: Lowering, places: Value) -> str:
    """Integers as int64; unsigned ones beyond int32 as its largest, which no bound exceeds.

    ONNX Runtime's Clip takes int64 beyond int32 for small ones: see ``kernels``.
    """
    dtype = places.dtype.name
    if dtype not in ("uint32", "uint64"):
        return cx.full(places, "int64")
    return cx.cast(cx.op("Min", cx.full(places), cx.number(2**31 - 1, dtype)), dtype, "int64")


def _positions(cx: Lowering, indices: Value, layout: _Layout) -> str:
    """The places along the flattened dimension, int64 of shape ``(*batch, *places)``, clamped.

    In ONNX Runtime 1.31, int64 indices from 2**31 to 2**32 are clamped to the wrong end (Clip, see
    ``kernels``); to be right there would cost every gather two more nodes.
    """
    count = len(layout.indexed)
    shape = (*layout.batch, *layout.places)
    bounds: list[Any] = [dims.dim_max(length - 1, 0) for length in layout.indexed]
    name = as_int64(cx, indices)
    if count == 1:
        last = (
            cx.number(bounds[0], "int64")
            if dims.is_static(bounds)
            else cx.op("Squeeze", cx.ints(*bounds))
        )
        name = cx.op("Clip", name, cx.number(0, "int64"), last)
        return cx.reshape(name, indices.type.shape, shape)
    if count == 0:  # without coordinates there is one place
        return cx.op("Expand", cx.number(0, "int64"), cx.ints(*shape))
    strides = [math.prod(layout.indexed[dim + 1 :]) for dim in range(count)]
    name = cx.op("Max", cx.op("Min", name, cx.ints(*bounds)), cx.number(0, "int64"))
    return cx.op("ReduceSum", cx.op("Mul", name, cx.ints(*strides)), cx.ints(-1), keepdims=0)


def _beside(cx: Lowering, positions: str, layout: _Layout, shape: Sequence[int]) -> str:
    """The positions repeated to ``shape``, which has one dimension for all places."""
    count = math.prod(layout.places)
    narrow = (*layout.batch, *[1] * len(layout.before), count, *[1] * len(layout.after))
    name = cx.reshape(positions, (*layout.batch, *layout.places), narrow)
    return name if same(narrow, shape) else cx.op("Expand", name, cx.ints(*shape))


def _gather(
    cx: Lowering, x: Value, indices: Value, *, axis: int = 0, batch_dims: int = 0
) -> Result:
    layout = _layout(x, indices, axis, batch_dims)
    if 0 in cx.out.shape:  # nothing to read, and perhaps nothing to read it from
        return cx.value(cx.number(0, x.dtype.name), shape=())
    source = cx.reshape(cx.full(x), x.type.shape, layout.flat)
    positions = _positions(cx, indices, layout)
    if not layout.batch:
        return cx.op("Gather", source, positions, axis=layout.axis)
    if not layout.before:
        shape = (*layout.batch, *layout.places)
        return cx.op(
            "GatherND",
            source,
            cx.reshape(positions, shape, (*shape, 1)),
            batch_dims=batch_dims,
        )
    shape = (*layout.batch, *layout.before, math.prod(layout.places), *layout.after)
    found = cx.op(
        "GatherElements",
        source,
        _beside(cx, positions, layout, shape),
        axis=layout.axis,
    )
    return cx.reshape(found, shape, cx.out.shape)


def _scatter(
    cx: Lowering,
    x: Value,
    indices: Value,
    updates: Value,
    *,
    axis: int = 0,
    batch_dims: int = 0,
    mode: str = "set",
) -> Result:
    layout = _layout(x, indices, axis, batch_dims)
    if 0 in updates.type.shape:
        return x
    inner = x.dtype.name if mode == "set" else _COMBINED.get(x.dtype.name, x.dtype.name)
    positions = _positions(cx, indices, layout)
    rows = cx.in_order and in_rows(x.type, indices.type, axis=axis, batch_dims=batch_dims)
    if rows:
        positions, layout = _without_batch(cx, positions, layout)
    target = cx.reshape(cx.full(x, inner), x.type.shape, layout.flat)
    count = math.prod(layout.places)
    shape = (*layout.batch, *layout.before, count, *layout.after)
    new = cx.reshape(cx.full(updates, inner), updates.type.shape, shape)
    rows = rows or (is_one(count) and layout.axis == 0)
    order = _places_last(layout, count) if cx.native and not rows else None
    if order is not None:
        target, new = cx.transpose(target, layout.flat, order), cx.transpose(new, shape, order)
        layout, shape = layout.with_places_last(), tuple(shape[dim] for dim in order)
    where = (
        cx.reshape(positions, layout.places, (count, 1))
        if rows
        else _beside(cx, positions, layout, shape)
    )
    along = None if rows else layout.axis
    done = _combined(cx, target, where, new, along, mode)
    if mode in ("min", "max") and x.dtype.is_floating_point:
        # ONNX Runtime compares with NaN, and so may lose it.
        here, there = (cx.cast(cx.op("IsNaN", each), "bool", "int32") for each in (target, new))
        lost = cx.cast(_combined(cx, here, where, there, along, "max"), "int32", "bool")
        done = cx.op("Where", lost, cx.number(math.nan, inner), done)
    if order is not None:
        back = [order.index(dim) for dim in range(len(order))]
        done, layout = cx.transpose(done, layout.flat, back), _layout(x, indices, axis, batch_dims)
    return cx.cast(cx.reshape(done, layout.flat, x.type.shape), inner, x.dtype.name)


def in_rows(x: TensorType, indices: TensorType, *, axis: int = 0, batch_dims: int = 0) -> bool:
    """Whether what stands at a place is a row, side by side in memory."""
    width = math.prod(x.shape[axis + indices.shape[-1] :])
    return axis == batch_dims and not is_one(width) and dims.is_static(x.shape[:batch_dims])


def _without_batch(cx: Lowering, positions: str, layout: _Layout) -> tuple[str, _Layout]:
    """Positions along one dimension that holds the batch dimensions, too."""
    if not layout.batch:
        return positions, layout
    count, length = math.prod(layout.batch), math.prod(layout.indexed)
    starts = cx.op("Mul", cx.graph.constant(np.arange(count)), cx.ints(length))
    narrow = (*layout.batch, *[1] * len(layout.places))
    starts = cx.reshape(starts, (count,), narrow)
    places = (*layout.batch, *layout.places)
    flat = layout._replace(batch=(), before=(), indexed=(count * length,), places=places)
    return cx.op("Add", positions, starts), flat


def _places_last(layout: _Layout, count: Any) -> tuple[int, ...] | None:
    """The order that moves the indexed dimension behind all others, where that is faster.

    ScatterElements takes half the time along the last dimension, and the places are repeated ten
    times as fast to rows as to columns. That pays for turning ``x`` back and forth where there are
    at least as many updates as there are places; nobody knows where sizes are symbolic.
    """
    if not all(isinstance(length, int) for length in (*layout.flat, count)):
        return None
    if math.prod(layout.after) == 1 or count < max(2, math.prod(layout.indexed)):
        return None
    dims = range(len(layout.flat))
    return (*(dim for dim in dims if dim != layout.axis), layout.axis)


def _combined(cx: Lowering, target: str, where: str, new: str, axis: int | None, mode: str) -> str:
    """Updates written along an axis, or as whole rows where there is none."""
    # ScatterND runs over places on several threads, if there are, so that where they repeat,
    # additions are lost and it is chance which update is written last. Along an axis, element after
    # element takes eight times as long.
    operator = "ScatterND" if axis is None else "ScatterElements"
    reduction = "none" if mode == "set" else mode
    return cx.op(operator, target, where, new, axis=axis, reduction=reduction)


RULES: Final[dict[str, Rule]] = {"gather_slices": _gather, "scatter_slices": _scatter}
