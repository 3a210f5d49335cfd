"""The rule for tensors out of nothing but parameters."""

from __future__ import annotations

from typing import Final

import numpy as np

from slope.extend import DType
from slope_backend_onnx.lower.context import Lowering, Result, Rule
from slope_backend_onnx.lower.kernels import numpy_dtype
from slope_backend_onnx.lower.lengths import large

_INLINE: Final = 1024  # numbers to write into the model; more are counted when it runs


def _iota(cx: Lowering, *, shape: tuple[int, ...], dim: int, dtype: DType) -> Result:
    length = shape[dim]
    if not large(length, _INLINE + 1):
        name = cx.graph.constant(np.arange(length, dtype=np.int64).astype(numpy_dtype(dtype.name)))
    else:
        ends = (cx.ints(0), cx.ints(length), cx.ints(1))
        name = cx.cast(
            cx.op("Range", *(cx.op("Squeeze", each) for each in ends)), "int64", dtype.name
        )
    narrow = (length, *[1] * (len(shape) - dim - 1))
    return cx.value(cx.reshape(name, (length,), narrow), shape=narrow)


RULES: Final[dict[str, Rule]] = {"iota": _iota}
