"""Arithmetic of two or three operands.

All broadcast as NumPy does and promote as PyTorch does. Division of integers is true division.
"""

from __future__ import annotations

from slope import dtypes, ops
from slope.core.tensor import Tensor
from slope.errors import ArgumentError, DTypeError
from slope.functions import precise
from slope.functions._arguments import scalar_of
from slope.functions._at_once import of_tensors_at_once, with_numbers_at_once
from slope.functions._base import (
    Operand,
    TensorLike,
    binary,
    floating_operands,
    operand,
    operands_of,
    result_dtype,
    splat_like,
    to_dtype,
    weakly,
)

__all__ = [
    "add",
    "addcdiv",
    "addcmul",
    "atan2",
    "copysign",
    "div",
    "floor_divide",
    "fmod",
    "heaviside",
    "hypot",
    "lerp",
    "logaddexp",
    "mul",
    "pow",
    "remainder",
    "result_type",
    "sub",
    "true_divide",
    "xlogy",
]


def _times_alpha(function: str, x: object, y: object, alpha: object) -> Operand:
    """``alpha * y``, in the dtype that ``x`` and ``y`` are brought to."""
    a, b, factor = operand(x, function, "x"), operand(y, function, "y"), scalar_of(alpha)
    if factor is None:
        raise ArgumentError(f"{function}: alpha must be a number, not {alpha!r:.60}.")
    dtype = result_dtype(function, (a, b))
    if isinstance(factor, float) and dtype.kind != "f":
        raise DTypeError(
            f"{function}: alpha={factor} has a fraction, and the operands are {dtype.name}; give "
            "an int, or cast one operand with x.to(slope.float32)."
        )
    if not isinstance(b, Tensor):
        return b * factor
    return mul(b if b.weak else to_dtype(b, dtype), factor)


@with_numbers_at_once
def add(x: TensorLike, y: TensorLike, *, alpha: float = 1) -> Tensor:
    """``x + y``, or ``x + alpha * y``; of bools, whether either holds.

    Raises:
        DTypeError: ``alpha`` has a fraction, and the operands are whole numbers.
    """
    if alpha != 1:
        y = _times_alpha("add", x, y, alpha)
    a, b, weak = binary("add", x, y)
    if a.dtype is dtypes.bool_:
        return ops.bitwise_or(a, b)
    return weakly(ops.add(a, b), weak)


@with_numbers_at_once
def sub(x: TensorLike, y: TensorLike, *, alpha: float = 1) -> Tensor:
    """``x - y``, or ``x - alpha * y``.

    Raises:
        DTypeError: both are bool; or ``alpha`` has a fraction, and the operands are whole numbers.
    """
    if alpha != 1:
        y = _times_alpha("sub", x, y, alpha)
    a, b, weak = binary("sub", x, y)
    if a.dtype is dtypes.bool_:
        raise DTypeError(
            f"sub: both operands are bool ({a.type}); use slope.logical_xor, or cast one with "
            "x.to(slope.int64)."
        )
    return weakly(ops.sub(a, b), weak)


@with_numbers_at_once
def mul(x: TensorLike, y: TensorLike) -> Tensor:
    """``x * y``; of bools, whether both hold."""
    a, b, weak = binary("mul", x, y)
    if a.dtype is dtypes.bool_:
        return ops.bitwise_and(a, b)
    return weakly(ops.mul(a, b), weak)


@with_numbers_at_once
def div(x: TensorLike, y: TensorLike, *, rounding_mode: str | None = None) -> Tensor:
    """``x / y``; integers and bools are divided as float32. By zero it gives inf or NaN.

    Args:
        x: the dividend.
        y: the divisor.
        rounding_mode: ``None``; ``"floor"`` for :func:`floor_divide`; or ``"trunc"`` for the
            quotient rounded toward zero. With either, integers stay integers, and give 0 by zero.

    Raises:
        ArgumentError: another ``rounding_mode``.
    """
    if rounding_mode is not None:
        return _rounded_quotient(x, y, rounding_mode)
    a, b, weak = binary("div", x, y)
    if a.dtype.kind != "f":
        dtype = dtypes.float64 if weak else dtypes.float32
        a, b = to_dtype(a, dtype), to_dtype(b, dtype)
    return weakly(ops.div(a, b), weak)


