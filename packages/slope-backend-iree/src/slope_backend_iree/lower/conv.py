"""Convolutions, each as what IREE compiles well.

Times are of 32 images of 32 x 32, 64 channels to 64, a kernel of 3 x 3, on 2 processors.

On the CPU IREE wants channels last from end to end (40 ms; channels second take 2 s, and so does a
transpose beside a convolution): the backend asks the layout pass for that. The weights' cotangent
as a convolution takes 2 s; it is one product for each element of the kernel (0.1 s). The input's
cotangent is a convolution with the kernel reversed, in phases where there are strides
(:mod:`slope_backend_iree.lower.conv_phases`), or with strides made gaps in its operand.
"""

from __future__ import annotations

from collections.abc import Sequence

from slope.extend import TensorType, dtypes, ops

from .context import Context, Rule, Value, is_half, listed, mlir_type
from .conv_apart import rewritten
from .conv_phases import Phases, interleaved, phase_weights, phases_of

Dims = tuple[int, ...]
Padding = Sequence[tuple[int, int]]


def in_float32(ctx: Context, x: Value) -> Value:
    # IREE folds the conversion into a depthwise convolution, and then its types do not agree.
    return ctx.barrier(ctx.convert(x, dtypes.float32)) if is_half(x.dtype) else x


def _letters(layout: str, count: int, image: str, weights: bool = False) -> str:
    """Dimension numbers as StableHLO writes them, of an image (``"bf"``) or weights (``"oi"``)."""
    spatial = list(map(str, range(count)))
    first, second = image
    if layout == "NCHW":
        names = [first, second, *spatial]
    elif weights:
        names = [*spatial, second, first]
    else:
        names = [first, *spatial, second]
    return f"[{', '.join(names)}]"


def _convolution(
    ctx: Context,
    x: Value,
    w: Value,
    shape: Dims,
    *,
    layout: str,
    stride: Dims,
    padding: Padding,
    gaps: Dims,
    dilation: Dims,
    groups: int,
    weights: str = "oi",
) -> Value:
    """A convolution; ``gaps`` dilate ``x``, ``weights`` names the channels as :func:`_letters`."""
    simpler = rewritten(
        ctx, _convolution, x, w, shape, layout=layout, stride=stride, padding=padding, gaps=gaps,
        dilation=dilation, groups=groups, weights=weights,
    )  # fmt: skip
    if simpler is not None:
        return simpler
    # IREE would compute these in the loop of the convolution: it takes 5 to 50 times as long.
    x = ctx.barrier(x) if ctx.origin(x) == "transpose" else x
    w = ctx.barrier(w) if weights == "oi" and ctx.origin(w) in ("transpose", "pad") else w
    count = len(stride)
    image = _letters(layout, count, "bf")
    kernel = _letters(layout, count, weights, weights=True)
    pads = f"[{', '.join(listed(pair) for pair in padding)}]"
    window = (
        f"{{stride = {listed(stride)}, pad = {pads}, lhs_dilate = {listed(gaps)}, "
        f"rhs_dilate = {listed(dilation)}}}"
    )
    result = TensorType(shape, x.dtype)
    return ctx.emit(
        f"stablehlo.convolution({x}, {w}) dim_numbers = {image}x{kernel}->{image}, "
        f"window = {window} {{batch_group_count = 1 : i64, feature_group_count = {groups} : i64}} "
        f": ({x.mlir}, {w.mlir}) -> {mlir_type(result)}",
        result,
    )


def conv(
    ctx: Context,
    x: Value,
    w: Value,
    *,
    stride: Dims,
    padding: Padding,
    dilation: Dims,
    groups: int,
    layout: str,
) -> Value:
    params = {"stride": stride, "padding": padding, "dilation": dilation}
    out = ops.conv.infer(x.type, w.type, groups=groups, layout=layout, **params)
    if x.type.size == 0 or w.type.size == 0:
        return ctx.constant(0, out)
    axes = ops.conv_axes(layout, x.type.ndim)
    stride, padding = _cut_short(
        [x.shape[dim] for dim in axes.spatial], [w.shape[dim] for dim in axes.kernel],
        [out.shape[dim] for dim in axes.spatial], **params,
    )  # fmt: skip
    made = _convolution(
        ctx, in_float32(ctx, x), in_float32(ctx, w), out.shape, layout=layout, stride=stride,
        padding=padding, gaps=(1,) * len(stride), dilation=dilation, groups=groups,
    )  # fmt: skip
    return ctx.convert(made, x.dtype)


def _cut_short(
    lengths: Sequence[int],
    taps: Sequence[int],
    counts: Sequence[int],
    *,
    stride: Dims,
    padding: Padding,
    dilation: Dims,
) -> tuple[Dims, Padding]:
    """Strides and padding, without a stride where there is one window.

    IREE 3.13 refuses such a stride with elements behind the window, which padding cuts off here.
    """
    steps, pads = list(stride), list(padding)
    for dim, count in enumerate(counts):
        if count == 1 and stride[dim] > 1:
            low = padding[dim][0]
            reach = (taps[dim] - 1) * dilation[dim] + 1
            steps[dim], pads[dim] = 1, (low, reach - low - lengths[dim])
    return tuple(steps), pads


