"""Arithmetic, comparisons, logic and choices of two or three operands.

All broadcast as NumPy does and promote as PyTorch does. Division of integers is true division.
"""

from __future__ import annotations

from slope import dtypes, ops
from slope.core.operator import Operator
from slope.core.tensor import Tensor
from slope.errors import ArgumentError, DTypeError
from slope.functions import precise
from slope.functions._at_once import of_tensors_at_once, with_numbers_at_once
from slope.functions._base import (
    Operand,
    TensorLike,
    as_tensor,
    binary,
    broadcast_shapes,
    expand_to,
    flag_of,
    materialize,
    number_of,
    operand,
    operands_of,
    result_dtype,
    scalar_of,
    splat_like,
    to_dtype,
    weakly,
)

__all__ = [
    "add",
    "addcdiv",
    "addcmul",
    "allclose",
    "atan2",
    "bitwise_and",
    "bitwise_left_shift",
    "bitwise_not",
    "bitwise_or",
    "bitwise_right_shift",
    "bitwise_xor",
    "clamp",
    "clamp_max",
    "clamp_min",
    "copysign",
    "div",
    "eq",
    "equal",
    "floor_divide",
    "fmax",
    "fmin",
    "fmod",
    "ge",
    "gt",
    "heaviside",
    "hypot",
    "isclose",
    "le",
    "lerp",
    "logaddexp",
    "logical_and",
    "logical_not",
    "logical_or",
    "logical_xor",
    "lt",
    "maximum",
    "minimum",
    "mul",
    "ne",
    "pow",
    "remainder",
    "result_type",
    "shift_left",
    "shift_right_arithmetic",
    "shift_right_logical",
    "sub",
    "true_divide",
    "where",
    "xlogy",
]


def _plain_pair(x: object, y: object) -> bool:
    """Whether two operands go to an operator as they are."""
    return (
        isinstance(x, Tensor)
        and isinstance(y, Tensor)
        and (x.type is y.type or x.type == y.type)
        and not x.weak
        and not y.weak
    )


def _times_alpha(function: str, x: object, y: object, alpha: object) -> Operand:
    """``alpha * y``, in the dtype that ``x`` and ``y`` are brought to."""
    a, b, factor = operand(x, function, "x"), operand(y, function, "y"), scalar_of(alpha)
    if factor is None:
        raise ArgumentError(f"{function}: alpha must be a number, and is {alpha!r:.60}.")
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
    if _plain_pair(x, y) and x.type.dtype.kind != "b":  # pyright: ignore[reportAttributeAccessIssue]  # tensors, as tested
        return ops.add(x, y)
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
    if _plain_pair(x, y) and x.type.dtype.kind != "b":  # pyright: ignore[reportAttributeAccessIssue]  # tensors, as tested
        return ops.sub(x, y)
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
    if _plain_pair(x, y) and x.type.dtype.kind != "b":  # pyright: ignore[reportAttributeAccessIssue]  # tensors, as tested
        return ops.mul(x, y)
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
    if _plain_pair(x, y) and x.type.dtype.kind == "f":  # pyright: ignore[reportAttributeAccessIssue]  # tensors, as tested
        return ops.div(x, y)
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
    if _plain_pair(x, y):
        return ops.floor_divide(x, y)
    a, b, weak = binary("floor_divide", x, y)
    return weakly(ops.floor_divide(a, b), weak)


@of_tensors_at_once
def remainder(x: TensorLike, y: TensorLike) -> Tensor:
    """``x % y``, with the sign of ``y``. Integers modulo zero give 0."""
    if _plain_pair(x, y):
        return ops.remainder(x, y)
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

    A Python int as exponent multiplies repeatedly, ``0.5`` takes the square root. Integers to
    integer tensors wrap around;
    exponents from 64 on give 0, 1 or -1 for bases 0, 1, -1 and else 0, negative exponents likewise
    (as PyTorch).

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
            "base first, "
            f"for instance x.to(slope.float32), or write 1 / x**{-exponent}."
        )
    weak = x.weak
    dtype = result_dtype("pow", (x, exponent), wide=weak)
    base = x if weak and x.dtype is dtype else to_dtype(x, dtype)
    if abs(exponent) <= _MAX_EXPONENT and exponent == int(exponent) and dtype is not dtypes.bool_:
        return weakly(ops.integer_pow(base, exponent=int(exponent)), weak)
    if exponent == 0.5:
        return weakly(ops.sqrt(base), weak)
    return weakly(ops.rsqrt(base), weak) if exponent == -0.5 else None