def _rounded_quotient(x: TensorLike, y: TensorLike, rounding_mode: object) -> Tensor:
    if rounding_mode == "floor":
        return floor_divide(x, y)
    if rounding_mode != "trunc":
        raise ArgumentError(
            f"div: rounding_mode={rounding_mode!r:.60} must be None, 'floor' or 'trunc'."
        )
    a, b, weak = binary("div", x, y)
    if a.dtype.kind == "f":
        return weakly(ops.trunc(ops.div(a, b)), weak)
    return weakly(ops.truncate_divide(a, b), weak)


true_divide = div


@of_tensors_at_once
def floor_divide(x: TensorLike, y: TensorLike) -> Tensor:
    """``x // y``, rounded down. Integers by zero give 0."""
    a, b, weak = binary("floor_divide", x, y)
    return weakly(ops.floor_divide(a, b), weak)


@of_tensors_at_once
def remainder(x: TensorLike, y: TensorLike) -> Tensor:
    """``x % y``, with the sign of ``y``. Integers modulo zero give 0."""
    a, b, weak = binary("remainder", x, y)
    return weakly(ops.remainder(a, b), weak)


@of_tensors_at_once
def fmod(x: TensorLike, y: TensorLike) -> Tensor:
    """The remainder of ``x / y`` with the sign of ``x``. Integers modulo zero give 0."""
    return ops.fmod(*operands_of("fmod", None, x=x, y=y))


_MAX_EXPONENT = 64


@of_tensors_at_once
def pow(x: TensorLike, y: TensorLike) -> Tensor:  # PyTorch's name
    """``x ** y``.

    A Python int as exponent multiplies repeatedly, ``0.5`` takes the square root. Integers wrap
    around; tensors of negative exponents give 0, or 1 and -1 for bases 1 and -1, as PyTorch.

    Raises:
        DTypeError: an integer tensor to a negative Python int.
    """
    base, exponent = operand(x, "pow", "x"), operand(y, "pow", "y")
    if isinstance(base, Tensor) and not isinstance(exponent, Tensor):
        known = _known_power(base, exponent)
        if known is not None:
            return known
    a, b, weak = binary("pow", base, exponent)
    if a.dtype.kind == "f":
        return weakly(ops.pow_(a, b), weak)
    if a.dtype is dtypes.bool_:
        raise DTypeError(
            f"pow: both operands are bool ({a.type}); cast one with x.to(slope.int64)."
        )
    return weakly(_whole_power(a, b), weak)


def _known_power(x: Tensor, exponent: bool | float) -> Tensor | None:
    if isinstance(exponent, int) and exponent < 0 and x.dtype.kind != "f":
        raise DTypeError(
            f"pow: {x.type} to the power {exponent}: integers have no negative powers; cast the "
            f"base first, for instance x.to(slope.float32), or write 1 / x**{-exponent}."
        )
    weak = x.weak
    dtype = result_dtype("pow", (x, exponent), wide=weak)
    base = x if weak and x.dtype is dtype else to_dtype(x, dtype)
    repeated = dtype.is_integer or abs(exponent) <= _MAX_EXPONENT
    if repeated and exponent == int(exponent) and dtype is not dtypes.bool_:
        return weakly(ops.integer_pow(base, exponent=int(exponent)), weak)
    if exponent == 0.5:
        return weakly(ops.sqrt(base), weak)
    return weakly(ops.rsqrt(base), weak) if exponent == -0.5 else None


def _whole_power(x: Tensor, y: Tensor) -> Tensor:
    """By repeated squaring, modulo 2 to the number of bits."""
    one, zero = splat_like(1, x), splat_like(0, x)
    result, square = one, x
    # 2 ** (bits - 2) is a multiple of every odd number's order, so further bits of y change
    # nothing there; and they make 0 of every even number.
    count = x.dtype.bits - 2
    for bit in range(count):
        odd = ops.ne(ops.bitwise_and(y, splat_like(1 << bit, y)), zero)
        result = ops.mul(result, ops.where(odd, square, one))
        if bit < count - 1:
            square = ops.mul(square, square)
    even = ops.eq(ops.bitwise_and(x, one), zero)
    huge = ops.ge(y, splat_like(1 << count, y))
    result = ops.where(ops.bitwise_and(huge, even), zero, result)
    if x.dtype.kind == "u":
        return result
    # Of the inverses only those of 1 and -1 are whole: themselves.
    minus, turned = splat_like(-1, x), ops.ne(ops.bitwise_and(y, one), zero)
    inverse = ops.where(ops.eq(x, minus), ops.where(turned, minus, one), zero)
    inverse = ops.where(ops.eq(x, one), one, inverse)
    return ops.where(ops.lt(y, zero), inverse, result)


