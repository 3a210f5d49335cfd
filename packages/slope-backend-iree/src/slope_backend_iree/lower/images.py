"""Cutting images, and putting zeros around them."""

from __future__ import annotations

from collections.abc import Sequence

from .context import Context, Value, listed

Dims = tuple[int, ...]
Padding = Sequence[tuple[int, int]]


def sliced(
    ctx: Context, x: Value, start: Sequence[int], stop: Sequence[int], step: Sequence[int]
) -> Value:
    spans = list(zip(start, stop, step, strict=True))
    result = x.type.with_shape(tuple(-(-(last - first) // each) for first, last, each in spans))
    if result == x.type:
        return x
    places = ", ".join(f"{first}:{last}:{each}" for first, last, each in spans)
    return ctx.emit(
        f"stablehlo.slice {x} [{places}] : ({x.mlir}) -> {Value('', result).mlir}", result
    )


def padded(ctx: Context, x: Value, dims: Dims, padding: Padding) -> Value:
    if not any(map(any, padding)):
        return x
    low, high = [0] * len(x.shape), [0] * len(x.shape)
    for dim, (before, after) in zip(dims, padding, strict=True):
        low[dim], high[dim] = before, after
    shape = tuple(sum(each) for each in zip(low, x.shape, high, strict=True))
    return ctx.op(
        "pad",
        [x, ctx.scalar(0, x.dtype)],
        x.type.with_shape(shape),
        f"low = {listed(low)}, high = {listed(high)}, interior = {listed([0] * len(low))}",
    )
