"""Arithmetic and transcendental operators.

Transcendental functions of half precision are computed in float32, which IREE's own approximations
are made for.
"""

from __future__ import annotations

import math

from slope.extend import dtypes

from .context import Context, Rule, Value, is_half
from .halves import widened
from .portable import plain_erf


def same(name: str) -> Rule:
    """The rule of an operator that StableHLO has under ``name``, meaning the same."""
    return lambda ctx, *xs: ctx.same(name, *xs)


def in_float32(rule: Rule) -> Rule:
    """The rule with half-precision operands computed in float32."""

    def lowered(ctx: Context, *xs: Value, **params: object) -> Value:
        if not is_half(xs[0].dtype):
            return rule(ctx, *xs, **params)
        wide = [widened(ctx, x) for x in xs]
        return ctx.convert(rule(ctx, *wide, **params), xs[0].dtype)

    return lowered


def erf(ctx: Context, x: Value) -> Value:
    if ctx.portable:
        return plain_erf(ctx, x)
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


def periodic(name: str, *, odd: bool) -> Rule:
    """The rule of a trigonometric function, its operand brought into [-pi, pi] first.

    IREE's own reduction is done in float32, and off by 1e-4 at 1e4 and without bound at 1e9. Below
    0 it goes through a quarter turn, which costs small numbers their digits: odd functions are
    computed of the size, and negated.
    """

    def lowered(ctx: Context, x: Value) -> Value:
        if x.dtype is dtypes.float64:  # goes to the C library, which is exact
            return ctx.same(name, x)
        rest = _remainder(ctx, x, 2 * math.pi)
        narrow = ctx.convert(rest, dtypes.float32)
        if not odd:
            return ctx.convert(ctx.same(name, narrow), x.dtype)
        value = ctx.same(name, ctx.same("abs", narrow))
        value = ctx.select(is_negative(ctx, narrow), ctx.same("negate", value), value)
        return ctx.convert(value, x.dtype)

    return lowered


def tangent(ctx: Context, x: Value) -> Value:
    """Near its poles it is the reciprocal of the distance's, which is taken before rounding."""
    if x.dtype is dtypes.float64:
        return ctx.same("tan", x)
    rest = _remainder(ctx, x, math.pi)
    angle = ctx.same("abs", rest)
    steep = ctx.compare("GT", angle, ctx.like(math.pi / 4, angle))
    distance = ctx.same("subtract", ctx.like(math.pi / 2, angle), angle)
    found = ctx.same("tan", ctx.convert(ctx.select(steep, distance, angle), dtypes.float32))
    found = ctx.select(steep, ctx.same("divide", ctx.like(1.0, found), found), found)
    found = ctx.select(is_negative(ctx, rest), ctx.same("negate", found), found)
    return ctx.convert(found, x.dtype)


def _remainder(ctx: Context, x: Value, period: float) -> Value:
    """What is left of x, between half a period below 0 and above, in float64."""
    x = ctx.convert(widened(ctx, x) if is_half(x.dtype) else x, dtypes.float64)
    turns = ctx.same("round_nearest_even", ctx.same("multiply", x, ctx.like(1 / period, x)))
    return ctx.same("subtract", x, ctx.same("multiply", turns, ctx.like(period, x)))


def atan2(ctx: Context, y: Value, x: Value) -> Value:
    if x.dtype is dtypes.float64:
        return ctx.same("atan2", y, x)
    # IREE's float32 gives NaN at (0, 0) and (inf, inf), and forgets the sign of y == -0: such
    # points move to others of the same angle, and the sign is put back last.
    one, height = ctx.like(1.0, x), ctx.same("abs", y)
    infinite = ctx.same("and", _is_infinite(ctx, x), _is_infinite(ctx, y))
    zeros = ctx.same(
        "and", ctx.compare("EQ", x, ctx.like(0.0, x)), ctx.compare("EQ", y, ctx.like(0.0, y))
    )
    unit = ctx.select(is_negative(ctx, x), ctx.like(-1.0, x), one)
    x = ctx.select(ctx.same("or", infinite, zeros), unit, x)
    angle = ctx.same("atan2", ctx.select(infinite, one, height), x)
    return ctx.select(is_negative(ctx, y), ctx.same("negate", angle), angle)


