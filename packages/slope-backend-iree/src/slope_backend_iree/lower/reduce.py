"""Reductions other than ``sum``, positions of extrema, cumulative sums, softmax."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from slope.extend import DType, TensorType, dtypes

from .context import Context, Rule, Value, is_half, listed
from .linear import SIGNED
from .sums import summed

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
    # is any, and equals nothing: then the NaNs are the hits. Two plain reductions take IREE less
    # than half the time of one over pairs.
    best = ctx.broadcast(best, x.shape, [each for each in range(len(x.shape)) if each != dim])
    hits = ctx.compare("EQ", x, best)
    if x.dtype.is_floating_point:
        hits = ctx.same("or", hits, ctx.compare("NE", x, x))
    narrow = dtypes.int32 if x.shape[dim] < 2**31 else dtypes.int64
    places = TensorType(x.shape, narrow)
    count = ctx.iota(places, dim)
    count = ctx.select(hits, count, ctx.like(x.shape[dim] - 1, count))
    return ctx.convert(ctx.reduce("minimum", count, x.shape[dim] - 1, (dim,)), dtypes.int64)


def cumsum(ctx: Context, x: Value, *, dim: int, reverse: bool) -> Value:
    # IREE knows a windowed sum over all elements so far for a scan, and runs it in linear time.
    dtype = x.dtype
    if dtype.kind == "u":  # which IREE 3.13 refuses here
        return ctx.bitcast(
            cumsum(ctx, ctx.bitcast(x, SIGNED[dtype]), dim=dim, reverse=reverse), dtype
        )
    total = ctx.convert(x, dtypes.float32) if is_half(dtype) else x
    length, ranks = x.shape[dim], range(len(x.shape))
    window = ", ".join(str(length if each == dim else 1) for each in ranks)
    edges = [0, length - 1] if reverse else [length - 1, 0]
    padding = ", ".join(listed(edges if each == dim else [0, 0]) for each in ranks)
    first = ctx.scalar(0, total.dtype)
    result = ctx.emit(
        f'"stablehlo.reduce_window"({total}, {first}) <{{window_dimensions = array<i64: {window}>, '
        f"padding = dense<[{padding}]> : tensor<{len(ranks)}x2xi64>}}> "
        f"({{ ^bb0(%a: {first.mlir}, %b: {first.mlir}): "
        f"%s = stablehlo.add %a, %b : {first.mlir} stablehlo.return %s : {first.mlir} }}) "
        f": ({total.mlir}, {first.mlir}) -> {total.mlir}",
        total.type,
    )
    return ctx.convert(result, dtype)


def softmax(ctx: Context, x: Value, *, dim: int) -> Value:
    # IREE recognizes the plain form and makes one loop of it, which for 9000 rows of 1500 takes 30
    # times as long as these parts, and for 8192 rows of 128 twice. Behind the barrier the
    # exponentials are stored, and not computed again for the division.
    wide = ctx.convert(x, dtypes.float32) if is_half(x.dtype) else x
    others = [each for each in range(len(x.shape)) if each != dim]
    top = ctx.broadcast(amax(ctx, wide, dim=(dim,)), x.shape, others)
    weights = ctx.barrier(ctx.same("exponential", ctx.same("subtract", wide, top)))
    total = ctx.broadcast(summed(ctx, weights, (dim,)), x.shape, others)
    return ctx.convert(ctx.same("divide", weights, total), x.dtype)


RULES: dict[str, Rule] = {
    "amax": amax,
    "amin": amin,
    "prod": prod,
    "any": any_,
    "all": all_,
    "argmax": argmax,
    "argmin": argmin,
    "cumsum": cumsum,
    "softmax": softmax,
}
