"""Sorting, the largest elements, running products and extrema."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from slope.extend import dtypes
from slope_backend_numpy.lower import sorting
from slope_backend_numpy.lower.elementwise import Rule
from slope_backend_numpy.lower.reduce import accumulation

if TYPE_CHECKING:
    from slope_backend_numpy.context import Context, Value


def _wide(context: Context, x: Value) -> Value:
    """bfloat16 as float32, which is exact and keeps the order."""
    return context.cast(x, dtypes.float32) if x.dtype is dtypes.bfloat16 else x


def sort(context: Context, x: Value, *, dim: int, descending: bool) -> list[Value]:
    keys = context.full(_wide(context, x))
    function = context.constant(sorting.sort, "sort")
    return context.several(f"{function}({context.full(x)}, {keys}, {dim}, {descending})")


def topk(context: Context, x: Value, *, k: int, dim: int, largest: bool) -> list[Value]:
    keys = context.full(_wide(context, x))
    function = context.constant(sorting.topk, "topk")
    return context.several(f"{function}({context.full(x)}, {keys}, {k}, {dim}, {largest})")


def cumprod(context: Context, x: Value, *, dim: int) -> Value:
    wide = context.cast(x, dtypes.accumulator(x.dtype))
    code = accumulation(context, "np.multiply", context.full(wide), dim, wide)
    return context.cast(context.fresh(code, context.type.with_dtype(wide.dtype)), x.dtype)


def cumulative(function: str) -> Rule:
    """The rule of cummax and cummin."""

    def rule(context: Context, x: Value, *, dim: int) -> list[Value]:
        return context.several(f"kernels.cumulative({function}, {context.full(x)}, {dim})")

    return rule


LOWERINGS: Final[dict[str, Rule]] = {
    "sort": sort,
    "topk": topk,
    "cumprod": cumprod,
    "cummax": cumulative("np.maximum"),
    "cummin": cumulative("np.minimum"),
}
