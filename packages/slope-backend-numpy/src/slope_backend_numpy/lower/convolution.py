"""Convolutions as matrix products, for generated code to call.

All of a window's elements are laid side by side (im2col), so that one product with the weights does
the convolution; a few images at a time, so that the windows are still in cache when they are
multiplied. Arrays are (batch, spatial..., channels), where a row of a window is one run of memory,
and weights (kernel..., inputs, outputs); ``groups`` stand in front of a group's channels. Products
of float32 and float64 alone come here.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from slope_backend_numpy.lower import depthwise
from slope_backend_numpy.lower.images import Dims, Padding, images, met, padded

Array = np.ndarray[Any, Any]


def conv(x: Array, w: Array, stride: Dims, padding: Padding, dilation: Dims, groups: int) -> Array:
    """The convolution of ``x`` with ``w``."""
    whole, rank = padded(x, padding), len(stride)
    windows = _windows(whole, w.shape[:-2], stride, dilation)
    if _is_depthwise(w, groups):
        return depthwise.conv(whole, w, windows.shape[1 : rank + 1], stride, dilation)
    result = np.empty((*windows.shape[: rank + 1], w.shape[-1]), x.dtype)
    matrices = _matrices(w, groups)
    for part in _parts(windows):
        _multiply(_columns(windows[part], rank, groups), matrices, result[part], groups)
    return result


def conv_input_grad(
    y: Array,
    w: Array,
    size: Dims,
    stride: Dims,
    padding: Padding,
    dilation: Dims,
    groups: int,
) -> Array:
    """The cotangent of the input."""
    if _is_depthwise(w, groups):
        return depthwise.conv_input_grad(y, w, size, stride, padding, dilation)
    spans = [gap * (length - 1) for gap, length in zip(dilation, w.shape[:-2], strict=True)]
    around = tuple(
        (span - before, span - after) for span, (before, after) in zip(spans, padding, strict=True)
    )
    if set(stride) <= {1} and all(before >= 0 <= after for before, after in around):
        turned = _turned(w, groups)
        return conv(y, turned, stride, around, dilation, groups)
    return _scattered(y, w, size, stride, padding, dilation, groups)


def _is_depthwise(w: Array, groups: int) -> bool:
    """Whether each channel has one kernel, of weights (kernel..., inputs of a group, outputs)."""
    return groups > 1 and w.shape[-2:] == (1, groups)


def _turned(w: Array, groups: int) -> Array:
    """The weights of the convolution that takes cotangents of results to those of inputs."""
    *kernel, into, outputs = w.shape
    flipped = w[tuple(slice(None, None, -1) for _ in kernel)]
    apart = flipped.reshape(*kernel, into, groups, outputs // groups)
    rank = len(kernel)
    order = (*range(rank), rank + 2, rank + 1, rank)
    return apart.transpose(order).reshape(*kernel, outputs // groups, groups * into)


def _scattered(
    y: Array, w: Array, size: Dims, stride: Dims, padding: Padding, dilation: Dims, groups: int
) -> Array:
    """Each element of every window is added to where it came from."""
    kernel, out, rank = w.shape[:-2], y.shape[1:-1], len(size)
    channels, elements = w.shape[-2] * groups, math.prod(w.shape[:-1])
    padded = [n + before + after for n, (before, after) in zip(size, padding, strict=True)]
    whole = np.zeros((y.shape[0], *padded, channels), y.dtype)
    matrices = _matrices(w, groups).swapaxes(-1, -2)
    inside = tuple(slice(before, before + n) for (before, _), n in zip(padding, size, strict=True))
    per_image = math.prod(out) * elements * groups * y.itemsize
    for part in images(y.shape[0], per_image):
        rows = y[part].reshape(-1, groups, w.shape[-1] // groups)
        products = np.matmul(rows.swapaxes(0, 1), matrices)  # (groups, rows, elements)
        products = products.reshape(groups, -1, *out, *kernel, w.shape[-2])
        for tap in itertools.product(*map(range, kernel)):
            update = products[(slice(None),) * (rank + 2) + tap]
            target = whole[part][(slice(None), *met(tap, out, stride, dilation))]
            if groups == 1:
                target += update[0]
            else:
                target += np.moveaxis(update, 0, -2).reshape(target.shape)
    return whole[(slice(None), *inside)]


def conv_weight_grad(
    x: Array,
    y: Array,
    kernel: Dims,
    stride: Dims,
    padding: Padding,
    dilation: Dims,
    groups: int,
) -> Array:
    """The cotangent of the weights."""
    if groups == x.shape[-1] == y.shape[-1] > 1:
        return depthwise.conv_weight_grad(x, y, kernel, stride, padding, dilation)
    windows, rank = _windows(padded(x, padding), kernel, stride, dilation), len(kernel)
    into, outputs = x.shape[-1] // groups, y.shape[-1]
    total = np.zeros((groups, math.prod(kernel) * into, outputs // groups), x.dtype)
    for part in _parts(windows):
        columns = _columns(windows[part], rank, groups)
        rows = y[part].reshape(-1, groups, outputs // groups).swapaxes(0, 1)
        total += np.matmul(columns.swapaxes(-1, -2), rows)
    return total.transpose(1, 0, 2).reshape(*kernel, into, outputs)


def _matrices(w: Array, groups: int) -> Array:
    """The weights as (groups, elements of a window, outputs of a group)."""
    outputs = w.shape[-1] // groups
    return w.reshape(math.prod(w.shape[:-1]), groups, outputs).swapaxes(0, 1)


def _windows(x: Array, kernel: Dims, stride: Dims, dilation: Dims) -> Array:
    """All windows, without a copy: (batch, windows..., kernel..., channels)."""
    size, steps = x.shape[1:-1], x.strides[1:-1]
    spans = [gap * (length - 1) + 1 for gap, length in zip(dilation, kernel, strict=True)]
    out = [(n - span) // step + 1 for n, span, step in zip(size, spans, stride, strict=True)]
    return np.lib.stride_tricks.as_strided(
        x,
        (x.shape[0], *out, *kernel, x.shape[-1]),
        (
            x.strides[0],
            *(moved * step for moved, step in zip(stride, steps, strict=True)),
            *(gap * step for gap, step in zip(dilation, steps, strict=True)),
            x.strides[-1],
        ),
        writeable=False,
    )


def _columns(windows: Array, rank: int, groups: int) -> Array:
    """Windows as (groups, windows, elements of a window)."""
    kernel, channels = windows.shape[1 + rank : -1], windows.shape[-1]
    count = math.prod(windows.shape[: 1 + rank])
    if groups == 1:
        return windows.reshape(1, count, math.prod(kernel) * channels)
    apart = windows.reshape(count, math.prod(kernel), groups, channels // groups)
    return apart.transpose(2, 0, 1, 3).reshape(groups, count, -1)


def _multiply(columns: Array, matrices: Array, out: Array, groups: int) -> None:
    """Write products (groups, windows, outputs) to an array (..., channels)."""
    if groups == 1:
        np.matmul(columns[0], matrices[0], out=out.reshape(-1, out.shape[-1]))
    else:
        out[...] = np.matmul(columns, matrices).swapaxes(0, 1).reshape(out.shape)


def _parts(windows: Array) -> Iterator[slice]:
    return images(windows.shape[0], math.prod(windows.shape[1:]) * windows.itemsize)
