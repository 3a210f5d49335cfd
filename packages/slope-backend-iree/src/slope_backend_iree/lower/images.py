"""Zeros around images."""

from __future__ import annotations

from collections.abc import Sequence

from .context import Context, Value

Dims = tuple[int, ...]
Padding = Sequence[tuple[int, int]]


def padded(ctx: Context, x: Value, dims: Dims, padding: Padding) -> Value:
    """``x`` with zeros before and behind some of its dimensions."""
    low, high = [0] * len(x.shape), [0] * len(x.shape)
    for dim, (before, after) in zip(dims, padding, strict=True):
        low[dim], high[dim] = before, after
    return ctx.pad(x, low, high)
