"""Pooling as PyTorch has it: (batch, channels, spatial...), the batch may be left out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from slope import ops
from slope.core.tensor import Tensor
from slope.dims import is_static
from slope.errors import ArgumentError, DTypeError, ShapeError
from slope.functions._base import (
    TensorLike,
    as_tensor,
    floating,
    of_host,
    shown,
    splat_like,
)
from slope.functions.convolution import Lengths, lengths


def image(x: TensorLike, count: int, function: str) -> Tensor:
    """A tensor with ``count`` spatial dimensions behind channels and, perhaps, a batch.

    Raises:
        ShapeError: it has another number of dimensions.
    """
    given = as_tensor(x, function, "x")
    if given.ndim not in (count + 1, count + 2):
        raise ShapeError(
            f"{function}: x must have {count + 2} dimensions (batch, channels, {count} spatial; "
            "the batch may be left out), "
            f"and has the shape {shown(given.shape)}."
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
    """The padding before and after.

    In ``ceil_mode`` with what the last windows need beyond the end.

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
        if isinstance(length, int) and length + 2 * around < span:
            raise ShapeError(
                f"{function}: a window of {tuple(window)} with dilation {tuple(dilation)} does not "
                f"fit into {tuple(size)} "
                f"with padding {tuple(padding)}."
            )
        extra = 0
        if ceil_mode:
            count = -(-(length + 2 * around - span) // step) + 1
            if (count - 1) * step >= length + around:  # the last window must start inside
                count -= 1
            extra = max((count - 1) * step + span - length - 2 * around, 0)
        pairs.append((around, around + extra))
    return tuple(pairs)


def _windows(
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
) -> Tensor:
    function = f"max_pool{count}d"
    given = image(x, count, function)
    if given.dtype.kind == "b":
        raise DTypeError(f"{function}: takes numbers, and got {given.type}.")
    window = lengths(kernel_size, count, function, "kernel_size", 1)
    steps = lengths(kernel_size if stride is None else stride, count, function, "stride", 1)
    around = lengths(padding, count, function, "padding")
    gaps = lengths(dilation, count, function, "dilation", 1)
    pairs = _pairs(function, given.shape[-count:], window, steps, around, gaps, ceil_mode)
    return ops.window_max(given, **_windows(given, window, steps, pairs, gaps))


def max_pool1d(
    x: TensorLike,
    kernel_size: Lengths,
    stride: Lengths | None = None,
    padding: Lengths = 0,
    dilation: Lengths = 1,
    ceil_mode: bool = False,
) -> Tensor:
    """The largest elements of windows along one spatial dimension; see :func:`max_pool2d`."""
    return _max_pool(1, x, kernel_size, stride, padding, dilation, ceil_mode)


def max_pool2d(
    x: TensorLike,
    kernel_size: Lengths,
    stride: Lengths | None = None,
    padding: Lengths = 0,
    dilation: Lengths = 1,
    ceil_mode: bool = False,
) -> Tensor:
    """The largest elements of windows; NaN where a window holds one.

    The derivative goes to the first of equal elements.

    Args:
        x: (batch, channels, height, width); the batch may be left out.
        kernel_size: the size of a window, one number or one for each spatial dimension.
        stride: the step between windows; by default ``kernel_size``.
        padding: at most half of ``kernel_size``; it is less than anything.
        dilation: the step between the elements of a window.
        ceil_mode: let the last window reach beyond the end, if it starts before it.

    Raises:
        ShapeError: a window that does not fit.
        ArgumentError: too much padding.
    """
    return _max_pool(2, x, kernel_size, stride, padding, dilation, ceil_mode)


def max_pool3d(
    x: TensorLike,
    kernel_size: Lengths,
    stride: Lengths | None = None,
    padding: Lengths = 0,
    dilation: Lengths = 1,
    ceil_mode: bool = False,
) -> Tensor:
    """The largest elements of windows over three spatial dimensions; see :func:`max_pool2d`."""
    return _max_pool(3, x, kernel_size, stride, padding, dilation, ceil_mode)


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
    total = ops.window_sum(given, **_windows(given, window, steps, pairs, gaps))
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


def avg_pool1d(
    x: TensorLike,
    kernel_size: Lengths,
    stride: Lengths | None = None,
    padding: Lengths = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    """The means of windows along one spatial dimension; see :func:`avg_pool2d`."""
    return _avg_pool(1, x, kernel_size, stride, padding, ceil_mode, count_include_pad, None)


def avg_pool2d(
    x: TensorLike,
    kernel_size: Lengths,
    stride: Lengths | None = None,
    padding: Lengths = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """The means of windows.

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


def avg_pool3d(
    x: TensorLike,
    kernel_size: Lengths,
    stride: Lengths | None = None,
    padding: Lengths = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """The means of windows over three spatial dimensions; see :func:`avg_pool2d`."""
    return _avg_pool(
        3, x, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
    )


# --- windows given by their number


def _targets(x: Tensor, count: int, function: str, output_size: Any) -> tuple[int, ...]:
    given = tuple(output_size) if isinstance(output_size, (tuple, list)) else (output_size,) * count
    size = x.shape[-count:]
    if not is_static(size):
        raise ShapeError(f"{function}: the sizes {shown(size)} must be known.")
    filled = tuple(
        length if wanted is None else wanted
        for wanted, length in zip((*given, *(None,) * count)[:count], size, strict=True)
    )
    if len(given) != count or any(
        not isinstance(each, int) or isinstance(each, bool) or each < 1 for each in filled
    ):
        raise ArgumentError(
            f"{function}: output_size={output_size!r} must be a positive int or None, or {count} "
            "of them."
        )
    if any(length == 0 for length in size):
        raise ShapeError(f"{function}: x has the shape {shown(x.shape)}, with nothing to pool.")
    return filled


def taken(x: Tensor, dim: int, places: np.ndarray[Any, Any]) -> Tensor:
    """Elements of ``x`` at constant places along a dimension, which their dimensions replace."""
    indices = of_host(np.ascontiguousarray(places[..., None], np.int64))
    return ops.gather(x, indices, axis=dim, batch_dims=0)


def _uneven(length: int, count: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Places (windows, elements) of windows that share a length evenly; which of them count."""
    numbers = np.arange(count)
    starts, ends = numbers * length // count, -(-(numbers + 1) * length // count)
    widest = int((ends - starts).max())
    places = starts[:, None] + np.arange(widest)
    return np.minimum(places, ends[:, None] - 1), places < ends[:, None]


def _adaptive(x: Tensor, count: int, function: str, output_size: Any, largest: bool) -> Tensor:
    targets = _targets(x, count, function, output_size)
    size = x.shape[-count:]
    even = [length // n if length % n == 0 else 1 for length, n in zip(size, targets, strict=True)]
    nothing = ((0, 0),) * count
    if any(width > 1 for width in even):
        params = _windows(x, even, even, nothing, (1,) * count)
        if largest:
            x = ops.window_max(x, **params)
        else:
            x = ops.window_sum(x, **params)
            x = ops.div(x, splat_like(int(np.prod(even)), x))
    for at, (length, wanted) in enumerate(zip(size, targets, strict=True)):
        if length % wanted == 0:
            continue
        dim = x.ndim - count + at
        places, counted = _uneven(length, wanted)
        parts = taken(x, dim, places)
        if largest:  # a window's last element, repeated, changes nothing
            x = ops.amax(parts, dim=(dim + 1,))
            continue
        mask = ops.broadcast(of_host(counted), shape=parts.shape, dims=(dim, dim + 1))
        x = ops.sum_(ops.where(mask, parts, splat_like(0, parts)), dim=(dim + 1,))
        share = of_host(counted.sum(1).astype(x.dtype.numpy))
        x = ops.div(x, ops.broadcast(share, shape=x.shape, dims=(dim,)))
    return x


def adaptive_avg_pool1d(x: TensorLike, output_size: Any) -> Tensor:
    """The means of so many windows along one spatial dimension; see :func:`adaptive_avg_pool2d`."""
    function = "adaptive_avg_pool1d"
    return _adaptive(floating(image(x, 1, function), function), 1, function, output_size, False)


def adaptive_avg_pool2d(x: TensorLike, output_size: Any) -> Tensor:
    """The means of so many windows.

    They share the lengths of ``x`` as evenly as whole numbers allow.

    Args:
        x: (batch, channels, height, width); the batch may be left out.
        output_size: how many windows, one number or two; ``None`` keeps a length.

    Raises:
        ArgumentError: another ``output_size``.
    """
    function = "adaptive_avg_pool2d"
    return _adaptive(floating(image(x, 2, function), function), 2, function, output_size, False)


def adaptive_avg_pool3d(x: TensorLike, output_size: Any) -> Tensor:
    """The means of so many windows in three dimensions; see :func:`adaptive_avg_pool2d`."""
    function = "adaptive_avg_pool3d"
    return _adaptive(floating(image(x, 3, function), function), 3, function, output_size, False)


def adaptive_max_pool1d(x: TensorLike, output_size: Any) -> Tensor:
    """The largest elements of so many windows; see :func:`adaptive_avg_pool2d`."""
    return _adaptive(
        image(x, 1, "adaptive_max_pool1d"), 1, "adaptive_max_pool1d", output_size, True
    )


def adaptive_max_pool2d(x: TensorLike, output_size: Any) -> Tensor:
    """The largest elements of so many windows; see :func:`adaptive_avg_pool2d`."""
    return _adaptive(
        image(x, 2, "adaptive_max_pool2d"), 2, "adaptive_max_pool2d", output_size, True
    )


def adaptive_max_pool3d(x: TensorLike, output_size: Any) -> Tensor:
    """The largest elements of so many windows; see :func:`adaptive_avg_pool2d`."""
    return _adaptive(
        image(x, 3, "adaptive_max_pool3d"), 3, "adaptive_max_pool3d", output_size, True
    )
