"""Joining tensors along dimensions, and cutting them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np

from slope import dtypes, ops
from slope.core.tensor import Splat, Tensor
from slope.core.types import TensorType
from slope.dims import is_static, same
from slope.errors import ArgumentError, ShapeError
from slope.functions._arguments import dim_of, sizes_of, whole_of
from slope.functions._at_once import at_once
from slope.functions._base import TensorLike, as_tensor, materialize, operand, result_dtype
from slope.functions.arithmetic import sub
from slope.functions.logic import ne
from slope.functions.shapes import reshape

__all__ = [
    "cat",
    "chunk",
    "column_stack",
    "concatenate",
    "diff",
    "dstack",
    "hstack",
    "narrow",
    "split",
    "stack",
    "unbind",
    "vstack",
]

Taken = TypeVar("Taken")

# --- joining


@at_once
def concatenate(*tensors: Any, dim: int = 0) -> Tensor:
    """Tensors one after the other along a dimension: ``concatenate([x, y], dim=1)``.

    Raises:
        ShapeError: no tensors, or other lengths that differ.
    """
    items: Sequence[Any] = tensors
    if len(tensors) == 2 and isinstance(tensors[1], int) and isinstance(tensors[0], (list, tuple)):
        items, dim = tensors[0], tensors[1]
    elif len(tensors) == 1 and isinstance(tensors[0], (list, tuple)):
        items = tensors[0]
    return cat(items, dim)


@at_once
def cat(tensors: Sequence[TensorLike], dim: int = 0) -> Tensor:
    """Tensors one after the other along a dimension, promoted to one dtype.

    Tensors of shape (0,) go with those of every shape, as in PyTorch, and add nothing.

    Raises:
        ShapeError: no tensors, or other lengths that differ.
    """
    given = _promoted("cat", tensors)
    given = [x for x in given if not same(x.shape, (0,))] or given
    first = given[0]
    at = dim_of(dim, first.ndim, "cat", shape=first.shape)
    for x in given:
        if x.ndim != first.ndim or not same(_without(x.shape, at), _without(first.shape, at)):
            raise ShapeError(
                f"cat: along dim={dim}, {x.type} does not go with {first.type}; all other lengths "
                "must be equal."
            )
    return given[0] if len(given) == 1 else ops.cat(*given, dim=at)


def _without(shape: tuple[Any, ...], at: int) -> tuple[Any, ...]:
    return shape[:at] + shape[at + 1 :]


def _taken(
    function: str, tensors: Sequence[TensorLike], take: Callable[[object, str, str], Taken]
) -> list[Taken]:
    """Each of a list of tensors, taken in.

    Raises:
        ArgumentError: it is no list or tuple.
        ShapeError: it is empty.
    """
    if isinstance(tensors, Tensor) or not isinstance(tensors, (list, tuple)):
        raise ArgumentError(
            f"{function}: takes a list or tuple of tensors, and got {type(tensors).__name__}."
        )
    if not tensors:
        raise ShapeError(f"{function}: takes at least one tensor, and got none.")
    return [take(x, function, f"tensors[{number}]") for number, x in enumerate(tensors)]


def _promoted(function: str, tensors: Sequence[TensorLike]) -> list[Tensor]:
    given = _taken(function, tensors, operand)
    dtype = result_dtype(function, given)
    return [materialize(x, dtype, x.shape if isinstance(x, Tensor) else ()) for x in given]


@at_once
def stack(tensors: Sequence[TensorLike], dim: int = 0) -> Tensor:
    """Tensors of one shape side by side along a new dimension.

    Raises:
        ShapeError: no tensors, or of different shapes.
    """
    given = _promoted("stack", tensors)
    first = given[0]
    at = dim_of(dim, first.ndim + 1, "stack")
    for x in given:
        if not same(x.shape, first.shape):
            raise ShapeError(
                f"stack: {x.type} does not go with {first.type}; all shapes must be equal."
            )
    rows = [ops.reshape(x, shape=(*x.shape[:at], 1, *x.shape[at:])) for x in given]
    return rows[0] if len(rows) == 1 else ops.cat(*rows, dim=at)


# --- beside and above each other


def _joined(function: str, tensors: list[Tensor], dim: int) -> Tensor:
    try:
        return cat(tensors, dim)
    except ShapeError as error:
        raise ShapeError(f"{function}: {error}") from None


def _deep(x: Tensor, ndim: int) -> Tensor:
    """With at least so many dimensions: a vector is a row, a matrix stands in front."""
    if x.ndim >= ndim:
        return x
    if ndim == 3:
        matrix = _deep(x, 2)
        return reshape(matrix, (*matrix.shape, 1))
    return reshape(x, (1,) * (ndim - x.ndim) + x.shape)


@at_once
def hstack(tensors: Sequence[TensorLike]) -> Tensor:
    """Tensors beside each other: along the second dimension, vectors along their only one.

    Raises:
        ShapeError: no tensors, or other lengths that differ.
    """
    given = [_deep(x, 1) for x in _taken("hstack", tensors, as_tensor)]
    return _joined("hstack", given, 0 if given[0].ndim == 1 else 1)


@at_once
def vstack(tensors: Sequence[TensorLike]) -> Tensor:
    """Tensors above each other: along the first dimension, vectors as rows.

    Raises:
        ShapeError: no tensors, or other lengths that differ.
    """
    return _joined("vstack", [_deep(x, 2) for x in _taken("vstack", tensors, as_tensor)], 0)


@at_once
def dstack(tensors: Sequence[TensorLike]) -> Tensor:
    """Tensors behind each other: along the third dimension, vectors as rows, matrices in front.

    Raises:
        ShapeError: no tensors, or other lengths that differ.
    """
    return _joined("dstack", [_deep(x, 3) for x in _taken("dstack", tensors, as_tensor)], 2)


@at_once
def column_stack(tensors: Sequence[TensorLike]) -> Tensor:
    """Tensors beside each other, vectors as columns.

    Raises:
        ShapeError: no tensors, or other lengths that differ.
    """
    given = _taken("column_stack", tensors, as_tensor)
    return _joined("column_stack", [x if x.ndim > 1 else reshape(x, (-1, 1)) for x in given], 1)


# --- cutting


def cut(x: Tensor, at: int, start: Any, stop: Any, step: int = 1) -> Tensor:
    """``x[start:stop:step]`` along one dimension."""
    if step == 1 and same((start, stop), (0, x.shape[at])):
        return x
    return ops.slice_(
        x,
        start=tuple(start if dim == at else 0 for dim in range(x.ndim)),
        stop=tuple(stop if dim == at else length for dim, length in enumerate(x.shape)),
        step=tuple(step if dim == at else 1 for dim in range(x.ndim)),
    )


@at_once
def split(
    x: TensorLike, split_size_or_sections: int | Sequence[int], dim: int = 0
) -> tuple[Tensor, ...]:
    """Pieces along a dimension: of one length (the last may be shorter), or of the given lengths.

    Raises:
        ShapeError: lengths that do not add up.
    """
    given = as_tensor(x, "split", "x")
    at = dim_of(dim, given.ndim, "split", shape=given.shape)
    length = given.shape[at]
    if isinstance(split_size_or_sections, (int, np.integer)):
        _require_length("split", given, at)
        size = int(split_size_or_sections)
        if size < 1:
            raise ShapeError(
                f"split: pieces of length {size} are not possible; give a positive int."
            )
        starts = list(range(0, length, size)) or [0]
        sections = [min(size, length - start) for start in starts]
    else:
        sections = list(sizes_of((split_size_or_sections,), "split", "split_size_or_sections"))
        if sum(sections) != length:
            raise ShapeError(
                f"split: sections {tuple(sections)} do not add up to dimension {dim} of "
                f"{given.type}."
            )
    pieces: list[Tensor] = []
    start: Any = 0
    for section in sections:
        pieces.append(cut(given, at, start, start + section))
        start = start + section
    return tuple(pieces)


@at_once
def chunk(x: TensorLike, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """At most ``chunks`` pieces along a dimension, all of one length but the last.

    Raises:
        ArgumentError: ``chunks`` is not positive.
    """
    given = as_tensor(x, "chunk", "x")
    at = dim_of(dim, given.ndim, "chunk", shape=given.shape)
    chunks = whole_of(chunks, "chunk", "chunks", 1)
    _require_length("chunk", given, at)
    return split(given, max(1, math.ceil(given.shape[at] / chunks)), at)


def _require_length(function: str, x: Tensor, at: int) -> None:
    """Refuse to make pieces, nobody knows how many."""
    if not is_static((x.shape[at],)):
        raise ShapeError(
            f"{function}: dimension {at} of {x.type} has no known length, so neither has the "
            f"tuple; slope.tensor_split makes a known number of pieces."
        )


def unbind(x: TensorLike, dim: int = 0) -> tuple[Tensor, ...]:
    """The slices along a dimension, without it."""
    given = as_tensor(x, "unbind", "x")
    at = dim_of(dim, given.ndim, "unbind", shape=given.shape)
    rest = _without(given.shape, at)
    _require_length("unbind", given, at)
    return tuple(
        ops.reshape(cut(given, at, place, place + 1), shape=rest)
        for place in range(given.shape[at])
    )


@at_once
def narrow(x: TensorLike, dim: int, start: TensorLike, length: int) -> Tensor:
    """``length`` elements along a dimension from ``start`` on, an int or an integer tensor.

    A tensor, whose value nobody need know, counts from the front and is clamped so that the window
    fits: a negative one is 0.

    Raises:
        ShapeError: the window leaves the dimension.
    """
    given = as_tensor(x, "narrow", "x")
    at = dim_of(dim, given.ndim, "narrow", shape=given.shape)
    first = operand(start, "narrow", "start")
    (length,) = sizes_of((length,), "narrow", "length")
    if isinstance(first, Tensor):
        return _window(given, at, first, length)
    begin = first + given.shape[at] if first < 0 else first
    if not (begin >= 0 and length >= 0 and begin + length <= given.shape[at]):
        raise ShapeError(
            f"narrow: {length} elements from {start} on leave dimension {dim} of {given.type}."
        )
    return cut(given, at, begin, begin + length)


def _window(x: Tensor, at: int, start: Tensor, length: int) -> Tensor:
    zero = Splat(0, TensorType((), dtypes.int64))
    starts = [start if dim == at else zero for dim in range(x.ndim)]
    sizes = tuple(length if dim == at else total for dim, total in enumerate(x.shape))
    return ops.dynamic_slice(x, *starts, sizes=sizes)


# --- both


@at_once
def diff(
    x: TensorLike,
    n: int = 1,
    dim: int = -1,
    prepend: TensorLike | None = None,
    append: TensorLike | None = None,
) -> Tensor:
    """Each element less the one before, ``n`` times; of bools, whether they differ.

    Args:
        x: a tensor with dimensions.
        n: how often; each time the dimension loses an element, as long as it has one.
        dim: the dimension.
        prepend: joined in front of ``x`` along ``dim`` first.
        append: joined behind ``x``.

    Raises:
        ShapeError: no dimensions, or those of ``prepend`` and ``append`` do not fit.
    """
    given, times = as_tensor(x, "diff", "x"), whole_of(n, "diff", "n", 0)
    if not given.ndim:
        raise ShapeError(f"diff: takes a tensor with dimensions, and got {given.type}.")
    at = dim_of(dim, given.ndim, "diff", shape=given.shape)
    if not times:
        return given
    parts: list[Any] = [("prepend", prepend), ("x", given), ("append", append)]
    joined = [as_tensor(part, "diff", name) for name, part in parts if part is not None]
    out = _joined("diff", joined, at)
    for _ in range(times):
        length = out.shape[at]
        if is_static((length,)) and length == 0:
            break
        later, earlier = cut(out, at, min(1, length), length), cut(out, at, 0, max(length - 1, 0))
        out = ne(later, earlier) if out.dtype is dtypes.bool_ else sub(later, earlier)
    return out
