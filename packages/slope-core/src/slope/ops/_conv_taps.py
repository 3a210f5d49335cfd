"""Convolutions in simpler operators: one contraction for each element ("tap") of the kernel.

What each tap of the kernel meets is a strided slice of the padded input.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence

from slope.core.tensor import Tensor
from slope.ops._conv_family import ConvAxes, Dims, Padding, conv_axes, placed
from slope.ops.contract import dot_general
from slope.ops.conv import conv
from slope.ops.elementwise import add
from slope.ops.linear import permute, reshape
from slope.ops.slicing import cat, pad, slice_


def _padded(x: Tensor, axes: ConvAxes, padding: Padding) -> Tensor:
    if not any(map(any, padding)):
        return x
    low, high = [0] * x.ndim, [0] * x.ndim
    for dim, (before, after) in zip(axes.spatial, padding, strict=True):
        low[dim], high[dim] = before, after
    return pad(x, low=tuple(low), high=tuple(high), interior=(0,) * x.ndim, value=0)


def _met_by(
    x: Tensor, axes: ConvAxes, tap: Sequence[int], out: Dims, stride: Dims, dilation: Dims
) -> Tensor:
    """What a tap meets of a padded input, one element for each window."""
    start, stop, step = [0] * x.ndim, list(x.shape), [1] * x.ndim
    for dim, place, count, stride_, dilation_ in zip(
        axes.spatial, tap, out, stride, dilation, strict=True
    ):
        start[dim], step[dim] = place * dilation_, stride_
        stop[dim] = start[dim] + (count - 1) * stride_ + 1
    return slice_(x, start=tuple(start), stop=tuple(stop), step=tuple(step))


def _split(x: Tensor, dim: int, groups: int) -> Tensor:
    return reshape(x, shape=(*x.shape[:dim], groups, x.shape[dim] // groups, *x.shape[dim + 1 :]))


def _joined(x: Tensor, channel: int) -> Tensor:
    """From (groups, batch, spatial..., channels of a group) to an input's or output's layout."""
    shape = placed(x.shape[0] * x.shape[-1], x.shape[1], x.shape[2:-1], channel)
    spatial = tuple(range(2, x.ndim - 1))
    order = (1, 0, x.ndim - 1, *spatial) if channel == 1 else (1, *spatial, 0, x.ndim - 1)
    return reshape(permute(x, dims=order), shape=shape)


def _weights_of(w: Tensor, axes: ConvAxes, tap: Sequence[int], groups: int) -> Tensor:
    """One tap's weights.

    (groups, outputs of a group, inputs), or in NHWC (inputs, groups, outputs of a group).
    """
    start, stop = [0] * w.ndim, list(w.shape)
    for dim, place in zip(axes.kernel, tap, strict=True):
        start[dim], stop[dim] = place, place + 1
    part = slice_(w, start=tuple(start), stop=tuple(stop), step=(1,) * w.ndim)
    first = axes.out < axes.into
    part = reshape(part, shape=tuple(w.shape[d] for d in sorted((axes.out, axes.into))))
    return _split(part, 0 if first else 1, groups)


def _taps(kernel: Dims) -> Iterator[tuple[int, ...]]:
    return itertools.product(*map(range, kernel))


def _total(parts: list[Tensor]) -> Tensor:
    total = parts[0]
    for part in parts[1:]:
        total = add(total, part)
    return total


def conv_by_taps(
    x: Tensor,
    w: Tensor,
    *,
    stride: Dims,
    padding: Padding,
    dilation: Dims,
    groups: int,
    layout: str,
) -> Tensor:
    """``conv`` as a sum over taps."""
    axes = conv_axes(layout, x.ndim)
    shape = conv.infer(
        x.type,
        w.type,
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
        layout=layout,
    ).shape
    out = tuple(shape[d] for d in axes.spatial)
    whole = _padded(x, axes, padding)
    at = axes.channel
    # Of the weights (groups, outputs, inputs) or (inputs, groups, outputs): groups and inputs.
    group, into = (0, 2) if layout == "NCHW" else (1, 0)
    parts = [
        dot_general(
            _split(_met_by(whole, axes, tap, out, stride, dilation), at, groups),
            _weights_of(w, axes, tap, groups),
            contract=((at + 1,), (into,)),
            batch=((at,), (group,)),
        )
        for tap in _taps(tuple(w.shape[d] for d in axes.kernel))
    ]
    return _joined(_total(parts), at)


def input_grad_by_taps(
    y: Tensor,
    w: Tensor,
    *,
    input_size: Dims,
    stride: Dims,
    padding: Padding,
    dilation: Dims,
    groups: int,
    layout: str,
) -> Tensor:
    """``conv_input_grad`` as a sum over taps, each spread to where it met the padded input."""
    axes = conv_axes(layout, y.ndim)
    at = axes.channel
    group, outs = (0, 1) if layout == "NCHW" else (1, 2)
    split = _split(y, at, groups)
    out = tuple(y.shape[d] for d in axes.spatial)
    total = tuple(
        length + before + after for length, (before, after) in zip(input_size, padding, strict=True)
    )
    parts: list[Tensor] = []
    for tap in _taps(tuple(w.shape[d] for d in axes.kernel)):
        part = dot_general(
            split,
            _weights_of(w, axes, tap, groups),
            contract=((at + 1,), (outs,)),
            batch=((at,), (group,)),
        )
        low, high, interior = [0] * y.ndim, [0] * y.ndim, [0] * y.ndim
        for number, dim in enumerate(axes.spatial):
            low[dim], interior[dim] = tap[number] * dilation[number], stride[number] - 1
            high[dim] = total[number] - low[dim] - (out[number] - 1) * stride[number] - 1
        parts.append(
            pad(
                _joined(part, at),
                low=tuple(low),
                high=tuple(high),
                interior=tuple(interior),
                value=0,
            )
        )
    whole = _total(parts)
    start, stop = [0] * y.ndim, list(whole.shape)
    for dim, length, (before, _) in zip(axes.spatial, input_size, padding, strict=True):
        start[dim], stop[dim] = before, before + length
    return slice_(whole, start=tuple(start), stop=tuple(stop), step=(1,) * y.ndim)


def weight_grad_by_taps(
    x: Tensor,
    y: Tensor,
    *,
    kernel_size: Dims,
    stride: Dims,
    padding: Padding,
    dilation: Dims,
    groups: int,
    layout: str,
) -> Tensor:
    """``conv_weight_grad``: each tap's weights from what the tap met."""
    axes = conv_axes(layout, x.ndim)
    at = axes.channel
    whole, split = _padded(x, axes, padding), _split(y, at, groups)
    out = tuple(y.shape[d] for d in axes.spatial)
    over = tuple(d for d in range(x.ndim + 1) if d not in (at, at + 1))
    parts: list[Tensor] = []
    for tap in _taps(kernel_size):
        met = _split(_met_by(whole, axes, tap, out, stride, dilation), at, groups)
        # groups, inputs, outputs
        parts.append(dot_general(met, split, contract=(over, over), batch=((at,), (at,))))
    into, outs = parts[0].shape[1:]
    stacked = reshape(cat(*parts, dim=0), shape=(math.prod(kernel_size), groups, into, outs))
    if layout == "NCHW":
        return reshape(
            permute(stacked, dims=(1, 3, 2, 0)), shape=(groups * outs, into, *kernel_size)
        )
    return reshape(permute(stacked, dims=(0, 2, 1, 3)), shape=(*kernel_size, into, groups * outs))
