"""Max pooling undone as far as it can be: values back at the places they came from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from slope import ops
from slope.core.tensor import Tensor, Tracer
from slope.dims import is_static
from slope.errors import ArgumentError, DTypeError, IndexingError, ShapeError
from slope.functions._arguments import shown
from slope.functions._base import TensorLike, as_tensor, splat
from slope.functions.convolution import Lengths, lengths
from slope.functions.pooling import image
from slope.ops.index import put_along

__all__ = ["max_unpool1d", "max_unpool2d", "max_unpool3d"]


def _unpooled(
    count: int,
    x: TensorLike,
    indices: TensorLike,
    kernel_size: Lengths,
    stride: Lengths | None,
    padding: Lengths,
    output_size: Sequence[int] | None,
) -> Tensor:
    function = f"max_unpool{count}d"
    given, places = image(x, count, function), as_tensor(indices, function, "indices")
    if not places.dtype.is_integer:
        raise DTypeError(f"{function}: indices must be of an integer dtype, and are {places.type}.")
    if places.shape != given.shape:
        raise ShapeError(
            f"{function}: x is {given.type} and indices are {places.type}; their shapes must be "
            "equal."
        )
    if not is_static(given.shape):
        raise ShapeError(f"{function}: the sizes of x {given.type} must be known.")
    size = _size(function, given.shape[-count:], kernel_size, stride, padding, output_size)
    total, lead = math.prod(size), given.shape[:-count]
    _check(function, places, size)
    rows, inner = math.prod(lead), math.prod(given.shape[-count:])
    out = put_along(
        splat(0, given.type.with_shape((rows, total))),
        ops.reshape(places, shape=(rows, inner)),
        ops.reshape(given, shape=(rows, inner)),
        1,
        "set",
    )
    return ops.reshape(out, shape=(*lead, *size))


def _size(
    function: str,
    small: Sequence[int],
    kernel_size: Lengths,
    stride: Lengths | None,
    padding: Lengths,
    output_size: Any,
) -> tuple[int, ...]:
    """The spatial lengths of the result."""
    count = len(small)
    window = lengths(kernel_size, count, function, "kernel_size", 1)
    steps = lengths(kernel_size if stride is None else stride, count, function, "stride", 1)
    around = lengths(padding, count, function, "padding")
    usual = tuple(
        (length - 1) * step - 2 * pad + width
        for length, step, pad, width in zip(small, steps, around, window, strict=True)
    )
    if output_size is None:
        return usual
    if not isinstance(output_size, (tuple, list)) or len(output_size) not in (count, count + 2):
        raise ArgumentError(
            f"{function}: output_size={output_size!r} must be {count} lengths, or a whole shape."
        )
    wanted = lengths(tuple(output_size)[-count:], count, function, "output_size", 1)
    if any(abs(n - m) >= step for n, m, step in zip(wanted, usual, steps, strict=True)):
        raise ArgumentError(
            f"{function}: output_size={tuple(output_size)} must differ from {shown(usual)} by less "
            f"than the stride {shown(steps)}."
        )
    return wanted


def _check(function: str, places: Tensor, size: tuple[int, ...]) -> None:
    """Refuse places beyond the result, if they are known."""
    total = math.prod(size)
    if isinstance(places, Tracer) or places.device.kind != "cpu" or not places.type.size:
        return
    values = places.host()
    low, high = int(values.min()), int(values.max())
    if low < 0 or high >= total:
        raise IndexingError(
            f"{function}: indices go from {low} to {high}, and a result of size {shown(size)} has "
            f"places 0 to {total - 1}; give output_size, the size before pooling."
        )


def max_unpool1d(
    x: TensorLike,
    indices: TensorLike,
    kernel_size: Lengths,
    stride: Lengths | None = None,
    padding: Lengths = 0,
    output_size: Sequence[int] | None = None,
) -> Tensor:
    """Max unpooling along one spatial dimension; see :func:`max_unpool2d`."""
    return _unpooled(1, x, indices, kernel_size, stride, padding, output_size)


def max_unpool2d(
    x: TensorLike,
    indices: TensorLike,
    kernel_size: Lengths,
    stride: Lengths | None = None,
    padding: Lengths = 0,
    output_size: Sequence[int] | None = None,
) -> Tensor:
    """Max unpooling: values where max pooling took them from, zeros elsewhere.

    Args:
        x: (batch, channels, height, width); the batch may be left out.
        indices: of ``x``'s shape: places in the flattened spatial dimensions of the result, as
            :func:`slope.max_pool2d` with ``return_indices`` gives them. Those beyond it raise where
            their values are known, and are clamped in compiled functions. Of places named twice,
            as windows that overlap name them, the value that stays is not determined.
        kernel_size: of the pooling, as its
        stride: and its
        padding: are.
        output_size: the spatial lengths before pooling, or the whole shape; by default the least
            that the windows cover.

    Raises:
        ShapeError, DTypeError, ArgumentError: arguments that do not fit.
        IndexingError: places beyond the result.
    """
    return _unpooled(2, x, indices, kernel_size, stride, padding, output_size)


def max_unpool3d(
    x: TensorLike,
    indices: TensorLike,
    kernel_size: Lengths,
    stride: Lengths | None = None,
    padding: Lengths = 0,
    output_size: Sequence[int] | None = None,
) -> Tensor:
    """Max unpooling in three spatial dimensions; see :func:`max_unpool2d`."""
    return _unpooled(3, x, indices, kernel_size, stride, padding, output_size)
