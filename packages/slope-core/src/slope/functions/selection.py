"""Membership, repetition element by element, places of triangles."""

from __future__ import annotations

from typing import Any

import numpy as np

from slope import dtypes, ops
from slope.core.tensor import Tensor, Tracer
from slope.dims import is_static
from slope.dtypes import DTypeLike, as_dtype, int64
from slope.errors import ArgumentError, ConcretizationError, DTypeError, ShapeError
from slope.functions._arguments import dim_of, flag_of, shape_of, whole_of
from slope.functions._at_once import at_once
from slope.functions._base import (
    TensorLike,
    along,
    as_tensor,
    expand_to,
    of_host,
    operand,
    result_dtype,
    splat_like,
    to_dtype,
)
from slope.functions._devices import placed
from slope.functions.creation import arange
from slope.functions.extremes import clamp_max
from slope.functions.indexing import index_select
from slope.functions.logic import eq
from slope.functions.ordering import searchsorted, sort
from slope.functions.reductions import any as any_of
from slope.functions.reductions import cumsum
from slope.functions.scattering import take
from slope.functions.shapes import movedim, reshape, unsqueeze

__all__ = [
    "isin",
    "repeat_interleave",
    "tril_indices",
    "triu_indices",
]

_FEW = 32  # so many are compared one by one; more are sorted and searched


@at_once
def isin(
    elements: TensorLike,
    test_elements: TensorLike,
    *,
    assume_unique: bool = False,
    invert: bool = False,
) -> Tensor:
    """Whether each of ``elements`` is among ``test_elements``; with ``invert``, whether it is not.

    NaN is in nothing. ``assume_unique`` changes nothing.
    """
    flag_of(assume_unique, "isin", "assume_unique")
    given = [
        operand(elements, "isin", "elements"),
        operand(test_elements, "isin", "test_elements"),
    ]
    dtype = result_dtype("isin", given)
    x, among = (to_dtype(as_tensor(each, "isin", "elements"), dtype) for each in given)
    among = ops.reshape(among, shape=(among.type.size,))
    if not is_static(among.shape) or among.shape[0] <= _FEW or dtype is dtypes.bool_:
        found = any_of(eq(unsqueeze(x, -1), among), -1)
    else:
        ranked = sort(among).values
        place = clamp_max(searchsorted(ranked, x), among.shape[0] - 1)
        found = eq(take(ranked, place), x)
    return ops.bitwise_not(found) if flag_of(invert, "isin", "invert") else found


