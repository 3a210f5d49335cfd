"""What meaning rules are made of: arrays of every dtype."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import numpy as np

from slope.dtypes import DType, as_dtype
from slope.testing.cases import Array

INF: Final = float("inf")
NAN: Final = float("nan")
FLOATS: Final = ("float16", "bfloat16", "float32", "float64")
SIGNED: Final = ("int8", "int16", "int32", "int64")
UNSIGNED: Final = ("uint8", "uint16", "uint32", "uint64")
Function = Callable[..., Any]
Rules = Iterator[tuple[str, str, Function, Sequence[Array], Any]]


def array(values: Any, dtype: str | DType) -> Array:
    """An array of a dtype by name; integers wrap around, floats overflow."""
    with np.errstate(all="ignore"):
        return np.asarray(values).astype(as_dtype(dtype).numpy)