def conv_input_grad(
    ctx: Context,
    y: Value,
    w: Value,
    *,
    input_size: Dims,
    stride: Dims,
    padding: Padding,
    dilation: Dims,
    groups: int,
    layout: str,
) -> Value:
    axes = ops.conv_axes(layout, w.type.ndim)
    channels = w.shape[axes.into] * groups
    out = (
        (y.shape[0], channels, *input_size)
        if layout == "NCHW"
        else (y.shape[0], *input_size, channels)
    )
    if y.type.size == 0 or w.type.size == 0:
        return ctx.constant(0, y.type.with_shape(out))
    if max(stride) > 1 and groups == 1 and set(dilation) == {1} and layout == "NHWC":
        made = _by_phases(ctx, y, w, out, stride=stride, padding=padding)
        if made is not None:
            return ctx.convert(made, y.dtype)
    kernel = _exchanged(ctx, _flipped(ctx, in_float32(ctx, w), axes.kernel), axes, groups)
    pads, cut = _backward_padding(
        input_size, [y.shape[dim] for dim in axes.spatial],
        [w.shape[dim] for dim in axes.kernel], stride, padding, dilation,
    )  # fmt: skip
    shape = list(out)
    for dim, (low, high) in zip(axes.spatial, cut, strict=True):
        shape[dim] += low + high
    made = _convolution(
        ctx,
        in_float32(ctx, y),
        kernel,
        tuple(shape),
        layout=layout,
        stride=(1,) * len(stride),
        padding=pads,
        gaps=stride,
        dilation=dilation,
        groups=groups,
        weights="io" if groups == 1 else "oi",
    )
    return ctx.convert(_cut(ctx, made, axes.spatial, cut), y.dtype)


def _by_phases(
    ctx: Context, y: Value, w: Value, shape: Dims, *, stride: Dims, padding: Padding
) -> Value | None:
    size, ones = shape[1:-1], (1,) * len(stride)
    phases: list[Phases] = []
    for length, count, taps, step, (before, _) in zip(
        size, y.shape[1:-1], w.shape[:-2], stride, padding, strict=True
    ):
        found = phases_of(length, count, taps, step, before)
        if found is None:
            return None
        phases.append(found)
    kernel = phase_weights(ctx, in_float32(ctx, w), phases)
    made = _convolution(
        ctx,
        in_float32(ctx, y),
        kernel,
        (y.shape[0], *(each.places for each in phases), kernel.shape[-1]),
        layout="NHWC",
        stride=ones,
        padding=[(each.low, each.high) for each in phases],
        gaps=ones,
        dilation=ones,
        groups=1,
    )
    return interleaved(ctx, made, phases, size)


def _flipped(ctx: Context, w: Value, dims: Dims) -> Value:
    turned = [dim for dim in dims if w.shape[dim] > 1]
    if not turned:
        return w
    # A strided slice fused into a reverse is compiled wrongly: see `linear.flip`.
    return ctx.emit(f"stablehlo.reverse {ctx.apart(w)}, dims = {listed(turned)} : {w.mlir}", w.type)


def _exchanged(ctx: Context, w: Value, axes: ops.ConvAxes, groups: int) -> Value:
    """Weights whose outputs are the inputs of each group, and the reverse.

    Without groups only the names of the dimensions are exchanged, which costs nothing.
    """
    if groups == 1:
        return w
    outs, into = w.shape[axes.out] // groups, w.shape[axes.into]
    kernel = [w.shape[dim] for dim in axes.kernel]
    count = len(kernel)
    if axes.out == 0:  # outputs, inputs, kernel
        split = ctx.reshape(w, (groups, outs, into, *kernel))
        order, shape = (0, 2, 1, *range(3, 3 + count)), (groups * into, outs, *kernel)
    else:  # kernel, inputs, outputs
        split = ctx.reshape(w, (*kernel, into, groups, outs))
        order = (*range(count), count + 2, count + 1, count)
        shape = (*kernel, outs, groups * into)
    return ctx.reshape(ctx.transpose(split, order), shape)


def _backward_padding(
    size: Dims,
    out: Sequence[int],
    kernel: Sequence[int],
    stride: Dims,
    padding: Padding,
    dilation: Dims,
) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """How the output's cotangent is padded, and what is cut from the result again.

    Padding beyond the kernel would be negative here; IREE gets none such.
    """
    pads, cut = [], []
    for length, count, taps, step, (before, after), gap in zip(
        size, out, kernel, stride, padding, dilation, strict=True
    ):
        span = gap * (taps - 1)
        rest = length + before + after - span - 1 - (count - 1) * step
        low, high = span - before, span - after + rest
        pads.append((max(low, 0), max(high, 0)))
        cut.append((max(-low, 0), max(-high, 0)))
    return pads, cut


def _cut(ctx: Context, x: Value, dims: Dims, cut: Sequence[tuple[int, int]]) -> Value:
    if not any(map(any, cut)):
        return x
    start, stop = [0] * len(x.shape), list(x.shape)
    for dim, (low, high) in zip(dims, cut, strict=True):
        start[dim], stop[dim] = low, x.shape[dim] - high
    return ctx.slice(x, start, stop)


RULES: dict[str, Rule] = {
    "conv": conv,
    "conv_input_grad": conv_input_grad,
}
