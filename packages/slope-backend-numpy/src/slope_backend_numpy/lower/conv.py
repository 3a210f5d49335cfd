"""Convolutions: calls of :mod:`slope_backend_numpy.lower.convolution`, in its layout."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from slope.extend import dtypes
from slope_backend_numpy.lower import convolution
from slope_backend_numpy.lower.elementwise import Rule

if TYPE_CHECKING:
    from slope_backend_numpy.context import Context, Value

Dims = tuple[int, ...]


def _channels_second(ndim: int) -> Dims:
    return (0, ndim - 1, *range(1, ndim - 1))


def _channels_last(ndim: int) -> Dims:
    return (0, *range(2, ndim), 1)


def _outputs_first(ndim: int) -> Dims:
    return (ndim - 1, ndim - 2, *range(ndim - 2))


def _outputs_last(ndim: int) -> Dims:
    return (*range(2, ndim), 1, 0)


def _rule(name: str, *, second: str, result: str) -> Rule:
    """The rule of one of the three.

    Args:
        name: of the operator and of the function that does it.
        second: what the second operand is, ``"image"`` or ``"weights"``.
        result: what the result is.
    """

    def rule(context: Context, x: Value, y: Value, *, layout: str, **params: Any) -> Value:
        wide = dtypes.accumulator(x.dtype)
        codes = [context.full(context.cast(each, wide)) for each in (x, y)]
        ndim = x.type.ndim
        if layout == "NCHW":
            codes[0] += f".transpose({_channels_last(ndim)})"
            order = _outputs_last(ndim) if second == "weights" else _channels_last(ndim)
            codes[1] += f".transpose({order})"
        special = [params.pop(key) for key in ("input_size", "kernel_size") if key in params]
        options = [*special, *(params[key] for key in ("stride", "padding", "dilation", "groups"))]
        function = context.constant(getattr(convolution, name), name)
        code = f"{function}({', '.join([*codes, *map(str, options)])})"
        if layout == "NCHW":
            back = _outputs_first(ndim) if result == "weights" else _channels_second(ndim)
            code = f"{code}.transpose({back})"
        out = context.fresh(code, context.type.with_dtype(wide))
        return context.cast(out, context.type.dtype)

    return rule


LOWERINGS: Final[dict[str, Rule]] = {
    "conv": _rule("conv", second="weights", result="image"),
    "conv_input_grad": _rule("conv_input_grad", second="weights", result="image"),
    "conv_weight_grad": _rule("conv_weight_grad", second="image", result="weights"),
}
