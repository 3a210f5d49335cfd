"""Diagonals, turns, grids, and padding with the tensor's own elements."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from slope import ops
from slope.core.tensor import Tensor
from slope.errors import ArgumentError, ShapeError
from slope.functions._at_once import at_once
from slope.functions._base import TensorLike, as_tensor, dim_of, int_of, shown, sizes_of
from slope.functions.shapes import cut, diagonal, expand, flip, movedim, transpose

__all__ = [
    "diag",
    "diag_embed",
    "fliplr",
    "flipud",
    "meshgrid",
    "rot90",
    "swapaxes",
]


@at_once
def swapaxes(x: TensorLike, axis0: int, axis1: int) -> Tensor:
    """Two dimensions exchanged; another name of :func:`slope.transpose`."""
    return transpose(x, axis0, axis1)


@at_once
def diag_embed(x: TensorLike, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """The last dimension as the ``offset``-th diagonal of square matrices, 0 elsewhere.

    The matrices lie in dimensions ``dim1`` and ``dim2`` of the result.

    Raises:
        ShapeError: there is no dimension, or ``dim1`` and ``dim2`` are the same.
    """
    given, offset = as_tensor(x, "diag_embed", "x"), int_of(offset, "diag_embed", "offset")
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


@at_once
def diag(x: TensorLike, diagonal: int = 0) -> Tensor:
    """A vector as a diagonal of a square matrix; a matrix's diagonal as a vector.

    Raises:
        ShapeError: neither a vector nor a matrix.
    """
    given, diagonal = as_tensor(x, "diag", "x"), int_of(diagonal, "diag", "diagonal")
    if given.ndim not in (1, 2):
        raise ShapeError(
            f"diag: takes a vector or a matrix, and got {given.type}; slope.diagonal and "
            f"slope.diag_embed take more dimensions."
        )
    return diag_embed(given, diagonal) if given.ndim == 1 else _diagonal(given, diagonal)


_diagonal = diagonal


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
    turns = int_of(k, "rot90", "k") % 4
    if turns == 2:
        return flip(given, (first, second))
    if turns == 1:
        return flip(transpose(given, first, second), (first,))
    return transpose(flip(given, (first,)), first, second) if turns else given


@at_once
def flipud(x: TensorLike) -> Tensor:
    """The elements along the first dimension in reverse order."""
    return flip(x, (0,))


@at_once
def fliplr(x: TensorLike) -> Tensor:
    """The elements along the second dimension in reverse order."""
    return flip(x, (1,))


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


# --- padding with the tensor's own elements


def pad_dim(x: Tensor, at: int, before: int, after: int, mode: str) -> Tensor:
    """One dimension padded with its own elements; see :func:`slope.pad` for the modes.

    Raises:
        ShapeError: the dimension is too short.
    """
    length = x.shape[at]
    limit = {"reflect": length - 1, "circular": length}.get(mode)
    if limit is not None and max(before, after) > max(limit, 0):
        raise ShapeError(
            f"pad: mode={mode!r} adds at most {max(limit, 0)} elements to dimension {at} of a "
            f"tensor of shape {shown(x.shape)}, and was asked for {max(before, after)}."
        )
    if length == 0 and max(before, after) > 0:
        raise ShapeError(
            f"pad: mode={mode!r} has nothing to repeat in dimension {at} of a tensor of shape "
            f"{shown(x.shape)}."
        )
    parts = [x]
    if before:
        parts.insert(0, _edge(x, at, before, mode, front=True))
    if after:
        parts.append(_edge(x, at, after, mode, front=False))
    return x if len(parts) == 1 else ops.cat(*parts, dim=at)


def _edge(x: Tensor, at: int, width: int, mode: str, *, front: bool) -> Tensor:
    length = x.shape[at]
    if mode == "circular":
        return cut(x, at, length - width, length) if front else cut(x, at, 0, width)
    if mode == "reflect":
        first = 1 if front else length - 1 - width
        return ops.flip(cut(x, at, first, first + width), dims=(at,))
    place = 0 if front else length - 1
    shape = (*x.shape[:at], width, *x.shape[at + 1 :])
    return expand(cut(x, at, place, place + 1), shape)
