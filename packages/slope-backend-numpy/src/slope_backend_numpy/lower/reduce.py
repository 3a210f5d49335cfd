"""Reductions other than ``sum``, and cumulative sums."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from slope import dtypes
from slope_backend_numpy.lower.elementwise import Rule
from slope_backend_numpy.lower.linear import axes

if TYPE_CHECKING:
    from slope_backend_numpy.codegen import Context, Value


def reduction(function: str, *, accumulates: bool = False) -> Rule:
    """The rule of a reduction by a ufunc; ``accumulates`` says that rounding errors add up, so that half precision is widened."""

    def rule(context: Context, x: Value, *, dim: tuple[int, ...]) -> Value:
        if not dim:
            return context.same(x)
        wide = context.cast(x, dtypes.accumulator(x.dtype)) if accumulates else x
        option = f", dtype={context.dtype_code(wide.dtype)}" if accumulates else ""
        code = f"{function}.reduce({context.full(wide)}, axis={axes(dim, x)}{option})"
        return context.cast(context.fresh(code, context.type.with_dtype(wide.dtype)), x.dtype)

    return rule


def position(function: str) -> Rule:
    """The rule of argmax and argmin. NumPy's find the first NaN, too; bfloat16 goes through float32, which is exact."""

    def rule(context: Context, x: Value, *, dim: int) -> Value:
        wide = context.cast(x, dtypes.float32) if x.dtype is dtypes.bfloat16 else x
        return context.fresh(f"{function}({context.full(wide)}, axis={dim})")

    return rule


def cumsum(context: Context, x: Value, *, dim: int, reverse: bool) -> Value:
    if x.type.ndim == 0:
        return context.same(x)
    wide = context.cast(x, dtypes.accumulator(x.dtype))
    turned = f"[{', '.join('::-1' if each == dim else ':' for each in range(x.type.ndim))}]" if reverse else ""
    code = f"np.add.accumulate({context.full(wide)}{turned}, axis={dim}, dtype={context.dtype_code(wide.dtype)}){turned}"
    return context.cast(context.fresh(code, context.type.with_dtype(wide.dtype)), x.dtype)


LOWERINGS: Final[dict[str, Rule]] = {
    "amax": reduction("np.maximum"),
    "amin": reduction("np.minimum"),
    "prod": reduction("np.multiply", accumulates=True),
    "any": reduction("np.logical_or"),
    "all": reduction("np.logical_and"),
    "argmax": position("np.argmax"),
    "argmin": position("np.argmin"),
    "cumsum": cumsum,
}
