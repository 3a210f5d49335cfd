"""Rules for composite operators that ONNX Runtime computes faster whole than piece by piece."""

from __future__ import annotations

from functools import partial
from typing import Final

import numpy as np

from slope_backend_onnx.lower.context import Lowering, Result, Rule, Value

CONTRIBUTED: Final = "com.microsoft"


def _relu(cx: Lowering, x: Value) -> Result:
    return cx.pointwise("Relu", x)


def _along(op_type: str, cx: Lowering, x: Value, *, dim: int) -> Result:
    inner = "float32" if x.dtype.itemsize == 2 else x.dtype.name
    return cx.cast(cx.op(op_type, cx.full(x, inner), axis=dim), inner, x.dtype.name)


def _logsumexp(cx: Lowering, x: Value, *, dim: int | tuple[int, ...]) -> Result:
    """The largest element, plus the logarithm of the sum of exponentials relative to it.

    ReduceLogSumExp takes 4 to 9 times as long. The largest element is kept finite, so that
    infinities do not cancel.
    """
    inner = "float32" if x.dtype.itemsize == 2 else x.dtype.name
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
    if x.dtype.name == "float64":  # no kernel
        return cx.expansion(x, approximate=approximate)
    made = cx.op("Gelu", cx.narrow(x, "float32"), approximate=approximate)
    return cx.value(cx.cast(made, "float32", x.dtype.name), shape=x.shape)


def _silu(cx: Lowering, x: Value) -> Result:
    inner = "float64" if x.dtype.name == "float64" else "float32"
    name = cx.narrow(x, inner)
    if cx.native and inner == "float32":
        made = cx.op("QuickGelu", name, domain=CONTRIBUTED, alpha=1.0)
    else:
        made = cx.op("Mul", name, cx.op("Sigmoid", name))
    return cx.value(cx.cast(made, inner, x.dtype.name), shape=x.shape)


# --- normalizations


def _standardize(cx: Lowering, x: Value, *, dim: tuple[int, ...], eps: float) -> Result:
    if not _last(x, dim):
        return cx.expansion(x, dim=dim, eps=eps)
    return _normalized(cx, "LayerNormalization", x, dim, eps)


def _rms_normalize(cx: Lowering, x: Value, *, dim: tuple[int, ...], eps: float) -> Result:
    if not (_last(x, dim) and cx.native):
        return cx.expansion(x, dim=dim, eps=eps)
    return _normalized(cx, "SimplifiedLayerNormalization", x, dim, eps)


def _last(x: Value, dim: tuple[int, ...]) -> bool:
    """Whether these are the last dimensions, of a tensor that has elements."""
    return bool(dim) and x.type.size > 0 and dim == tuple(range(dim[0], x.type.ndim))


def _normalized(cx: Lowering, op_type: str, x: Value, dim: tuple[int, ...], eps: float) -> Result:
    inner = "float64" if x.dtype.name == "float64" else "float32"
    ones = cx.graph.constant(np.ones(x.type.shape[dim[0] :], inner))
    made = cx.op(op_type, cx.full(x, inner), ones, axis=dim[0], epsilon=eps)
    return cx.cast(made, inner, x.dtype.name)


RULES: Final[dict[str, Rule]] = {
    "relu": _relu,
    "softmax": partial(_along, "Softmax"),
    "log_softmax": partial(_along, "LogSoftmax"),
    "logsumexp": _logsumexp,
    "gelu": _gelu,
    "silu": _silu,
    "standardize": _standardize,
    "rms_normalize": _rms_normalize,
}
