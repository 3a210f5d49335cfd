"""The type of a tensor: its shape and dtype."""

from __future__ import annotations

from itertools import count
from typing import Any, NoReturn

import numpy as np

from slope.dims import dim_str, size
from slope.dtypes import DType, as_dtype
from slope.errors import ArgumentError

Shape = tuple[Any, ...]  # of ints and symbolic dimensions (slope.dims)

# Each type that was ever made has a number, so that comparing types is comparing ints.
_numbers: dict[tuple[Shape, str], int] = {}
_places: dict[int, tuple[Shape, str]] = {}
_counter = count()


class TensorType:
    """A shape and a dtype. Immutable and hashable; prints as ``float32[2, 3]``.

    Attributes:
        shape: a tuple of ints and symbolic dimensions.
        dtype: the element type.
        number: equal for equal types and for no others; what caches use as their key.
    """

    __slots__ = ("dtype", "number", "shape")

    def __init__(self, shape: Shape, dtype: DType) -> None:
        self.shape = shape
        self.dtype = dtype
        place = (shape, dtype.name)
        number = _numbers.get(place)
        if number is None:
            number = _numbers.setdefault(place, next(_counter))
            _places[number] = place
        self.number: int = number

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

    def __call__(self, *_: object) -> NoReturn:
        """Refuses PyTorch's ``x.type(dtype)``."""
        raise ArgumentError(f"x.type is the type {self} of x, no method; x.to(dtype) converts x.")

    def with_shape(self, shape: Shape) -> TensorType:
        """The same dtype with another shape."""
        return TensorType(tuple(shape), self.dtype)

    def with_dtype(self, dtype: DType) -> TensorType:
        """The same shape with another dtype."""
        return TensorType(self.shape, dtype)

    def __hash__(self) -> int:
        return self.number

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, TensorType) and self.number == other.number)

    def __reduce__(self) -> Any:
        return TensorType, (self.shape, self.dtype)

    def __repr__(self) -> str:
        return f"{self.dtype.name}[{', '.join(map(dim_str, self.shape))}]"


def type_of_array(array: np.ndarray[Any, Any]) -> TensorType:
    """The type of a NumPy array.

    Raises:
        DTypeError: slope has no such dtype.
    """
    return TensorType(array.shape, as_dtype(array.dtype))


def type_of_number(number: int) -> TensorType:
    """The type that has a number."""
    shape, name = _places[number]
    return TensorType(shape, as_dtype(name))
