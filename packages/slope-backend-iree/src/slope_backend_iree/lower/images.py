"""Cutting images, and putting zeros around them."""

from __future__ import annotations

from collections.abc import Sequence

from .context import Context, Value
from .linear import pad, slice_

Dims = tuple[int, ...]
Padding = Sequence[tuple[int, int]]


def sliced(
    ctx: Context, x: Value, start: Sequence[int], stop: Sequence[int], step: Sequence[int]
) -> Value:
    return slice_(ctx, x, start=start, stop=stop, step=step)


def padded(ctx: Context, x: Value, dims: Dims, padding: Padding) -> Value:
    if not any(map(any, padding)):
        return x
    low, high = [0] * len(x.shape), [0] * len(x.shape)
    for dim, (before, after) in zip(dims, padding, strict=True):
        low[dim], high[dim] = before, after
    return pad(ctx, x, low=low, high=high, interior=[0] * len(low), value=0)
