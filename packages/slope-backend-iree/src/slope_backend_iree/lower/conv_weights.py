"""The weights' cotangent of a convolution: one product for each element of the kernel."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from slope.extend import ops

from .context import Context, Rule, Value, listed
from .conv import in_float32, padded, sliced
from .parts import parts_of

Dims = tuple[int, ...]
Padding = Sequence[tuple[int, int]]

_TASKS = 32  # enough to keep the processors busy to the end


def conv_weight_grad(
    ctx: Context,
    x: Value,
    y: Value,
    *,
    kernel_size: Dims,
    stride: Dims,
    padding: Padding,
    dilation: Dims,
    groups: int,
    layout: str,
) -> Value:
    params = {"stride": stride, "padding": padding, "dilation": dilation}
    out = ops.conv_weight_grad.infer(
        x.type, y.type, kernel_size=kernel_size, groups=groups, layout=layout, **params
    )
    if x.type.size == 0 or y.type.size == 0:
        return ctx.constant(0, out)
    axes = ops.conv_axes(layout, x.type.ndim)
    whole = padded(ctx, in_float32(ctx, x), axes.spatial, padding)
    cotangent = in_float32(ctx, y)
    met: list[Value] = []  # the part of the image that each element of the kernel meets
    for tap in itertools.product(*map(range, kernel_size)):
        start, stop, step = [0] * len(x.shape), list(whole.shape), [1] * len(x.shape)
        for dim, place, each, gap in zip(axes.spatial, tap, stride, dilation, strict=True):
            start[dim], step[dim] = place * gap, each
            stop[dim] = start[dim] + (y.shape[dim] - 1) * each + 1
        met.append(sliced(ctx, whole, start, stop, step))
    if groups == 1 and layout == "NHWC":
        return ctx.convert(_by_parts(ctx, met, cotangent, out.shape), x.dtype)
    cotangent = _grouped(ctx, cotangent, axes.channel, groups)
    parts: list[Value] = []
    for image in met:
        grouped = _grouped(ctx, image, axes.channel, groups)
        part = _product(ctx, grouped, cotangent, axes.channel, groups)
        parts.append(ctx.reshape(part, (1, *part.shape)))
    return ctx.convert(_weights(ctx, parts, kernel_size, groups, layout), x.dtype)


def _by_parts(ctx: Context, images: Sequence[Value], y: Value, shape: Dims) -> Value:
    """The weights from products over some of the rows (batch and places) each, which are added.

    A product over all rows is one task for each tile of the result, and few channels make few
    tiles. As matrices in parts the images need no transposes either: with 64 channels the products
    take half the time.
    """
    *_, into, outs = shape
    rows = y.type.size // outs
    count = parts_of(rows, least=-(-_TASKS // len(images)))
    of_y = ctx.reshape(y, (count, rows // count, outs))
    partial = of_y.type.with_shape((count, into, outs))
    dims = "batching_dims = [0] x [0], contracting_dims = [1] x [1]"
    products: list[Value] = []
    for image in images:
        of_x = ctx.reshape(image, (count, rows // count, into))
        made = ctx.op("dot_general", [of_x, of_y], partial, dims)
        products.append(ctx.reshape(made, (1, *made.shape)))
    stacked = products[0]
    if len(products) > 1:
        whole = partial.with_shape((len(products), *partial.shape))
        stacked = ctx.op("concatenate", products, whole, "dim = 0")
    return ctx.reshape(ctx.reduce("add", stacked, 0, (1,)), shape)


def _grouped(ctx: Context, x: Value, channel: int, groups: int) -> Value:
    """With a dimension of groups in front of the channels, where there are several groups."""
    if groups == 1:
        return x
    length = x.shape[channel] // groups
    return ctx.reshape(x, (*x.shape[:channel], groups, length, *x.shape[channel + 1 :]))


def _product(ctx: Context, x: Value, y: Value, channel: int, groups: int) -> Value:
    """Summed over batch and windows: (groups if several, inputs, outputs)."""
    kept = (channel,) if groups == 1 else (channel, channel + 1)
    over = listed([dim for dim in range(len(x.shape)) if dim not in kept])
    along = "" if groups == 1 else f"batching_dims = [{channel}] x [{channel}], "
    lead = () if groups == 1 else (groups,)
    shape = (*lead, x.shape[kept[-1]], y.shape[kept[-1]])
    result = x.type.with_shape(shape)
    return ctx.op("dot_general", [x, y], result, f"{along}contracting_dims = {over} x {over}")


def _weights(ctx: Context, parts: Sequence[Value], kernel: Dims, groups: int, layout: str) -> Value:
    """The products of all taps, stacked, as weights."""
    *_, into, outs = parts[0].shape
    stacked = parts[0]
    if len(parts) > 1:
        shape = (len(parts), *parts[0].shape[1:])
        stacked = ctx.op("concatenate", parts, stacked.type.with_shape(shape), "dim = 0")
    stacked = ctx.reshape(stacked, (math.prod(kernel), groups, into, outs))
    if layout == "NCHW":
        order, shape = (1, 3, 2, 0), (groups * outs, into, *kernel)
    else:
        order, shape = (0, 2, 1, 3), (*kernel, into, groups * outs)
    if layout == "NCHW" or groups > 1:
        moved = stacked.type.with_shape(tuple(stacked.shape[dim] for dim in order))
        stacked = ctx.op("transpose", [stacked], moved, f"dims = {listed(order)}")
    return ctx.reshape(stacked, shape)


RULES: dict[str, Rule] = {"conv_weight_grad": conv_weight_grad}
