"""Rules for composite operators that ONNX Runtime computes faster whole than piece by piece; the others are expanded."""

from __future__ import annotations

from functools import partial
from typing import Final

import numpy as np

from slope_backend_onnx.lower.context import Lowering, Result, Rule, Value


def _relu(cx: Lowering, x: Value) -> Result:
    return cx.pointwise("Relu", x)


def _along(op_type: str, cx: Lowering, x: Value, *, dim: int) -> Result:
    inner = "float32" if x.dtype.itemsize == 2 else x.dtype.name
    return cx.cast(cx.op(op_type, cx.full(x, inner), axis=dim), inner, x.dtype.name)


def _logsumexp(cx: Lowering, x: Value, *, dim: int | tuple[int, ...]) -> Result:
    """The largest element plus the logarithm of the sum of all the others' exponentials relative to it.

    ReduceLogSumExp takes 4 to 9 times as long. The largest element is kept finite, so that infinities do not cancel.
    """
    inner = "float32" if x.dtype.itemsize == 2 else x.dtype.name
    name = cx.full(x, inner)
    axes = cx.ints(*(dim if isinstance(dim, tuple) else (dim,)))
    limit = float(np.finfo(inner).max)
    top = cx.op("ReduceMax", name, axes, keepdims=1)
    top = cx.op("Clip", top, cx.number(-limit, inner), cx.number(limit, inner))
    total = cx.op("ReduceSum", cx.op("Exp", cx.op("Sub", name, top)), axes, keepdims=0)
    result = cx.op("Add", cx.op("Log", total), cx.op("Squeeze", top, axes))
    return cx.cast(result, inner, x.dtype.name)


RULES: Final[dict[str, Rule]] = {
    "relu": _relu,
    "softmax": partial(_along, "Softmax"),
    "log_softmax": partial(_along, "LogSoftmax"),
    "logsumexp": _logsumexp,
}
