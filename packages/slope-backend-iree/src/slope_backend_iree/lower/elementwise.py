"""Arithmetic and transcendental operators.

Transcendental functions of half precision are computed in float32: IREE's own approximations are made for it.
"""

from __future__ import annotations

import math

from slope import dtypes

from .context import Context, Rule, Value, is_half


def same(name: str) -> Rule:
    """The rule of an operator that StableHLO has under ``name``, meaning the same."""
    return lambda ctx, *xs: ctx.same(name, *xs)


def in_float32(rule: Rule) -> Rule:
    """The rule with half-precision operands computed in float32."""

    def lowered(ctx: Context, *xs: Value, **params: object) -> Value:
        if not is_half(xs[0].dtype):
            return rule(ctx, *xs, **params)
        wide = [ctx.convert(x, dtypes.float32) for x in xs]
        return ctx.convert(rule(ctx, *wide, **params), xs[0].dtype)

    return lowered


def erf(ctx: Context, x: Value) -> Value:
    return ctx.emit(f"chlo.erf {x} : {x.mlir} -> {x.mlir}", x.type)


def trunc(ctx: Context, x: Value) -> Value:
    negative = ctx.compare("LT", x, ctx.like(0.0, x))
    # The sign of a zero result is the operand's: ceil of what lies in (-1, 0] is -0.
    return ctx.select(negative, ctx.same("ceil", x), ctx.same("floor", x))


def absolute(ctx: Context, x: Value) -> Value:
    return x if x.dtype.kind == "u" else ctx.same("abs", x)


def sign(ctx: Context, x: Value) -> Value:
    if x.dtype.kind == "u":
        return ctx.convert(ctx.compare("NE", x, ctx.like(0, x)), x.dtype)
    return ctx.same("sign", x)


def maximum(ctx: Context, x: Value, y: Value) -> Value:
    return ctx.same("or" if x.dtype.kind == "b" else "maximum", x, y)


def minimum(ctx: Context, x: Value, y: Value) -> Value:
    return ctx.same("and" if x.dtype.kind == "b" else "minimum", x, y)


def truncate_divide(ctx: Context, x: Value, y: Value) -> Value:
    zero = ctx.like(0, y)
    return ctx.select(ctx.compare("EQ", y, zero), zero, ctx.same("divide", x, y))


def fmod(ctx: Context, x: Value, y: Value) -> Value:
    if x.dtype.is_floating_point:
        return in_float32(same("remainder"))(ctx, x, y)
    zero = ctx.like(0, y)
    return ctx.select(ctx.compare("EQ", y, zero), zero, ctx.same("remainder", x, y))


def log1p(ctx: Context, x: Value) -> Value:
    return ctx.same("log_plus_one", x)


RULES: dict[str, Rule] = {
    "neg": same("negate"),
    "add": same("add"),
    "sub": same("subtract"),
    "mul": same("multiply"),
    "div": same("divide"),
    "pow": in_float32(same("power")),
    "exp": in_float32(same("exponential")),
    "expm1": in_float32(same("exponential_minus_one")),
    "log": in_float32(same("log")),
    "log1p": in_float32(log1p),
    "sqrt": in_float32(same("sqrt")),
    "rsqrt": in_float32(same("rsqrt")),
    "sin": in_float32(same("sine")),
    "cos": in_float32(same("cosine")),
    "tan": in_float32(same("tan")),
    "atan2": in_float32(same("atan2")),
    "tanh": in_float32(same("tanh")),
    "sigmoid": in_float32(same("logistic")),
    "erf": in_float32(erf),
    "abs": absolute,
    "sign": sign,
    "floor": same("floor"),
    "ceil": same("ceil"),
    "round": same("round_nearest_even"),
    "trunc": trunc,
    "maximum": maximum,
    "minimum": minimum,
    "truncate_divide": truncate_divide,
    "fmod": fmod,
}
