"""The larger, the smaller, and limits.

All broadcast as NumPy does and promote as PyTorch does.
"""

from __future__ import annotations

from slope import dtypes, ops
from slope.core.operator import Operator
from slope.core.tensor import Tensor
from slope.errors import ArgumentError
from slope.functions import precise
from slope.functions._at_once import of_tensors_at_once, with_numbers_at_once
from slope.functions._base import (
    TensorLike,
    as_tensor,
    operand,
    operands_of,
    result_dtype,
    to_dtype,
)

__all__ = [
    "clamp",
    "clamp_max",
    "clamp_min",
    "fmax",
    "fmin",
    "maximum",
    "minimum",
]


@with_numbers_at_once
def maximum(x: TensorLike, y: TensorLike) -> Tensor:
    """The larger of two elements; NaN if either is."""
    return ops.maximum(*operands_of("maximum", None, x=x, y=y))


@with_numbers_at_once
def minimum(x: TensorLike, y: TensorLike) -> Tensor:
    """The smaller of two elements; NaN if either is."""
    return ops.minimum(*operands_of("minimum", None, x=x, y=y))


@of_tensors_at_once
def fmax(x: TensorLike, y: TensorLike) -> Tensor:
    """The larger of two elements, or the one that is not NaN.

    Where they are equal ``x`` keeps the whole derivative, as in PyTorch.
    """
    a, b = operands_of("fmax", None, x=x, y=y)
    return _chosen(ops.ge, a, b)


@of_tensors_at_once
def fmin(x: TensorLike, y: TensorLike) -> Tensor:
    """The smaller of two elements, or the one that is not NaN.

    Where they are equal ``x`` keeps the whole derivative, as in PyTorch.
    """
    a, b = operands_of("fmin", None, x=x, y=y)
    return _chosen(ops.le, a, b)


def _chosen(better: Operator, a: Tensor, b: Tensor) -> Tensor:
    first = better(a, b)
    if a.dtype.kind == "f":
        first = ops.bitwise_or(first, ops.isnan(b))
    return ops.where(first, a, b)


@of_tensors_at_once
def clamp(  # PyTorch's names
    x: TensorLike, min: TensorLike | None = None, max: TensorLike | None = None
) -> Tensor:
    """``x`` limited to ``[min, max]``; NaN stays. Where ``min > max`` the result is ``max``.

    Where ``x`` equals a bound it keeps the whole derivative, as in PyTorch.
    """
    if min is None and max is None:
        raise ArgumentError("clamp: neither min nor max is given; give one or both.")
    result = as_tensor(x, "clamp", "x")
    if min is not None and max is not None and not result.weak:
        # all three are promoted together, not one after the other
        bounds = (operand(min, "clamp", "min"), operand(max, "clamp", "max"))
        result = to_dtype(result, result_dtype("clamp", (result, *bounds)))
    if min is not None:
        result = clamp_min(result, min)
    return result if max is None else clamp_max(result, max)


@of_tensors_at_once
def clamp_min(x: TensorLike, min: TensorLike) -> Tensor:  # PyTorch's name
    """``x``, but at least ``min``; NaN stays.

    Where they are equal ``x`` keeps the whole derivative.
    """
    a, b = operands_of("clamp_min", None, x=x, min=min)
    return ops.maximum(a, b) if a.dtype is dtypes.bool_ else precise.clamp_min(a, b)


@of_tensors_at_once
def clamp_max(x: TensorLike, max: TensorLike) -> Tensor:  # PyTorch's name
    """``x``, but at most ``max``; NaN stays.

    Where they are equal ``x`` keeps the whole derivative.
    """
    a, b = operands_of("clamp_max", None, x=x, max=max)
    return ops.minimum(a, b) if a.dtype is dtypes.bool_ else precise.clamp_max(a, b)