@at_once
def windows_along(x: TensorLike, dimension: int, size: int, step: int) -> Tensor:
    """All windows of ``size`` elements along a dimension, one every ``step``; in a new last one.

    What ``Tensor.unfold`` is, as in PyTorch; :func:`slope.unfold` is for images.

    Raises:
        ShapeError: the dimension is shorter than a window.
        ArgumentError: ``size`` is negative, or ``step`` not positive.
    """
    given, at, scalar = along(as_tensor(x, "unfold", "x"), dimension, "unfold", "dimension")
    size, step = whole_of(size, "unfold", "size", 0), whole_of(step, "unfold", "step", 1)
    length = given.shape[at]
    if size > length:
        raise ShapeError(
            f"unfold: a window of {size} does not fit into dimension {dimension} of {given.type}."
        )
    if is_static((length,)):
        starts = np.arange(0, length - size + 1, step)
        places = of_host(starts[:, None] + np.arange(size))
    else:
        shape = ((length - size) // step + 1, size)
        starts, inside = (ops.iota(shape=shape, dim=dim, dtype=int64) for dim in (0, 1))
        places = ops.add(ops.mul(starts, splat_like(step, starts)), inside)
    windows = movedim(given[(slice(None),) * at + (places,)], at + 1, -1)
    return windows[0] if scalar else windows


def repeat_interleave(
    x: TensorLike,
    repeats: int | TensorLike,
    dim: int | None = None,
    *,
    output_size: int | None = None,
) -> Tensor:
    """Each slice along ``dim`` so many times one after the other.

    Args:
        x: a tensor.
        repeats: an int; or integers, one for each slice (or one for all).
        dim: the dimension; without it, ``x`` is flattened.
        output_size: the sum of ``repeats``; needed where they are traced.

    Raises:
        ConcretizationError: traced ``repeats`` without ``output_size``.
        ArgumentError, DTypeError, ShapeError: arguments that do not fit.
    """
    given = as_tensor(x, "repeat_interleave", "x")
    if dim is None:
        given, dim = reshape(given, (given.type.size,)), 0
    if not isinstance(repeats, (Tensor, np.ndarray)):
        return _each_repeated(given, whole_of(repeats, "repeat_interleave", "repeats", 0), dim)
    at = dim_of(dim, given.ndim, "repeat_interleave", shape=given.shape)
    length = given.shape[at]
    counts = as_tensor(repeats, "repeat_interleave", "repeats")
    if not counts.dtype.is_integer:
        raise DTypeError(
            f"repeat_interleave: repeats must be of an integer dtype, not {counts.type}."
        )
    if counts.shape not in ((), (1,), (length,)):
        raise ShapeError(
            f"repeat_interleave: repeats must hold one count, or one for each of {length} slices "
            f"along dimension {dim} of {given.type}, but is {counts.type}."
        )
    ends = cumsum(expand_to(to_dtype(counts, dtypes.int64), (length,)), 0)
    size = _repeated_size(counts, length, output_size)
    return index_select(given, at, searchsorted(ends, arange(size), right=True))


def _repeated_size(counts: Tensor, length: Any, output_size: int | None) -> int:
    """How many slices there will be; known counts are checked."""
    wanted = (
        None
        if output_size is None
        else whole_of(output_size, "repeat_interleave", "output_size", 0)
    )
    if isinstance(counts, Tracer):
        if wanted is None:
            raise ConcretizationError(
                f"repeat_interleave: the shape of the result depends on the values of repeats, a "
                f"traced tensor {counts.type}; give output_size, their sum."
            )
        return wanted
    array = np.broadcast_to(counts.numpy(), (length,))
    if array.size and int(array.min()) < 0:
        raise ArgumentError(
            f"repeat_interleave: repeats={int(array.min())} must be at least 0, as all counts."
        )
    size = int(array.sum())
    if wanted not in (None, size):
        raise ArgumentError(
            f"repeat_interleave: output_size={wanted} is not the sum of repeats, which is {size}."
        )
    return size


@at_once
def _each_repeated(x: Tensor, repeats: int, dim: int) -> Tensor:
    at = dim_of(dim, x.ndim, "repeat_interleave", shape=x.shape)
    before, length, after = x.shape[:at], x.shape[at], x.shape[at + 1 :]
    wide = expand_to(unsqueeze(x, at + 1), (*before, length, repeats, *after))
    return reshape(wide, (*before, length * repeats, *after))


# --- places of triangles


def tril_indices(
    row: int, col: int, offset: int = 0, *, dtype: DTypeLike = dtypes.int64, device: Any = None
) -> Tensor:
    """Places of the lower triangle of a ``row`` by ``col`` matrix: rows, then columns, ``[2, n]``.

    They are in row-major order, up to the ``offset``-th diagonal.
    """
    return _triangle("tril_indices", np.tril_indices, row, col, offset, dtype, device)


def triu_indices(
    row: int, col: int, offset: int = 0, *, dtype: DTypeLike = dtypes.int64, device: Any = None
) -> Tensor:
    """Places of the upper triangle of a ``row`` by ``col`` matrix: rows, then columns, ``[2, n]``.

    They are in row-major order, from the ``offset``-th diagonal on.
    """
    return _triangle("triu_indices", np.triu_indices, row, col, offset, dtype, device)


def _triangle(
    function: str, places: Any, row: int, col: int, offset: int, dtype: DTypeLike, device: Any
) -> Tensor:
    rows, columns = whole_of(row, function, "row", 0), whole_of(col, function, "col", 0)
    shape_of((rows, columns), function, "row, col")
    found = np.stack(places(rows, whole_of(offset, function, "offset"), columns))
    return placed(to_dtype(of_host(found.astype(np.int64)), as_dtype(dtype)), device)
