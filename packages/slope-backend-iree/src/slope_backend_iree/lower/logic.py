"""Comparisons, choices, bits and tests of single elements."""

from __future__ import annotations

from slope.extend import DType, dtypes

from .context import Context, Rule, Value
from .elementwise import same


def comparison(direction: str) -> Rule:
    """The rule of one comparison."""
    return lambda ctx, x, y: ctx.compare(direction, x, y)


def where(ctx: Context, condition: Value, x: Value, y: Value) -> Value:
    return ctx.select(condition, x, y)


def isnan(ctx: Context, x: Value) -> Value:
    return ctx.compare("NE", x, x)


def isfinite(ctx: Context, x: Value) -> Value:
    return ctx.op("is_finite", [x], x.type.with_dtype(dtypes.bool_))


def shift_right_arithmetic(ctx: Context, x: Value, y: Value) -> Value:
    """Unsigned integers have no sign to come in; StableHLO would take their top bit for one."""
    return ctx.same(
        "shift_right_logical" if x.dtype.kind == "u" else "shift_right_arithmetic", x, y
    )


def bitcast(ctx: Context, x: Value, *, dtype: DType) -> Value:
    return ctx.bitcast(x, dtype)


def stop_gradient(ctx: Context, x: Value) -> Value:
    return x


RULES: dict[str, Rule] = {
    "eq": comparison("EQ"),
    "ne": comparison("NE"),
    "lt": comparison("LT"),
    "le": comparison("LE"),
    "gt": comparison("GT"),
    "ge": comparison("GE"),
    "where": where,
    "bitwise_and": same("and"),
    "bitwise_or": same("or"),
    "bitwise_xor": same("xor"),
    "bitwise_not": same("not"),
    "shift_left": same("shift_left"),
    "shift_right_logical": same("shift_right_logical"),
    "shift_right_arithmetic": shift_right_arithmetic,
    "isnan": isnan,
    "isfinite": isfinite,
    "bitcast": bitcast,
    "stop_gradient": stop_gradient,
}
