"""Convolutions in ONNX Runtime's own layout, in which the channels lie in blocks.

Its kernels take 0.4 to 0.8 of the time of Conv, the way there and back included. For weights that
are constants ONNX Runtime turns graphs to them by itself; here weights are inputs. Images are
``[images, blocks, height, width, block]``, weights ``[blocks of outputs, blocks of inputs, kernel,
inputs of a block, outputs of a block]``, both under the shape that they have without blocks.
"""

from __future__ import annotations

import math
from typing import Any, Final

from slope_backend_onnx.lower.context import Lowering
from slope_backend_onnx.lower.kernels import channel_block

Dims = tuple[int, ...]

_DOMAIN: Final = "com.microsoft.nchwc"

# Of up to so many windows an image, a convolution sums the weights' cotangent faster than the
# product with all windows laid out does.
_FEW: Final = 128


def conv(
    cx: Lowering,
    x: str,
    weights: str,
    shape: Dims,
    params: dict[str, Any],
    *,
    turned: bool = False,
) -> str | None:
    """A convolution with weights ``(outputs, inputs, kernel...)``; None where it cannot be.

    With ``turned``, that is how the weights lie, and they are used with the kernel reversed and
    inputs and outputs exchanged.
    """
    outs, into, *kernel = shape
    groups = params["groups"]
    depthwise = into == 1 and groups == outs > 1
    fits = cx.native and len(kernel) == 2 and (groups == 1 or depthwise)
    block = channel_block() if fits else 0
    if not block or outs % block or not (depthwise or into % block == 0):
        return None
    if depthwise:
        placed = _depthwise_blocks(cx, weights, shape, block, turned)
    else:
        placed = (_turned_blocks if turned else _blocks)(cx, weights, shape, block)
        shape = (into, outs, *kernel) if turned else shape
    pads = [side for sides in zip(*params["padding"], strict=True) for side in sides]
    windows = (params["stride"], pads, params["dilation"])
    return _convolved(cx, x, placed, shape, windows, groups)


