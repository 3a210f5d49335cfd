"""Activation functions: arguments and meanings as PyTorch's, derivatives at the corners, too.

Where PyTorch has an argument ``inplace``, it is taken and changes nothing, since tensors do not
change and compiled programs reuse memory by themselves.
"""

from __future__ import annotations

from typing import Any

from slope import ops
from slope.core.tensor import Tensor
from slope.dtypes import as_dtype
from slope.errors import ArgumentError, ShapeError
from slope.functions import activation_operators, composites, extremes
from slope.functions._arguments import dim_of, number_of
from slope.functions._at_once import at_once
from slope.functions._base import (
    TensorLike,
    along,
    as_tensor,
    back,
    expand_to,
    floating,
    splat_like,
    to_dtype,
)

__all__ = [
    "celu",
    "elu",
    "gelu",
    "glu",
    "hardshrink",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "leaky_relu",
    "log_softmax",
    "logsigmoid",
    "mish",
    "prelu",
    "relu",
    "relu6",
    "selu",
    "silu",
    "softmax",
    "softmin",
    "softplus",
    "softshrink",
    "softsign",
    "tanhshrink",
    "threshold",
]

_SELU_ALPHA = 1.6732632423543772848170429916717
_SELU_SCALE = 1.0507009873554804934193349852946


@at_once
def relu(x: TensorLike, inplace: bool = False) -> Tensor:
    """``maximum(x, 0)``; its derivative at 0 is 0."""
    del inplace
    if isinstance(x, Tensor) and x.dtype.is_integer:
        return extremes.maximum(x, 0)
    return activation_operators.relu(floating(x, "relu"))


@at_once
def relu6(x: TensorLike, inplace: bool = False) -> Tensor:
    """``x`` limited to [0, 6]; its derivative at both ends is 0. Integers stay integers."""
    del inplace
    given = as_tensor(x, "relu6", "x")
    if given.dtype.is_integer:
        return ops.minimum(ops.maximum(given, splat_like(0, given)), splat_like(6, given))
    return activation_operators.hardtanh(floating(given, "relu6"), min_val=0.0, max_val=6.0)


@at_once
def hardtanh(
    x: TensorLike, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False
) -> Tensor:
    """``x`` limited to ``[min_val, max_val]``; its derivative at both ends is 0.

    Raises:
        ArgumentError: ``min_val`` is above ``max_val``.
    """
    del inplace
    low, high = number_of(min_val, "hardtanh", "min_val"), number_of(max_val, "hardtanh", "max_val")
    if not low <= high:
        raise ArgumentError(f"hardtanh: min_val={low} must not be above max_val={high}.")
    return activation_operators.hardtanh(
        floating(x, "hardtanh"), min_val=float(low), max_val=float(high)
    )


