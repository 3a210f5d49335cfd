"""Comparisons, logic, bits, and the choices that conditions make.

All broadcast as NumPy does and promote as PyTorch does.
"""

from __future__ import annotations

from slope import dtypes, ops
from slope.core.operator import Operator
from slope.core.tensor import Tensor
from slope.errors import ArgumentError, DTypeError
from slope.functions._arguments import flag_of, number_of
from slope.functions._at_once import of_tensors_at_once, with_numbers_at_once
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
)

__all__ = [
    "allclose",
    "bitwise_and",
    "bitwise_left_shift",
    "bitwise_not",
    "bitwise_or",
    "bitwise_right_shift",
    "bitwise_xor",
    "eq",
    "equal",
    "ge",
    "gt",
    "isclose",
    "le",
    "logical_and",
    "logical_not",
    "logical_or",
    "logical_xor",
    "lt",
    "ne",
    "shift_left",
    "shift_right_arithmetic",
    "shift_right_logical",
    "where",
]

# --- comparisons


def _compare(op: Operator, x: TensorLike, y: TensorLike) -> Tensor:
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


# --- logic


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


# --- bits


def _bits(op: Operator, x: TensorLike, y: TensorLike) -> Tensor:
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


bitwise_left_shift = shift_left  # PyTorch's name


@of_tensors_at_once
def bitwise_right_shift(x: TensorLike, y: TensorLike) -> Tensor:
    """``x >> y``: the sign comes in for signed integers, zeros for unsigned ones."""
    a, b = operands_of("bitwise_right_shift", None, x=x, y=y)
    return (
        ops.shift_right_arithmetic(a, b) if a.dtype.kind == "i" else ops.shift_right_logical(a, b)
    )


# --- choices


@of_tensors_at_once
def where(
    condition: TensorLike, x: TensorLike | None = None, y: TensorLike | None = None
) -> Tensor:
    """``x`` where the condition holds, else ``y``.

    NaN and inf that are not chosen reach neither result nor derivative.

    Raises:
        ArgumentError: ``x`` or ``y`` is missing.
        DTypeError: the condition is not bool.
    """
    if x is None or y is None:
        raise ArgumentError(
            "where: takes a condition, x and y; slope.nonzero(condition, as_tuple=True) tells "
            "where a condition holds."
        )
    test = as_tensor(condition, "where", "condition")
    if test.dtype is not dtypes.bool_:
        raise DTypeError(
            f"where: the condition must be bool, not {test.type}; write for instance condition "
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


# --- closeness


def isclose(
    x: TensorLike, y: TensorLike, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> Tensor:
    """Whether ``abs(x - y) <= atol + rtol * abs(y)``; infinities are close to themselves.

    So is NaN to NaN if ``equal_nan``.

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
