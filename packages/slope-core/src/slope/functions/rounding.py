"""Rounding to whole numbers, and to decimals."""

from __future__ import annotations

import builtins

from slope import ops
from slope.core.operator import Operator
from slope.core.tensor import Tensor
from slope.errors import ArgumentError
from slope.functions._arguments import whole_of
from slope.functions._at_once import at_once
from slope.functions._base import TensorLike, as_tensor, floating, splat_like

__all__ = [
    "ceil",
    "floor",
    "frac",
    "round",
    "trunc",
]


def _rounded(op: Operator, name: str, x: TensorLike) -> Tensor:
    made = as_tensor(x, name, "x")
    return made if made.dtype.is_integer else op(made)


@at_once
def floor(x: TensorLike) -> Tensor:
    """The largest whole number not above ``x``; integers stay."""
    return _rounded(ops.floor, "floor", x)


@at_once
def ceil(x: TensorLike) -> Tensor:
    """The smallest whole number not below ``x``; integers stay."""
    return _rounded(ops.ceil, "ceil", x)


@at_once
def round(x: TensorLike, decimals: int = 0) -> Tensor:  # PyTorch's name
    """The nearest whole number (or multiple of ``10 ** -decimals``); halves go to the even one.

    Integers stay.
    """
    digits = whole_of(decimals, "round", "decimals")
    if digits == 0:
        return _rounded(ops.round_, "round", x)
    if builtins.abs(digits) > 300:
        raise ArgumentError(f"round: decimals={digits} must lie between -300 and 300.")
    made = floating(x, "round")
    scale = splat_like(10.0 ** builtins.abs(digits), made)
    if digits < 0:  # dividing by a power of ten is exact where multiplying by its reciprocal is not
        return ops.mul(ops.round_(ops.div(made, scale)), scale)
    return ops.div(ops.round_(ops.mul(made, scale)), scale)


@at_once
def trunc(x: TensorLike) -> Tensor:
    """``x`` without its fraction; integers stay."""
    return _rounded(ops.trunc, "trunc", x)


@at_once
def frac(x: TensorLike) -> Tensor:
    """The fraction of ``x``, with its sign."""
    made = floating(x, "frac")
    return ops.sub(made, ops.trunc(made))