@at_once
def leaky_relu(x: TensorLike, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """``x`` where it is positive, else ``negative_slope * x``."""
    del inplace
    slope = number_of(negative_slope, "leaky_relu", "negative_slope")
    return activation_operators.leaky_relu(floating(x, "leaky_relu"), negative_slope=slope)


@at_once
def prelu(x: TensorLike, weight: TensorLike) -> Tensor:
    """``x`` where it is positive, else ``weight * x``.

    One weight for all, or one for each channel (dimension 1).

    Raises:
        ShapeError: as many weights as neither 1 nor the channels.
    """
    given = floating(x, "prelu")
    factor = to_dtype(floating(weight, "prelu", "weight"), given.dtype)
    channels = given.shape[1] if given.ndim > 1 else 1
    if factor.ndim > 1 or (factor.ndim == 1 and factor.shape[0] not in (1, channels)):
        raise ShapeError(
            f"prelu: weight must have one element, or one for each of {channels} channels "
            f"(dimension 1) of x {given.type}, but is {factor.type}."
        )
    if factor.ndim and factor.shape[0] == 1:
        factor = ops.reshape(factor, shape=())
    if factor.ndim:
        factor = ops.broadcast(factor, shape=given.shape, dims=(1,))
    else:
        factor = expand_to(factor, given.shape)
    return ops.where(ops.gt(given, splat_like(0.0, given)), given, ops.mul(given, factor))


@at_once
def elu(
    x: TensorLike,
    alpha: float = 1.0,
    scale: float = 1.0,
    input_scale: float = 1.0,
    inplace: bool = False,
) -> Tensor:
    """``scale * x`` where ``x`` is positive.

    Else ``scale * alpha * (exp(input_scale * x) - 1)``.
    """
    del inplace
    params = {"alpha": alpha, "scale": scale, "input_scale": input_scale}
    numbers = {name: number_of(value, "elu", name) for name, value in params.items()}
    return activation_operators.elu(floating(x, "elu"), **numbers)


@at_once
def selu(x: TensorLike, inplace: bool = False) -> Tensor:
    """:func:`elu` with the ``alpha`` and ``scale`` that keep mean 0 and variance 1.

    Source: G. Klambauer and others, "Self-normalizing neural networks" (2017).
    """
    del inplace
    made = floating(x, "selu")
    return activation_operators.elu(made, alpha=_SELU_ALPHA, scale=_SELU_SCALE, input_scale=1.0)


@at_once
def celu(x: TensorLike, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """``x`` where it is positive, else ``alpha * (exp(x / alpha) - 1)``.

    Raises:
        ArgumentError: ``alpha`` is 0.
    """
    del inplace
    factor = number_of(alpha, "celu", "alpha")
    if factor == 0:
        raise ArgumentError("celu: alpha=0 divides by zero; it must be another number.")
    made = floating(x, "celu")
    return activation_operators.elu(made, alpha=factor, scale=1.0, input_scale=1.0 / factor)


@at_once
def silu(x: TensorLike, inplace: bool = False) -> Tensor:
    """``x * sigmoid(x)``, also called swish."""
    del inplace
    return activation_operators.silu(floating(x, "silu"))


@at_once
def mish(x: TensorLike, inplace: bool = False) -> Tensor:
    """``x * tanh(softplus(x))``."""
    del inplace
    return activation_operators.mish(floating(x, "mish"))


@at_once
def gelu(x: TensorLike, approximate: str = "none") -> Tensor:
    """``x`` times the normal distribution's cumulative function at ``x``.

    With ``approximate="tanh"`` its approximation.

    Raises:
        ArgumentError: another ``approximate``.
    """
    if not isinstance(approximate, str) or approximate not in ("none", "tanh"):
        raise ArgumentError(f"gelu: approximate={approximate!r} must be 'none' or 'tanh'.")
    return activation_operators.gelu(floating(x, "gelu"), approximate=approximate)


@at_once
def softplus(x: TensorLike, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """``log(1 + exp(beta * x)) / beta``, without overflow; ``x`` where ``beta * x > threshold``.

    From a threshold of 20 on that changes nothing: the formula loses no digits there.
    """
    factor = number_of(beta, "softplus", "beta")
    limit = number_of(threshold, "softplus", "threshold")
    if factor == 0:
        raise ArgumentError("softplus: beta=0 divides by zero; it must be another number.")
    made = floating(x, "softplus")
    scaled = made if factor == 1.0 else ops.mul(made, splat_like(factor, made))
    bent = activation_operators.softplus(scaled)
    if factor != 1.0:
        bent = ops.mul(bent, splat_like(1.0 / factor, made))
    return bent if limit >= 20 else ops.where(ops.gt(scaled, splat_like(limit, made)), made, bent)


@at_once
def hardsigmoid(x: TensorLike, inplace: bool = False) -> Tensor:
    """``x + 3`` limited to [0, 6], by 6; its derivative at both ends is 0."""
    del inplace
    made = floating(x, "hardsigmoid")
    return _gate(made)


def _gate(x: Tensor) -> Tensor:
    moved = ops.add(x, splat_like(3.0, x))
    return ops.mul(
        activation_operators.hardtanh(moved, min_val=0.0, max_val=6.0), splat_like(1.0 / 6.0, x)
    )


@at_once
def hardswish(x: TensorLike, inplace: bool = False) -> Tensor:
    """``x * hardsigmoid(x)``; its derivative at -3 is 0, at 3 it is 1."""
    del inplace
    made = floating(x, "hardswish")
    return ops.mul(made, _gate(made))


@at_once
def hardshrink(x: TensorLike, lambd: float = 0.5) -> Tensor:
    """``x`` where ``abs(x)`` exceeds ``lambd``, else 0."""
    made = floating(x, "hardshrink")
    inside = ops.le(ops.abs_(made), splat_like(number_of(lambd, "hardshrink", "lambd"), made))
    return ops.where(inside, splat_like(0.0, made), made)


@at_once
def softshrink(x: TensorLike, lambd: float = 0.5) -> Tensor:
    """``x`` moved toward 0 by ``lambd``, and no farther.

    Raises:
        ArgumentError: ``lambd`` is negative.
    """
    width = number_of(lambd, "softshrink", "lambd")
    if width < 0:
        raise ArgumentError(f"softshrink: lambd={width} must not be negative.")
    made = floating(x, "softshrink")
    step, zero = splat_like(width, made), splat_like(0.0, made)
    low = ops.where(ops.lt(made, ops.neg(step)), ops.add(made, step), ops.mul(made, zero))
    return ops.where(ops.gt(made, step), ops.sub(made, step), low)


@at_once
def softsign(x: TensorLike) -> Tensor:
    """``x / (1 + abs(x))``."""
    made = floating(x, "softsign")
    return ops.div(made, ops.add(splat_like(1.0, made), ops.abs_(made)))


@at_once
def tanhshrink(x: TensorLike) -> Tensor:
    """``x - tanh(x)``."""
    made = floating(x, "tanhshrink")
    return ops.sub(made, ops.tanh(made))


@at_once
def logsigmoid(x: TensorLike) -> Tensor:
    """``log(sigmoid(x))``, without overflow."""
    return activation_operators.logsigmoid(floating(x, "logsigmoid"))


@at_once
def threshold(x: TensorLike, threshold: float, value: float, inplace: bool = False) -> Tensor:
    """``x`` where it exceeds ``threshold``, else ``value``; NaN stays."""
    del inplace
    made = as_tensor(x, "threshold", "x")
    limit = splat_like(number_of(threshold, "threshold", "threshold"), made)
    other = splat_like(number_of(value, "threshold", "value"), made)
    return ops.where(ops.le(made, limit), other, made)


# --- along a dimension


@at_once
def softmax(x: TensorLike, dim: int, dtype: Any = None) -> Tensor:
    """``exp(x) / sum(exp(x))`` along a dimension, without overflow.

    Computed in ``dtype`` if given.
    """
    given, at, scalar = along(_computed(x, "softmax", dtype), dim, "softmax")
    return back(composites.softmax(given, dim=at), scalar)


@at_once
def softmin(x: TensorLike, dim: int, dtype: Any = None) -> Tensor:
    """:func:`softmax` of ``-x``."""
    given, at, scalar = along(_computed(x, "softmin", dtype), dim, "softmin")
    return back(composites.softmax(ops.neg(given), dim=at), scalar)


@at_once
def log_softmax(x: TensorLike, dim: int, dtype: Any = None) -> Tensor:
    """``x - log(sum(exp(x)))`` along a dimension, without overflow.

    Computed in ``dtype`` if given.
    """
    given, at, scalar = along(_computed(x, "log_softmax", dtype), dim, "log_softmax")
    return back(composites.log_softmax(given, dim=at), scalar)


def _computed(x: TensorLike, function: str, dtype: Any) -> Tensor:
    given = floating(x, function)
    return given if dtype is None else floating(to_dtype(given, as_dtype(dtype)), function)


@at_once
def glu(x: TensorLike, dim: int = -1) -> Tensor:
    """The first half of ``x`` along a dimension, times the sigmoid of the second.

    Raises:
        ShapeError: the dimension's length is odd.
    """
    given = floating(x, "glu")
    at = dim_of(dim, given.ndim, "glu", shape=given.shape)
    length = given.shape[at]
    if length % 2 != 0:
        raise ShapeError(
            f"glu: dimension {dim} of {given.type} has odd length {length}; it is split in halves."
        )

    def part(start: Any, stop: Any) -> Tensor:
        begin = tuple(start if each == at else 0 for each in range(given.ndim))
        end = tuple(stop if each == at else n for each, n in enumerate(given.shape))
        return ops.slice_(given, start=begin, stop=end, step=(1,) * given.ndim)

    return ops.mul(part(0, length // 2), ops.sigmoid(part(length // 2, length)))
