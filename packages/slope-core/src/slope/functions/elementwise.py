"""Functions of one tensor, element by element.

Integers and bools become float32 where the function is not whole-valued.
"""

from __future__ import annotations

import math
from typing import Any, Final

from slope import dtypes, ops, tree
from slope.core.operator import Operator
from slope.core.tensor import Tensor
from slope.dtypes import DTypeLike, as_dtype
from slope.errors import DTypeError
from slope.functions import precise, special
from slope.functions._arguments import number_of
from slope.functions._at_once import at_once
from slope.functions._base import (
    TensorLike,
    as_tensor,
    floating,
    splat_like,
    strong,
    to_dtype,
    weakly,
)

__all__ = [
    "abs",
    "acos",
    "acosh",
    "asin",
    "asinh",
    "astype",
    "atan",
    "atanh",
    "bitcast",
    "cast",
    "cos",
    "cosh",
    "digamma",
    "erf",
    "erfc",
    "erfinv",
    "exp",
    "exp2",
    "expm1",
    "lgamma",
    "log",
    "log1p",
    "log2",
    "log10",
    "logit",
    "neg",
    "optimization_barrier",
    "reciprocal",
    "rsqrt",
    "sigmoid",
    "sign",
    "sin",
    "sinc",
    "sinh",
    "sqrt",
    "square",
    "stop_gradient",
    "tan",
    "tanh",
]


@at_once
def neg(x: TensorLike) -> Tensor:
    """``-x``.

    Raises:
        DTypeError: a bool.
    """
    return _signed(ops.neg, "neg", x)


@at_once
def abs(x: TensorLike) -> Tensor:  # PyTorch's name
    """The absolute value; its derivative at 0 is 0."""
    return _signed(ops.abs_, "abs", x)


def _signed(op: Operator, name: str, x: TensorLike) -> Tensor:
    if isinstance(x, Tensor):
        return weakly(op(x), x.weak)
    return op(as_tensor(x, name, "x"))


@at_once
def sign(x: TensorLike) -> Tensor:
    """-1, 0 or 1, and NaN of NaN; a bool is its own sign."""
    given = as_tensor(x, "sign", "x")
    return given if given.dtype is dtypes.bool_ else ops.sign(given)


@at_once
def exp(x: TensorLike) -> Tensor:
    """``e`` to the power of ``x``."""
    return ops.exp(floating(x, "exp"))


@at_once
def exp2(x: TensorLike) -> Tensor:
    """2 to the power of ``x``."""
    made = floating(x, "exp2")
    return ops.pow_(splat_like(2.0, made), made)


@at_once
def expm1(x: TensorLike) -> Tensor:
    """``exp(x) - 1``, exact near 0."""
    return ops.expm1(floating(x, "expm1"))


@at_once
def log(x: TensorLike) -> Tensor:
    """The natural logarithm; -inf at 0, NaN below."""
    return ops.log(floating(x, "log"))


@at_once
def log1p(x: TensorLike) -> Tensor:
    """``log(1 + x)``, exact near 0."""
    return ops.log1p(floating(x, "log1p"))


@at_once
def log2(x: TensorLike) -> Tensor:
    """The logarithm to base 2."""
    return _log("log2", x, 2.0)


@at_once
def log10(x: TensorLike) -> Tensor:
    """The logarithm to base 10."""
    return _log("log10", x, 10.0)


def _log(name: str, x: TensorLike, base: float) -> Tensor:
    made = ops.log(floating(x, name))
    return ops.mul(made, splat_like(1.0 / math.log(base), made))


@at_once
def sqrt(x: TensorLike) -> Tensor:
    """The square root; NaN below 0."""
    return ops.sqrt(floating(x, "sqrt"))


@at_once
def rsqrt(x: TensorLike) -> Tensor:
    """``1 / sqrt(x)``."""
    return ops.rsqrt(floating(x, "rsqrt"))


@at_once
def square(x: TensorLike) -> Tensor:
    """``x ** 2``; of bools as int64."""
    given = as_tensor(x, "square", "x")
    given = to_dtype(given, dtypes.int64) if given.dtype is dtypes.bool_ else given
    return ops.integer_pow(given, exponent=2)


@at_once
def reciprocal(x: TensorLike) -> Tensor:
    """``1 / x``."""
    made = floating(x, "reciprocal")
    return ops.div(splat_like(1.0, made), made)


@at_once
def sin(x: TensorLike) -> Tensor:
    """The sine of ``x`` in radians."""
    return ops.sin(floating(x, "sin"))


@at_once
def cos(x: TensorLike) -> Tensor:
    """The cosine of ``x`` in radians."""
    return ops.cos(floating(x, "cos"))


@at_once
def tan(x: TensorLike) -> Tensor:
    """The tangent of ``x`` in radians."""
    return ops.tan(floating(x, "tan"))


@at_once
def asin(x: TensorLike) -> Tensor:
    """The angle in radians, from -pi/2 to pi/2, whose sine is ``x``; NaN outside [-1, 1]."""
    return precise.asin(floating(x, "asin"))


@at_once
def acos(x: TensorLike) -> Tensor:
    """The angle in radians, from 0 to pi, whose cosine is ``x``; NaN outside [-1, 1]."""
    return precise.acos(floating(x, "acos"))


@at_once
def atan(x: TensorLike) -> Tensor:
    """The angle in radians, from -pi/2 to pi/2, whose tangent is ``x``."""
    return precise.atan(floating(x, "atan"))


