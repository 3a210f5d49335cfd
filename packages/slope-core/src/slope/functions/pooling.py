"""Pooling as PyTorch has it: (batch, channels, spatial...), the batch may be left out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from slope import ops
from slope.core.tensor import Tensor
from slope.dims import is_static
from slope.errors import ArgumentError, DTypeError, ShapeError
from slope.functions._arguments import shown
from slope.functions._at_once import at_once
from slope.functions._base import TensorLike, as_tensor, floating, of_host, splat_like
from slope.functions.convolution import Lengths, lengths

__all__ = [
    "avg_pool1d",
    "avg_pool2d",
    "avg_pool3d",
    "max_pool1d",
    "max_pool2d",
    "max_pool3d",
]


def image(x: TensorLike, count: int, function: str) -> Tensor:
    """A tensor with ``count`` spatial dimensions behind channels and, perhaps, a batch.

    Raises:
        ShapeError: it has another number of dimensions, or an empty one that is not the batch.
    """
    given = as_tensor(x, function, "x")
    if given.ndim not in (count + 1, count + 2):
        raise ShapeError(
            f"{function}: x must have {count + 2} dimensions (batch, channels, {count} spatial; "
            f"the batch may be left out), and has the shape {shown(given.shape)}."
        )
    if any(isinstance(length, int) and length == 0 for length in given.shape[-count - 1 :]):
        raise ShapeError(
            f"{function}: x has the shape {shown(given.shape)}, and only the batch may be empty."
        )
    return given


def _pairs(
    function: str,
    size: Sequence[Any],
    window: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    ceil_mode: bool,
) -> tuple[tuple[int, int], ...]:
    """The padding before and after, with what last windows need beyond the end in ``ceil_mode``.

    Raises:
        ArgumentError, ShapeError: padding of more than half a window, or a window that does not
            fit.
    """
    pairs: list[tuple[int, int]] = []
    for length, width, step, around, gap in zip(
        size, window, stride, padding, dilation, strict=True
    ):
        span = gap * (width - 1) + 1
        if 2 * around > width:
            raise ArgumentError(
                f"{function}: padding={tuple(padding)} must be at most half of "
                f"kernel_size={tuple(window)}."
            )
        room, extra = length + 2 * around - span, 0
        if ceil_mode:
            more = -(-room // step)
            if more * step >= length + around:  # the last window must start inside
                more -= 1
            room, extra = more * step, max(more * step - room, 0)
        if isinstance(length, int) and room < 0:
            raise ShapeError(
                f"{function}: a window of {tuple(window)} with dilation {tuple(dilation)} does not "
                f"fit into {tuple(size)} with padding {tuple(padding)}."
            )
        pairs.append((around, around + extra))
    return tuple(pairs)


def window_params(
    x: Tensor, window: Any, stride: Any, padding: Any, dilation: Any
) -> dict[str, tuple[Any, ...]]:
    """Parameters of the pooling operators, for all dimensions of ``x``."""
    front = x.ndim - len(window)
    return {
        "window": (1,) * front + tuple(window),
        "stride": (1,) * front + tuple(stride),
        "padding": ((0, 0),) * front + tuple(padding),
        "dilation": (1,) * front + tuple(dilation),
    }


def _max_pool(
    count: int,
    x: TensorLike,
    kernel_size: Lengths,
    stride: Lengths | None,
    padding: Lengths,
    dilation: Lengths,
    ceil_mode: bool,
    return_indices: bool,
) -> Any:
    function = f"max_pool{count}d"
    given = image(x, count, function)
    if given.dtype.kind == "b":
        raise DTypeError(f"{function}: takes numbers, and got {given.type}.")
    window = lengths(kernel_size, count, function, "kernel_size", 1)
    steps = lengths(kernel_size if stride is None else stride, count, function, "stride", 1)
    around = lengths(padding, count, function, "padding")
    gaps = lengths(dilation, count, function, "dilation", 1)
    pairs = _pairs(function, given.shape[-count:], window, steps, around, gaps, ceil_mode)
    params = window_params(given, window, steps, pairs, gaps)
    largest = ops.window_max(given, **params)
    if not return_indices:
        return largest
    return largest, _places_of_largest(given, count, largest.shape, **params)


def _places_of_largest(
    x: Tensor, count: int, out: Any, *, window: Any, stride: Any, padding: Any, dilation: Any
) -> Tensor:
    """Where the largest element of each window is: its number in the flattened spatial dims."""
    size = x.shape[-count:]
    if not is_static(size):
        raise ShapeError(
            f"max_pool{count}d: with return_indices the sizes {shown(size)} must be known."
        )
    lowest: Any = -math.inf if x.dtype.kind == "f" else int(np.iinfo(x.dtype.numpy).min)
    low, high = (tuple(pair[side] for pair in padding) for side in (0, 1))
    padded = ops.pad(x, low=low, high=high, interior=(0,) * x.ndim, value=lowest)
    numbers = np.pad(np.arange(math.prod(size)).reshape(size), padding[-count:], mode="edge")
    best, place = None, None
    for tap in np.ndindex(*window):
        parts = [
            slice(at * gap, at * gap + (n - 1) * step + 1, step)
            for at, gap, n, step in zip(tap, dilation, out, stride, strict=True)
        ]
        met = ops.slice_(
            padded,
            start=tuple(part.start for part in parts),
            stop=tuple(part.stop for part in parts),
            step=stride,
        )
        here = of_host(np.ascontiguousarray(numbers[tuple(parts[-count:])]))
        here = ops.broadcast(here, shape=out, dims=tuple(range(x.ndim - count, x.ndim)))
        if best is None or place is None:
            best, place = met, here
            continue
        larger = ops.gt(met, best)
        if x.dtype.kind == "f":  # a NaN is the largest of all
            larger = ops.bitwise_or(larger, ops.ne(met, met))
        best, place = ops.where(larger, met, best), ops.where(larger, here, place)
    assert place is not None
    return place


@at_once
def max_pool1d(
    x: TensorLike,
    kernel_size: Lengths,
    stride: Lengths | None = None,
    padding: Lengths = 0,
    dilation: Lengths = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """Max pooling along one spatial dimension; see :func:`max_pool2d`."""
    return _max_pool(1, x, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


@at_once
def max_pool2d(
    x: TensorLike,
    kernel_size: Lengths,
    stride: Lengths | None = None,
    padding: Lengths = 0,
    dilation: Lengths = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """Max pooling: the largest element of each window, NaN where it holds one.

    The derivative goes to the first of equal elements.

    Args:
        x: (batch, channels, height, width); the batch may be left out.
        kernel_size: the size of a window, one number or one for each spatial dimension.
        stride: the step between windows; by default ``kernel_size``.
        padding: at most half of ``kernel_size``; it is less than anything.
        dilation: the step between the elements of a window.
        ceil_mode: let the last window reach beyond the end, if it starts before it.
        return_indices: also give where the largest elements are.

    Returns:
        The largest elements; with ``return_indices`` the pair of them and of the int64 places of
        the first largest element of each window, counted in the flattened spatial dimensions of
        ``x``.

    Raises:
        ShapeError: a window that does not fit.
        ArgumentError: too much padding.
    """
    return _max_pool(2, x, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


@at_once
def max_pool3d(
    x: TensorLike,
    kernel_size: Lengths,
    stride: Lengths | None = None,
    padding: Lengths = 0,
    dilation: Lengths = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """Max pooling over three spatial dimensions; see :func:`max_pool2d`."""
    return _max_pool(3, x, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def _avg_pool(
    count: int,
    x: TensorLike,
    kernel_size: Lengths,
    stride: Lengths | None,
    padding: Lengths,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None,
) -> Tensor:
    function = f"avg_pool{count}d"
    given = floating(image(x, count, function), function)
    window = lengths(kernel_size, count, function, "kernel_size", 1)
    steps = lengths(kernel_size if stride is None else stride, count, function, "stride", 1)
    around = lengths(padding, count, function, "padding")
    gaps, size = (1,) * count, given.shape[-count:]
    pairs = _pairs(function, size, window, steps, around, gaps, ceil_mode)
    total = ops.window_sum(given, **window_params(given, window, steps, pairs, gaps))
    if divisor_override is not None:
        if not isinstance(divisor_override, int) or divisor_override == 0:
            raise ArgumentError(
                f"{function}: divisor_override={divisor_override!r} must be an int other than 0."
            )
        return ops.div(total, splat_like(divisor_override, total))
    plain = not any(map(any, pairs)) or (count_include_pad and all(a == b for a, b in pairs))
    if plain:
        return ops.div(total, splat_like(int(np.prod(window)), total))
    if not is_static(size):
        raise ShapeError(
            f"{function}: with padding that is not counted, or ceil_mode, the sizes {shown(size)} "
            "must be known."
        )
    for at in range(count):
        outs, dim = total.shape[given.ndim - count + at], given.ndim - count + at
        starts = np.arange(outs) * steps[at] - around[at]
        ends = np.minimum(starts + window[at], size[at] + around[at])
        if not count_include_pad:
            starts, ends = np.maximum(starts, 0), np.minimum(ends, size[at])
        counts = of_host((ends - starts).astype(given.dtype.numpy))
        total = ops.div(total, ops.broadcast(counts, shape=total.shape, dims=(dim,)))
    return total


@at_once
def avg_pool1d(
    x: TensorLike,
    kernel_size: Lengths,
    stride: Lengths | None = None,
    padding: Lengths = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    """Average pooling along one spatial dimension; see :func:`avg_pool2d`."""
    return _avg_pool(1, x, kernel_size, stride, padding, ceil_mode, count_include_pad, None)


@at_once
def avg_pool2d(
    x: TensorLike,
    kernel_size: Lengths,
    stride: Lengths | None = None,
    padding: Lengths = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """Average pooling: the mean of each window.

    Args:
        x: (batch, channels, height, width); the batch may be left out. Integers become float32.
        kernel_size: the size of a window, one number or one for each spatial dimension.
        stride: the step between windows; by default ``kernel_size``.
        padding: zeros on both sides, at most half of ``kernel_size``.
        ceil_mode: let the last window reach beyond the end, if it starts before it; what is beyond
            the padding never counts.
        count_include_pad: whether padding counts among the elements.
        divisor_override: what to divide by instead of the number of elements.

    Raises:
        ShapeError: a window that does not fit.
        ArgumentError: too much padding.
    """
    return _avg_pool(
        2, x, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
    )


@at_once
def avg_pool3d(
    x: TensorLike,
    kernel_size: Lengths,
    stride: Lengths | None = None,
    padding: Lengths = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """Average pooling over three spatial dimensions; see :func:`avg_pool2d`."""
    return _avg_pool(
        3, x, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
    )
