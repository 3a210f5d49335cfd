"""Functions of one tensor, element by element.

Integers and bools become float32 where the function is not whole-valued.
"""

from __future__ import annotations

import math

import ml_dtypes

from slope import dtypes, ops
from slope.core.operator import Operator
from slope.core.tensor import Splat, Tensor
from slope.dtypes import DType, DTypeLike, as_dtype
from slope.errors import DTypeError
from slope.functions._base import (
    TensorLike,
    as_tensor,
    floating,
    splat_like,
    strong,
    to_dtype,
    weakly,
)


def neg(x: TensorLike) -> Tensor:
    """``-x``.

    Raises:
        DTypeError: a bool.
    """
    return _signed(ops.neg, "neg", x)


def abs(x: TensorLike) -> Tensor:  # PyTorch's name
    """The absolute value; its derivative at 0 is 0."""
    return _signed(ops.abs_, "abs", x)


def _signed(op: Operator, name: str, x: TensorLike) -> Tensor:
    if isinstance(x, Tensor):
        return weakly(op(x), x.weak)
    return op(as_tensor(x, name, "x"))


def sign(x: TensorLike) -> Tensor:
    """-1, 0 or 1."""
    return ops.sign(as_tensor(x, "sign", "x"))


def exp(x: TensorLike) -> Tensor:
    """E to the power of ``x``."""
    return ops.exp(floating(x, "exp"))


def exp2(x: TensorLike) -> Tensor:
    """2 to the power of ``x``."""
    made = floating(x, "exp2")
    return ops.pow_(splat_like(2.0, made), made)


def expm1(x: TensorLike) -> Tensor:
    """``exp(x) - 1``, exact near 0."""
    return ops.expm1(floating(x, "expm1"))


def log(x: TensorLike) -> Tensor:
    """The natural logarithm; -inf at 0, NaN below."""
    return ops.log(floating(x, "log"))


def log1p(x: TensorLike) -> Tensor:
    """``log(1 + x)``, exact near 0."""
    return ops.log1p(floating(x, "log1p"))


def log2(x: TensorLike) -> Tensor:
    """The logarithm to base 2."""
    return _log("log2", x, 2.0)


def log10(x: TensorLike) -> Tensor:
    """The logarithm to base 10."""
    return _log("log10", x, 10.0)


def _log(name: str, x: TensorLike, base: float) -> Tensor:
    made = ops.log(floating(x, name))
    return ops.mul(made, splat_like(1.0 / math.log(base), made))


def sqrt(x: TensorLike) -> Tensor:
    """The square root; NaN below 0."""
    return ops.sqrt(floating(x, "sqrt"))


def rsqrt(x: TensorLike) -> Tensor:
    """``1 / sqrt(x)``."""
    return ops.rsqrt(floating(x, "rsqrt"))


def square(x: TensorLike) -> Tensor:
    """``x ** 2``."""
    return ops.integer_pow(as_tensor(x, "square", "x"), exponent=2)


def reciprocal(x: TensorLike) -> Tensor:
    """``1 / x``."""
    made = floating(x, "reciprocal")
    return ops.div(splat_like(1.0, made), made)


def sin(x: TensorLike) -> Tensor:
    """The sine of ``x`` in radians."""
    return ops.sin(floating(x, "sin"))


def cos(x: TensorLike) -> Tensor:
    """The cosine of ``x`` in radians."""
    return ops.cos(floating(x, "cos"))


def tan(x: TensorLike) -> Tensor:
    """The tangent of ``x`` in radians."""
    return ops.tan(floating(x, "tan"))


def asin(x: TensorLike) -> Tensor:
    """The angle in radians, from -pi/2 to pi/2, whose sine is ``x``."""
    made = floating(x, "asin")
    return ops.atan2(made, _leg(made))


def acos(x: TensorLike) -> Tensor:
    """The angle in radians, from 0 to pi, whose cosine is ``x``."""
    made = floating(x, "acos")
    return ops.atan2(_leg(made), made)


def _leg(x: Tensor) -> Tensor:
    one = splat_like(1.0, x)
    return ops.sqrt(ops.mul(ops.sub(one, x), ops.add(one, x)))


def atan(x: TensorLike) -> Tensor:
    """The angle in radians, from -pi/2 to pi/2, whose tangent is ``x``."""
    made = floating(x, "atan")
    return ops.atan2(made, splat_like(1.0, made))


def sinh(x: TensorLike) -> Tensor:
    """The hyperbolic sine, ``(exp(x) - exp(-x)) / 2``, exact near 0."""
    made = floating(x, "sinh")
    return ops.mul(ops.sub(ops.expm1(made), ops.expm1(ops.neg(made))), splat_like(0.5, made))


def cosh(x: TensorLike) -> Tensor:
    """The hyperbolic cosine, ``(exp(x) + exp(-x)) / 2``."""
    made = floating(x, "cosh")
    return ops.mul(ops.add(ops.exp(made), ops.exp(ops.neg(made))), splat_like(0.5, made))


def tanh(x: TensorLike) -> Tensor:
    """The hyperbolic tangent."""
    return ops.tanh(floating(x, "tanh"))


def asinh(x: TensorLike) -> Tensor:
    """The inverse of the hyperbolic sine."""
    made = floating(x, "asinh")
    size = ops.abs_(made)
    square_ = ops.mul(made, made)
    one = splat_like(1.0, made)
    grown = ops.add(size, ops.div(square_, ops.add(one, ops.sqrt(ops.add(square_, one)))))
    return ops.where(
        ops.lt(made, splat_like(0.0, made)), ops.neg(ops.log1p(grown)), ops.log1p(grown)
    )


