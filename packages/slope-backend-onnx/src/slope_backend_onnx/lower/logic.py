"""Rules for comparisons, choices, bits and tests of single elements."""

from __future__ import annotations

import math
from functools import partial
from typing import Final

import numpy as np

from slope.extend import DType, UnsupportedOperatorError, dims
from slope_backend_onnx.graph import element_type
from slope_backend_onnx.lower.context import Lowering, Result, Rule, Value, joint_shape
from slope_backend_onnx.lower.finite import WORTH, if_finite
from slope_backend_onnx.lower.kernels import (
    ORDERED,
    can_bitcast,
    compute_dtype,
    has_kernel,
    working_dtype,
)
from slope_backend_onnx.lower.lengths import large
from slope_backend_onnx.lower.reduce import flipped

_UNSIGNED: Final = {
    "int8": "uint8",
    "int16": "uint16",
    "int32": "uint32",
    "int64": "uint64",
}


def _compare(op_type: str, cx: Lowering, x: Value, y: Value) -> Result:
    if x.dtype.name == "uint64" and not has_kernel(op_type, "uint64"):
        names = [flipped(cx, cx.narrow(each)) for each in (x, y)]
        return cx.value(cx.op(op_type, *names), shape=joint_shape((x, y)))
    return cx.pointwise(op_type, x, y, result="bool", detour=ORDERED)


def _ne(cx: Lowering, x: Value, y: Value) -> Result:
    if x.dtype.kind == "b":
        return cx.value(cx.op("Xor", cx.narrow(x), cx.narrow(y)), shape=joint_shape((x, y)))
    equal = cx.pointwise("Equal", x, y, result="bool")
    return equal._replace(name=cx.op("Not", equal.name))


def _where(cx: Lowering, condition: Value, x: Value, y: Value) -> Result:
    if cx.native and x.dtype.name in ("float32", "float64") and large(cx.out.size, WORTH):
        for kept, other in ((x, y), (y, x)):
            if other.literal is not None and kept.literal is None:
                made = _masked(cx, condition, kept, other.literal, negated=kept is y)
                if made is not None:
                    return made
    inner = compute_dtype("Where", x.dtype)
    shape = joint_shape((condition, x, y))
    sides = (cx.beside(each, shape, inner) for each in (x, y))
    name = cx.op("Where", cx.beside(condition, shape), *sides)
    return cx.value(cx.cast(name, inner, x.dtype.name), shape=shape)


def _masked(
    cx: Lowering, condition: Value, x: Value, literal: bool | float, *, negated: bool
) -> Result | None:
    """``x`` where the condition holds (or does not), else a number: for finite ``x``, fast.

    Where chooses element by element, on one thread. Other nodes give the same: with 0, a product
    with 1 or 0, which takes a tenth to a fifth of the time; with the lowest number, and a condition
    that is repeated, the minimum with infinity or that number, which takes less than half. None for
    other numbers.
    """
    dtype = x.dtype.name
    name, kept = cx.narrow(x), cx.narrow(condition)
    hidden = cx.number(literal, dtype)
    sizes = (math.prod(condition.shape) * 4, cx.out.size)
    repeated = dims.is_static(sizes) and sizes[0] <= sizes[1]

    def product(inner: Lowering) -> str:
        there = inner.op("Not", kept) if negated else kept
        return inner.op("Mul", name, inner.cast(there, "bool", dtype))

    def least(inner: Lowering) -> str:
        sides = (inner.number(float("inf"), dtype), hidden)
        return inner.op("Min", name, inner.op("Where", kept, *sides[:: -1 if negated else 1]))

    def chosen(inner: Lowering) -> str:
        return inner.op("Where", kept, *((hidden, name) if negated else (name, hidden)))

    if literal == 0 and cx.signless:
        fast = product
    elif literal == float(np.finfo(dtype).min) and repeated:
        fast = least
    else:
        return None
    made = if_finite(cx, name, dtype, fast, chosen)
    return cx.value(made, shape=joint_shape((condition, x)))


def _bits(of_bools: str, of_integers: str, cx: Lowering, *xs: Value) -> Result:
    op_type = of_bools if xs[0].dtype.kind == "b" else of_integers
    return cx.value(cx.op(op_type, *map(cx.narrow, xs)), shape=joint_shape(xs))


# --- shifts


def _shift(direction: str, cx: Lowering, x: Value, y: Value) -> Result:
    name, dtype = _unsigned(cx, cx.narrow(x), x.dtype.name)
    return _shifted_value(cx, _shifted(cx, direction, name, dtype, x, y), dtype, x, y)