def _whole_power(x: Tensor, y: Tensor) -> Tensor:
    one, zero = splat_like(1, x), splat_like(0, x)
    result, square = one, x
    for bit in range(6):
        odd = ops.ne(ops.bitwise_and(y, splat_like(1 << bit, y)), zero)
        result = ops.where(odd, ops.mul(result, square), result)
        if bit < 5:
            square = ops.mul(square, square)
    beyond = ops.ge(y, splat_like(_MAX_EXPONENT, y))
    if x.dtype.kind == "i":
        beyond = ops.bitwise_or(beyond, ops.lt(y, zero))
    even = ops.eq(ops.bitwise_and(y, one), zero)
    limit = ops.where(ops.eq(x, one), one, zero)
    if x.dtype.kind == "i":
        limit = ops.where(
            ops.eq(x, splat_like(-1, x)), ops.where(even, one, splat_like(-1, x)), limit
        )
    return ops.where(beyond, limit, result)


# --- comparisons


def _compare(op: Operator, x: TensorLike, y: TensorLike) -> Tensor:
    if _plain_pair(x, y):
        return op(x, y)
    a, b, _ = binary(op.name, x, y)
    return op(a, b)


@with_numbers_at_once
def eq(x: TensorLike, y: TensorLike) -> Tensor:
    """``x == y``, element by element, as bool; False with NaN."""
    return _compare(ops.eq, x, y)


@with_numbers_at_once
def ne(x: TensorLike, y: TensorLike) -> Tensor:
    """``x != y``, element by element, as bool; True with NaN."""
    return _compare(ops.ne, x, y)


@with_numbers_at_once
def lt(x: TensorLike, y: TensorLike) -> Tensor:
    """``x < y``, element by element, as bool."""
    return _compare(ops.lt, x, y)


@with_numbers_at_once
def le(x: TensorLike, y: TensorLike) -> Tensor:
    """``x <= y``, element by element, as bool."""
    return _compare(ops.le, x, y)


@with_numbers_at_once
def gt(x: TensorLike, y: TensorLike) -> Tensor:
    """``x > y``, element by element, as bool."""
    return _compare(ops.gt, x, y)


@with_numbers_at_once
def ge(x: TensorLike, y: TensorLike) -> Tensor:
    """``x >= y``, element by element, as bool."""
    return _compare(ops.ge, x, y)


# --- logic and bits


def _truth(x: object, function: str, argument: str) -> Tensor:
    made = as_tensor(x, function, argument)
    return made if made.dtype is dtypes.bool_ else ops.cast(made, dtype=dtypes.bool_)


def _logical(op: Operator, function: str, x: TensorLike, y: TensorLike) -> Tensor:
    a, b = _truth(x, function, "x"), _truth(y, function, "y")
    shape = broadcast_shapes(function, a.shape, b.shape)
    return op(expand_to(a, shape), expand_to(b, shape))


@of_tensors_at_once
def logical_and(x: TensorLike, y: TensorLike) -> Tensor:
    """Whether both operands differ from zero."""
    return _logical(ops.bitwise_and, "logical_and", x, y)


@of_tensors_at_once
def logical_or(x: TensorLike, y: TensorLike) -> Tensor:
    """Whether either operand differs from zero."""
    return _logical(ops.bitwise_or, "logical_or", x, y)


@of_tensors_at_once
def logical_xor(x: TensorLike, y: TensorLike) -> Tensor:
    """Whether exactly one operand differs from zero."""
    return _logical(ops.bitwise_xor, "logical_xor", x, y)


@of_tensors_at_once
def logical_not(x: TensorLike) -> Tensor:
    """Whether the operand is zero."""
    return ops.bitwise_not(_truth(x, "logical_not", "x"))


def _bits(op: Operator, x: TensorLike, y: TensorLike) -> Tensor:
    if _plain_pair(x, y):
        return op(x, y)
    return op(*operands_of(op.name, None, x=x, y=y))


@of_tensors_at_once
def bitwise_and(x: TensorLike, y: TensorLike) -> Tensor:
    """Bits set in both integers; for bools, logical and."""
    return _bits(ops.bitwise_and, x, y)


@of_tensors_at_once
def bitwise_or(x: TensorLike, y: TensorLike) -> Tensor:
    """Bits set in either integer; for bools, logical or."""
    return _bits(ops.bitwise_or, x, y)


