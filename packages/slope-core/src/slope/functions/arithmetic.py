"""Arithmetic, comparisons, logic and choices of two or three operands.

All broadcast as NumPy does and promote as PyTorch does. Division of integers is true division.
"""

from __future__ import annotations

from slope import dtypes, ops
from slope.core.operator import Operator
from slope.core.tensor import Tensor
from slope.errors import DTypeError
from slope.functions._base import (
    TensorLike,
    as_tensor,
    binary,
    broadcast_shapes,
    expand_to,
    materialize,
    operand,
    operands_of,
    result_dtype,
    splat_like,
    to_dtype,
    weakly,
)


def _plain_pair(x: object, y: object) -> bool:
    """Whether two operands go to an operator as they are."""
    return (
        isinstance(x, Tensor)
        and isinstance(y, Tensor)
        and (x.type is y.type or x.type == y.type)
        and not x.weak
        and not y.weak
    )


def add(x: TensorLike, y: TensorLike) -> Tensor:
    """``x + y``; of bools, whether either holds."""
    if _plain_pair(x, y) and x.type.dtype.kind != "b":  # pyright: ignore[reportAttributeAccessIssue]  # tensors, as tested
        return ops.add(x, y)
    a, b, weak = binary("add", x, y)
    if a.dtype is dtypes.bool_:
        return ops.bitwise_or(a, b)
    return weakly(ops.add(a, b), weak)


def sub(x: TensorLike, y: TensorLike) -> Tensor:
    """``x - y``.

    Raises:
        DTypeError: both are bool.
    """
    if _plain_pair(x, y) and x.type.dtype.kind != "b":  # pyright: ignore[reportAttributeAccessIssue]  # tensors, as tested
        return ops.sub(x, y)
    a, b, weak = binary("sub", x, y)
    if a.dtype is dtypes.bool_:
        raise DTypeError(
            f"sub: both operands are bool ({a.type}); use slope.logical_xor, or cast one with "
            "x.to(slope.int64)."
        )
    return weakly(ops.sub(a, b), weak)


def mul(x: TensorLike, y: TensorLike) -> Tensor:
    """``x * y``; of bools, whether both hold."""
    if _plain_pair(x, y) and x.type.dtype.kind != "b":  # pyright: ignore[reportAttributeAccessIssue]  # tensors, as tested
        return ops.mul(x, y)
    a, b, weak = binary("mul", x, y)
    if a.dtype is dtypes.bool_:
        return ops.bitwise_and(a, b)
    return weakly(ops.mul(a, b), weak)


def div(x: TensorLike, y: TensorLike) -> Tensor:
    """``x / y``; integers and bools are divided as float32. By zero it gives inf or NaN."""
    if _plain_pair(x, y) and x.type.dtype.kind == "f":  # pyright: ignore[reportAttributeAccessIssue]  # tensors, as tested
        return ops.div(x, y)
    a, b, weak = binary("div", x, y)
    if a.dtype.kind != "f":
        dtype = dtypes.float64 if weak else dtypes.float32
        a, b = to_dtype(a, dtype), to_dtype(b, dtype)
    return weakly(ops.div(a, b), weak)


true_divide = div


def floor_divide(x: TensorLike, y: TensorLike) -> Tensor:
    """``x // y``, rounded down. Integers by zero give 0."""
    if _plain_pair(x, y):
        return ops.floor_divide(x, y)
    a, b, weak = binary("floor_divide", x, y)
    return weakly(ops.floor_divide(a, b), weak)


def remainder(x: TensorLike, y: TensorLike) -> Tensor:
    """``x % y``, with the sign of ``y``. Integers modulo zero give 0."""
    if _plain_pair(x, y):
        return ops.remainder(x, y)
    a, b, weak = binary("remainder", x, y)
    return weakly(ops.remainder(a, b), weak)


def fmod(x: TensorLike, y: TensorLike) -> Tensor:
    """The remainder of ``x / y`` with the sign of ``x``. Integers modulo zero give 0."""
    return ops.fmod(*operands_of("fmod", None, x=x, y=y))


_MAX_EXPONENT = 64


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


def eq(x: TensorLike, y: TensorLike) -> Tensor:
    """``x == y``, element by element, as bool; False with NaN."""
    return _compare(ops.eq, x, y)


def ne(x: TensorLike, y: TensorLike) -> Tensor:
    """``x != y``, element by element, as bool; True with NaN."""
    return _compare(ops.ne, x, y)


def lt(x: TensorLike, y: TensorLike) -> Tensor:
    """``x < y``, element by element, as bool."""
    return _compare(ops.lt, x, y)


def le(x: TensorLike, y: TensorLike) -> Tensor:
    """``x <= y``, element by element, as bool."""
    return _compare(ops.le, x, y)


def gt(x: TensorLike, y: TensorLike) -> Tensor:
    """``x > y``, element by element, as bool."""
    return _compare(ops.gt, x, y)


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


def logical_and(x: TensorLike, y: TensorLike) -> Tensor:
    """Whether both operands differ from zero."""
    return _logical(ops.bitwise_and, "logical_and", x, y)


