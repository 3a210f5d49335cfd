"""The weights' cotangent of a convolution: one product for each element of the kernel."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from operator import mul

from slope.extend import ops

from .context import Context, Rule, Value, listed
from .conv import in_float32
from .conv_apart import windows
from .images import padded
from .parts import parts_of
from .tiles import product_of_rows

Dims = tuple[int, ...]
Padding = Sequence[tuple[int, int]]

_LONG = 16  # elements of a kernel
_WIDEST = 128  # channels
_WIDER = 1.3  # how many times as many products are better than copies of the image
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
    if len(stride) == 1 and groups == 1 and layout == "NHWC" and kernel_size[0] > _LONG:
        made = _by_windows(ctx, in_float32(ctx, x), in_float32(ctx, y), out.shape, **params)
        if made is not None:
            return ctx.convert(made, x.dtype)
    axes = ops.conv_axes(layout, x.type.ndim)
    whole = padded(ctx, in_float32(ctx, x), axes.spatial, padding)
    cotangent = in_float32(ctx, y)
    # With more channels a transposed image pays: IREE's own tiles of a plain product are good.
    narrow = groups == 1 and layout == "NHWC" and max(out.shape[-2:]) <= _WIDEST
    moves = max(stride) > 1 or math.prod(kernel_size) == 1
    if narrow and not moves and whole.type.size <= _WIDER * x.type.size:
        made = _by_shifts(ctx, whole, cotangent, out.shape, padding, dilation)
        return ctx.convert(made, x.dtype)
    sizes = [y.shape[dim] for dim in axes.spatial]
    images = [
        _met(ctx, whole, axes.spatial, sizes, tap, stride, dilation)
        for tap in itertools.product(*map(range, kernel_size))
    ]
    if narrow:
        return ctx.convert(_by_parts(ctx, images, cotangent, out.shape), x.dtype)
    cotangent = _grouped(ctx, cotangent, axes.channel, groups)
    parts: list[Value] = []
    for image in images:
        grouped = _grouped(ctx, image, axes.channel, groups)
        part = _product(ctx, grouped, cotangent, axes.channel, groups)
        parts.append(ctx.reshape(part, (1, *part.shape)))
    return ctx.convert(_weights(ctx, parts, kernel_size, groups, layout), x.dtype)


def _by_windows(
    ctx: Context, x: Value, y: Value, shape: Dims, *, stride: Dims, padding: Padding, dilation: Dims
) -> Value | None:
    """The weights over one dimension in one product, which reads ``y`` once for all elements."""
    taps, into, outs = shape
    (around,) = padding
    met = windows(ctx, x, taps, y.shape[1], stride[0], (around[0], around[1]), dilation[0])
    if met is None:
        return None
    result = x.type.with_shape((met.shape[2], outs))
    made = ctx.op("dot_general", [met, y], result, "contracting_dims = [0, 1] x [0, 1]")
    return ctx.reshape(ctx.slice(made, [0, 0], [taps * into, outs]), shape)


def _met(
    ctx: Context,
    whole: Value,
    spatial: Dims,
    sizes: Sequence[int],
    tap: Dims,
    stride: Dims,
    dilation: Dims,
) -> Value:
    """The part of the padded image that an element of the kernel meets."""
    start, stop, step = [0] * len(whole.shape), list(whole.shape), [1] * len(whole.shape)
    for dim, count, place, each, gap in zip(spatial, sizes, tap, stride, dilation, strict=True):
        start[dim], step[dim] = place * gap, each
        stop[dim] = start[dim] + (count - 1) * each + 1
    return ctx.slice(whole, start, stop, step)


def _by_parts(ctx: Context, images: Sequence[Value], y: Value, shape: Dims) -> Value:
    """The weights from products over some of the rows (batch and places) each, which are added.

    A product over all rows is one task for each tile of the result, and few channels make few
    tiles. As matrices in parts the images need no transposes either: with 64 channels the products
    take half the time.
    """
    *_, into, outs = shape
    rows = y.type.size // outs
    # The parts' products should take no more memory than the images and the cotangent.
    most = rows * (into + outs) // (len(images) * into * outs)
    count = parts_of(rows, -(-_TASKS // len(images)), most)
    of_y = ctx.reshape(y, (count, rows // count, outs))
    products = [
        product_of_rows(ctx, ctx.reshape(image, (count, rows // count, into)), of_y)
        for image in images
    ]
    return _added(ctx, products, shape)


def _by_shifts(
    ctx: Context, whole: Value, y: Value, shape: Dims, padding: Padding, dilation: Dims
) -> Value:
    """The weights from the padded image as it is, without strides.

    With zeros around the cotangent such that it is as long as the image, the rows that an element
    of the kernel meets are all rows in order, some places further on.
    """
    count = len(dilation)
    *kernel, into, outs = shape
    spans = [gap * (taps - 1) for gap, taps in zip(dilation, kernel, strict=True)]
    # As the input's cotangent pads it: then it is padded once.
    low = [
        min(max(span - before, 0), span) for span, (before, _) in zip(spans, padding, strict=True)
    ]
    pads = [(at, span - at) for at, span in zip(low, spans, strict=True)]
    around = padded(ctx, y, tuple(range(1, count + 1)), pads)
    rows = math.prod(whole.shape[:-1])
    of_x, of_y = ctx.reshape(whole, (rows, into)), ctx.reshape(around, (rows, outs))
    steps = [math.prod(whole.shape[dim + 1 : -1]) for dim in range(1, count + 1)]
    first = sum(map(mul, low, steps))
    last = rows - sum(map(mul, spans, steps)) + first
    products: list[Value] = []
    for tap in itertools.product(*map(range, kernel)):
        shift = sum(map(mul, map(mul, tap, dilation), steps)) - first
        met = _rows(ctx, of_x, first + shift, last + shift)
        products.append(product_of_rows(ctx, met, _rows(ctx, of_y, first, last)))
    return _added(ctx, products, shape)


def _rows(ctx: Context, x: Value, start: int, stop: int) -> Value:
    """Some rows of a matrix, as a batch of one matrix."""
    part = ctx.slice(x, [start, 0], [stop, x.shape[1]])
    return ctx.reshape(part, (1, *part.shape))


def _added(ctx: Context, products: Sequence[Value], shape: Dims) -> Value:
    """The weights from the parts of each element of the kernel."""
    stacked = ctx.concatenate([ctx.reshape(each, (1, *each.shape)) for each in products], 0)
    if stacked.shape[1] > 1:
        stacked = ctx.reduce("add", stacked, 0, (1,))
    return ctx.reshape(stacked, shape)


def _grouped(ctx: Context, x: Value, channel: int, groups: int) -> Value:
    """With a dimension of groups in front of the channels, where there are several groups."""
    if groups == 1:
        return x
    length = x.shape[channel] // groups
    return ctx.reshape(x, (*x.shape[:channel], groups, length, *x.shape[channel + 1 :]))


def _product(ctx: Context, x: Value, y: Value, channel: int, groups: int) -> Value:
    """Summed over batch and windows: (groups if several, inputs, outputs)."""
    kept = (channel,) if groups == 1 else (channel, channel + 1)
    over = tuple(dim for dim in range(len(x.shape)) if dim not in kept)
    lead = () if groups == 1 else (groups,)
    shape = (*lead, x.shape[kept[-1]], y.shape[kept[-1]])
    if lead and shape[1:] == (1, 1):  # a batch of products of one number would fill tiles with it
        return ctx.reshape(ctx.reduce("add", ctx.same("multiply", x, y), 0, over), shape)
    along = "" if groups == 1 else f"batching_dims = [{channel}] x [{channel}], "
    dims = f"{along}contracting_dims = {listed(over)} x {listed(over)}"
    return ctx.op("dot_general", [x, y], x.type.with_shape(shape), dims)


def _weights(ctx: Context, parts: Sequence[Value], kernel: Dims, groups: int, layout: str) -> Value:
    """The products of all taps, stacked, as weights."""
    *_, into, outs = parts[0].shape
    stacked = ctx.reshape(ctx.concatenate(parts, 0), (math.prod(kernel), groups, into, outs))
    if layout == "NCHW":
        order, shape = (1, 3, 2, 0), (groups * outs, into, *kernel)
    else:
        order, shape = (0, 2, 1, 3), (*kernel, into, groups * outs)
    if layout == "NCHW" or groups > 1:
        stacked = ctx.transpose(stacked, order)
    return ctx.reshape(stacked, shape)


RULES: dict[str, Rule] = {"conv_weight_grad": conv_weight_grad}
