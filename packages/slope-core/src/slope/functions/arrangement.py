"""Elements in another order, diagonals, triangles, grids."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from slope import dtypes, ops
from slope.core.tensor import Splat, Tensor
from slope.dims import DimExpr, dim_max, dim_min, is_static
from slope.errors import ArgumentError, ShapeError
from slope.functions._arguments import dim_of, dims_of, shown, sizes_of, whole_of
from slope.functions._at_once import at_once
from slope.functions._base import TensorLike, as_tensor, expand_to, filled_like, splat_like
from slope.functions.joining import cut
from slope.functions.shapes import expand, movedim, reshape, transpose

__all__ = [
    "channel_shuffle",
    "diag",
    "diag_embed",
    "diagonal",
    "flip",
    "fliplr",
    "flipud",
    "meshgrid",
    "roll",
    "rot90",
    "swapaxes",
    "tril",
    "triu",
]

# --- order


@at_once
def flip(x: TensorLike, *order: Any, dims: Sequence[int] | int | None = None) -> Tensor:
    """The elements along these dimensions in reverse order."""
    given = as_tensor(x, "flip", "x")
    named = (dims,) if isinstance(dims, int) else order if dims is None else (dims,)
    found = dims_of(sizes_of(named, "flip", "dims"), given, "flip", "dims")
    return ops.flip(given, dims=found) if found else given


@at_once
def roll(
    x: TensorLike, shifts: int | Sequence[int], dims: int | Sequence[int] | None = None
) -> Tensor:
    """Elements moved up by ``shifts`` along ``dims``, the last ones coming in at the front.

    Without ``dims``, the elements in row-major order are moved.
    """
    given = as_tensor(x, "roll", "x")
    if dims is None:
        return reshape(roll(reshape(given, -1), shifts, 0), given.shape)
    steps, places = sizes_of((shifts,), "roll", "shifts"), sizes_of((dims,), "roll", "dims")
    if len(steps) != len(places):
        raise ArgumentError(f"roll: shifts={shifts} and dims={dims} must be as many.")
    for step, dim in zip(steps, places, strict=True):
        at = dim_of(dim, given.ndim, "roll", "dims", shape=given.shape)
        length = given.shape[at]
        edge = 0 if not isinstance(length, DimExpr) and length == 0 else (-step) % length
        if isinstance(edge, DimExpr) or edge:
            given = ops.cat(cut(given, at, edge, length), cut(given, at, 0, edge), dim=at)
    return given


@at_once
def flipud(x: TensorLike) -> Tensor:
    """The elements along the first dimension in reverse order."""
    return flip(x, (0,))


@at_once
def fliplr(x: TensorLike) -> Tensor:
    """The elements along the second dimension in reverse order."""
    return flip(x, (1,))


@at_once
def rot90(x: TensorLike, k: int = 1, dims: Sequence[int] = (0, 1)) -> Tensor:
    """Turned by ``k`` times 90 degrees, from the first of two dimensions toward the second.

    Raises:
        ShapeError: ``dims`` are not two different dimensions.
    """
    given = as_tensor(x, "rot90", "x")
    dims = sizes_of((dims,), "rot90", "dims")
    if len(dims) != 2:
        raise ArgumentError(f"rot90: dims={dims} must be two dimensions.")
    first, second = (dim_of(dim, given.ndim, "rot90", "dims", shape=given.shape) for dim in dims)
    if first == second:
        raise ShapeError(f"rot90: dims={tuple(dims)} are the same dimension of {given.type}.")
    turns = whole_of(k, "rot90", "k") % 4
    if turns == 2:
        return flip(given, (first, second))
    if turns == 1:
        return flip(transpose(given, first, second), (first,))
    return transpose(flip(given, (first,)), first, second) if turns else given


@at_once
def swapaxes(x: TensorLike, axis0: int, axis1: int) -> Tensor:
    """Two dimensions swapped; another name of :func:`slope.transpose`."""
    return transpose(x, axis0, axis1)


@at_once
def channel_shuffle(x: TensorLike, groups: int) -> Tensor:
    """The channels of ``(n, channels, ...)`` taken from each of ``groups`` groups in turn.

    Source: X. Zhang et al., "ShuffleNet: an extremely efficient convolutional neural network for
        mobile devices" (2018).

    Raises:
        ShapeError: fewer than 3 dimensions, or channels that are no multiple of ``groups``.
    """
    given = as_tensor(x, "channel_shuffle", "x")
    count = whole_of(groups, "channel_shuffle", "groups", 1)
    if given.ndim < 3 or given.shape[1] % count:
        raise ShapeError(
            f"channel_shuffle: groups={count} needs x of shape (n, channels, ...) with a multiple "
            f"of {count} channels, and x has the shape {shown(given.shape)}."
        )
    first, channels, *rest = given.shape
    split = ops.reshape(given, shape=(first, count, channels // count, *rest))
    return ops.reshape(transpose(split, 1, 2), shape=given.shape)


# --- diagonals and triangles


@at_once
def diagonal(x: TensorLike, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """The elements ``x[.., i, .., i + offset, ..]`` of two dimensions, as a new last one."""
    given = as_tensor(x, "diagonal", "x")
    first, second = (
        dim_of(dim, given.ndim, "diagonal", name, shape=given.shape)
        for dim, name in ((dim1, "dim1"), (dim2, "dim2"))
    )
    if first == second:
        raise ShapeError(
            f"diagonal: dim1={dim1} and dim2={dim2} are the same dimension of {given.type}."
        )
    given = movedim(given, (first, second), (-2, -1))
    offset = whole_of(offset, "diagonal", "offset")
    rows, columns = given.shape[-2:]
    flat = reshape(given, (*given.shape[:-2], rows * columns))
    if not is_static((rows, columns)):
        return _symbolic_diagonal(flat, rows, columns, offset)
    return cut(flat, flat.ndim - 1, *diagonal_run(rows, columns, offset))


def _symbolic_diagonal(flat: Tensor, rows: Any, columns: Any, offset: int) -> Tensor:
    """A diagonal of matrices in row-major order, of which a side has no known length."""
    if offset >= 0:
        start, length = offset, dim_min(rows, columns - offset)
    else:
        start, length = -offset * columns, dim_min(rows + offset, columns)
    numbers = ops.iota(shape=(dim_max(length, 0), 1), dim=0, dtype=dtypes.int64)
    places = ops.mul(numbers, filled_like(columns + 1, numbers))
    places = ops.add(places, filled_like(start, numbers))
    return ops.gather(flat, places, axis=flat.ndim - 1, batch_dims=0)


def diagonal_run(rows: int, columns: int, offset: int) -> tuple[int, int, int]:
    """Start, stop and step of a diagonal in a matrix's row-major order."""
    length = max(0, min(rows, columns - offset) if offset >= 0 else min(rows + offset, columns))
    start = (offset if offset >= 0 else -offset * columns) if length else 0
    stop = start + (length - 1) * (columns + 1) + 1 if length else 0
    return start, stop, columns + 1


