"""Convolutions with one kernel for each channel, in the layout of :mod:`.convolution`.

There is nothing to multiply as matrices: each element of the kernel scales what it meets, and a few
images at a time stay in cache meanwhile.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from slope_backend_numpy.lower.images import Dims, Padding, images, met, padded

Array = np.ndarray[Any, Any]


def conv(x: Array, w: Array, out: Dims, stride: Dims, dilation: Dims) -> Array:
    """The convolution of ``x`` (padded) with ``w`` (kernel..., 1, channels), of size ``out``."""
    whole = _rows(x, stride)
    result = np.zeros((x.shape[0], *out, x.shape[-1]), x.dtype)
    totals = _rows(result, stride)
    for part in _parts(result):
        total = totals[part]
        scaled = np.empty_like(total)
        for tap, place in _met(w, out, stride, dilation):
            np.multiply(whole[part][place], _factors(w[tap], total), out=scaled)
            total += scaled
    return result


def conv_input_grad(
    y: Array, w: Array, size: Dims, stride: Dims, padding: Padding, dilation: Dims
) -> Array:
    """The cotangent of the input, of spatial size ``size``."""
    lengths = [n + before + after for n, (before, after) in zip(size, padding, strict=True)]
    result = np.zeros((y.shape[0], *lengths, y.shape[-1]), y.dtype)
    whole, rows = _rows(result, stride), _rows(np.ascontiguousarray(y), stride)
    for part in _parts(y):
        given = rows[part]
        scaled = np.empty_like(given)
        for tap, place in _met(w, y.shape[1:-1], stride, dilation):
            np.multiply(given, _factors(w[tap], given), out=scaled)
            whole[part][place] += scaled
    inside = (slice(before, before + n) for (before, _), n in zip(padding, size, strict=True))
    return result[(slice(None), *inside)]


def conv_weight_grad(
    x: Array, y: Array, kernel: Dims, stride: Dims, padding: Padding, dilation: Dims
) -> Array:
    """The cotangent of the weights."""
    channels = y.shape[-1]
    whole, rows = _rows(padded(x, padding), stride), _rows(np.ascontiguousarray(y), stride)
    total = np.zeros((*kernel, 1, channels), x.dtype)
    for part in _parts(y):
        given = rows[part]
        scaled = np.empty_like(given)
        ones = np.ones(given.size // channels, x.dtype)
        for tap, place in _met(total, y.shape[1:-1], stride, dilation):
            np.multiply(whole[part][place], given, out=scaled)
            total[tap] += ones @ scaled.reshape(-1, channels)
    return total


def _rows(x: Array, stride: Dims) -> Array:
    """Images whose last two dimensions are one, if what is met of a row is one run of memory."""
    if stride[-1] != 1:
        return x
    return np.ascontiguousarray(x).reshape(*x.shape[:-2], x.shape[-2] * x.shape[-1])


def _factors(w: Array, like: Array) -> Array:
    """One element of each channel's kernel (1, channels), as often as a row has places."""
    return np.tile(w[0], like.shape[-1] // w.shape[-1])


def _met(
    w: Array, out: Dims, stride: Dims, dilation: Dims
) -> Iterator[tuple[Dims, tuple[slice, ...]]]:
    """The elements of kernels ``w``, and the part of padded images that each meets."""
    *kernel, _, channels = w.shape
    for tap in itertools.product(*map(range, kernel)):
        parts = [*met(tap, out, stride, dilation)]
        if stride[-1] == 1:  # see `_rows`
            parts[-1] = slice(parts[-1].start * channels, parts[-1].stop * channels)
        yield tap, (slice(None), *parts)


def _parts(y: Array) -> Iterator[slice]:
    # Images, results and what is scaled should be in cache together.
    return images(y.shape[0], 4 * math.prod(y.shape[1:]) * y.itemsize)