@of_tensors_at_once
def bitwise_xor(x: TensorLike, y: TensorLike) -> Tensor:
    """Bits set in exactly one integer; for bools, ``!=``."""
    return _bits(ops.bitwise_xor, x, y)


@of_tensors_at_once
def bitwise_not(x: TensorLike) -> Tensor:
    """All bits flipped; for bools, logical not."""
    return ops.bitwise_not(as_tensor(x, "bitwise_not", "x"))


@of_tensors_at_once
def shift_left(x: TensorLike, y: TensorLike) -> Tensor:
    """``x << y``; by the width or more it gives 0."""
    return _bits(ops.shift_left, x, y)


@of_tensors_at_once
def shift_right_logical(x: TensorLike, y: TensorLike) -> Tensor:
    """``x`` moved down by ``y`` bits, zeros coming in."""
    return _bits(ops.shift_right_logical, x, y)


@of_tensors_at_once
def shift_right_arithmetic(x: TensorLike, y: TensorLike) -> Tensor:
    """``x`` moved down by ``y`` bits, the sign coming in."""
    return _bits(ops.shift_right_arithmetic, x, y)


@of_tensors_at_once
def bitwise_left_shift(x: TensorLike, y: TensorLike) -> Tensor:
    """``x << y``; by the width or more it gives 0."""
    return _bits(ops.shift_left, x, y)


@of_tensors_at_once
def bitwise_right_shift(x: TensorLike, y: TensorLike) -> Tensor:
    """``x >> y``: the sign comes in for signed integers, zeros for unsigned ones."""
    a, b = operands_of("bitwise_right_shift", None, x=x, y=y)
    return (
        ops.shift_right_arithmetic(a, b) if a.dtype.kind == "i" else ops.shift_right_logical(a, b)
    )


# --- extremes and choices


@with_numbers_at_once
def maximum(x: TensorLike, y: TensorLike) -> Tensor:
    """The larger of two elements; NaN if either is."""
    if _plain_pair(x, y):
        return ops.maximum(x, y)
    return ops.maximum(*operands_of("maximum", None, x=x, y=y))


@with_numbers_at_once
def minimum(x: TensorLike, y: TensorLike) -> Tensor:
    """The smaller of two elements; NaN if either is."""
    if _plain_pair(x, y):
        return ops.minimum(x, y)
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
def where(condition: TensorLike, x: TensorLike, y: TensorLike) -> Tensor:
    """``x`` where the condition holds, else ``y``.

    NaN and inf that are not chosen reach neither result nor derivative.

    Raises:
        DTypeError: the condition is not bool.
    """
    test = as_tensor(condition, "where", "condition")
    if test.dtype is not dtypes.bool_:
        raise DTypeError(
            f"where: the condition must be bool, and is {test.type}; write for instance condition "
            "!= 0."
        )
    a, b = operand(x, "where", "x"), operand(y, "where", "y")
    dtype = result_dtype("where", (a, b))
    shape = broadcast_shapes(
        "where", test.shape, *[each.shape for each in (a, b) if isinstance(each, Tensor)]
    )
    return ops.where(
        expand_to(test, shape), materialize(a, dtype, shape), materialize(b, dtype, shape)
    )


@of_tensors_at_once
def clamp(
    x: TensorLike, min: TensorLike | None = None, max: TensorLike | None = None
) -> Tensor:  # PyTorch's names
    """``x`` limited to ``[min, max]``; NaN stays. Where ``min > max`` the result is ``max``.

    Where ``x`` equals a bound it keeps the whole derivative, as in PyTorch.
    """
    if min is None and max is None:
        raise ArgumentError("clamp: neither min nor max is given; give one or both.")
    result = as_tensor(x, "clamp", "x")
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


@of_tensors_at_once
def lerp(start: TensorLike, end: TensorLike, weight: TensorLike) -> Tensor:
    """``start + weight * (end - start)``; exactly ``end`` for a weight of 1, as PyTorch's."""
    given = _floating_operands("lerp", start=start, end=end, weight=weight)
    a, b, share = given
    away, one = ops.sub(b, a), splat_like(1.0, share)
    near = ops.add(a, ops.mul(share, away))
    far = ops.sub(b, ops.mul(away, ops.sub(one, share)))
    return ops.where(ops.lt(ops.abs_(share), splat_like(0.5, share)), near, far)


def _floating_operands(function: str, **values: object) -> list[Tensor]:
    """Operands promoted to one floating-point dtype (float32 for whole numbers) and one shape."""
    given = {name: operand(value, function, name) for name, value in values.items()}
    dtype = result_dtype(function, list(given.values()))
    return operands_of(function, dtype if dtype.kind == "f" else dtypes.float32, **given)


