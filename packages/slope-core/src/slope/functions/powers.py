"""Powers of two, powers in float64, angles, and common divisors."""

from __future__ import annotations

import math

from slope import dtypes, ops
from slope.core.tensor import Tensor
from slope.errors import DTypeError
from slope.functions._at_once import at_once, of_tensors_at_once
from slope.functions._base import (
    TensorLike,
    floating,
    floating_operands,
    operand,
    operands_of,
    splat_like,
)
from slope.functions.arithmetic import logaddexp, mul, pow

__all__ = [
    "deg2rad",
    "float_power",
    "gcd",
    "lcm",
    "ldexp",
    "logaddexp2",
    "rad2deg",
]

# --- angles


@at_once
def deg2rad(x: TensorLike) -> Tensor:
    """Degrees converted to radians."""
    return mul(floating(x, "deg2rad"), math.pi / 180)


@at_once
def rad2deg(x: TensorLike) -> Tensor:
    """Radians converted to degrees."""
    return mul(floating(x, "rad2deg"), 180 / math.pi)


# --- powers


@of_tensors_at_once
def logaddexp2(x: TensorLike, y: TensorLike) -> Tensor:
    """``log2(2 ** x + 2 ** y)`` without overflow."""
    a, b = floating_operands("logaddexp2", x=x, y=y)
    return mul(logaddexp(mul(a, math.log(2)), mul(b, math.log(2))), 1 / math.log(2))


@of_tensors_at_once
def float_power(x: TensorLike, y: TensorLike) -> Tensor:
    """``x ** y``, both as float64."""
    if isinstance(number := operand(y, "float_power", "y"), Tensor):
        return pow(*operands_of("float_power", dtypes.float64, x=x, y=number))
    (base,) = operands_of("float_power", dtypes.float64, x=x)
    return pow(base, number)


@of_tensors_at_once
def ldexp(x: TensorLike, y: TensorLike) -> Tensor:
    """``x * 2 ** y``; whole numbers as float32. Where ``2 ** y`` is not finite, nor is the result.

    Source: PyTorch's, whose powers overflow likewise.
    """
    given = operand(x, "ldexp", "x")
    return mul(given, pow(2.0, floating(y, "ldexp", "y")))


# --- whole numbers


@of_tensors_at_once
def gcd(x: TensorLike, y: TensorLike) -> Tensor:
    """The greatest common divisor of integers, never negative; 0 of two zeros.

    Raises:
        DTypeError: the operands are no integers.
    """
    return _divisor(*_whole("gcd", x, y))


@of_tensors_at_once
def lcm(x: TensorLike, y: TensorLike) -> Tensor:
    """The least common multiple of integers, never negative; 0 if one is 0.

    Raises:
        DTypeError: the operands are no integers.
    """
    a, b = _whole("lcm", x, y)
    return ops.abs_(ops.mul(ops.floor_divide(a, _divisor(a, b)), b))


def _whole(function: str, x: TensorLike, y: TensorLike) -> list[Tensor]:
    given = operands_of(function, None, x=x, y=y)
    if not given[0].dtype.is_integer:
        raise DTypeError(f"{function}: takes integers, and the operands are {given[0].dtype.name}.")
    return given


def _divisor(x: Tensor, y: Tensor) -> Tensor:
    """Euclid's steps with the remainder of least size.

    Each two steps divide by 1 + sqrt(2) squared at least, so their number is bounded by the dtype.
    """
    a, b, zero = ops.abs_(x), ops.abs_(y), splat_like(0, x)
    for _ in range(math.ceil(x.dtype.bits / math.log2(1 + math.sqrt(2))) + 1):
        rest = ops.remainder(a, b)  # 0 if b is 0
        a = ops.where(ops.eq(b, zero), a, b)
        b = ops.minimum(rest, ops.sub(b, rest))
    return a
