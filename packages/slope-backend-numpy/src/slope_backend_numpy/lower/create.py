"""Tensors out of nothing but parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from slope_backend_numpy.lower.elementwise import Rule
from slope_backend_numpy.sizes import known

if TYPE_CHECKING:
    from slope.extend import DType
    from slope_backend_numpy.context import Context, Value


def iota(context: Context, *, shape: tuple[int, ...], dim: int, dtype: DType) -> Value:
    """A narrow constant: the numbers once, along their own dimension."""
    narrow = (shape[dim],) + (1,) * (len(shape) - dim - 1)
    if not known(narrow):
        code = f"np.arange({narrow[0]}).astype({context.dtype_code(dtype)})"
        return context.fresh(f"{code}.reshape({narrow})", shape=narrow)
    with np.errstate(over="ignore"):  # positions past float16's range are inf
        numbers = np.arange(shape[dim]).astype(dtype.numpy)
    return context.constant_array(numbers.reshape(narrow), context.type)


LOWERINGS: Final[dict[str, Rule]] = {"iota": iota}
