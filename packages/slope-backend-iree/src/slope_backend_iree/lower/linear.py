"""Operators that move, repeat, select, convert or add elements."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from slope.extend import DType, dtypes

from .context import Context, Rule, Value, is_half, listed
from .halves import widened
from .sums import summed

Dims = Sequence[int]
SIGNED = {
    dtypes.uint8: dtypes.int8,
    dtypes.uint16: dtypes.int16,
    dtypes.uint32: dtypes.int32,
    dtypes.uint64: dtypes.int64,
}


def reshape(ctx: Context, x: Value, *, shape: Dims) -> Value:
    return ctx.reshape(x, shape)


def permute(ctx: Context, x: Value, *, dims: Dims) -> Value:
    order = tuple(dims)
    if order == tuple(range(len(order))):
        return x
    if x.literal is not None:
        return ctx.constant(x.literal, x.type.with_shape(tuple(x.shape[dim] for dim in order)))
    # IREE would draw a transpose into the convolutions behind or before it, which then take ten
    # times as long: it is kept apart on the side where the channels are last.
    there, back = _relayouts(len(order)) if ctx.convolves else ((), ())
    if order in back:
        x = ctx.barrier(x)
    made = ctx.transpose(x, order)
    return ctx.barrier(made) if order in there else made


def _relayouts(ndim: int) -> tuple[tuple[Dims, Dims], tuple[Dims, Dims]]:
    """The orders that bring images and weights to channels last, and those that bring them back."""
    if ndim < 3:
        return ((), ()), ((), ())
    there = (0, *range(2, ndim), 1), (*range(2, ndim), 1, 0)
    back = (0, ndim - 1, *range(1, ndim - 1)), (ndim - 1, ndim - 2, *range(ndim - 2))
    return there, back


def broadcast(ctx: Context, x: Value, *, shape: Dims, dims: Dims) -> Value:
    return ctx.broadcast(x, shape, dims)


def sum_(ctx: Context, x: Value, *, dim: Dims) -> Value:
    if is_half(x.dtype):
        return ctx.convert(summed(ctx, ctx.convert(x, dtypes.float32), dim), x.dtype)
    return summed(ctx, x, dim)


def cast(ctx: Context, x: Value, *, dtype: DType) -> Value:
    if x.dtype is dtypes.bfloat16 and dtype is not x.dtype:
        x = widened(ctx, x)
    if dtype.kind == "b" and x.dtype.kind != "b":
        return ctx.compare("NE", x, ctx.like(0, x))
    if dtype.is_integer and x.dtype.is_floating_point:
        return _to_integer(ctx, x, dtype)
    if x.dtype.kind == "b" and dtype.kind != "b":
        # IREE makes choices of products with converted bools, and so 0 of NaN times 0.
        result = x.type.with_dtype(dtype)
        return ctx.select(x, ctx.constant(1, result), ctx.constant(0, result))
    if x.dtype is dtypes.float64 and is_half(dtype):
        x = _to_odd(ctx, x)
    return ctx.convert(x, dtype)


def _to_odd(ctx: Context, x: Value) -> Value:
    """A float64 as float32, its last bit set where some were cut off: it can be rounded once more.

    IREE makes 0 of what is subnormal in float16, and rounds to bfloat16 twice.
    """
    near = ctx.convert(x, dtypes.float32)
    back = ctx.convert(near, dtypes.float64)
    outward = ctx.compare("GT", ctx.same("abs", back), ctx.same("abs", x))
    bits = ctx.bitcast(near, dtypes.int32)
    toward_zero = ctx.same("subtract", bits, ctx.convert(outward, dtypes.int32))
    odd = ctx.same("or", toward_zero, ctx.like(1, bits))
    bits = ctx.select(ctx.compare("NE", back, x), odd, bits)
    return ctx.bitcast(bits, dtypes.float32)


def _to_integer(ctx: Context, x: Value, dtype: DType) -> Value:
    # Converting a float out of range is undefined: such elements are converted as 0, then replaced.
    if is_half(x.dtype):
        x = ctx.convert(x, dtypes.float32)  # whose range holds the bounds of every integer dtype
    info = np.iinfo(dtype.numpy)
    low, high = int(info.min), int(info.max)
    zero = ctx.like(0.0, x)
    below = ctx.compare("LE", x, ctx.like(float(low), x))
    above = ctx.compare("GE", x, ctx.like(float(high + 1), x))
    odd = ctx.same("or", ctx.same("or", below, above), ctx.compare("NE", x, x))
    inside = ctx.convert(ctx.select(odd, zero, x), dtype)
    inside = ctx.select(above, ctx.like(high, inside), inside)
    return ctx.select(below, ctx.like(low, inside), inside)


def pad(
    ctx: Context, x: Value, *, low: Dims, high: Dims, interior: Dims, value: bool | float
) -> Value:
    return ctx.pad(x, low, high, interior, value)


def slice_(ctx: Context, x: Value, *, start: Dims, stop: Dims, step: Dims) -> Value:
    return ctx.slice(x, start, stop, step)


def flip(ctx: Context, x: Value, *, dims: Dims) -> Value:
    # IREE 3.13 refuses a reverse of unsigned integers, and fuses a strided slice into a reverse
    # with an invalid result ("LLVM Translation failed"): hence the detour and the barrier.
    if x.dtype.kind == "u":
        signed = ctx.bitcast(x, SIGNED[x.dtype])
        return ctx.bitcast(flip(ctx, signed, dims=dims), x.dtype)
    return ctx.emit(f"stablehlo.reverse {ctx.apart(x)}, dims = {listed(dims)} : {x.mlir}", x.type)


def cat(ctx: Context, *xs: Value, dim: int) -> Value:
    return ctx.concatenate([x for x in xs if x.type.size], dim)


RULES: dict[str, Rule] = {
    "reshape": reshape,
    "permute": permute,
    "broadcast": broadcast,
    "sum": sum_,
    "cast": cast,
    "interior_pad": pad,
    "slice": slice_,
    "flip": flip,
    "concatenate": cat,
}
