"""Rules for composite operators that ONNX Runtime computes faster whole than piece by piece."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Final

import numpy as np

from slope_backend_onnx.lower.context import Lowering, Result, Rule, Value
from slope_backend_onnx.lower.kernels import working_dtype

CONTRIBUTED: Final = "com.microsoft"

Dims = tuple[int, ...]

_NORMALIZE: Final = {
    "standardize": "LayerNormalization",
    "rms_normalize": "SimplifiedLayerNormalization",
}


def _relu(cx: Lowering, x: Value) -> Result:
    return cx.pointwise("Relu", x)


def _along(op_type: str, cx: Lowering, x: Value, *, dim: int) -> Result:
    inner = working_dtype(x.dtype)
    return cx.cast(cx.op(op_type, cx.full(x, inner), axis=dim), inner, x.dtype.name)


def _log_softmax(cx: Lowering, x: Value, *, dim: int) -> Result:
    if x.dtype.name == "float64":  # its kernel takes infinity for a number
        return cx.expansion(x, dim=dim)
    return _along("LogSoftmax", cx, x, dim=dim)


def _logsumexp(cx: Lowering, x: Value, *, dim: int | tuple[int, ...]) -> Result:
    """The largest element, plus the logarithm of the sum of exponentials relative to it.

    ReduceLogSumExp takes 4 to 9 times as long. The largest element is kept finite, so that
    infinities do not cancel.
    """
    inner = working_dtype(x.dtype)
    name = cx.full(x, inner)
    axes = cx.ints(*(dim if isinstance(dim, tuple) else (dim,)))
    limit = float(np.finfo(inner).max)
    top = cx.op("ReduceMax", name, axes, keepdims=1)
    finite = cx.op("Clip", top, cx.number(-limit, inner), cx.number(limit, inner))
    total = cx.op("ReduceSum", cx.op("Exp", cx.op("Sub", name, finite)), axes, keepdims=0)
    result = cx.op("Add", cx.op("Log", total), cx.op("Squeeze", top, axes))
    return cx.cast(result, inner, x.dtype.name)


# --- activations


def _gelu(cx: Lowering, x: Value, *, approximate: str = "none") -> Result:
    # There is no kernel for float64. A gradient computes the parts too, and shares them.
    if x.dtype.name == "float64" or cx.shared[0]:
        return cx.expansion(x, approximate=approximate)
    made = cx.op("Gelu", cx.narrow(x, "float32"), approximate=approximate)
    return cx.value(cx.cast(made, "float32", x.dtype.name), shape=x.shape)


def _silu(cx: Lowering, x: Value) -> Result:
    inner = working_dtype(x.dtype)
    name = cx.narrow(x, inner)
    if cx.native and inner == "float32" and not cx.shared[0]:
        made = cx.op("QuickGelu", name, domain=CONTRIBUTED, alpha=1.0)
    else:
        made = cx.op("Mul", name, cx.op("Sigmoid", name))
    return cx.value(cx.cast(made, inner, x.dtype.name), shape=x.shape)


# --- normalizations


def _standardize(cx: Lowering, x: Value, *, dim: Dims, eps: float) -> Result:
    if not _fits(x, dim, eps):
        return cx.expansion(x, dim=dim, eps=eps)
    return _normalized(cx, "standardize", x, dim, eps)


def _rms_normalize(cx: Lowering, x: Value, *, dim: Dims, eps: float) -> Result:
    if not (_fits(x, dim, eps) and cx.native):
        return cx.expansion(x, dim=dim, eps=eps)
    return _normalized(cx, "rms_normalize", x, dim, eps)


def scaled(
    cx: Lowering, operator: str, x: Value, factors: Sequence[Value], *, dim: Dims, eps: float
) -> Value | None:
    """A normalization times a weight, plus a bias, as one node; None where it has to be several."""
    wide = x.type.shape[dim[0] :] if _fits(x, dim, eps) else ()
    names = []
    for factor in factors:
        held = factor.shape[len(factor.shape) - len(wide) :]
        if not wide or held != wide or math.prod(factor.shape) != math.prod(wide):
            return None
        names.append(cx.reshape(cx.narrow(factor), factor.shape, wide))
    if operator == "rms_normalize" and not cx.native:
        return None
    return _node(cx, operator, x, x.dtype.name, names, len(wide), eps)


def _node(
    cx: Lowering,
    operator: str,
    x: Value,
    dtype: str,
    factors: Sequence[str],
    count: int,
    eps: float,
) -> Value:
    """A normalization over the last ``count`` dimensions; leading ones go without saying."""
    whole = math.prod(x.shape) == x.type.size and len(x.shape) >= count
    name, shape = (cx.narrow(x, dtype), x.shape) if whole else (cx.full(x, dtype), x.type.shape)
    made = cx.op(_NORMALIZE[operator], name, *factors, axis=-count, epsilon=eps)
    return cx.value(cx.cast(made, dtype, x.dtype.name), shape=shape)


def _fits(x: Value, dim: Dims, eps: float) -> bool:
    """Whether there is a node for it: over the last dimensions of a tensor that has elements.

    It takes epsilon in float32, which is not enough for float64.
    """
    exact = x.dtype.name != "float64" or float(np.float32(eps)) == eps
    return exact and bool(dim) and x.type.size > 0 and dim == tuple(range(dim[0], x.type.ndim))


def _normalized(cx: Lowering, operator: str, x: Value, dim: Dims, eps: float) -> Result:
    inner = working_dtype(x.dtype)
    wide = x.type.shape[dim[0] :]
    ones = cx.graph.constant(np.ones(wide, inner))
    return _node(cx, operator, x, inner, (ones,), len(wide), eps)


RULES: Final[dict[str, Rule]] = {
    "relu": _relu,
    "softmax": partial(_along, "Softmax"),
    "log_softmax": _log_softmax,
    "logsumexp": _logsumexp,
    "gelu": _gelu,
    "silu": _silu,
    "standardize": _standardize,
    "rms_normalize": _rms_normalize,
}
