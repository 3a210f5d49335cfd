"""Tensors brought to more dimensions or to one shape, and combined with each other."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from slope import dtypes, ops
from slope.core.tensor import Tensor
from slope.errors import ArgumentError, DTypeError, ShapeError
from slope.functions._arguments import flag_of, shape_of, whole_of
from slope.functions._at_once import at_once
from slope.functions._base import (
    TensorLike,
    as_tensor,
    broadcast_shapes,
    expand_to,
    of_host,
    result_dtype,
    splat_like,
    to_dtype,
)
from slope.functions.arithmetic import floor_divide, remainder
from slope.functions.arrangement import diag_embed, meshgrid
from slope.functions.creation import zeros
from slope.functions.indexing import getitem
from slope.functions.joining import cat, stack
from slope.functions.shapes import reshape

__all__ = [
    "atleast_1d",
    "atleast_2d",
    "atleast_3d",
    "block_diag",
    "broadcast_tensors",
    "cartesian_prod",
    "combinations",
    "diagflat",
    "unravel_index",
]

# --- more dimensions


def atleast_1d(*tensors: Any) -> Any:
    """With at least one dimension; of several tensors, or a list of them, a tuple."""
    return _each("atleast_1d", tensors, lambda x: x if x.ndim else reshape(x, (1,)))


def atleast_2d(*tensors: Any) -> Any:
    """With at least two dimensions, vectors as rows; of several tensors, or a list, a tuple."""
    return _each(
        "atleast_2d", tensors, lambda x: x if x.ndim > 1 else reshape(x, (1, *(x.shape or (1,))))
    )


def atleast_3d(*tensors: Any) -> Any:
    """With at least three dimensions; of several tensors, or a list of them, a tuple.

    A vector of n becomes (1, n, 1), an (m, n) matrix (m, n, 1).
    """

    def deep(x: Tensor) -> Tensor:
        if x.ndim > 2:
            return x
        return reshape(x, (*x.shape, 1) if x.ndim == 2 else (1, *(x.shape or (1,)), 1))

    return _each("atleast_3d", tensors, deep)


def _each(function: str, tensors: tuple[Any, ...], change: Any) -> Any:
    if len(tensors) == 1 and not isinstance(tensors[0], (list, tuple)):
        return change(as_tensor(tensors[0], function, "x"))
    return tuple(map(change, _given(function, tensors)))


def _given(function: str, tensors: tuple[Any, ...]) -> list[Tensor]:
    if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)):
        tensors = tuple(tensors[0])
    return [as_tensor(each, function, f"tensors[{n}]") for n, each in enumerate(tensors)]


def broadcast_tensors(*tensors: Any) -> tuple[Tensor, ...]:
    """All tensors expanded to the shape that they broadcast to; each keeps its dtype.

    Raises:
        ShapeError: the shapes do not go together.
    """
    given = _given("broadcast_tensors", tensors)
    shape: tuple[Any, ...] = ()
    for each in given:
        shape = broadcast_shapes("broadcast_tensors", shape, each.shape)
    return tuple(expand_to(each, shape) for each in given)


# --- matrices


@at_once
def block_diag(*tensors: Any) -> Tensor:
    """A matrix of matrices along the diagonal, and zeros elsewhere, promoted to one dtype.

    Vectors are rows, tensors of shape () matrices of one element. Without tensors, shape (1, 0).

    Raises:
        ShapeError: a tensor has more than two dimensions.
    """
    given = _given("block_diag", tensors)
    for each in given:
        if each.ndim > 2:
            raise ShapeError(f"block_diag: takes matrices, and got {each.type}.")
    if not given:
        return zeros(1, 0)
    dtype = result_dtype("block_diag", given)
    blocks: list[Tensor] = [to_dtype(atleast_2d(each), dtype) for each in given]
    width, before, rows = sum(block.shape[1] for block in blocks), 0, []
    for block in blocks:
        behind = width - before - block.shape[1]
        rows.append(_padded(block, before, behind))
        before = before + block.shape[1]
    return cat(rows, 0)


def _padded(x: Tensor, before: Any, behind: Any) -> Tensor:
    zero = splat_like(0, x).value
    return ops.pad(x, low=(0, before), high=(0, behind), interior=(0, 0), value=zero)


@at_once
def diagflat(x: TensorLike, offset: int = 0) -> Tensor:
    """A square matrix with all elements of ``x``, in row-major order, as a diagonal."""
    given = as_tensor(x, "diagflat", "x")
    return diag_embed(reshape(given, (-1,) if given.ndim else (1,)), offset)


# --- combinations


@at_once
def cartesian_prod(*tensors: Any) -> Tensor:
    """All choices of one element from each vector, the last one's running fastest.

    Returns:
        Shape (how many, number of vectors); of one vector, the vector.

    Raises:
        ShapeError: no tensors, or one that is no vector.
    """
    given = _given("cartesian_prod", tensors)
    for each in given:
        if each.ndim != 1:
            raise ShapeError(f"cartesian_prod: takes vectors, and got {each.type}.")
    if not given:
        raise ShapeError("cartesian_prod: takes at least one vector, and got none.")
    if len(given) == 1:
        return given[0]
    return stack([reshape(grid, (math.prod(grid.shape),)) for grid in meshgrid(*given)], 1)


_MOST = 2**28  # elements of a table of combinations


@at_once
def combinations(x: TensorLike, r: int = 2, with_replacement: bool = False) -> Tensor:
    """All choices of ``r`` elements of a vector in their order, one a row.

    Args:
        x: a vector.
        r: how many; of 0 there is nothing, of shape (0,), as in PyTorch.
        with_replacement: an element may be taken more than once.

    Raises:
        ShapeError: ``x`` is no vector, or there are too many choices.
    """
    given, r = as_tensor(x, "combinations", "x"), whole_of(r, "combinations", "r", 0)
    again = flag_of(with_replacement, "combinations", "with_replacement")
    if given.ndim != 1:
        raise ShapeError(f"combinations: takes a vector, and got {given.type}.")
    if not r:
        return getitem(given, slice(0, 0))
    length = given.shape[0]
    count = math.comb(length + r - 1, r) if again and length else math.comb(length, r)
    if count * r >= _MOST:
        raise ShapeError(f"combinations: {given.type} has {count} choices of {r}: too many.")
    choose = itertools.combinations_with_replacement if again else itertools.combinations
    places = np.array(list(choose(range(length), r)), np.int64).reshape(count, r)
    return getitem(given, of_host(places))


# --- places


@at_once
def unravel_index(indices: TensorLike, shape: int | Sequence[int]) -> tuple[Tensor, ...]:
    """The coordinates in a tensor of ``shape`` of places in row-major order.

    Places are taken modulo the number of elements.

    Args:
        indices: integers of any shape.
        shape: the lengths.

    Returns:
        For each dimension an int64 tensor of the shape of ``indices``.

    Raises:
        DTypeError: ``indices`` are no integers.
        ShapeError: a length is negative.
    """
    places = as_tensor(indices, "unravel_index", "indices")
    if not places.dtype.is_integer:
        raise DTypeError(f"unravel_index: indices must be integers, and are {places.type}.")
    if isinstance(shape, bool) or shape is None:
        raise ArgumentError(f"unravel_index: shape={shape!r} must be an int or several.")
    places, found = to_dtype(places, dtypes.int64), []
    for length in reversed(shape_of((shape,), "unravel_index")):
        found.append(remainder(places, length))
        places = floor_divide(places, length)
    return tuple(reversed(found))
