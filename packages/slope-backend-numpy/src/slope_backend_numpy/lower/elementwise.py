"""Arithmetic and transcendental functions, element by element."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from slope.extend import dtypes
from slope_backend_numpy.sizes import known

if TYPE_CHECKING:
    from slope_backend_numpy.context import Context, Value

Rule = Callable[..., Any]

SHORTEST_ROW: Final = 64
LONGEST_ROW: Final = 16384


def call(function: str) -> Rule:
    """The rule of an operator that is one function which broadcasts and takes ``out=``."""

    def rule(context: Context, *operands: Value) -> Value:
        return context.ufunc(function, *operands, dtype=context.type.dtype)

    return rule


def kernel(function: str) -> Rule:
    """The rule of an operator that is one function which broadcasts and makes its own result."""

    def rule(context: Context, *operands: Value) -> Value:
        shape = context.broadcast(*operands)
        return context.fresh(
            f"{function}({', '.join(each.code for each in operands)})", shape=shape
        )

    return rule


def extremum(function: str) -> Rule:
    """The rule of maximum and minimum."""

    def rule(context: Context, x: Value, y: Value) -> Value:
        return context.ufunc(function, _as_row(context, x, y), _as_row(context, y, x))

    return rule


def _as_row(context: Context, x: Value, other: Value) -> Value:
    """A floating-point number as a row of them: NumPy's extrema take 2-4 times as long with one."""
    if x.number is None or x.dtype.name not in ("float32", "float64") or not other.shape:
        return x
    length = other.shape[-1]
    if not (known((length,)) and SHORTEST_ROW <= length <= LONGEST_ROW):
        return x
    return context.constant_array(np.full(length, x.number, x.dtype.numpy), x.type)


def truncate_divide(context: Context, x: Value, y: Value) -> Value:
    return (call("np.floor_divide") if x.dtype.kind == "u" else kernel("kernels.truncate_divide"))(
        context, x, y
    )


def integer_pow(context: Context, x: Value, *, exponent: int) -> Value:
    if exponent == 0:
        return context.scalar(1, x.dtype)
    if exponent < 0:
        power = x if exponent == -1 else _power(context, x, -exponent)
        return context.ufunc("np.divide", context.scalar(1.0, x.dtype), power)
    return context.same(x) if exponent == 1 else _power(context, x, exponent)


def _power(context: Context, x: Value, exponent: int) -> Value:
    """Repeated squaring; ``square`` is read again as long as bits are left."""
    result: Value | None = None
    square = x
    while exponent:
        odd, exponent = exponent & 1, exponent >> 1
        if odd:
            # The last product may be written over both factors; before it, the square is still to
            # be squared.
            result = (
                square
                if result is None
                else context.ufunc("np.multiply", result, square, last=not exponent)
            )
        if exponent:
            square = context.ufunc("np.square", square, last=square is not result)
    assert result is not None
    return result


def sigmoid(context: Context, x: Value) -> Value:
    wide = context.cast(x, dtypes.accumulator(x.dtype))
    one = context.scalar(1.0, wide.dtype)
    # Where x is very low this is inf, and its reciprocal 0.
    grown = context.ufunc("np.exp", context.ufunc("np.negative", wide))
    return context.cast(
        context.ufunc("np.divide", one, context.ufunc("np.add", grown, one)), x.dtype
    )


def rsqrt(context: Context, x: Value) -> Value:
    wide = context.cast(x, dtypes.accumulator(x.dtype))
    root = context.ufunc("np.sqrt", wide)
    return context.cast(context.ufunc("np.divide", context.scalar(1.0, wide.dtype), root), x.dtype)


LOWERINGS: Final[dict[str, Rule]] = {
    "neg": call("np.negative"),
    "add": call("np.add"),
    "sub": call("np.subtract"),
    "mul": call("np.multiply"),
    "div": call("np.divide"),
    "pow": call("np.power"),
    "integer_pow": integer_pow,
    "exp": call("np.exp"),
    "expm1": call("np.expm1"),
    "log": call("np.log"),
    "log1p": call("np.log1p"),
    "sqrt": call("np.sqrt"),
    "rsqrt": rsqrt,
    "sin": call("np.sin"),
    "cos": call("np.cos"),
    "tan": call("np.tan"),
    "atan2": call("np.arctan2"),
    "tanh": call("np.tanh"),
    "sigmoid": sigmoid,
    "erf": kernel("kernels.erf"),
    "abs": call("np.absolute"),
    "sign": call("np.sign"),
    "floor": call("np.floor"),
    "ceil": call("np.ceil"),
    "round": call("np.rint"),
    "trunc": call("np.trunc"),
    "maximum": extremum("np.maximum"),
    "minimum": extremum("np.minimum"),
    "truncate_divide": truncate_divide,
    "floor_divide": call("np.floor_divide"),
    "fmod": call("np.fmod"),
    "remainder": call("np.remainder"),
    "asin": call("np.arcsin"),
    "acos": call("np.arccos"),
    "atan": call("np.arctan"),
    "sinh": call("np.sinh"),
    "cosh": call("np.cosh"),
    "asinh": call("np.arcsinh"),
    "acosh": call("np.arccosh"),
    "atanh": call("np.arctanh"),
    "hypot": call("np.hypot"),
    "logaddexp": call("np.logaddexp"),
}