@of_tensors_at_once
def atan2(y: TensorLike, x: TensorLike) -> Tensor:
    """The angle of the point ``(y, x)`` in radians, from -pi to pi."""
    return ops.atan2(*_floating_operands("atan2", y=y, x=x))


@of_tensors_at_once
def hypot(x: TensorLike, y: TensorLike) -> Tensor:
    """``sqrt(x^2 + y^2)`` without overflow; the derivative at (0, 0) is NaN, as PyTorch's."""
    return precise.hypot(*_floating_operands("hypot", x=x, y=y))


@of_tensors_at_once
def logaddexp(x: TensorLike, y: TensorLike) -> Tensor:
    """``log(exp(x) + exp(y))`` without overflow."""
    return precise.logaddexp(*_floating_operands("logaddexp", x=x, y=y))


@of_tensors_at_once
def xlogy(x: TensorLike, y: TensorLike) -> Tensor:
    """``x * log(y)``; 0 where ``x`` is 0, unless ``y`` is NaN."""
    return precise.xlogy(*_floating_operands("xlogy", x=x, y=y))


@of_tensors_at_once
def copysign(x: TensorLike, y: TensorLike) -> Tensor:
    """The size of ``x`` with the sign of ``y`` (of -0, too)."""
    return precise.copysign(*_floating_operands("copysign", x=x, y=y))


@of_tensors_at_once
def heaviside(x: TensorLike, values: TensorLike) -> Tensor:
    """0 below 0, 1 above, and ``values`` at 0; 0 of NaN, as PyTorch's.

    No derivative passes from ``x``.
    """
    a, b = operands_of("heaviside", None, x=x, values=values)
    zero = splat_like(0, a)
    step = ops.cast(ops.gt(a, zero), dtype=a.dtype)
    return ops.where(ops.eq(a, zero), b, step)


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
        raise ArgumentError(f"{function}: value must be a number, and is {value!r:.60}.")
    return number  # an int stays one: whole tensors stay whole


def _checked(function: str, **values: object) -> list[Operand]:
    """Operands as tensors or numbers, refused under the function's name."""
    return [operand(value, function, name) for name, value in values.items()]


# --- closeness


def isclose(
    x: TensorLike, y: TensorLike, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> Tensor:
    """Whether ``abs(x - y) <= atol + rtol * abs(y)``, or both are the same (infinities).

    Or NaN if ``equal_nan``.

    Raises:
        ArgumentError: ``rtol`` or ``atol`` is negative.
    """
    a, b = operands_of("isclose", None, x=x, y=y)
    rtol, atol = number_of(rtol, "isclose", "rtol"), number_of(atol, "isclose", "atol")
    if not (rtol >= 0 and atol >= 0):
        raise ArgumentError(f"isclose: rtol={rtol} and atol={atol} must be at least 0.")
    near = ops.eq(a, b)
    if a.dtype.kind != "b":
        wide = dtypes.float64 if a.dtype.is_integer else dtypes.accumulator(a.dtype)
        u, v = to_dtype(a, wide), to_dtype(b, wide)
        bound = ops.add(splat_like(atol, v), ops.mul(splat_like(rtol, v), ops.abs_(v)))
        away = ops.abs_(ops.sub(u, v))
        finite = ops.isfinite(away)
        near = ops.bitwise_or(near, ops.bitwise_and(finite, ops.le(away, bound)))
    if flag_of(equal_nan, "isclose", "equal_nan") and a.dtype.kind == "f":
        near = ops.bitwise_or(near, ops.bitwise_and(ops.isnan(a), ops.isnan(b)))
    return near


def allclose(
    x: TensorLike, y: TensorLike, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> bool:
    """Whether :func:`isclose` holds everywhere, as a Python bool."""
    near = isclose(x, y, rtol, atol, equal_nan)
    return bool(ops.all_(near, dim=tuple(range(near.ndim))) if near.ndim else near)


def equal(x: TensorLike, y: TensorLike) -> bool:
    """Whether two tensors have the same shape and the same elements, as a Python bool."""
    a, b = as_tensor(x, "equal", "x"), as_tensor(y, "equal", "y")
    if a.shape != b.shape:
        return False
    same = eq(a, b)
    return bool(ops.all_(same, dim=tuple(range(same.ndim))) if same.ndim else same)


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
