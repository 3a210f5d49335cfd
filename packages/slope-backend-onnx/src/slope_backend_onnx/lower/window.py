"""Rules for windows at computed places."""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from slope_backend_onnx.lower.context import Lowering, Result, Rule, Value
from slope_backend_onnx.lower.index import as_int64


def _start(cx: Lowering, start: Value, limit: int) -> str:
    """A start as an int64 of shape (1,), clamped to ``0 .. limit``."""
    if start.literal is not None:
        return cx.ints(min(max(int(start.literal), 0), limit))
    bounds = cx.number(0, "int64"), cx.number(limit, "int64")
    return cx.reshape(cx.op("Clip", as_int64(cx, start), *bounds), (), (1,))


def _joined(cx: Lowering, parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else cx.op("Concat", *parts, axis=0)


def _dynamic_slice(cx: Lowering, x: Value, *starts: Value, sizes: tuple[int, ...]) -> Result:
    shape = x.type.shape
    cut = [dim for dim, length in enumerate(shape) if sizes[dim] != length]
    if not cut:
        return x
    first = _joined(cx, [_start(cx, starts[dim], shape[dim] - sizes[dim]) for dim in cut])
    last = cx.op("Add", first, cx.ints(*[sizes[dim] for dim in cut]))
    return cx.op("Slice", cx.full(x), first, last, cx.ints(*cut))


def _dynamic_update_slice(cx: Lowering, x: Value, update: Value, *starts: Value) -> Result:
    shape, sizes = x.type.shape, update.type.shape
    if 0 in sizes:
        return x
    cut = [dim for dim, length in enumerate(shape) if sizes[dim] != length]
    if not cut:
        return update
    # Whole rows behind the last dimension that is cut. No place repeats: ScatterND does not race.
    lead = cut[-1] + 1
    grid = np.stack(np.meshgrid(*map(np.arange, sizes[:lead]), indexing="ij"), axis=-1)
    limits = [shape[dim] - sizes[dim] for dim in range(lead)]
    first = _joined(
        cx, [_start(cx, start, limit) for start, limit in zip(starts, limits, strict=False)]
    )
    places = (
        cx.reshape(first, (lead,), grid.shape)
        if math.prod(sizes[:lead]) == 1
        else cx.op("Add", cx.graph.constant(grid.astype(np.int64)), first)
    )
    return cx.op("ScatterND", cx.full(x), places, cx.full(update))


RULES: Final[dict[str, Rule]] = {
    "dynamic_slice": _dynamic_slice,
    "dynamic_update_slice": _dynamic_update_slice,
}
