"""Rules for arithmetic and transcendental operators."""

from __future__ import annotations

import math
from functools import partial
from typing import Final

import numpy as np

from slope_backend_onnx.lower.context import Lowering, Result, Rule, Value, joint_shape
from slope_backend_onnx.lower.kernels import (
    ORDERED,
    has_kernel,
    numpy_dtype,
    working_dtype,
)


def _plain(op_type: str, cx: Lowering, *xs: Value) -> Result:
    """The operator as ONNX has it."""
    return cx.pointwise(op_type, *xs)


def _floating(cx: Lowering, x: Value) -> tuple[str, str]:
    """The operand and the dtype to compute in: half precision goes through float32."""
    dtype = working_dtype(x.dtype)
    return cx.narrow(x, dtype), dtype


def _result(cx: Lowering, name: str, dtype: str, *xs: Value) -> Result:
    return cx.value(cx.cast(name, dtype, cx.out.dtype.name), shape=joint_shape(xs))


# --- signs and extrema


def _sign(cx: Lowering, x: Value) -> Result:
    if x.dtype.name == "int64":  # Sign is wrong there (see kernels)
        above, below = (
            cx.op(test, cx.narrow(x), cx.number(0, "int64")) for test in ("Greater", "Less")
        )
        name = cx.op("Sub", cx.cast(above, "bool", "int64"), cx.cast(below, "bool", "int64"))
        return cx.value(name, shape=x.shape)
    if not x.dtype.is_floating_point:
        return cx.value(cx.op("Sign", cx.narrow(x)), shape=x.shape)
    name, dtype = _floating(cx, x)  # Sign gives 1 for NaN
    return _result(cx, cx.op("Where", cx.op("IsNaN", name), name, cx.op("Sign", name)), dtype, x)


def _abs(cx: Lowering, x: Value) -> Result:
    if x.dtype.kind == "u":
        return x
    inner = "float32" if x.dtype.name == "bfloat16" else x.dtype.name
    return _result(cx, cx.op("Abs", cx.narrow(x, inner)), inner, x)


def _maximum(cx: Lowering, x: Value, y: Value) -> Result:
    if x.dtype.kind == "b":
        return cx.value(cx.op("Or", cx.narrow(x), cx.narrow(y)), shape=joint_shape((x, y)))
    for one, other in ((x, y), (y, x)):
        if one.literal == 0 and x.dtype.name in ("float32", "float64"):
            return cx.value(cx.op("Relu", cx.narrow(other)), shape=other.shape)
    return (
        _larger(cx, x, y) if x.dtype.name == "int64" else cx.pointwise("Max", x, y, detour=ORDERED)
    )


def _minimum(cx: Lowering, x: Value, y: Value) -> Result:
    if x.dtype.kind == "b":
        return cx.value(cx.op("And", cx.narrow(x), cx.narrow(y)), shape=joint_shape((x, y)))
    return (
        _larger(cx, x, y, smaller=True)
        if x.dtype.name == "int64"
        else cx.pointwise("Min", x, y, detour=ORDERED)
    )


def _larger(cx: Lowering, x: Value, y: Value, *, smaller: bool = False) -> Result:
    # Max and Min are wrong in int64 (see kernels).
    a, b = cx.narrow(x), cx.narrow(y)
    first = cx.op("Less" if smaller else "Greater", a, b)
    return cx.value(cx.op("Where", first, a, b), shape=joint_shape((x, y)))


def _trunc(cx: Lowering, x: Value) -> Result:
    name, dtype = _floating(cx, x)
    below = cx.op("Less", name, cx.number(0, dtype))
    return _result(cx, cx.op("Where", below, cx.op("Ceil", name), cx.op("Floor", name)), dtype, x)


# --- exponentials, logarithms, roots


def _expm1(cx: Lowering, x: Value) -> Result:
    """tanh(x / 2) * (exp(x) + 1), which is exact near 0, where exp(x) - 1 cancels."""
    name, dtype = _floating(cx, x)
    half = cx.op("Tanh", cx.op("Mul", name, cx.number(0.5, dtype)))
    return _result(
        cx,
        cx.op("Mul", half, cx.op("Add", cx.op("Exp", name), cx.number(1, dtype))),
        dtype,
        x,
    )


def _log1p(cx: Lowering, x: Value) -> Result:
    """log(u) + (x - (u - 1)) / u with u = 1 + x: the second term is what rounding took from u.

    In it u is kept away from 0 and infinity, where the first term alone is right.
    """
    name, dtype = _floating(cx, x)
    limits = np.finfo(numpy_dtype(dtype))
    one = cx.number(1, dtype)
    u = cx.op("Add", name, one)
    safe = cx.op("Clip", u, cx.number(limits.tiny, dtype), cx.number(limits.max, dtype))
    lost = cx.op("Sub", name, cx.op("Sub", safe, one))
    return _result(cx, cx.op("Add", cx.op("Log", u), cx.op("Div", lost, safe)), dtype, x)


def _rsqrt(cx: Lowering, x: Value) -> Result:
    name, dtype = _floating(cx, x)
    return _result(cx, cx.op("Reciprocal", cx.op("Sqrt", name)), dtype, x)


# --- trigonometry


def _cos(cx: Lowering, x: Value) -> Result:
    name, dtype = _floating(cx, x)
    return _result(cx, _cosine(cx, name, dtype), dtype, x)


