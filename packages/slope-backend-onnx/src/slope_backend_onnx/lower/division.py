"""Rules for whole-number division and remainders.

ONNX Runtime divides integers with the processor's instruction, which ends the process when it
divides by zero or the lowest number by -1. So such divisors are replaced by 1 beforehand, and
integers of fewer than 64 bits are divided as int64, where the second case does not occur.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from slope_backend_onnx.lower.context import Lowering, Result, Rule, Value, joint_shape
from slope_backend_onnx.lower.kernels import working_dtype

_LOWEST: Final = -(2**63)


class _Operands(NamedTuple):
    """A dividend and a divisor that is safe to divide by.

    Attributes:
        zero: where the divisor was zero; None if it cannot be.
    """

    x: str
    y: str
    dtype: str
    zero: str | None


def _safe(cx: Lowering, x: Value, y: Value) -> _Operands:
    dtype = "uint64" if x.dtype.name == "uint64" else "int64"
    a, b = cx.narrow(x, dtype), cx.narrow(y, dtype)
    if y.literal is not None and y.literal not in (0, -1):
        return _Operands(a, b, dtype, None)
    if dtype == "uint64":  # there is no Where and, in old runtimes, no Equal for it
        zero = cx.op("Equal", cx.cast(b, "uint64", "int64"), cx.number(0, "int64"))
        return _Operands(a, cx.op("Max", b, cx.number(1, dtype)), dtype, zero)
    unsafe = zero = cx.op("Equal", b, cx.number(0, dtype))
    if x.dtype.name == "int64":
        lowest = cx.op("Equal", a, cx.number(_LOWEST, dtype))
        unsafe = cx.op("Or", zero, cx.op("And", lowest, cx.op("Equal", b, cx.number(-1, dtype))))
    return _Operands(a, cx.op("Where", unsafe, cx.number(1, dtype), b), dtype, zero)


def _finish(
    cx: Lowering, name: str, by: _Operands, *xs: Value, unless_zero: bool = False
) -> Result:
    """The result in its own dtype; ``unless_zero``: 0 where the divisor was zero."""
    dtype = by.dtype
    if unless_zero and by.zero is not None:
        name, dtype = cx.cast(name, dtype, "int64"), "int64"
        name = cx.op("Where", by.zero, cx.number(0, dtype), name)
    return cx.value(cx.cast(name, dtype, cx.out.dtype.name), shape=joint_shape(xs))


def _truncate_divide(cx: Lowering, x: Value, y: Value) -> Result:
    by = _safe(cx, x, y)
    return _finish(cx, cx.op("Div", by.x, by.y), by, x, y, unless_zero=True)


def _floor_divide(cx: Lowering, x: Value, y: Value) -> Result:
    if x.dtype.is_floating_point:
        return _floating_floor_divide(cx, x, y)
    if x.dtype.kind == "u":
        return _truncate_divide(cx, x, y)
    by = _safe(cx, x, y)
    quotient = cx.op("Div", by.x, by.y)
    if y.literal is None or y.literal <= 0 or x.dtype.name == "int64":
        # One less where the remainder of rounding down (ONNX's Mod) is not that of rounding toward
        # zero.
        rest = cx.op("Sub", by.x, cx.op("Mul", quotient, by.y))
        same = cx.op("Equal", rest, cx.op("Mod", by.x, by.y))
        quotient = cx.op("Sub", quotient, cx.cast(cx.op("Not", same), "bool", by.dtype))
    else:
        quotient = cx.op("Div", cx.op("Sub", by.x, cx.op("Mod", by.x, by.y)), by.y)
    return _finish(cx, quotient, by, x, y, unless_zero=True)


def _fmod(cx: Lowering, x: Value, y: Value) -> Result:
    if x.dtype.is_floating_point:
        inner = working_dtype(x.dtype)
        name = cx.op("Mod", cx.narrow(x, inner), cx.narrow(y, inner), fmod=1)
        return cx.value(cx.cast(name, inner, x.dtype.name), shape=joint_shape((x, y)))
    by = _safe(cx, x, y)
    if x.dtype.kind == "u":
        return _finish(cx, cx.op("Mod", by.x, by.y), by, x, y)
    # Mod with fmod=1 computes integers as float64 and loses their low bits.
    product = cx.op("Mul", cx.op("Div", by.x, by.y), by.y)
    return _finish(cx, cx.op("Sub", by.x, product), by, x, y)


def _remainder(cx: Lowering, x: Value, y: Value) -> Result:
    if x.dtype.is_floating_point:
        return _floating_remainder(cx, x, y)
    by = _safe(cx, x, y)  # modulo 1, which stands for 0, everything is 0
    return _finish(cx, cx.op("Mod", by.x, by.y), by, x, y)


def _floating_remainder(cx: Lowering, x: Value, y: Value) -> Result:
    inner = working_dtype(x.dtype)
    _, b, rest, below = _rest(cx, x, y, inner)
    name = cx.op("Where", below, cx.op("Add", rest, b), rest)
    return cx.value(cx.cast(name, inner, x.dtype.name), shape=joint_shape((x, y)))


def _floating_floor_divide(cx: Lowering, x: Value, y: Value) -> Result:
    inner = working_dtype(x.dtype)
    a, b, rest, below = _rest(cx, x, y, inner)
    exact = cx.op("Round", cx.op("Div", cx.op("Sub", a, rest), b))
    lower = cx.op("Sub", exact, cx.cast(below, "bool", inner))
    nothing = cx.op("Equal", b, cx.number(0, inner))
    name = cx.op("Where", nothing, cx.op("Div", a, b), lower)
    return cx.value(cx.cast(name, inner, x.dtype.name), shape=joint_shape((x, y)))


def _rest(cx: Lowering, x: Value, y: Value, inner: str) -> tuple[str, str, str, str]:
    """Operands in the dtype to work in, what rounding toward zero leaves, and where it is wrong."""
    a, b = cx.narrow(x, inner), cx.narrow(y, inner)
    rest, zero = cx.op("Mod", a, b, fmod=1), cx.number(0, inner)
    opposite = cx.op("Xor", cx.op("Less", rest, zero), cx.op("Less", b, zero))
    return a, b, rest, cx.op("And", opposite, cx.op("Not", cx.op("Equal", rest, zero)))


RULES: Final[dict[str, Rule]] = {
    "truncate_divide": _truncate_divide,
    "floor_divide": _floor_divide,
    "fmod": _fmod,
    "remainder": _remainder,
}
