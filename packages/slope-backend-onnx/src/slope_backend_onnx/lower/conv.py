"""Rules for convolutions: Conv, ConvTranspose, and products for the weights' cotangent.

ONNX Runtime's kernels are for float32, channels second: half precision and "NHWC" come to that by
Cast and Transpose. In float64, for which there is no kernel, and for batches of nothing an
operator's own expansion does it.

Where a graph is run here, convolutions go through the layout with channels in blocks that ONNX
Runtime has of its own.

The weights' cotangent as a Conv with batch and channels exchanged takes 3 to 30 times as long as
what is done here: windows laid out by a Conv with one-hot weights, and a product with that.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import numpy as np

from slope_backend_onnx.lower import blocked
from slope_backend_onnx.lower.context import Lowering, Result, Rule, Value

Dims = tuple[int, ...]
Padding = tuple[tuple[int, int], ...]

INNER: Final = "float32"


def _pads(padding: Padding) -> list[int]:
    return [pair[0] for pair in padding] + [pair[1] for pair in padding]


def _channels_second(cx: Lowering, x: Value, layout: str) -> tuple[str, Dims]:
    """An input or output with its channels in dimension 1, and its shape."""
    name, shape = cx.full(x, INNER), x.type.shape
    if layout == "NCHW":
        return name, shape
    order = (0, len(shape) - 1, *range(1, len(shape) - 1))
    return cx.transpose(name, shape, order), tuple(shape[dim] for dim in order)


def _outputs_first(cx: Lowering, w: Value, layout: str) -> tuple[str, Dims]:
    """Weights as (outputs, inputs, kernel...), and their shape."""
    name, shape = cx.full(w, INNER), w.type.shape
    if layout == "NCHW":
        return name, shape
    order = (len(shape) - 1, len(shape) - 2, *range(len(shape) - 2))
    return cx.transpose(name, shape, order), tuple(shape[dim] for dim in order)


def _image(cx: Lowering, name: str, layout: str) -> str:
    """A result with its channels in dimension 1, as the layout wants it."""
    shape = cx.out.shape
    if layout == "NHWC":
        inner = (shape[0], shape[-1], *shape[1:-1])
        name = cx.transpose(name, inner, (0, *range(2, len(shape)), 1))
    return cx.cast(name, INNER, cx.out.dtype.name)


def _conv(cx: Lowering, x: Value, w: Value, **params: Any) -> Result:
    layout = params["layout"]
    name, _ = _channels_second(cx, x, layout)
    weights, shape = _outputs_first(cx, w, layout)
    made = blocked.conv(cx, name, weights, shape, params)
    return _image(cx, made or cx.op("Conv", name, weights, **_attributes(params)), layout)


def _attributes(params: dict[str, Any]) -> dict[str, Any]:
    return {
        "strides": list(params["stride"]),
        "pads": _pads(params["padding"]),
        "dilations": list(params["dilation"]),
        "group": params["groups"],
    }


def _input_grad(cx: Lowering, y: Value, w: Value, *, input_size: Dims, **params: Any) -> Result:
    layout = params["layout"]
    name, shape = _channels_second(cx, y, layout)
    weights, of_weights = _outputs_first(cx, w, layout)
    stride, padding, dilation = (params[key] for key in ("stride", "padding", "dilation"))
    kernel, out = of_weights[2:], shape[2:]
    if all(step == 1 for step in stride) and _narrow(params, kernel):
        flipped = _flipped(cx, name, weights, of_weights, params)
        if flipped is not None:
            return _image(cx, flipped, layout)
    covered = [
        (count - 1) * step + gap * (length - 1) + 1
        for count, step, gap, length in zip(out, stride, dilation, kernel, strict=True)
    ]
    rest = [  # of the input, behind the last window
        length + sum(pair) - reached
        for length, pair, reached in zip(input_size, padding, covered, strict=True)
    ]
    made = cx.op("ConvTranspose", name, weights, **_attributes(params), output_padding=rest)
    return _image(cx, made, layout)


def _narrow(params: dict[str, Any], kernel: Dims) -> bool:
    """Whether the padding lies within the kernel, so that the backward padding is not negative."""
    spans = [gap * (n - 1) for gap, n in zip(params["dilation"], kernel, strict=True)]
    return all(max(pair) <= span for pair, span in zip(params["padding"], spans, strict=True))


def _flipped(cx: Lowering, y: str, weights: str, shape: Dims, params: dict[str, Any]) -> str | None:
    """With stride 1 a convolution with the kernel reversed, inputs and outputs exchanged.

    None for groups, bar those that have one channel each.
    """
    spans = [gap * (n - 1) for gap, n in zip(params["dilation"], shape[2:], strict=True)]
    padding = tuple(
        (span - before, span - after)
        for span, (before, after) in zip(spans, params["padding"], strict=True)
    )
    params = {**params, "padding": padding}
    made = blocked.conv(cx, y, weights, shape, params, turned=True)
    if made is not None or params["groups"] > 1:
        return made
    spatial = range(2, len(shape))
    count = len(spatial)
    turned = cx.op(
        "Slice",
        weights,
        cx.ints(*[-1] * count),
        cx.ints(*[-(2**31)] * count),
        cx.ints(*spatial),
        cx.ints(*[-1] * count),
    )
    turned = cx.transpose(turned, shape, (1, 0, *spatial))
    return cx.op("Conv", y, turned, **_attributes(params))


def _weight_grad(cx: Lowering, x: Value, y: Value, *, kernel_size: Dims, **params: Any) -> Result:
    layout, groups = params["layout"], params["groups"]
    name, shape = _channels_second(cx, x, layout)
    cotangent, of_out = _channels_second(cx, y, layout)
    of_weights = (of_out[1], shape[1] // groups, *kernel_size)
    made = blocked.weight_grad(cx, name, shape, cotangent, of_out, kernel_size, params)
    if made is not None:
        return _weights(cx, made, of_weights, layout)
    made = _by_rows_and_columns(cx, name, shape, cotangent, of_out, kernel_size, params)
    if made is not None:
        return _weights(cx, made, of_weights, layout)
    taps, windows = math.prod(kernel_size), math.prod(of_out[2:])
    into, outs = shape[1] // groups, of_out[1] // groups
    columns = _columns(cx, name, shape, kernel_size, params)
    stacked = (shape[0], groups, into * taps, windows)
    columns = cx.reshape(columns, (shape[0], shape[1] * taps, *of_out[2:]), stacked)
    cotangent = cx.reshape(cotangent, of_out, (shape[0], groups, outs, windows))
    products = cx.op("MatMul", cotangent, cx.transpose(columns, stacked, (0, 1, 3, 2)))
    total = cx.op("ReduceSum", products, cx.ints(0), keepdims=0)
    flat = (groups, outs, into * taps)
    return _weights(cx, cx.reshape(total, flat, of_weights), of_weights, layout)


def _by_rows_and_columns(
    cx: Lowering, x: str, of_x: Dims, y: str, of_y: Dims, kernel: Dims, params: dict[str, Any]
) -> str | None:
    """The weights' cotangent, the inputs laid out for one dimension of the kernel alone.

    With stride 1 it is ``sum(y[n, o, r - i, q] * x[n, c, r, q + j])`` over images, rows and
    columns. So what the columns ``j`` of the kernel see is laid out of the inputs, what its rows
    ``i`` see of the outputs' cotangent. That is less to write than the whole windows of the inputs
    where there are about as many outputs, and the product is squarer: it takes 0.6 of the time.
    None where it is more to write, or cannot be.
    """
    if len(kernel) != 2 or any(step != 1 for step in params["stride"]):
        return None
    (rows, columns), groups = kernel, params["groups"]
    into, outs = of_x[1] // groups, of_y[1] // groups
    if into * columns + outs * rows >= into * rows * columns:
        return None
    (top, bottom), (left, right) = params["padding"]
    down, across = params["dilation"]
    reach = down * (rows - 1)
    places = (of_x[2] + top + bottom) * of_y[3]
    of_inputs = _picked(cx, x, of_x[1], (1, columns), [top, left, bottom, right], (1, across))
    of_outputs = _picked(cx, y, of_y[1], (rows, 1), [reach, 0, reach, 0], (down, 1), last=True)
    left_shape = (of_x[0], groups, outs * rows, places)
    right_shape = (of_x[0], groups, into * columns, places)
    of_inputs = cx.reshape(of_inputs, (of_x[0], of_x[1] * columns, places), right_shape)
    of_outputs = cx.reshape(of_outputs, (of_x[0], of_y[1] * rows, places), left_shape)
    products = cx.op("MatMul", of_outputs, cx.transpose(of_inputs, right_shape, (0, 1, 3, 2)))
    total = cx.op("ReduceSum", products, cx.ints(0), keepdims=0)
    split = (of_y[1], rows, into, columns)
    total = cx.reshape(total, (groups, outs * rows, into * columns), split)
    return cx.transpose(total, split, (0, 2, 1, 3))


def _picked(
    cx: Lowering,
    name: str,
    channels: int,
    kernel: Dims,
    pads: list[int],
    dilation: Dims,
    *,
    last: bool = False,
) -> str:
    """For each channel, what each tap of a kernel sees, as channels; the last tap first if so."""
    taps = math.prod(kernel)
    one_hot = np.eye(taps, dtype=np.float32)[:: -1 if last else 1]
    weights = np.tile(one_hot, (channels, 1)).reshape(channels * taps, 1, *kernel)
    return cx.op(
        "Conv",
        name,
        cx.graph.constant(np.ascontiguousarray(weights)),
        pads=pads,
        dilations=list(dilation),
        group=channels,
    )


def _weights(cx: Lowering, name: str, shape: Dims, layout: str) -> str:
    """Weights ``(outputs, inputs, kernel...)`` as the layout wants them."""
    if layout == "NHWC":
        name = cx.transpose(name, shape, (*range(2, len(shape)), 1, 0))
    return cx.cast(name, INNER, cx.out.dtype.name)


def _columns(cx: Lowering, name: str, shape: Dims, kernel: Dims, params: dict[str, Any]) -> str:
    """Every window's elements as channels."""
    taps = math.prod(kernel)
    if (
        taps == 1
        and all(step == 1 for step in params["stride"])
        and not any(_pads(params["padding"]))
    ):
        return name
    picks = np.tile(np.eye(taps, dtype=np.float32), (shape[1], 1))
    one_hot = cx.graph.constant(picks.reshape(shape[1] * taps, 1, *kernel))
    return cx.op("Conv", name, one_hot, **_attributes({**params, "groups": shape[1]}))


def _rule(kernel: Callable[..., Result]) -> Rule:
    return partial(_chosen, kernel)


def _chosen(
    kernel: Callable[..., Result], cx: Lowering, x: Value, y: Value, **params: Any
) -> Result:
    if x.dtype.name == "float64":
        return cx.expansion(x, y, **params)
    if x.type.size == 0 or y.type.size == 0:
        return cx.value(cx.number(0, cx.out.dtype.name), shape=())
    return kernel(cx, x, y, **params)


RULES: Final[dict[str, Rule]] = {
    "conv": _rule(_conv),
    "conv_input_grad": _rule(_input_grad),
    "conv_weight_grad": _rule(_weight_grad),
}