def _cosine(cx: Lowering, name: str, dtype: str) -> str:
    if has_kernel("Cos", dtype):
        return cx.op("Cos", name)
    return cx.op("Sin", cx.op("Add", name, cx.number(math.pi / 2, dtype)))


def _tan(cx: Lowering, x: Value) -> Result:
    name, dtype = _floating(cx, x)
    if has_kernel("Tan", dtype):
        return _result(cx, cx.op("Tan", name), dtype, x)
    return _result(cx, cx.op("Div", cx.op("Sin", name), _cosine(cx, name, dtype)), dtype, x)


def _atan2(cx: Lowering, y: Value, x: Value) -> Result:
    """The arc tangent of the smaller coordinate over the larger, brought to the right octant."""
    dtype = working_dtype(x.dtype)
    py, px = cx.narrow(y, dtype), cx.narrow(x, dtype)
    ay, ax = cx.op("Abs", py), cx.op("Abs", px)
    small = cx.op("Min", ay, ax)
    large = cx.op("Max", ay, ax, cx.number(np.finfo(numpy_dtype(dtype)).smallest_subnormal, dtype))
    ratio = cx.op(
        "Where",
        cx.op("Equal", small, large),
        cx.number(1, dtype),
        cx.op("Div", small, large),
    )
    angle = _atan(cx, ratio, dtype)
    steep = cx.op("Sub", cx.number(math.pi / 2, dtype), angle)
    angle = cx.op("Where", cx.op("Greater", ay, ax), steep, angle)
    behind = cx.op("Sub", cx.number(math.pi, dtype), angle)
    angle = cx.op("Where", _negative(cx, px, dtype), behind, angle)
    return _result(
        cx,
        cx.op("Where", _negative(cx, py, dtype), cx.op("Neg", angle), angle),
        dtype,
        y,
        x,
    )


def _negative(cx: Lowering, name: str, dtype: str) -> str:
    """Whether the sign bit is set: of -0, too, whose reciprocal is -inf."""
    zero = cx.number(0, dtype)
    return cx.op("Or", cx.op("Less", name, zero), cx.op("Less", cx.op("Reciprocal", name), zero))


def _atan(cx: Lowering, name: str, dtype: str) -> str:
    if has_kernel("Atan", dtype):
        return cx.op("Atan", name)
    # The angle in float32, and the small angle from there to the point, in full precision; of it
    # the tangent serves.
    near = cx.cast(cx.op("Atan", cx.cast(name, dtype, "float32")), "float32", dtype)
    sine, cosine = cx.op("Sin", near), _cosine(cx, near, dtype)
    across = cx.op("Sub", cx.op("Mul", name, cosine), sine)
    along = cx.op("Add", cosine, cx.op("Mul", name, sine))
    return cx.op("Add", near, cx.op("Div", across, along))


def _erf(cx: Lowering, x: Value) -> Result:
    name, dtype = _floating(cx, x)
    if has_kernel("Erf", dtype):
        return _result(cx, cx.op("Erf", name), dtype, x)
    if 0 in x.type.shape:  # which ONNX Runtime cannot broadcast against the points
        return x
    # 2/sqrt(pi) * x * (the integral of exp(-x^2 t^2) over t from 0 to 1), by Gauss and Legendre on
    # 32 points: to 1e-15, all weights being positive. Beyond 6 it is 1, and has to be: a gelu
    # multiplies what it lacks of that by the operand.
    points, weights = np.polynomial.legendre.leggauss(32)
    clipped = cx.op("Clip", name, cx.number(-6.0, dtype), cx.number(6.0, dtype))
    square = cx.op("Unsqueeze", cx.op("Mul", clipped, clipped), cx.ints(-1))
    heights = cx.op("Exp", cx.op("Mul", square, cx.graph.constant(-(((points + 1) / 2) ** 2))))
    weighted = cx.op("Mul", heights, cx.graph.constant(weights / math.sqrt(math.pi)))
    mean = cx.op("ReduceSum", weighted, cx.ints(-1), keepdims=0)
    far = cx.op("GreaterOrEqual", cx.op("Abs", clipped), cx.number(6.0, dtype))
    made = cx.op("Where", far, cx.op("Sign", clipped), cx.op("Mul", clipped, mean))
    return _result(cx, made, dtype, x)


RULES: Final[dict[str, Rule]] = {
    "neg": partial(_plain, "Neg"),
    "add": partial(_plain, "Add"),
    "sub": partial(_plain, "Sub"),
    "mul": partial(_plain, "Mul"),
    "div": partial(_plain, "Div"),
    "pow": partial(_plain, "Pow"),
    "exp": partial(_plain, "Exp"),
    "expm1": _expm1,
    "log": partial(_plain, "Log"),
    "log1p": _log1p,
    "sqrt": partial(_plain, "Sqrt"),
    "rsqrt": _rsqrt,
    "sin": partial(_plain, "Sin"),
    "cos": _cos,
    "tan": _tan,
    "atan2": _atan2,
    "tanh": partial(_plain, "Tanh"),
    "sigmoid": partial(_plain, "Sigmoid"),
    "erf": _erf,
    "abs": _abs,
    "sign": _sign,
    "floor": partial(_plain, "Floor"),
    "ceil": partial(_plain, "Ceil"),
    "round": partial(_plain, "Round"),
    "trunc": _trunc,
    "maximum": _maximum,
    "minimum": _minimum,
}
