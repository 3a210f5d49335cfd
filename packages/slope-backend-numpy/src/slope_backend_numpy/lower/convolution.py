"""Convolutions as matrix products, for generated code to call.

All of a window's elements are laid side by side (im2col), so that one product with the weights does
the convolution. Arrays are (batch, channels, spatial...), weights (outputs, inputs, kernel...);
``groups`` stand in front of a group's channels. Products of float32 and float64 alone come here.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Dims = tuple[int, ...]
Padding = tuple[tuple[int, int], ...]


def conv(x: Array, w: Array, stride: Dims, padding: Padding, dilation: Dims, groups: int) -> Array:
    """The convolution of ``x`` with ``w``."""
    columns, out = _columns(x, w.shape[2:], stride, padding, dilation, groups)
    result = np.matmul(_matrices(w, groups), columns)
    return result.reshape(x.shape[0], w.shape[0], *out)


def conv_input_grad(
    y: Array,
    w: Array,
    size: Dims,
    stride: Dims,
    padding: Padding,
    dilation: Dims,
    groups: int,
) -> Array:
    """The cotangent of the input: each element of every window is added to where it came from."""
    kernel, out = w.shape[2:], y.shape[2:]
    channels = w.shape[1] * groups
    products = np.matmul(
        _matrices(w, groups).swapaxes(-1, -2),
        y.reshape(y.shape[0], groups, w.shape[0] // groups, math.prod(out)),
    ).reshape(y.shape[0], channels, *kernel, *out)
    padded = [
        length + before + after for length, (before, after) in zip(size, padding, strict=True)
    ]
    whole = np.zeros((y.shape[0], channels, *padded), y.dtype)
    for tap in itertools.product(*map(range, kernel)):
        met = tuple(
            slice(place * gap, place * gap + (count - 1) * step + 1, step)
            for place, count, step, gap in zip(tap, out, stride, dilation, strict=True)
        )
        whole[:, :, *met] += products[:, :, *tap]
    inside = (slice(before, before + n) for (before, _), n in zip(padding, size, strict=True))
    return whole[:, :, *inside]


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
    columns, out = _columns(x, kernel, stride, padding, dilation, groups)
    outputs, into = y.shape[1], x.shape[1] // groups
    matrices = y.reshape(y.shape[0], groups, outputs // groups, math.prod(out))
    products = np.matmul(matrices, columns.swapaxes(-1, -2))
    return np.add.reduce(products, axis=0).reshape(outputs, into, *kernel)


def _matrices(w: Array, groups: int) -> Array:
    return w.reshape(groups, w.shape[0] // groups, math.prod(w.shape[1:]))


def _columns(
    x: Array, kernel: Dims, stride: Dims, padding: Padding, dilation: Dims, groups: int
) -> tuple[Array, Dims]:
    """All windows as (batch, groups, elements of a window, windows), and how many windows."""
    if any(map(any, padding)):
        x = _padded(x, padding)
    size, steps = x.shape[2:], x.strides[2:]
    spans = [gap * (length - 1) + 1 for gap, length in zip(dilation, kernel, strict=True)]
    out = tuple((n - span) // step + 1 for n, span, step in zip(size, spans, stride, strict=True))
    view = np.lib.stride_tricks.as_strided(
        x,
        (*x.shape[:2], *kernel, *out),
        (
            *x.strides[:2],
            *(gap * step for gap, step in zip(dilation, steps, strict=True)),
            *(stride_ * step for stride_, step in zip(stride, steps, strict=True)),
        ),
        writeable=False,
    )
    elements = x.shape[1] // groups * math.prod(kernel)
    return view.reshape(x.shape[0], groups, elements, math.prod(out)), out


def _padded(x: Array, padding: Padding) -> Array:
    lengths = [n + before + after for n, (before, after) in zip(x.shape[2:], padding, strict=True)]
    whole = np.zeros((*x.shape[:2], *lengths), x.dtype)
    place = (slice(before, before + n) for n, (before, _) in zip(x.shape[2:], padding, strict=True))
    whole[:, :, *place] = x
    return whole