# --- of real numbers


@of_tensors_at_once
def lerp(start: TensorLike, end: TensorLike, weight: TensorLike) -> Tensor:
    """``start + weight * (end - start)``; exactly ``end`` for a weight of 1, as PyTorch's."""
    given = floating_operands("lerp", start=start, end=end, weight=weight)
    a, b, share = given
    away, one = ops.sub(b, a), splat_like(1.0, share)
    near = ops.add(a, ops.mul(share, away))
    far = ops.sub(b, ops.mul(away, ops.sub(one, share)))
    return ops.where(ops.lt(ops.abs_(share), splat_like(0.5, share)), near, far)


@of_tensors_at_once
def atan2(y: TensorLike, x: TensorLike) -> Tensor:
    """The angle of the point ``(y, x)`` in radians, from -pi to pi."""
    return ops.atan2(*floating_operands("atan2", y=y, x=x))


@of_tensors_at_once
def hypot(x: TensorLike, y: TensorLike) -> Tensor:
    """``sqrt(x^2 + y^2)`` without overflow; the derivative at (0, 0) is NaN, as PyTorch's."""
    return precise.hypot(*floating_operands("hypot", x=x, y=y))


@of_tensors_at_once
def logaddexp(x: TensorLike, y: TensorLike) -> Tensor:
    """``log(exp(x) + exp(y))`` without overflow."""
    return precise.logaddexp(*floating_operands("logaddexp", x=x, y=y))


@of_tensors_at_once
def xlogy(x: TensorLike, y: TensorLike) -> Tensor:
    """``x * log(y)``; 0 where ``x`` is 0, unless ``y`` is NaN."""
    return precise.xlogy(*floating_operands("xlogy", x=x, y=y))


@of_tensors_at_once
def copysign(x: TensorLike, y: TensorLike) -> Tensor:
    """The absolute value of ``x`` with the sign of ``y``, which may be -0."""
    return precise.copysign(*floating_operands("copysign", x=x, y=y))


@of_tensors_at_once
def heaviside(x: TensorLike, values: TensorLike) -> Tensor:
    """0 below 0, 1 above, and ``values`` at 0; 0 of NaN, as PyTorch's.

    No derivative passes from ``x``.
    """
    a, b = operands_of("heaviside", None, x=x, values=values)
    zero = splat_like(0, a)
    step = ops.cast(ops.gt(a, zero), dtype=a.dtype)
    return ops.where(ops.eq(a, zero), b, step)


# --- with a product or a quotient


@of_tensors_at_once
def addcmul(x: TensorLike, tensor1: TensorLike, tensor2: TensorLike, *, value: float = 1) -> Tensor:
    """``x + value * tensor1 * tensor2``."""
    value = _value("addcmul", value)
    x, tensor1, tensor2 = _checked("addcmul", x=x, tensor1=tensor1, tensor2=tensor2)
    product = mul(tensor1, tensor2)
    return add(x, product if value == 1 else mul(product, value))


@of_tensors_at_once
def addcdiv(x: TensorLike, tensor1: TensorLike, tensor2: TensorLike, *, value: float = 1) -> Tensor:
    """``x + value * tensor1 / tensor2``."""
    value = _value("addcdiv", value)
    x, tensor1, tensor2 = _checked("addcdiv", x=x, tensor1=tensor1, tensor2=tensor2)
    quotient = div(tensor1, tensor2)
    return add(x, quotient if value == 1 else mul(quotient, value))


def _value(function: str, value: object) -> float:
    number = scalar_of(value)
    if number is None:
        raise ArgumentError(f"{function}: value must be a number, not {value!r:.60}.")
    return number  # an int stays one: whole tensors stay whole


def _checked(function: str, **values: object) -> list[Operand]:
    """Operands as tensors or numbers, refused under the function's name."""
    return [operand(value, function, name) for name, value in values.items()]


# --- dtypes


def result_type(*operands: TensorLike) -> dtypes.DType:
    """The dtype that operands are brought to before an operation.

    Raises:
        ArgumentError: no operands, or one that is neither a tensor nor a number.
        DTypeError: no dtype holds all.
    """
    if not operands:
        raise ArgumentError(
            "result_type: no operands are given; give at least one tensor or number."
        )
    return result_dtype(
        "result_type", [operand(each, "result_type", "operand") for each in operands]
    )