def acosh(x: TensorLike) -> Tensor:
    """The inverse of the hyperbolic cosine; NaN below 1."""
    made = floating(x, "acosh")
    one = splat_like(1.0, made)
    root = ops.mul(ops.sqrt(ops.sub(made, one)), ops.sqrt(ops.add(made, one)))
    return ops.log(ops.add(made, root))


def atanh(x: TensorLike) -> Tensor:
    """The inverse of the hyperbolic tangent; NaN outside [-1, 1]."""
    made = floating(x, "atanh")
    return ops.mul(ops.sub(ops.log1p(made), ops.log1p(ops.neg(made))), splat_like(0.5, made))


def erf(x: TensorLike) -> Tensor:
    """The error function: 2/sqrt(pi) times the integral of exp(-t^2) from 0 to x."""
    return ops.erf(floating(x, "erf"))


def erfc(x: TensorLike) -> Tensor:
    """``1 - erf(x)``."""
    made = floating(x, "erfc")
    return ops.sub(splat_like(1.0, made), ops.erf(made))


def sigmoid(x: TensorLike) -> Tensor:
    """``1 / (1 + exp(-x))``, without overflow."""
    return ops.sigmoid(floating(x, "sigmoid"))


# --- rounding


def _rounded(op: Operator, name: str, x: TensorLike) -> Tensor:
    made = as_tensor(x, name, "x")
    return made if made.dtype.is_integer else op(made)


def floor(x: TensorLike) -> Tensor:
    """The largest whole number not above ``x``; integers stay."""
    return _rounded(ops.floor, "floor", x)


def ceil(x: TensorLike) -> Tensor:
    """The smallest whole number not below ``x``; integers stay."""
    return _rounded(ops.ceil, "ceil", x)


def round(x: TensorLike, decimals: int = 0) -> Tensor:  # PyTorch's name
    """The nearest whole number (or multiple of ``10 ** -decimals``).

    Halves go to the even one; integers stay.
    """
    if decimals == 0:
        return _rounded(ops.round_, "round", x)
    made = floating(x, "round")
    scale = splat_like(10.0**decimals, made)
    return ops.div(ops.round_(ops.mul(made, scale)), scale)


def trunc(x: TensorLike) -> Tensor:
    """``x`` without its fraction; integers stay."""
    return _rounded(ops.trunc, "trunc", x)


def frac(x: TensorLike) -> Tensor:
    """The fraction of ``x``, with its sign."""
    made = floating(x, "frac")
    return ops.sub(made, ops.trunc(made))


# --- tests


def isnan(x: TensorLike) -> Tensor:
    """Whether an element is NaN."""
    made = as_tensor(x, "isnan", "x")
    return (
        ops.isnan(made)
        if made.dtype.kind == "f"
        else Splat(False, made.type.with_dtype(dtypes.bool_))
    )


def isfinite(x: TensorLike) -> Tensor:
    """Whether an element is neither NaN nor infinite."""
    made = as_tensor(x, "isfinite", "x")
    return (
        ops.isfinite(made)
        if made.dtype.kind == "f"
        else Splat(True, made.type.with_dtype(dtypes.bool_))
    )


def isinf(x: TensorLike) -> Tensor:
    """Whether an element is infinite."""
    made = as_tensor(x, "isinf", "x")
    if made.dtype.kind != "f":
        return Splat(False, made.type.with_dtype(dtypes.bool_))
    return ops.eq(ops.abs_(made), splat_like(math.inf, made))


def nan_to_num(
    x: TensorLike, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None
) -> Tensor:
    """NaN replaced by ``nan``, infinities by what is given or the extreme finite numbers."""
    made = floating(x, "nan_to_num")
    top = _largest(made.dtype) if posinf is None else posinf
    low = -_largest(made.dtype) if neginf is None else neginf
    made = ops.where(ops.isnan(made), splat_like(nan, made), made)
    made = ops.where(ops.eq(made, splat_like(math.inf, made)), splat_like(top, made), made)
    return ops.where(ops.eq(made, splat_like(-math.inf, made)), splat_like(low, made), made)


def _largest(dtype: DType) -> float:
    return float(ml_dtypes.finfo(dtype.numpy).max)


# --- dtypes and derivatives


def cast(x: TensorLike, dtype: DTypeLike) -> Tensor:
    """``x`` as another dtype. Floating to integer truncates, saturates, and makes 0 of NaN.

    To bool it is ``x != 0``.
    """
    made = x if isinstance(x, Tensor) else as_tensor(x, "cast", "x")
    return strong(to_dtype(made, as_dtype(dtype)))


astype = cast


def bitcast(x: TensorLike, dtype: DTypeLike) -> Tensor:
    """The same bits as another dtype of the same width.

    Raises:
        DTypeError: the widths differ.
    """
    return ops.bitcast(as_tensor(x, "bitcast", "x"), dtype=as_dtype(dtype))


def stop_gradient(x: TensorLike) -> Tensor:
    """``x`` as a constant: no derivative passes."""
    made = x if isinstance(x, Tensor) else as_tensor(x, "stop_gradient", "x")
    return weakly(ops.stop_gradient(made), made.weak)


def require_floating(x: Tensor, function: str) -> None:
    """Refuse a tensor that is not floating-point.

    Raises:
        DTypeError: names the function and the type.
    """
    if x.dtype.kind != "f":
        raise DTypeError(
            f"{function} takes a floating-point tensor, and got {x.type}; cast it with "
            "x.to(slope.float32)."
        )
