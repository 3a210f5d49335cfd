"""The type of a tensor: its shape and dtype."""

from __future__ import annotations

from typing import Any

import numpy as np

from slope.dims import dim_str, size
from slope.dtypes import DType, as_dtype

Shape = tuple[Any, ...]  # of ints and symbolic dimensions (slope.dims)


class TensorType:
    """A shape and a dtype. Immutable and hashable; prints as ``float32[2, 3]``.

    Attributes:
        shape: a tuple of ints and symbolic dimensions.
        dtype: the element type.
    """

    __slots__ = ("_hash", "dtype", "shape")

    def __init__(self, shape: Shape, dtype: DType) -> None:
        self.shape = shape
        self.dtype = dtype
        self._hash = hash((shape, dtype.name))

    @property
    def ndim(self) -> int:
        """The number of dimensions."""
        return len(self.shape)

    @property
    def size(self) -> Any:
        """The number of elements: an int, or symbolic."""
        return size(self.shape)

    @property
    def nbytes(self) -> Any:
        """Bytes of all elements."""
        return self.size * self.dtype.itemsize

    def with_shape(self, shape: Shape) -> TensorType:
        """The same dtype with another shape."""
        return TensorType(tuple(shape), self.dtype)

    def with_dtype(self, dtype: DType) -> TensorType:
        """The same shape with another dtype."""
        return TensorType(self.shape, dtype)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        return (
            isinstance(other, TensorType)
            and self._hash == other._hash
            and self.dtype is other.dtype
            and self.shape == other.shape
        )

    def __repr__(self) -> str:
        return f"{self.dtype.name}[{', '.join(map(dim_str, self.shape))}]"


def type_of_array(array: np.ndarray[Any, Any]) -> TensorType:
    """The type of a NumPy array.

    Raises:
        DTypeError: slope has no such dtype.
    """
    return TensorType(array.shape, as_dtype(array.dtype))
