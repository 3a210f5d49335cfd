"""Tensors out of nothing but parameters."""

from __future__ import annotations

from slope.extend import DType, TensorType, dtypes

from .context import Context, Rule, Value, is_half


def iota(ctx: Context, *, shape: tuple[int, ...], dim: int, dtype: DType) -> Value:
    result = TensorType(shape, dtypes.float32 if is_half(dtype) else dtype)
    return ctx.convert(ctx.iota(result, dim), dtype)


RULES: dict[str, Rule] = {"iota": iota}
