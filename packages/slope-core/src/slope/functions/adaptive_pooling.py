"""Pooling into a given number of windows, which share the lengths evenly."""

from __future__ import annotations

from typing import Any

import numpy as np

from slope import ops
from slope.core.tensor import Tensor
from slope.dims import DimExpr, is_static
from slope.errors import ArgumentError, ShapeError
from slope.functions._arguments import flag_of, shown
from slope.functions._at_once import at_once
from slope.functions._base import TensorLike, filled_like, floating, of_host, splat_like
from slope.functions.pooling import image, window_params
from slope.ops.index import take_along

__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool3d",
    "adaptive_max_pool1d",
    "adaptive_max_pool2d",
    "adaptive_max_pool3d",
]


def _targets(x: Tensor, count: int, function: str, output_size: Any) -> tuple[int, ...]:
    given = tuple(output_size) if isinstance(output_size, (tuple, list)) else (output_size,) * count
    size = x.shape[-count:]
    filled = tuple(
        length if wanted is None else wanted
        for wanted, length in zip((*given, *(None,) * count)[:count], size, strict=True)
    )
    pairs = list(zip(filled, size, strict=True))
    if len(given) != count or any(
        wanted is not length and (not isinstance(wanted, int) or wanted is True or wanted < 1)
        for wanted, length in pairs
    ):
        raise ArgumentError(
            f"{function}: output_size={output_size!r} must be a positive int or None, or {count} "
            "of them."
        )
    if any(
        isinstance(length, DimExpr) and wanted is not length and wanted != 1
        for wanted, length in pairs
    ):
        raise ShapeError(
            f"{function}: the sizes {shown(size)} must be known for more than one window along a "
            f"dimension, and output_size is {output_size!r}."
        )
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
    for at, (length, wanted) in enumerate(zip(x.shape[-count:], targets, strict=True)):
        if isinstance(length, DimExpr) and wanted is not length:
            x = _one_window(x, x.ndim - count + at, largest)
    size = x.shape[-count:]
    even = [
        1 if length is n or length % n else length // n
        for length, n in zip(size, targets, strict=True)
    ]
    nothing = ((0, 0),) * count
    if any(width > 1 for width in even):
        params = window_params(x, even, even, nothing, (1,) * count)
        if largest:
            x = ops.window_max(x, **params)
        else:
            x = ops.window_sum(x, **params)
            x = ops.div(x, splat_like(int(np.prod(even)), x))
    for at, (length, wanted) in enumerate(zip(size, targets, strict=True)):
        if length is wanted or length % wanted == 0:
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


def _one_window(x: Tensor, dim: int, largest: bool) -> Tensor:
    """All elements along a dimension of any length in one, which stays with length 1."""
    shape = (*x.shape[:dim], 1, *x.shape[dim + 1 :])
    if largest:
        return ops.reshape(ops.amax(x, dim=(dim,)), shape=shape)
    total = ops.reshape(ops.sum_(x, dim=(dim,)), shape=shape)
    return ops.div(total, filled_like(x.shape[dim], total))


def adaptive_mean(x: TensorLike, count: int, function: str, output_size: Any) -> Tensor:
    """The means of so many windows in ``count`` dimensions, for a function that users call."""
    return _adaptive(
        floating(image(x, count, function), function), count, function, output_size, False
    )


@at_once
def adaptive_avg_pool1d(x: TensorLike, output_size: Any) -> Tensor:
    """Average pooling to a given length along one dimension; see :func:`adaptive_avg_pool2d`."""
    return adaptive_mean(x, 1, "adaptive_avg_pool1d", output_size)


@at_once
def adaptive_avg_pool2d(x: TensorLike, output_size: Any) -> Tensor:
    """Average pooling to a given output size.

    The windows share the lengths of ``x`` as evenly as whole numbers allow.

    Args:
        x: (batch, channels, height, width); the batch may be left out.
        output_size: how many windows, one number or two; ``None`` keeps a length.

    Raises:
        ArgumentError: another ``output_size``.
    """
    return adaptive_mean(x, 2, "adaptive_avg_pool2d", output_size)


@at_once
def adaptive_avg_pool3d(x: TensorLike, output_size: Any) -> Tensor:
    """Average pooling to a given size in three dimensions; see :func:`adaptive_avg_pool2d`."""
    return adaptive_mean(x, 3, "adaptive_avg_pool3d", output_size)


def _adaptive_max(count: int, x: TensorLike, output_size: Any, return_indices: bool) -> Any:
    function = f"adaptive_max_pool{count}d"
    given = image(x, count, function)
    if not flag_of(return_indices, function, "return_indices"):
        return _adaptive(given, count, function, output_size, True)
    targets = _targets(given, count, function, output_size)
    size = given.shape[-count:]
    if not is_static(size):
        raise ShapeError(f"{function}: with return_indices the sizes {shown(size)} must be known.")
    numbers = of_host(np.arange(np.prod(size)).reshape(size))
    front = given.ndim - count
    where = ops.broadcast(numbers, shape=given.shape, dims=tuple(range(front, given.ndim)))
    for at in reversed(range(count)):  # of equal elements the first in row-major order is named
        dim = front + at
        places, _ = _uneven(size[at], targets[at])  # a window's last element may repeat
        given, best = ops.max_with_indices(taken(given, dim, places), dim=dim + 1)
        chosen = ops.reshape(best, shape=(*best.shape[: dim + 1], 1, *best.shape[dim + 1 :]))
        where = take_along(taken(where, dim, places), chosen, dim + 1)
        where = ops.reshape(where, shape=given.shape)
    return given, where


@at_once
def adaptive_max_pool1d(x: TensorLike, output_size: Any, return_indices: bool = False) -> Any:
    """Max pooling to a given output size; see :func:`adaptive_max_pool2d`."""
    return _adaptive_max(1, x, output_size, return_indices)


@at_once
def adaptive_max_pool2d(x: TensorLike, output_size: Any, return_indices: bool = False) -> Any:
    """Max pooling to a given output size; see :func:`adaptive_avg_pool2d`.

    With ``return_indices`` a pair: these, and where each stands in its channel, counted in
    row-major order (int64).
    """
    return _adaptive_max(2, x, output_size, return_indices)


@at_once
def adaptive_max_pool3d(x: TensorLike, output_size: Any, return_indices: bool = False) -> Any:
    """Max pooling to a given output size; see :func:`adaptive_max_pool2d`."""
    return _adaptive_max(3, x, output_size, return_indices)
