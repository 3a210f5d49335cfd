"""NaN, infinities and signs of zeros: tests for them, and numbers in their place."""

from __future__ import annotations

import math

from slope import dtypes, ops
from slope.core.tensor import Splat, Tensor
from slope.functions._arguments import number_of
from slope.functions._at_once import at_once
from slope.functions._base import TensorLike, as_tensor, splat_like

__all__ = [
    "isfinite",
    "isinf",
    "isnan",
    "isneginf",
    "isposinf",
    "nan_to_num",
    "signbit",
]


@at_once
def isnan(x: TensorLike) -> Tensor:
    """Whether an element is NaN."""
    made = as_tensor(x, "isnan", "x")
    return (
        ops.isnan(made)
        if made.dtype.kind == "f"
        else Splat(False, made.type.with_dtype(dtypes.bool_))
    )


@at_once
def isfinite(x: TensorLike) -> Tensor:
    """Whether an element is neither NaN nor infinite."""
    made = as_tensor(x, "isfinite", "x")
    return (
        ops.isfinite(made)
        if made.dtype.kind == "f"
        else Splat(True, made.type.with_dtype(dtypes.bool_))
    )


@at_once
def isposinf(x: TensorLike) -> Tensor:
    """Whether an element is positive infinity."""
    return _equals(x, math.inf, "isposinf")


@at_once
def isneginf(x: TensorLike) -> Tensor:
    """Whether an element is negative infinity."""
    return _equals(x, -math.inf, "isneginf")


def _equals(x: TensorLike, value: float, function: str) -> Tensor:
    made = as_tensor(x, function, "x")
    if made.dtype.kind != "f":
        return Splat(False, made.type.with_dtype(dtypes.bool_))
    return ops.eq(made, splat_like(value, made))


@at_once
def signbit(x: TensorLike) -> Tensor:
    """Whether the sign bit is set: of negative numbers, of -0 and of NaNs with it."""
    made = as_tensor(x, "signbit", "x")
    if made.dtype.kind == "f":
        whole = {16: dtypes.int16, 32: dtypes.int32, 64: dtypes.int64}[made.dtype.bits]
        made = ops.bitcast(made, dtype=whole)
    return ops.lt(made, splat_like(0, made))


@at_once
def isinf(x: TensorLike) -> Tensor:
    """Whether an element is infinite."""
    made = as_tensor(x, "isinf", "x")
    if made.dtype.kind != "f":
        return Splat(False, made.type.with_dtype(dtypes.bool_))
    return ops.eq(ops.abs_(made), splat_like(math.inf, made))


@at_once
def nan_to_num(
    x: TensorLike, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None
) -> Tensor:
    """NaN replaced by ``nan``, infinities by the largest and lowest finite numbers unless given.

    Integers stay.
    """
    made = as_tensor(x, "nan_to_num", "x")
    if made.dtype.kind != "f":
        return made
    limits = dtypes.finfo(made.dtype)
    other = number_of(nan, "nan_to_num", "nan")
    top = limits.max if posinf is None else number_of(posinf, "nan_to_num", "posinf")
    low = limits.min if neginf is None else number_of(neginf, "nan_to_num", "neginf")
    made = ops.where(ops.isnan(made), splat_like(other, made), made)
    made = ops.where(ops.eq(made, splat_like(math.inf, made)), splat_like(top, made), made)
    return ops.where(ops.eq(made, splat_like(-math.inf, made)), splat_like(low, made), made)
