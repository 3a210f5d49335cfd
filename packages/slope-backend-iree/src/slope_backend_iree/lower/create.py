"""Tensors out of nothing but parameters."""

from __future__ import annotations

from slope import dtypes
from slope.extend import DType, TensorType

from .context import Context, Rule, Value, is_half


def iota(ctx: Context, *, shape: tuple[int, ...], dim: int, dtype: DType) -> Value:
    counts = dtypes.float32 if is_half(dtype) else dtypes.int64 if dtype.kind == "u" else dtype  # IREE refuses unsigned ones
    result = TensorType(shape, counts)
    counted = ctx.emit(f"stablehlo.iota dim = {dim} : {Value('', result).mlir}", result)
    return ctx.convert(counted, dtype)


RULES: dict[str, Rule] = {"iota": iota}
