"""Reductions other than ``sum``, and cumulative sums."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from slope.extend import dtypes
from slope_backend_numpy.lower.elementwise import Rule
from slope_backend_numpy.lower.linear import axes
from slope_backend_numpy.sizes import known, never_zero

if TYPE_CHECKING:
    from slope_backend_numpy.context import Context, Value

SHORT: Final = 32  # elements of a last dimension, up to which extrema over it are found columnwise
WIDE: Final = 16  # elements behind a dimension, and in all besides, from which on running results
MANY: Final = 1024  # are computed for all of them at a time: up to 20 times as fast
NARROW: Final = 64  # elements behind a dimension, up to which the same holds for extrema over it


def reduction(function: str, *, accumulates: bool = False) -> Rule:
    """The rule of a reduction by a ufunc; if it ``accumulates``, half precision is widened."""

    def rule(context: Context, x: Value, *, dim: tuple[int, ...]) -> Value:
        if not dim:
            return context.same(x)
        wide = context.cast(x, dtypes.accumulator(x.dtype)) if accumulates else x
        option = f", dtype={context.dtype_code(wide.dtype)}" if accumulates else ""
        code = f"{function}.reduce({context.full(wide)}, axis={axes(dim, x)}{option})"
        return context.cast(context.fresh(code, context.type.with_dtype(wide.dtype)), x.dtype)

    return rule


def extreme(function: str) -> Rule:
    """The rule of amax and amin."""
    general = reduction(function)

    def rule(context: Context, x: Value, *, dim: tuple[int, ...]) -> Value:
        shape = x.type.shape
        if len(dim) != 1 or not x.is_full or len(shape) < 2 or not never_zero(x.type.size):
            return general(context, x, dim=dim)
        length, after = shape[dim[0]], math.prod(shape[dim[0] + 1 :])
        if not known((length, after)):
            return general(context, x, dim=dim)
        if not (length <= SHORT if after == 1 else dim[0] > 0 and after <= NARROW):
            return general(context, x, dim=dim)
        # NumPy pays for each short row; with dimensions exchanged it runs along long ones.
        columns = f"{x.code}.reshape({(-1, length, after)})"
        if 1 < after <= SHORT // 2 and length >= 8 * after:
            code = f"{function}.reduce({columns}.swapaxes(1, 2).copy(), axis=2)"
        else:
            code = f"{function}.reduce({columns}.swapaxes(0, 1).copy(), axis=0)"
        return context.fresh(f"{code}.reshape({context.type.shape})")

    return rule


def position(method: str) -> Rule:
    """The rule of argmax and argmin; NumPy's find the first NaN, too."""

    def rule(context: Context, x: Value, *, dim: int) -> Value:
        # exact, and keeps the order
        wide = context.cast(x, dtypes.float32) if x.dtype is dtypes.bfloat16 else x
        return context.fresh(f"{context.full(wide)}.{method}({dim})")

    return rule


def cumsum(context: Context, x: Value, *, dim: int, reverse: bool) -> Value:
    wide = context.cast(x, dtypes.accumulator(x.dtype))
    turned = (
        f"[{', '.join('::-1' if each == dim else ':' for each in range(x.type.ndim))}]"
        if reverse
        else ""
    )
    code = f"{accumulation(context, 'np.add', f'{context.full(wide)}{turned}', dim, wide)}{turned}"
    return context.cast(context.fresh(code, context.type.with_dtype(wide.dtype)), x.dtype)


def accumulation(context: Context, function: str, array: str, dim: int, x: Value) -> str:
    """The code for a ufunc's running results along a dimension, in the dtype of ``x``."""
    shape, options = x.type.shape, f"dtype={context.dtype_code(x.dtype)}"
    behind = math.prod(shape[dim + 1 :])
    if known(shape) and behind >= WIDE and x.type.size // max(shape[dim], 1) >= MANY:
        return f"kernels.accumulate({function}, {array}, {dim}, {options})"
    return f"{function}.accumulate({array}, axis={dim}, {options})"


LOWERINGS: Final[dict[str, Rule]] = {
    "amax": extreme("np.maximum"),
    "amin": extreme("np.minimum"),
    "prod": reduction("np.multiply", accumulates=True),
    "any": reduction("np.logical_or"),
    "all": reduction("np.logical_and"),
    "argmax": position("argmax"),
    "argmin": position("argmin"),
    "cumsum": cumsum,
}
