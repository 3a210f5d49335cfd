"""Reductions other than ``sum``, positions of extrema, cumulative sums."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from slope import dtypes
from slope.extend import DType, TensorType

from .context import Context, Rule, Value, is_half
from .linear import pad, slice_

Dims = Sequence[int]


def lowest(dtype: DType) -> bool | int | float:
    """The number that every other of a dtype is at least as large as."""
    if dtype.kind == "b":
        return False
    return -np.inf if dtype.is_floating_point else int(np.iinfo(dtype.numpy).min)


def highest(dtype: DType) -> bool | int | float:
    """The number that every other of a dtype is at most as large as."""
    if dtype.kind == "b":
        return True
    return np.inf if dtype.is_floating_point else int(np.iinfo(dtype.numpy).max)


def amax(ctx: Context, x: Value, *, dim: Dims) -> Value:
    return ctx.reduce("or" if x.dtype.kind == "b" else "maximum", x, lowest(x.dtype), dim)


def amin(ctx: Context, x: Value, *, dim: Dims) -> Value:
    return ctx.reduce("and" if x.dtype.kind == "b" else "minimum", x, highest(x.dtype), dim)


def prod(ctx: Context, x: Value, *, dim: Dims) -> Value:
    if is_half(x.dtype):
        return ctx.convert(ctx.reduce("multiply", ctx.convert(x, dtypes.float32), 1, dim), x.dtype)
    return ctx.reduce("multiply", x, 1, dim)


def any_(ctx: Context, x: Value, *, dim: Dims) -> Value:
    return ctx.reduce("or", x, False, dim)


def all_(ctx: Context, x: Value, *, dim: Dims) -> Value:
    return ctx.reduce("and", x, True, dim)


def argmax(ctx: Context, x: Value, *, dim: int) -> Value:
    return _position(ctx, x, amax(ctx, x, dim=(dim,)), dim)


def argmin(ctx: Context, x: Value, *, dim: int) -> Value:
    return _position(ctx, x, amin(ctx, x, dim=(dim,)), dim)


def _position(ctx: Context, x: Value, best: Value, dim: int) -> Value:
    # The smallest position among the elements equal to the best. A NaN is the best one where there
    # is any, and equals nothing: then the NaNs are the hits. Two plain reductions, which IREE
    # vectorises; one over pairs it does not.
    best = ctx.broadcast(best, x.shape, [each for each in range(len(x.shape)) if each != dim])
    hits = ctx.compare("EQ", x, best)
    if x.dtype.is_floating_point:
        hits = ctx.same("or", hits, ctx.compare("NE", x, x))
    narrow = dtypes.int32 if x.shape[dim] < 2**31 else dtypes.int64
    places = TensorType(x.shape, narrow)
    count = ctx.emit(f"stablehlo.iota dim = {dim} : {Value('', places).mlir}", places)
    count = ctx.select(hits, count, ctx.like(x.shape[dim] - 1, count))
    return ctx.convert(ctx.reduce("minimum", count, x.shape[dim] - 1, (dim,)), dtypes.int64)


def cumsum(ctx: Context, x: Value, *, dim: int, reverse: bool) -> Value:
    # By doubling: after the k-th pass each element holds the sum of 2**k neighbours. (A windowed
    # reduction, StableHLO's usual form, takes n additions an element on IREE, this takes log2(n).)
    dtype = x.dtype
    total = ctx.convert(x, dtypes.float32) if is_half(dtype) else x
    length, rank = x.shape[dim], len(x.shape)

    def along(value: int) -> list[int]:
        return [value if each == dim else 0 for each in range(rank)]

    distance = 1
    while distance < length:
        start, stop = [0] * rank, list(x.shape)
        if reverse:
            start[dim] = distance
        else:
            stop[dim] = length - distance
        kept = slice_(ctx, total, start=start, stop=stop, step=[1] * rank)
        low, high = (along(0), along(distance)) if reverse else (along(distance), along(0))
        total = ctx.same(
            "add", total, pad(ctx, kept, low=low, high=high, interior=along(0), value=0)
        )
        distance *= 2
    return ctx.convert(total, dtype)


RULES: dict[str, Rule] = {
    "amax": amax,
    "amin": amin,
    "prod": prod,
    "any": any_,
    "all": all_,
    "argmax": argmax,
    "argmin": argmin,
    "cumsum": cumsum,
}
