"""What the functions of linear algebra take in: matrices, and right sides that fit them."""

from __future__ import annotations

from typing import Any

from slope import dtypes
from slope import functions as fn
from slope.core.tensor import Tensor
from slope.dims import same
from slope.dtypes import DType
from slope.errors import DTypeError, ShapeError
from slope.functions._base import as_tensor, broadcast_shapes, to_dtype


def wide_enough(function: str, x: Tensor, argument: str = "x") -> Tensor:
    """The tensor in float32 or float64; whole numbers become float32.

    Raises:
        DTypeError: half precision, in which factors are not worth their name.
    """
    if not x.dtype.is_floating_point:
        return to_dtype(x, dtypes.float32)
    if x.dtype.itemsize < 4:
        raise DTypeError(
            f"linalg.{function}: {argument} is {x.type}, and factors need float32 or float64; cast "
            f"it with x.to(slope.float32), and what comes out back."
        )
    return x


def matrix_of(function: str, x: Any, argument: str = "x") -> Tensor:
    """Matrices (..., m, n) in float32 or float64.

    Raises:
        ShapeError, DTypeError: other shapes or dtypes.
    """
    given = as_tensor(x, f"linalg.{function}", argument)
    if given.ndim < 2:
        raise ShapeError(f"linalg.{function}: {argument} must be (..., m, n), and is {given.type}.")
    return wide_enough(function, given, argument)


def square_of(function: str, x: Any, argument: str = "x") -> Tensor:
    """Square matrices (..., n, n) in float32 or float64.

    Raises:
        ShapeError, DTypeError: other shapes or dtypes.
    """
    given = as_tensor(x, f"linalg.{function}", argument)
    if given.ndim < 2 or not same(given.shape[-1:], given.shape[-2:-1]):
        raise ShapeError(f"linalg.{function}: {argument} must be (..., n, n), and is {given.type}.")
    return wide_enough(function, given, argument)


def fitting(function: str, x: Tensor, y: Any) -> tuple[Tensor, Tensor]:
    """Matrices (..., m, n) and right sides (..., m, k), of one dtype and with the same batches.

    Raises:
        ShapeError, DTypeError: they do not fit.
    """
    right = as_tensor(y, f"linalg.{function}", "y")
    if right.ndim < 2 or not same(right.shape[-2:-1], x.shape[-2:-1]):
        raise ShapeError(
            f"linalg.{function}: for x {x.type} the right side must be (..., {x.shape[-2]}, k), "
            f"and is {right.type}."
        )
    dtype = common_dtype(function, x, right)
    try:
        lead = broadcast_shapes(function, x.shape[:-2], right.shape[:-2])
    except ShapeError:
        raise ShapeError(
            f"linalg.{function}: the batches of x {x.type} and of the right side {right.type} do "
            f"not fit."
        ) from None
    return (
        fn.broadcast_to(to_dtype(x, dtype), (*lead, *x.shape[-2:])),
        fn.broadcast_to(to_dtype(right, dtype), (*lead, *right.shape[-2:])),
    )


def common_dtype(function: str, x: Tensor, y: Tensor) -> DType:
    """The dtype in which both are computed with."""
    return fn.result_type(x, wide_enough(function, y, "y"))
