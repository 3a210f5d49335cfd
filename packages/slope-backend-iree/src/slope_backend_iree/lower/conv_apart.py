"""Convolutions that IREE compiles badly, as others that it compiles well; with channels last.

IREE 3.13's kernel for convolutions over images computes several results of a row at a time. All
others go one result after the other, at up to a fiftieth of its speed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from slope.extend import TensorType, dtypes

from .context import Context, Value
from .images import padded

Dims = tuple[int, ...]
Padding = Sequence[tuple[int, int]]
Convolve = Callable[..., Value]

_TILES: Final = range(5, 9)  # results of a row that are computed at a time
_LONG: Final = 16  # elements of a window, of which a part may be filled up with zeros
_PARTS: Final = 128  # of windows that are written out side by side
_CHANNELS: Final = 16  # of a group, from which on it makes a convolution of its own...
_MOST: Final = 32  # ... where there are no more than so many


def rewritten(
    ctx: Context, convolve: Convolve, x: Value, w: Value, shape: Dims, **params: Any
) -> Value | None:
    """A convolution by a product or other convolutions; ``None`` where it is good as it is.

    Args:
        ctx: the program that is written.
        convolve: writes a convolution with the same arguments, by this function if it can.
        x: (batch, spatial..., channels).
        w: (kernel..., inputs of a group, outputs), or, as ``weights`` says, outputs before inputs.
        shape: the result's.
        params: ``layout stride padding gaps dilation groups weights``.
    """
    if params["layout"] != "NHWC":
        return None
    count, groups = len(params["stride"]), params["groups"]
    if count == 1 and groups == 1 and params["gaps"] == (1,):
        return _as_product(ctx, x, w, shape, **params)
    if count == 3 and groups == 1 and set(params["gaps"]) == {1}:
        return _by_planes(ctx, convolve, x, w, shape, **params)
    if count != 2:
        return None
    if groups > 1 and w.shape[2] > 1:
        return _by_groups(ctx, convolve, x, w, shape, **params)
    if _places(shape[2]) > shape[2]:
        return _in_tiles(ctx, convolve, x, w, shape, **params)
    return None


def _places(length: int) -> int:
    """From how many results in a row on they are computed in tiles.

    A tile divides the row: a row of 13 or 31 goes one result after the other, at a quarter of the
    speed of 14 or 32.
    """
    while length > _TILES[-1] and all(length % tile for tile in _TILES):
        length += 1
    return length


def _in_tiles(
    ctx: Context, convolve: Convolve, x: Value, w: Value, shape: Dims, **params: Any
) -> Value:
    """Rows with some results more, which are cut off."""
    wide = _places(shape[2])
    rows, (low, high) = params["padding"]
    params["padding"] = (rows, (low, high + (wide - shape[2]) * params["stride"][1]))
    made = convolve(ctx, x, w, (*shape[:2], wide, shape[3]), **params)
    return ctx.slice(made, [0] * 4, shape)


def _as_product(ctx: Context, x: Value, w: Value, shape: Dims, **params: Any) -> Value | None:
    """A convolution over one dimension: its windows side by side, times the weights.

    IREE 3.13 takes 2 to 15 times as long for the convolution itself: 43 ms instead of 9 for 3000
    places, 80 channels to 384, a kernel of 3; 57 instead of 1.5 for 16000 places, one channel to
    258, a kernel of 256 at every 64th.
    """
    (stride,), (padding,), (dilation,) = (
        params[name] for name in ("stride", "padding", "dilation")
    )
    made = windows(ctx, x, w.shape[0], shape[1], stride, padding, dilation)
    if made is None:
        return None
    taps = made.shape[2] // x.shape[2]  # a window may be longer than the kernel
    over = 1 if params["weights"] == "oi" else 2
    if taps > w.shape[0]:
        w = padded(ctx, w, (0,), [(0, taps - w.shape[0])])
    ordered = w if over == 1 else _turned(ctx, w, (0, 2, 1), (taps, w.shape[2], w.shape[1]))
    kernel = ctx.reshape(ordered, (taps * x.shape[2], shape[2]))
    return ctx.op(
        "dot_general", [made, kernel], x.type.with_shape(shape), "contracting_dims = [2] x [0]"
    )


def windows(
    ctx: Context,
    x: Value,
    taps: int,
    places: int,
    stride: int,
    padding: tuple[int, int],
    dilation: int,
) -> Value | None:
    """The windows over (batch, length, channels), as (batch, places, taps times channels).

    With strides they are cut into parts as long as a stride, which lie side by side already; zeros
    fill up the last part. ``None`` where there would be too many parts to write.
    """
    batch, length, channels = x.shape
    whole_parts = dilation == 1 and (taps % stride == 0 or taps > _LONG)
    at_once = stride if whole_parts else 1  # elements of a window
    parts = -(-taps // at_once)
    if parts > _PARTS:
        return None
    step = stride // at_once
    reach = ((places - 1) * step + 1) * at_once
    starts = range(0, parts * at_once * dilation, at_once * dilation)
    low, high = padding
    beyond = starts[-1] + reach - (low + length + high)
    whole = padded(ctx, x, (1,), [(low, high + max(beyond, 0))])
    views = [
        ctx.slice(whole, [0, at, 0], [batch, at + reach, channels], [1, step, 1]) for at in starts
    ]
    wide = (batch, places, at_once * channels)
    return ctx.concatenate([ctx.reshape(view, wide) for view in views], 2)


def _by_planes(
    ctx: Context, convolve: Convolve, x: Value, w: Value, shape: Dims, **params: Any
) -> Value:
    """A convolution over three dimensions: the planes that meet side by side, as channels."""
    stride, padding, dilation, _ = (
        params.pop(name) for name in ("stride", "padding", "dilation", "gaps")
    )
    whole = padded(ctx, x, (1,), padding[:1])
    taps, batch, depth, into = w.shape[0], shape[0], shape[1], x.shape[-1]
    reach, step = (depth - 1) * stride[0] + 1, [1, stride[0], 1, 1, 1]
    views = [
        ctx.slice(whole, [0, at, 0, 0, 0], [batch, at + reach, *x.shape[2:]], step)
        for at in range(0, taps * dilation[0], dilation[0])
    ]
    planes = ctx.concatenate(views, 4)
    order = [1, 2, 0, 3, 4] if params.pop("weights") == "oi" else [1, 2, 0, 4, 3]
    merged = [*w.shape[1:3], taps * into, shape[-1]]
    made = convolve(
        ctx,
        ctx.reshape(planes, (batch * depth, *x.shape[2:4], taps * into)),
        _turned(ctx, w, order, merged),
        (batch * depth, *shape[2:]),
        stride=stride[1:],
        padding=padding[1:],
        dilation=dilation[1:],
        gaps=(1, 1),
        **params,
    )
    return ctx.reshape(made, shape)


def _by_groups(
    ctx: Context, convolve: Convolve, x: Value, w: Value, shape: Dims, **params: Any
) -> Value:
    """A convolution for each group, or for several at once where they are narrow."""
    groups = params.pop("groups")
    *kernel, into, outs = w.shape
    of_group = outs // groups
    least = max(-(-_CHANNELS // min(into, of_group)), -(-groups // _MOST))
    merged = next(n for n in range(min(least, groups), groups + 1) if groups % n == 0)
    parts: list[Value] = []
    for first in range(0, groups, merged):
        start, stop = first * into, (first + merged) * into
        met = ctx.slice(x, [0, 0, 0, start], [*x.shape[:3], stop])
        start, stop = first * of_group, (first + merged) * of_group
        own = ctx.slice(w, [0, 0, 0, start], [*kernel, into, stop])
        own = _block_diagonal(ctx, own, merged)
        parts.append(convolve(ctx, met, own, (*shape[:3], stop - start), groups=1, **params))
    return ctx.concatenate(parts, 3)


def _block_diagonal(ctx: Context, w: Value, groups: int) -> Value:
    """Weights of groups as those of one convolution, with zeros between different groups."""
    if groups == 1:
        return w
    *kernel, into, outs = w.shape
    whole = (*kernel, groups, into, groups, outs // groups)
    split = ctx.reshape(w, (*kernel, into, groups, outs // groups))
    spread = ctx.broadcast(split, whole, (0, 1, 3, 4, 5))
    grid = TensorType(whole, dtypes.int32)
    own = ctx.compare("EQ", ctx.iota(grid, 2), ctx.iota(grid, 4))
    filled = ctx.select(own, spread, ctx.like(0, spread))
    return ctx.barrier(ctx.reshape(filled, (*kernel, groups * into, outs)))


def _turned(ctx: Context, w: Value, order: Sequence[int], shape: Sequence[int]) -> Value:
    """Weights with their dimensions in another order, under another shape."""
    moved = ctx.reshape(ctx.transpose(w, order), shape)
    return ctx.barrier(moved)  # a transpose beside a convolution ruins it