@at_once
def tril(x: TensorLike, diagonal: int = 0) -> Tensor:
    """The lower triangle of the last two dimensions up to a diagonal, and zeros above."""
    return _triangle("tril", x, diagonal, lower=True)


@at_once
def triu(x: TensorLike, diagonal: int = 0) -> Tensor:
    """The upper triangle of the last two dimensions from a diagonal on, and zeros below."""
    return _triangle("triu", x, diagonal, lower=False)


def _triangle(function: str, x: TensorLike, diagonal: int, *, lower: bool) -> Tensor:
    given = as_tensor(x, function, "x")
    if given.ndim < 2:
        raise ShapeError(
            f"{function}: takes a tensor of at least 2 dimensions, and got {given.type}."
        )
    diagonal = whole_of(diagonal, function, "diagonal")
    shape = given.shape[-2:]
    rows, columns = (ops.iota(shape=shape, dim=dim, dtype=dtypes.int64) for dim in (0, 1))
    limit = ops.add(rows, Splat(diagonal, rows.type)) if diagonal else rows
    kept = ops.ge(limit, columns) if lower else ops.le(limit, columns)
    return ops.where(expand_to(kept, given.shape), given, splat_like(0, given))


@at_once
def diag_embed(x: TensorLike, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """The last dimension as the ``offset``-th diagonal of square matrices, 0 elsewhere.

    The matrices lie in dimensions ``dim1`` and ``dim2`` of the result.

    Raises:
        ShapeError: there is no dimension, or ``dim1`` and ``dim2`` are the same.
    """
    given, offset = as_tensor(x, "diag_embed", "x"), whole_of(offset, "diag_embed", "offset")
    if not given.ndim:
        raise ShapeError(f"diag_embed: takes a tensor with dimensions, and got {given.type}.")
    first, second = (
        dim_of(dim, given.ndim + 1, "diag_embed", name)
        for dim, name in ((dim1, "dim1"), (dim2, "dim2"))
    )
    if first == second:
        raise ShapeError(f"diag_embed: dim1={dim1} and dim2={dim2} are the same dimension.")
    length, lead = given.shape[-1], given.shape[:-1]
    size = length + abs(offset)
    if not is_static((length,)):
        return movedim(_symbolic_square(given, size, offset), (-2, -1), (first, second))
    # In row-major order a diagonal's elements are size + 1 apart.
    start = offset if offset >= 0 else -offset * size
    used = (length - 1) * (size + 1) + 1 if length else 0
    none = (0,) * len(lead)
    flat = ops.pad(
        given,
        low=(*none, start if length else 0),
        high=(*none, size * size - used - (start if length else 0)),
        interior=(*none, size),
        value=False if given.dtype.kind == "b" else 0.0 if given.dtype.kind == "f" else 0,
    )
    square = ops.reshape(flat, shape=(*lead, size, size))
    return movedim(square, (-2, -1), (first, second))


def _symbolic_square(x: Tensor, size: Any, offset: int) -> Tensor:
    """Matrices of a size that is not known, with a diagonal of elements, 0 elsewhere."""
    places = [ops.iota(shape=(size, size), dim=dim, dtype=dtypes.int64) for dim in (0, 1)]
    there = ops.eq(ops.sub(places[1], places[0]), Splat(offset, places[0].type))
    none = (0,) * x.ndim
    zero = False if x.dtype.kind == "b" else 0.0 if x.dtype.kind == "f" else 0
    longer = ops.pad(x, low=none, high=(*none[1:], abs(offset)), interior=none, value=zero)
    shape = (*x.shape[:-1], size, size)
    along_rows = (*range(x.ndim - 1), x.ndim - 1 if offset >= 0 else x.ndim)
    values = ops.broadcast(longer, shape=shape, dims=along_rows)
    return ops.where(expand_to(there, shape), values, splat_like(0, values))


@at_once
def diag(x: TensorLike, diagonal: int = 0) -> Tensor:
    """A vector as a diagonal of a square matrix; a matrix's diagonal as a vector.

    Raises:
        ShapeError: neither a vector nor a matrix.
    """
    given, diagonal = as_tensor(x, "diag", "x"), whole_of(diagonal, "diag", "diagonal")
    if given.ndim not in (1, 2):
        raise ShapeError(
            f"diag: takes a vector or a matrix, and got {given.type}; slope.diagonal and "
            f"slope.diag_embed take more dimensions."
        )
    return diag_embed(given, diagonal) if given.ndim == 1 else _diagonal(given, diagonal)


_diagonal = diagonal


# --- grids


@at_once
def meshgrid(*tensors: Any, indexing: str = "ij") -> tuple[Tensor, ...]:
    """The coordinates of a grid: each vector repeated along the dimensions of the others.

    Args:
        *tensors: vectors, or tensors of shape (); one list of them does as well.
        indexing: ``"ij"``: the first vector runs along the first dimension; ``"xy"``: along the
            second, and the second along the first.

    Raises:
        ShapeError, ArgumentError: the arguments do not fit.
    """
    if indexing not in ("ij", "xy"):
        raise ArgumentError(f"meshgrid: indexing={indexing!r} must be 'ij' or 'xy'.")
    if len(tensors) == 1 and isinstance(tensors[0], (tuple, list)):
        tensors = tuple(tensors[0])
    given = [as_tensor(each, "meshgrid", f"tensors[{n}]") for n, each in enumerate(tensors)]
    for each in given:
        if each.ndim > 1:
            raise ShapeError(f"meshgrid: takes vectors, and got {each.type}.")
    rows = [each if each.ndim else ops.reshape(each, shape=(1,)) for each in given]
    order = list(range(len(rows)))
    if indexing == "xy" and len(rows) > 1:
        order[:2] = [1, 0]
    lengths = [rows[number].shape[0] for number in order]
    grids = []
    for number, row in enumerate(rows):
        place = order.index(number)
        narrow = [row.shape[0] if at == place else 1 for at in range(len(rows))]
        grids.append(expand(ops.reshape(row, shape=tuple(narrow)), tuple(lengths)))
    return tuple(grids)