def _is_infinite(ctx: Context, x: Value) -> Value:
    return ctx.compare("EQ", ctx.same("abs", x), ctx.like(math.inf, x))


def is_negative(ctx: Context, x: Value) -> Value:
    """Whether the sign bit of float32 or float64 elements is set."""
    bits = ctx.bitcast(x, dtypes.int32 if x.dtype.bits == 32 else dtypes.int64)
    return ctx.compare("LT", bits, ctx.like(0, bits))


def power(ctx: Context, x: Value, y: Value) -> Value:
    """IREE's power is exp(y log x), which knows neither negative bases nor exponents 0."""
    zero, one, base = ctx.like(0.0, x), ctx.like(1.0, x), ctx.same("abs", x)
    magnitude = ctx.select(ctx.compare("EQ", base, one), one, ctx.same("power", base, y))
    half = ctx.same("multiply", y, ctx.like(0.5, y))
    whole = ctx.compare("EQ", ctx.same("floor", y), y)
    odd = ctx.same("and", whole, ctx.compare("NE", ctx.same("floor", half), half))
    flips = ctx.same("and", odd, is_negative(ctx, x))
    result = ctx.select(flips, ctx.same("negate", magnitude), magnitude)
    finite = ctx.same(
        "and", ctx.compare("LT", x, zero), ctx.compare("GT", x, ctx.like(-math.inf, x))
    )
    undefined = ctx.same("and", finite, ctx.same("not", whole))
    result = ctx.select(undefined, ctx.like(math.nan, x), result)
    return ctx.select(ctx.compare("EQ", y, zero), one, result)


def expm1(ctx: Context, x: Value) -> Value:
    """IREE's float64 is exp(x) - 1, which cancels near 0; tanh(x / 2) * (exp(x) + 1) does not."""
    if x.dtype is not dtypes.float64:
        return in_float32(same("exponential_minus_one"))(ctx, x)
    half = ctx.same("tanh", ctx.same("multiply", x, ctx.like(0.5, x)))
    return ctx.same("multiply", half, ctx.same("add", ctx.same("exponential", x), ctx.like(1.0, x)))


def log1p(ctx: Context, x: Value) -> Value:
    """IREE's float64 is log(1 + x).

    Here with (x - (u - 1)) / u for u = 1 + x, what rounding lost.
    """
    if x.dtype is not dtypes.float64:
        return in_float32(same("log_plus_one"))(ctx, x)
    one = ctx.like(1.0, x)
    u = ctx.same("add", x, one)
    limits = ctx.like(2.0**-1022, x), ctx.like(2.0**1023, x)
    safe = ctx.same("minimum", ctx.same("maximum", u, limits[0]), limits[1])
    lost = ctx.same("subtract", x, ctx.same("subtract", safe, one))
    return ctx.same("add", ctx.same("log", u), ctx.same("divide", lost, safe))


RULES: dict[str, Rule] = {
    "neg": same("negate"),
    "add": same("add"),
    "sub": same("subtract"),
    "mul": same("multiply"),
    "div": same("divide"),
    "pow": in_float32(power),
    "exp": in_float32(same("exponential")),
    "expm1": expm1,
    "log": in_float32(same("log")),
    "log1p": log1p,
    "sqrt": in_float32(same("sqrt")),
    "rsqrt": in_float32(same("rsqrt")),
    "sin": periodic("sine", odd=True),
    "cos": periodic("cosine", odd=False),
    "tan": tangent,
    "atan2": in_float32(atan2),
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
