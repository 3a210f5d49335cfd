"""Half precision as float32."""

from __future__ import annotations

from slope.extend import dtypes

from .context import Context, Value


def widened(ctx: Context, x: Value) -> Value:
    """A float16 or bfloat16 as float32, exactly."""
    if x.dtype is not dtypes.bfloat16 or not ctx.origin(x):
        return ctx.convert(x, dtypes.float32)
    # By the bits: IREE 3.13 drops a conversion to bfloat16 where one back to float32 follows in the
    # same loop.
    wide = ctx.convert(ctx.bitcast(x, dtypes.uint16), dtypes.uint32)
    return ctx.bitcast(ctx.same("shift_left", wide, ctx.like(16, wide)), dtypes.float32)
