"""Windows at computed places. StableHLO clamps their starts as slope does."""

from __future__ import annotations

from slope.extend import dtypes

from .context import Context, Rule, Value, listed, mlir_type
from .index import clamped, copied


def _starts(ctx: Context, starts: tuple[Value, ...], limits: list[int]) -> list[Value]:
    """The starts as int64, within ``0 .. limit``."""
    return [
        clamped(ctx, start, limit, dtypes.int64)
        for start, limit in zip(starts, limits, strict=True)
    ]


def _limits(x: Value, sizes: tuple[int, ...]) -> list[int]:
    return [length - size for length, size in zip(x.shape, sizes, strict=True)]


def dynamic_slice(ctx: Context, x: Value, *starts: Value, sizes: tuple[int, ...]) -> Value:
    if sizes == x.shape:
        return x
    at = _starts(ctx, starts, _limits(x, sizes))
    return ctx.op("dynamic_slice", [x, *at], x.type.with_shape(sizes), f"sizes = {listed(sizes)}")


def dynamic_update_slice(ctx: Context, x: Value, update: Value, *starts: Value) -> Value:
    if not update.type.size:
        return x
    if update.shape == x.shape:
        return update
    limits = _limits(x, update.shape)
    if all(start.literal is not None for start in starts):
        return _at_known_places(ctx, x, update, starts, limits)
    at = _starts(ctx, starts, limits)
    computed = next(b for a, b in zip(starts, at, strict=True) if a.literal is None)
    x = copied(ctx, x, computed)
    operands = ", ".join(each.name for each in (x, update, *at))
    types = ", ".join(each.mlir for each in (x, update, *at))
    return ctx.emit(
        f"stablehlo.dynamic_update_slice {operands} : ({types}) -> {mlir_type(x.type)}", x.type
    )


def _at_known_places(
    ctx: Context, x: Value, update: Value, starts: tuple[Value, ...], limits: list[int]
) -> Value:
    # Nothing here could hide from IREE that it might write into an input.
    low = [
        min(max(int(start.literal or 0), 0), end) for start, end in zip(starts, limits, strict=True)
    ]
    high = [end - first for end, first in zip(limits, low, strict=True)]

    inside = ctx.constant(True, update.type.with_dtype(dtypes.bool_))
    return ctx.select(ctx.pad(inside, low, high), ctx.pad(update, low, high), x)


RULES: dict[str, Rule] = {
    "dynamic_slice": dynamic_slice,
    "dynamic_update_slice": dynamic_update_slice,
}