def logical_or(x: TensorLike, y: TensorLike) -> Tensor:
    """Whether either operand differs from zero."""
    return _logical(ops.bitwise_or, "logical_or", x, y)


def logical_xor(x: TensorLike, y: TensorLike) -> Tensor:
    """Whether exactly one operand differs from zero."""
    return _logical(ops.bitwise_xor, "logical_xor", x, y)


def logical_not(x: TensorLike) -> Tensor:
    """Whether the operand is zero."""
    return ops.bitwise_not(_truth(x, "logical_not", "x"))


def _bits(op: Operator, x: TensorLike, y: TensorLike) -> Tensor:
    if _plain_pair(x, y):
        return op(x, y)
    return op(*operands_of(op.name, None, x=x, y=y))


def bitwise_and(x: TensorLike, y: TensorLike) -> Tensor:
    """Bits set in both integers; for bools, logical and."""
    return _bits(ops.bitwise_and, x, y)


def bitwise_or(x: TensorLike, y: TensorLike) -> Tensor:
    """Bits set in either integer; for bools, logical or."""
    return _bits(ops.bitwise_or, x, y)


def bitwise_xor(x: TensorLike, y: TensorLike) -> Tensor:
    """Bits set in exactly one integer; for bools, ``!=``."""
    return _bits(ops.bitwise_xor, x, y)


def bitwise_not(x: TensorLike) -> Tensor:
    """All bits flipped; for bools, logical not."""
    return ops.bitwise_not(as_tensor(x, "bitwise_not", "x"))


def shift_left(x: TensorLike, y: TensorLike) -> Tensor:
    """``x << y``; by the width or more it gives 0."""
    return _bits(ops.shift_left, x, y)


def shift_right_logical(x: TensorLike, y: TensorLike) -> Tensor:
    """``x`` moved down by ``y`` bits, zeros coming in."""
    return _bits(ops.shift_right_logical, x, y)


def shift_right_arithmetic(x: TensorLike, y: TensorLike) -> Tensor:
    """``x`` moved down by ``y`` bits, the sign coming in."""
    return _bits(ops.shift_right_arithmetic, x, y)


def bitwise_left_shift(x: TensorLike, y: TensorLike) -> Tensor:
    """``x << y``; by the width or more it gives 0."""
    return _bits(ops.shift_left, x, y)


def bitwise_right_shift(x: TensorLike, y: TensorLike) -> Tensor:
    """``x >> y``: the sign comes in for signed integers, zeros for unsigned ones."""
    a, b = operands_of("bitwise_right_shift", None, x=x, y=y)
    return (
        ops.shift_right_arithmetic(a, b) if a.dtype.kind == "i" else ops.shift_right_logical(a, b)
    )


# --- extremes and choices


def maximum(x: TensorLike, y: TensorLike) -> Tensor:
    """The larger of two elements; NaN if either is."""
    if _plain_pair(x, y):
        return ops.maximum(x, y)
    return ops.maximum(*operands_of("maximum", None, x=x, y=y))


def minimum(x: TensorLike, y: TensorLike) -> Tensor:
    """The smaller of two elements; NaN if either is."""
    if _plain_pair(x, y):
        return ops.minimum(x, y)
    return ops.minimum(*operands_of("minimum", None, x=x, y=y))


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


def clamp(
    x: TensorLike, min: TensorLike | None = None, max: TensorLike | None = None
) -> Tensor:  # PyTorch's names
    """``x`` limited to ``[min, max]``; NaN stays. Where ``min > max`` the result is ``max``."""
    result = as_tensor(x, "clamp", "x")
    if min is not None:
        result = maximum(result, min)
    if max is not None:
        result = minimum(result, max)
    return result


def lerp(start: TensorLike, end: TensorLike, weight: TensorLike) -> Tensor:
    """``start + weight * (end - start)``."""
    return add(start, mul(weight, sub(end, start)))


def atan2(y: TensorLike, x: TensorLike) -> Tensor:
    """The angle of the point ``(y, x)`` in radians, from -pi to pi."""
    given = operand(y, "atan2", "y"), operand(x, "atan2", "x")
    dtype = result_dtype("atan2", given)
    return ops.atan2(
        *operands_of(
            "atan2", dtype if dtype.kind == "f" else dtypes.float32, y=given[0], x=given[1]
        )
    )


def logaddexp(x: TensorLike, y: TensorLike) -> Tensor:
    """``log(exp(x) + exp(y))`` without overflow."""
    dtype = result_dtype("logaddexp", (operand(x, "logaddexp", "x"), operand(y, "logaddexp", "y")))
    a, b = operands_of("logaddexp", dtype if dtype.kind == "f" else dtypes.float32, x=x, y=y)
    top = ops.stop_gradient(ops.maximum(a, b))
    top = ops.where(ops.isfinite(top), top, splat_like(0.0, top))
    return ops.add(ops.log(ops.add(ops.exp(ops.sub(a, top)), ops.exp(ops.sub(b, top)))), top)