def _shift_right_arithmetic(cx: Lowering, x: Value, y: Value) -> Result:
    if x.dtype.kind == "u":
        return _shift("RIGHT", cx, x, y)
    # Negative numbers are shifted with all bits flipped, so that the zeros that come in are ones
    # afterwards.
    wide = x.dtype.name if x.dtype.itemsize >= 4 else "int32"
    source = cx.narrow(x, wide)
    negative = cx.op("Less", source, cx.number(0, wide))
    flip = cx.op("Neg", cx.cast(negative, "bool", wide))
    plain, dtype = _unsigned(cx, cx.op("BitwiseXor", source, flip), wide)
    moved = cx.cast(_shifted(cx, "RIGHT", plain, dtype, x, y), dtype, wide)
    return _shifted_value(cx, cx.op("BitwiseXor", moved, flip), wide, x, y)


def _unsigned(cx: Lowering, name: str, dtype: str) -> tuple[str, str]:
    """The same bits in an unsigned dtype that BitShift takes, zeros above them."""
    same = _UNSIGNED.get(dtype, dtype)
    wide = "uint32" if same == "uint16" else same
    return cx.cast(cx.cast(name, dtype, same), same, wide), wide


def _shifted(cx: Lowering, direction: str, name: str, dtype: str, x: Value, y: Value) -> str:
    """``name`` shifted by ``y`` bits; 0 from ``x``'s width on, which BitShift leaves open."""
    bits, size = x.dtype.bits, int(dtype.removeprefix("uint"))
    if y.literal is not None:
        amount = int(y.literal) & (2**bits - 1)
        if amount < bits:
            return cx.op("BitShift", name, cx.number(amount, dtype), direction=direction)
        return cx.op("BitwiseAnd", name, cx.number(0, dtype))
    places = cx.narrow(y, "int64")
    low = cx.op("BitwiseAnd", places, cx.number(size - 1, "int64"))
    moved = cx.op("BitShift", name, cx.cast(low, "int64", dtype), direction=direction)
    above = cx.op("BitwiseAnd", places, cx.number(-bits, "int64"))
    inside = cx.op("Equal", above, cx.number(0, "int64"))
    # All ones or all zeros: there is no Where for every unsigned dtype.
    mask = cx.op("Neg", cx.cast(inside, "bool", "int64"))
    return cx.op("BitwiseAnd", moved, cx.cast(mask, "int64", dtype))


def _shifted_value(cx: Lowering, name: str, dtype: str, x: Value, y: Value) -> Result:
    same = _UNSIGNED.get(x.dtype.name, x.dtype.name)
    # To the unsigned dtype of the same width first: the bits above it go.
    if dtype.startswith("uint"):
        name, dtype = cx.cast(name, dtype, same), same
    return cx.value(cx.cast(name, dtype, x.dtype.name), shape=joint_shape((x, y)))


# --- tests of single elements, bits as another dtype


def _isnan(cx: Lowering, x: Value) -> Result:
    inner = working_dtype(x.dtype)
    return cx.value(cx.op("IsNaN", cx.narrow(x, inner)), shape=x.shape)


def _isfinite(cx: Lowering, x: Value) -> Result:
    inner = working_dtype(x.dtype)
    size = cx.op("Abs", cx.narrow(x, inner))
    return cx.value(cx.op("Less", size, cx.number(float("inf"), inner)), shape=x.shape)


def _bitcast(cx: Lowering, x: Value, *, dtype: DType) -> Result:
    if x.dtype.is_integer and dtype.is_integer:  # Cast keeps the bits
        return cx.value(cx.narrow(x, dtype.name), shape=x.shape)
    if x.dtype is dtype:
        return x
    if not can_bitcast():
        raise UnsupportedOperatorError(
            f"bitcast of {x.type} to {dtype}: the ONNX Runtime that is installed has no BitCast; "
            "upgrade onnxruntime, or use another backend (SLOPE_BACKEND=numpy)."
        )
    cx.graph.require_opset(26)
    code = element_type(dtype.numpy)
    return cx.value(cx.op("BitCast", cx.narrow(x), to=code), shape=x.shape)


def _same(cx: Lowering, x: Value) -> Result:
    return x


RULES: Final[dict[str, Rule]] = {
    "eq": partial(_compare, "Equal"),
    "ne": _ne,
    "lt": partial(_compare, "Less"),
    "le": partial(_compare, "LessOrEqual"),
    "gt": partial(_compare, "Greater"),
    "ge": partial(_compare, "GreaterOrEqual"),
    "where": _where,
    "bitwise_and": partial(_bits, "And", "BitwiseAnd"),
    "bitwise_or": partial(_bits, "Or", "BitwiseOr"),
    "bitwise_xor": partial(_bits, "Xor", "BitwiseXor"),
    "bitwise_not": partial(_bits, "Not", "BitwiseNot"),
    "shift_left": partial(_shift, "LEFT"),
    "shift_right_logical": partial(_shift, "RIGHT"),
    "shift_right_arithmetic": _shift_right_arithmetic,
    "isnan": _isnan,
    "isfinite": _isfinite,
    "bitcast": _bitcast,
    "stop_gradient": _same,
}