def _blocks(cx: Lowering, weights: str, shape: Dims, block: int) -> str:
    """Weights with their channels in blocks.

    In two steps, as ONNX Runtime is fast where matrices are transposed and where whole rows are
    moved; all at once takes three times as long.
    """
    outs, into, *kernel = shape
    taps = math.prod(kernel)
    rows = (outs // block, block, into * taps)
    name = cx.transpose(cx.reshape(weights, shape, rows), rows, (0, 2, 1))
    split = (outs * into // block**2, block, taps, block)
    name = cx.reshape(name, (outs // block, into * taps, block), split)
    moved = cx.transpose(name, split, (0, 2, 1, 3))
    return cx.reshape(moved, (split[0], taps, block, block), shape)


def _turned_blocks(cx: Lowering, weights: str, shape: Dims, block: int) -> str:
    """The same with the kernel reversed, inputs and outputs exchanged."""
    outs, into, *kernel = shape
    taps = math.prod(kernel)
    flat = (outs * into, taps)
    name = cx.transpose(cx.reshape(weights, shape, flat), flat, (1, 0))
    name = cx.op("Gather", name, cx.ints(*reversed(range(taps))), axis=0)
    split = (taps, outs // block, block, into // block, block)
    order = (3, 1, 0, 2, 4)
    moved = cx.transpose(cx.reshape(name, (taps, outs * into), split), split, order)
    return cx.reshape(moved, [split[dim] for dim in order], (into, outs, *kernel))


def _depthwise_blocks(cx: Lowering, weights: str, shape: Dims, block: int, turned: bool) -> str:
    """Weights of one kernel a channel with their channels in blocks; turned, it is reversed."""
    outs, _, *kernel = shape
    taps = math.prod(kernel)
    split = (outs // block, block, taps)
    name = cx.transpose(cx.reshape(weights, shape, split), split, (0, 2, 1))
    if turned:
        name = cx.op("Gather", name, cx.ints(*reversed(range(taps))), axis=1)
    return cx.reshape(name, (outs // block, taps, block), shape)


def _convolved(
    cx: Lowering,
    x: str,
    weights: str,
    shape: Dims,
    windows: tuple[Any, Any, Any],
    groups: int = 1,
) -> str:
    strides, pads, dilations = windows
    made = cx.op(
        "Conv",
        cx.op("ReorderInput", x, domain=_DOMAIN),
        weights,
        domain=_DOMAIN,
        kernel_shape=list(shape[2:]),
        strides=list(strides),
        pads=list(pads),
        dilations=list(dilations),
        group=groups,
    )
    return cx.op("ReorderOutput", made, domain=_DOMAIN, channels=shape[0])


def weight_grad(
    cx: Lowering, x: str, of_x: Dims, y: str, of_y: Dims, kernel: Dims, params: dict[str, Any]
) -> str | None:
    """The weights' cotangent ``(outputs, inputs, kernel...)``; None where it cannot, or costs more.

    It is the convolution of the inputs with the outputs' cotangent as the kernel, images and
    channels exchanged, strides and dilations too.
    """
    if not cx.native or len(kernel) != 2:
        return None
    if params["groups"] == of_x[1] == of_y[1] > 1:
        return _depthwise_weight_grad(cx, x, of_x, y, of_y, kernel, params)
    if params["groups"] != 1 or math.prod(of_y[2:]) > _FEW:
        return None
    block, images, outs = channel_block(), of_x[0], of_y[1]
    ends = _ends(of_x[2:], of_y[2:], kernel, params)
    if not block or not isinstance(images, int):  # their number may be symbolic
        return None
    if images % block or outs % block or min(ends) < 0:
        return None
    places = math.prod(of_y[2:])
    split = (images // block, block, outs // block, places, block)
    given = cx.op("ReorderInput", y, domain=_DOMAIN)
    moved = cx.transpose(cx.reshape(given, of_y, split), split, (2, 0, 3, 1, 4))
    shape = (outs, images, *of_y[2:])
    weights = cx.reshape(moved, [split[dim] for dim in (2, 0, 3, 1, 4)], shape)
    pads = [*(before for before, _ in params["padding"]), *ends]
    turned = cx.transpose(x, of_x, (1, 0, 2, 3))
    made = _convolved(cx, turned, weights, shape, (params["dilation"], pads, params["stride"]))
    return cx.transpose(made, (of_x[1], outs, *kernel), (1, 0, 2, 3))


def _depthwise_weight_grad(
    cx: Lowering, x: str, of_x: Dims, y: str, of_y: Dims, kernel: Dims, params: dict[str, Any]
) -> str | None:
    """The same with one kernel a channel: each channel of each image gives its own, and their sum.

    So images and channels are the channels of one image, and the outputs' cotangent is its kernels.
    """
    images, channels, *size = of_x
    block, count = channel_block(), images * channels
    ends = _ends(of_x[2:], of_y[2:], kernel, params)
    if not block or count % block or min(ends) < 0:
        return None
    shape = (count, 1, *of_y[2:])
    weights = _depthwise_blocks(cx, cx.reshape(y, of_y, shape), shape, block, turned=False)
    pads = [*(before for before, _ in params["padding"]), *ends]
    windows = (params["dilation"], pads, params["stride"])
    made = _convolved(cx, cx.reshape(x, of_x, (1, count, *size)), weights, shape, windows, count)
    apart = cx.reshape(made, (1, count, *kernel), (images, channels, 1, *kernel))
    return cx.op("ReduceSum", apart, cx.ints(0), keepdims=0)


def _ends(x: Dims, y: Dims, kernel: Dims, params: dict[str, Any]) -> list[int]:
    """The padding behind the inputs that makes the results as many as the kernel has places."""
    return [
        (taps - 1) * gap + (count - 1) * step + 1 - length - before
        for length, count, taps, gap, step, (before, _) in zip(
            x, y, kernel, params["dilation"], params["stride"], params["padding"], strict=True
        )
    ]
