"""Quantiles: of all elements, or of those that are not NaN."""

from __future__ import annotations

from typing import Any

from slope import dtypes, ops
from slope.core.tensor import Tensor
from slope.errors import ArgumentError, DTypeError, ShapeError
from slope.functions._arguments import dim_of, flag_of, scalar_of
from slope.functions._at_once import at_once
from slope.functions._base import (
    TensorLike,
    as_tensor,
    filled_like,
    floating,
    splat_like,
    to_dtype,
)
from slope.functions.reductions import kept_shape
from slope.ops.index import take_along
from slope.ops.linear import move_dim

__all__ = ["nanquantile", "quantile"]

_INTERPOLATIONS = ("linear", "lower", "higher", "nearest", "midpoint")


@at_once
def quantile(
    x: TensorLike,
    q: TensorLike,
    dim: int | None = None,
    keepdim: bool = False,
    *,
    interpolation: str = "linear",
) -> Tensor:
    """The quantiles: a fraction ``q`` of the elements lies below each. NaN if any is NaN.

    Args:
        x: floating-point.
        q: a number from 0 to 1, or a vector of them, which becomes the first dimension of the
            result.
        dim: the dimension; all elements without.
        keepdim: keep the reduced dimensions with length 1.
        interpolation: ``"linear"``, ``"lower"``, ``"higher"``, ``"nearest"`` or ``"midpoint"``.

    Raises:
        DTypeError, ShapeError, ArgumentError: the arguments do not fit.
    """
    return _quantile("quantile", x, q, dim, keepdim, interpolation)


@at_once
def nanquantile(
    x: TensorLike,
    q: TensorLike,
    dim: int | None = None,
    keepdim: bool = False,
    *,
    interpolation: str = "linear",
) -> Tensor:
    """As :func:`quantile`, of what is not NaN; NaN if there is nothing else.

    Raises:
        DTypeError, ShapeError, ArgumentError: the arguments do not fit.
    """
    return _quantile("nanquantile", x, q, dim, keepdim, interpolation)


def _quantile(
    function: str, x: TensorLike, q: TensorLike, dim: int | None, keepdim: bool, interpolation: str
) -> Tensor:
    given = as_tensor(x, function, "x")
    if given.dtype.kind != "f":
        raise DTypeError(
            f"{function}: {given.type} is not floating-point; cast it with x.to(slope.float32)."
        )
    if interpolation not in _INTERPOLATIONS:
        raise ArgumentError(
            f"{function}: interpolation={interpolation!r} is none of {', '.join(_INTERPOLATIONS)}."
        )
    number, keepdim = scalar_of(q), flag_of(keepdim, function, "keepdim")
    if number is not None and not 0 <= number <= 1:
        raise ArgumentError(f"{function}: q={q} must be from 0 to 1.")
    parts = floating(q, function, "q")
    if parts.ndim > 1:
        raise ShapeError(f"{function}: q must be a number or a vector, not {parts.type}.")
    if dim is None:
        rows, at = ops.reshape(given, shape=(given.type.size,)), 0
        kept: tuple[Any, ...] = (1,) * given.ndim if keepdim else ()
    else:
        at = dim_of(dim, max(given.ndim, 1), function, shape=given.shape)
        rows = given if given.ndim else ops.reshape(given, shape=(1,))
        rest = (*rows.shape[:at], *rows.shape[at + 1 :])
        kept = kept_shape(rows, (at,)) if keepdim and given.ndim else rest
    if rows.shape[at] == 0:
        raise ShapeError(
            f"{function}: {given.type} is empty along the dimension, and nothing has no quantiles."
        )
    # ranks are too many for half precision
    wide = dtypes.accumulator(rows.dtype)
    fractions = to_dtype(ops.reshape(parts, shape=(parts.type.size,)), wide)
    rows = move_dim(rows, at, rows.ndim - 1)
    out = _between(rows, fractions, interpolation, function == "nanquantile")
    return ops.reshape(move_dim(out, out.ndim - 1, 0), shape=(*parts.shape, *kept))


def _between(x: Tensor, q: Tensor, interpolation: str, skip: bool) -> Tensor:
    """Quantiles along the last dimension, in order of ``q``; ``skip``: those of what is known.

    Ranks have the dtype of ``q``.
    """
    at = x.ndim - 1
    ordered = ops.sort(x, dim=at, descending=False)[0]  # NaNs stand last
    shape, rows = (*x.shape[:at], *q.shape), tuple(range(at))
    unknown = ops.sum_(ops.cast(ops.isnan(x), dtype=q.dtype), dim=(at,))
    last = filled_like(x.shape[at] - 1, unknown)
    if skip:
        last = ops.maximum(ops.sub(last, unknown), splat_like(0.0, last))
    rank = ops.mul(
        ops.broadcast(q, shape=shape, dims=(at,)), ops.broadcast(last, shape=shape, dims=rows)
    )

    def picked(rounded: Tensor) -> Tensor:
        return take_along(ordered, ops.cast(rounded, dtype=dtypes.int64), at)

    if interpolation == "nearest":
        out = picked(ops.round_(rank))
    elif interpolation in ("lower", "higher"):
        out = picked((ops.floor if interpolation == "lower" else ops.ceil)(rank))
    else:
        low, high = picked(ops.floor(rank)), picked(ops.ceil(rank))
        middle = interpolation == "midpoint"
        weight = splat_like(0.5, rank) if middle else ops.sub(rank, ops.floor(rank))
        out = _mixed(low, high, to_dtype(weight, x.dtype))
    bad = filled_like(x.shape[at] if skip else 1, unknown)
    spoiled = ops.broadcast(ops.ge(unknown, bad), shape=shape, dims=rows)
    return ops.where(spoiled, splat_like(float("nan"), out), out)


def _mixed(low: Tensor, high: Tensor, weight: Tensor) -> Tensor:
    """``low + (high - low) * weight``, also where the difference overflows."""
    away = ops.sub(high, low)
    between = ops.add(low, ops.mul(away, weight))
    left = ops.mul(low, ops.sub(splat_like(1.0, weight), weight))
    beyond = ops.where(ops.eq(low, high), low, ops.add(left, ops.mul(high, weight)))
    return ops.where(ops.isfinite(away), between, beyond)
