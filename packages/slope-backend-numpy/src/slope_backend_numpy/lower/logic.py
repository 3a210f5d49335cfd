"""Comparisons, choices, bits and tests of single elements."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from slope_backend_numpy.lower.elementwise import Rule, call, kernel
from slope_backend_numpy.sizes import large

if TYPE_CHECKING:
    from slope.extend import DType
    from slope_backend_numpy.context import Context, Value

BRANCHLESS_FROM: Final = 1024  # elements, from which choosing by bits beats np.where


def where(context: Context, condition: Value, x: Value, y: Value) -> Value:
    shape = context.broadcast(condition, x, y)
    if not shape:
        chosen, other = context.number(x), context.number(y)
        return context.fresh(f"{chosen} if {condition.code} else {other}", shape=shape)
    if not large(math.prod(shape), BRANCHLESS_FROM):
        codes = [context.beside_arrays(each) for each in (condition, x, y)]
        return context.fresh(f"np.where({', '.join(codes)})", shape=shape)
    if _is_zero(y):
        return context.ufunc("kernels.masked", condition, x, dtype=x.dtype)
    if _is_zero(x):
        flipped = context.ufunc("np.logical_not", condition)
        return context.ufunc("kernels.masked", flipped, y, dtype=x.dtype)
    codes = [each.code for each in context.in_one_order((condition, x, y), shape)]
    return context.fresh(f"kernels.select({', '.join(codes)})", shape=shape)


def _is_zero(value: Value) -> bool:
    """Whether all bits are zero; those of -0.0 are not."""
    return value.number is not None and value.number == 0 and math.copysign(1.0, value.number) > 0


def bitcast(context: Context, x: Value, *, dtype: DType) -> Value:
    return context.view(
        x, f"np.asarray({x.code}).view({context.dtype_code(dtype)})", whole=True, shape=x.shape
    )


def identity(context: Context, x: Value) -> Value:
    return context.same(x)


LOWERINGS: Final[dict[str, Rule]] = {
    "eq": call("np.equal"),
    "ne": call("np.not_equal"),
    "lt": call("np.less"),
    "le": call("np.less_equal"),
    "gt": call("np.greater"),
    "ge": call("np.greater_equal"),
    "where": where,
    "bitwise_and": call("np.bitwise_and"),
    "bitwise_or": call("np.bitwise_or"),
    "bitwise_xor": call("np.bitwise_xor"),
    "bitwise_not": call("np.invert"),
    "shift_left": kernel("kernels.shift_left"),
    "shift_right_logical": kernel("kernels.shift_right_logical"),
    "shift_right_arithmetic": kernel("kernels.shift_right_arithmetic"),
    "isnan": call("np.isnan"),
    "isfinite": call("np.isfinite"),
    "bitcast": bitcast,
    "stop_gradient": identity,
}
