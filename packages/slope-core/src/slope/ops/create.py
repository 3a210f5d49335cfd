"""Tensors out of nothing but parameters.

A tensor of one repeated number is a literal, and no operator.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from slope.core.operator import Operator, Sample, register
from slope.core.types import TensorType
from slope.dtypes import DType, bool_, float32, int64
from slope.errors import DTypeError, ShapeError


class Iota(Operator):
    """Each element is its own position along a dimension.

    Params:
        shape: the result's shape.
        dim: the dimension that counts.
        dtype: the result's dtype, not bool.
    """

    name = "iota"
    differentiable = False

    def infer(self, *, shape: tuple[Any, ...], dim: int, dtype: DType) -> TensorType:
        if not 0 <= dim < len(shape):
            raise ShapeError(f"iota: dim={dim} is out of range for shape {shape}.")
        if dtype is bool_:
            raise DTypeError("iota counts, and bool cannot; use an integer dtype.")
        return TensorType(shape, dtype)

    def samples(self) -> Iterator[Sample]:
        yield Sample((), {"shape": (5,), "dim": 0, "dtype": int64}, False)
        yield Sample((), {"shape": (2, 3), "dim": 1, "dtype": float32}, False)
        yield Sample((), {"shape": (0,), "dim": 0, "dtype": int64}, False)


iota = register(Iota())
