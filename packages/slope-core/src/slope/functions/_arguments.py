"""Arguments that are no tensors: numbers, flags, dimensions and shapes, checked."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from slope import dtypes
from slope.core.tensor import Tensor
from slope.core.types import Shape
from slope.dims import DimExpr, dim_str
from slope.errors import ArgumentError, ShapeError, SlopeError

Scalar = bool | int | float

# --- numbers and flags


def scalar_of(value: object) -> Scalar | None:
    """The Python number that a value is, if it is one (or a NumPy scalar)."""
    kind = type(value)
    if kind is float or kind is int or kind is bool:
        return value  # pyright: ignore[reportReturnType]  # its type says so
    if isinstance(value, np.generic):
        if value.dtype.kind in "biuf":
            return value.item()
        return float(value) if value.dtype == dtypes.bfloat16.numpy else None
    if isinstance(value, (bool, int, float)):
        return value
    return None


def scalar_kind(value: Scalar) -> str:
    """``"b"``, ``"i"`` or ``"f"``."""
    return "b" if isinstance(value, bool) else "i" if isinstance(value, int) else "f"


def number_of(value: object, function: str, argument: str) -> float:
    """A Python float of what must be one number, known when the function is called.

    Raises:
        ArgumentError: it is no number.
    """
    number = scalar_of(value)
    if number is None:
        raise ArgumentError(
            f"{function}: {argument} must be a number, not {article(value)} ({value!r:.60})."
        )
    return float(number)


def whole_of(value: object, function: str, argument: str, least: int | None = None) -> int:
    """A Python int of what must be one whole number, known when the function is called.

    Raises:
        ArgumentError: it is no int, or less than ``least``.
    """
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise ArgumentError(
            f"{function}: {argument} must be an int, not {article(value)} ({value!r:.60})."
        )
    if least is not None and value < least:
        raise ArgumentError(f"{function}: {argument}={value} must be at least {least}.")
    return int(value)


def wholes_of(value: object, function: str, argument: str) -> list[int]:
    """Python ints of what must be one whole number, or a sequence of them.

    Raises:
        ArgumentError: it is neither.
    """
    if not isinstance(value, (tuple, list)):
        value = [value]
    return [whole_of(each, function, argument) for each in value]


def flag_of(value: object, function: str, argument: str) -> bool:
    """A Python bool of what must be one, known when the function is called.

    Raises:
        ArgumentError: it is neither True nor False (nor 0 or 1).
    """
    if not isinstance(value, (bool, int, np.bool_)) or value not in (0, 1):
        raise ArgumentError(
            f"{function}: {argument} must be True or False, not {article(value)} ({value!r:.60})."
        )
    return bool(value)


def article(value: object) -> str:
    name = type(value).__name__
    return f"an {name}" if name[0] in "aeiou" else f"a {name}"


# --- dimensions and shapes


def place_of(k: Any, least: int, x: Tensor, at: int, dim: int, function: str) -> int:
    """``k``, a number of elements of a dimension or the place of one, counted from 1.

    Args:
        k: what the user gave.
        least: the least that it may be.
        x: the operand.
        at: the dimension, counted from the front.
        dim: the same, as the user gave it.
        function: the name of the function, for messages.

    Raises:
        ArgumentError: it is no int.
        ShapeError: it is less than ``least``, or more than the dimension's length.
    """
    number = whole_of(k, function, "k")
    if not least <= number <= x.shape[at]:
        raise ShapeError(
            f"{function}: k={number} is out of range for dimension {dim} of {x.type}; it may be "
            f"{least} to {x.shape[at]}."
        )
    return number


def dim_of(
    dim: Any, ndim: int, function: str, argument: str = "dim", *, shape: Shape | None = None
) -> int:
    """A dimension's number, counted from the front.

    Raises:
        ArgumentError: it is no int.
        ShapeError: there is no such dimension.
    """
    if type(dim) is not int:
        if isinstance(dim, bool) or not isinstance(dim, (int, np.integer)):
            raise ArgumentError(f"{function}: {argument}={dim!r} must be an int.")
        dim = int(dim)
    if not -ndim <= dim < ndim:
        of = f"shape {shown(shape)}" if shape is not None else f"{ndim} dimensions"
        span = f"{-ndim} to {ndim - 1}" if ndim else "none: it has no dimensions"
        raise ShapeError(
            f"{function}: {argument}={dim} is out of range for a tensor of {of} ({span})."
        )
    return dim + ndim if dim < 0 else dim


def dims_of(dim: Any, x: Tensor, function: str, argument: str = "dim") -> tuple[int, ...]:
    """Dimensions given by ``None`` (all), an int or a sequence: ascending, from the front.

    A tensor of shape () takes 0 and -1, as in PyTorch, though it has none that they could name.

    Raises:
        ShapeError: one is out of range or named twice.
    """
    ndim = x.ndim
    if dim is None:
        return tuple(range(ndim))
    if not ndim:
        numbers = dim if isinstance(dim, (tuple, list)) else (dim,)
        found = [dim_of(each, 1, function, argument, shape=()) for each in numbers]
    elif not isinstance(dim, (tuple, list)):
        return (dim_of(dim, ndim, function, argument, shape=x.shape),)
    else:
        found = sorted(dim_of(each, ndim, function, argument, shape=x.shape) for each in dim)
    if len(set(found)) != len(found):
        raise ShapeError(
            f"{function}: {argument}={tuple(dim)} names a dimension of a tensor of shape "
            f"{shown(x.shape)} twice."
        )
    return tuple(found) if ndim else ()


def sizes_of(sizes: Sequence[Any], function: str, argument: str = "shape") -> Shape:
    """A shape given as several ints or as one sequence of them; symbolic dimensions pass.

    Raises:
        ArgumentError: an entry is no whole number.
    """
    if len(sizes) == 1 and isinstance(sizes[0], (tuple, list)):
        sizes = sizes[0]
    return tuple(
        [length if type(length) is int else _length(length, function, argument) for length in sizes]
    )


def shape_of(sizes: Sequence[Any], function: str, argument: str = "shape") -> Shape:
    """A whole shape as :func:`sizes_of` takes it; no length may be negative.

    Raises:
        ArgumentError: an entry is no whole number.
        ShapeError: one is negative, or they are too large together.
    """
    shape = sizes_of(sizes, function, argument)
    _refuse_sizes(shape, function, argument)
    return shape


def _refuse_sizes(shape: Sequence[Any], function: str, argument: str) -> None:
    known = [length for length in shape if not isinstance(length, DimExpr)]
    if any(length < 0 for length in known) or math.prod(known) >= 2**48:
        raise ShapeError(
            f"{function}: {argument}={tuple(shape)} has a negative length, or 2**48 elements or "
            "more; a shape's lengths are at least 0."
        )


def _length(length: Any, function: str, argument: str) -> Any:
    if isinstance(length, DimExpr):
        return length
    if isinstance(length, bool) or not isinstance(length, (int, np.integer, Tensor)):
        raise ArgumentError(f"{function}: {argument} takes ints, and got {length!r}.")
    try:
        return length.__index__()
    except SlopeError as error:
        raise ArgumentError(f"{function}: {argument}: {error}") from None


def shown(shape: Shape) -> str:
    """A shape as text."""
    return f"({', '.join(map(dim_str, shape))}{',' if len(shape) == 1 else ''})"
