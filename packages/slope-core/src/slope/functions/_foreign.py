"""Tensors of other libraries, as arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from slope.dtypes import bfloat16
from slope.errors import ArgumentError


def foreign_array(source: Any) -> np.ndarray[Any, Any]:
    """The elements of what speaks DLPack on the CPU, on its own memory.

    bfloat16 is copied, as NumPy knows it neither in DLPack nor in PyTorch's tensors.

    Raises:
        ArgumentError: it does not speak it, or is not on the CPU.
    """
    if hasattr(source, "detach"):
        source = source.detach()  # PyTorch gives away nothing that it may differentiate
    try:
        if "bfloat16" not in str(getattr(source, "dtype", "")):
            return np.from_dlpack(source)
        if hasattr(source, "float"):  # PyTorch's; float32 holds all of bfloat16
            return np.from_dlpack(source.float()).astype(bfloat16.numpy)
        return np.asarray(source)
    except (AttributeError, TypeError, BufferError, RuntimeError) as error:
        raise ArgumentError(
            f"from_dlpack: cannot take {type(source).__name__} over: {str(error).rstrip('.')}."
        ) from None