@at_once
def sinh(x: TensorLike) -> Tensor:
    """The hyperbolic sine, ``(exp(x) - exp(-x)) / 2``, exact near 0."""
    return precise.sinh(floating(x, "sinh"))


@at_once
def cosh(x: TensorLike) -> Tensor:
    """The hyperbolic cosine, ``(exp(x) + exp(-x)) / 2``."""
    return precise.cosh(floating(x, "cosh"))


@at_once
def tanh(x: TensorLike) -> Tensor:
    """The hyperbolic tangent."""
    return ops.tanh(floating(x, "tanh"))


@at_once
def asinh(x: TensorLike) -> Tensor:
    """The inverse of the hyperbolic sine."""
    return precise.asinh(floating(x, "asinh"))


@at_once
def acosh(x: TensorLike) -> Tensor:
    """The inverse of the hyperbolic cosine; NaN below 1."""
    return precise.acosh(floating(x, "acosh"))


@at_once
def atanh(x: TensorLike) -> Tensor:
    """The inverse of the hyperbolic tangent; NaN outside [-1, 1]."""
    return precise.atanh(floating(x, "atanh"))


@at_once
def erf(x: TensorLike) -> Tensor:
    """The error function: 2/sqrt(pi) times the integral of exp(-t^2) from 0 to x."""
    return ops.erf(floating(x, "erf"))


@at_once
def erfc(x: TensorLike) -> Tensor:
    """``1 - erf(x)``, exact in its tail, too."""
    return special.erfc(floating(x, "erfc"))


@at_once
def erfinv(x: TensorLike) -> Tensor:
    """The inverse of the error function; infinite at -1 and 1, NaN outside."""
    return special.erfinv(floating(x, "erfinv"))


@at_once
def lgamma(x: TensorLike) -> Tensor:
    """The logarithm of the absolute value of the gamma function."""
    return special.lgamma(floating(x, "lgamma"))


@at_once
def digamma(x: TensorLike) -> Tensor:
    """The derivative of the gamma function's logarithm."""
    return special.digamma(floating(x, "digamma"))


# Of sin(x) / x in powers of x**2, which leaves out less than 1e-16 up to 0.5.
_SINC: Final = tuple((-1.0) ** n / math.factorial(2 * n + 1) for n in reversed(range(7)))


@at_once
def sinc(x: TensorLike) -> Tensor:
    """``sin(pi x) / (pi x)``; 1 at 0.

    A power series around 0, where the quotient's derivatives would lose all digits.
    """
    made = floating(x, "sinc")
    angle = ops.mul(made, splat_like(math.pi, made))
    small = ops.lt(ops.mul(angle, angle), splat_like(0.25, angle))
    near = ops.where(small, angle, splat_like(0.0, angle))
    far = ops.where(small, splat_like(1.0, angle), angle)
    series = precise.polynomial(ops.mul(near, near), _SINC)
    return ops.where(small, series, ops.div(ops.sin(far), far))


@at_once
def logit(x: TensorLike, eps: float | None = None) -> Tensor:
    """``log(x / (1 - x))``, the inverse of :func:`sigmoid`.

    ``x`` is first limited to ``[eps, 1 - eps]`` if ``eps`` is given.
    """
    made = floating(x, "logit")
    if eps is not None:
        low = number_of(eps, "logit", "eps")
        made = precise.clamp_min(made, splat_like(low, made))
        made = precise.clamp_max(made, splat_like(1.0 - low, made))
    return ops.log(ops.div(made, ops.sub(splat_like(1.0, made), made)))


@at_once
def sigmoid(x: TensorLike) -> Tensor:
    """``1 / (1 + exp(-x))``, without overflow."""
    return ops.sigmoid(floating(x, "sigmoid"))


# --- dtypes and derivatives


@at_once
def cast(x: TensorLike, dtype: DTypeLike) -> Tensor:
    """``x`` as another dtype. Floating to integer truncates, saturates, and makes 0 of NaN.

    To bool it is ``x != 0``.
    """
    made = x if isinstance(x, Tensor) else as_tensor(x, "cast", "x")
    return strong(to_dtype(made, as_dtype(dtype)))


astype = cast


@at_once
def bitcast(x: TensorLike, dtype: DTypeLike) -> Tensor:
    """The same bits as another dtype of the same width.

    Raises:
        DTypeError: the widths differ.
    """
    return ops.bitcast(as_tensor(x, "bitcast", "x"), dtype=as_dtype(dtype))


@at_once
def stop_gradient(x: TensorLike) -> Tensor:
    """``x`` as a constant: no derivative passes."""
    made = x if isinstance(x, Tensor) else as_tensor(x, "stop_gradient", "x")
    return weakly(ops.stop_gradient(made), made.weak)


def optimization_barrier(*operands: Any) -> Any:
    """Its operands, unchanged, as values of their own.

    No pass and no backend merges a computation on the results with the same computation on the
    operands, or moves one through it, and none of the results is there before all operands are.

    Args:
        operands: tensors, or pytrees of them.

    Returns:
        One operand as it was given, several as a tuple.

    Raises:
        ArgumentError: a leaf is neither a tensor nor a number.
    """
    whole = operands[0] if len(operands) == 1 else operands
    leaves, structure = tree.tree_flatten(whole)
    tensors = [as_tensor(leaf, "optimization_barrier", "an operand") for leaf in leaves]
    return tree.tree_unflatten(structure, ops.optimization_barrier(*tensors))


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
