"""Pieces of tensors: cut at places, or written back into a copy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from slope.core.tensor import Tensor
from slope.dims import dim_min, is_static, same
from slope.errors import ArgumentError, ShapeError
from slope.functions._arguments import dim_of, shown, whole_of, wholes_of
from slope.functions._at_once import at_once
from slope.functions._base import TensorLike, as_tensor
from slope.functions.arrangement import diagonal, diagonal_run
from slope.functions.at import At
from slope.functions.indexing import getitem
from slope.functions.joining import cut
from slope.functions.shapes import movedim, reshape

__all__ = [
    "diagonal_scatter",
    "dsplit",
    "hsplit",
    "select_scatter",
    "slice_scatter",
    "tensor_split",
    "vsplit",
]

# --- cutting at places


def tensor_split(
    x: TensorLike, indices_or_sections: int | Sequence[int] | Tensor, dim: int = 0
) -> tuple[Tensor, ...]:
    """Pieces along a dimension: so many, of lengths that differ by 1 at most, or cut at places.

    Args:
        x: a tensor with dimensions.
        indices_or_sections: how many pieces; or the places where all pieces but the first begin,
            as in ``x[:3], x[3:5], x[5:]`` for ``(3, 5)``. A tensor must have known values.
        dim: the dimension.

    Raises:
        ShapeError: ``x`` has no dimensions.
        ArgumentError: no pieces, or places that are no ints.
    """
    given = as_tensor(x, "tensor_split", "x")
    at = dim_of(dim, given.ndim, "tensor_split", shape=given.shape)
    return _pieces(given, _places("tensor_split", given.shape[at], indices_or_sections), at)


def hsplit(x: TensorLike, indices_or_sections: int | Sequence[int] | Tensor) -> tuple[Tensor, ...]:
    """Pieces along the second dimension (vectors: their only one); see :func:`tensor_split`.

    Raises:
        ShapeError: no dimensions, or a length that is no multiple of the number of pieces.
    """
    return _even_split("hsplit", x, indices_or_sections, 1, 1)


def vsplit(x: TensorLike, indices_or_sections: int | Sequence[int] | Tensor) -> tuple[Tensor, ...]:
    """Pieces along the first dimension of two or more; see :func:`tensor_split`.

    Raises:
        ShapeError: fewer dimensions, or a length that is no multiple of the number of pieces.
    """
    return _even_split("vsplit", x, indices_or_sections, 0, 2)


def dsplit(x: TensorLike, indices_or_sections: int | Sequence[int] | Tensor) -> tuple[Tensor, ...]:
    """Pieces along the third dimension; see :func:`tensor_split`.

    Raises:
        ShapeError: fewer dimensions, or a length that is no multiple of the number of pieces.
    """
    return _even_split("dsplit", x, indices_or_sections, 2, 3)


def _even_split(
    function: str, x: TensorLike, sections: Any, dim: int, least: int
) -> tuple[Tensor, ...]:
    given = as_tensor(x, function, "x")
    if given.ndim < least:
        raise ShapeError(
            f"{function}: takes a tensor of at least {least} dimensions, and got {given.type}."
        )
    at = min(dim, given.ndim - 1)
    places = _places(function, given.shape[at], sections)
    if isinstance(sections, int) and given.shape[at] % sections:
        raise ShapeError(
            f"{function}: dimension {at} of {given.type} is no multiple of {sections}; "
            "slope.tensor_split makes pieces of different lengths."
        )
    return _pieces(given, places, at)


def _places(function: str, length: Any, sections: Any) -> tuple[Any, ...]:
    """Where all pieces but the first begin."""
    if isinstance(sections, Tensor):
        if sections.ndim > 1 or not sections.dtype.is_integer:
            raise ArgumentError(
                f"{function}: indices_or_sections is {sections.type}, and must be an integer or a "
                "vector of integers."
            )
        sections = sections.tolist()
    if isinstance(sections, (tuple, list)):
        return tuple(wholes_of(sections, function, "indices_or_sections"))
    count = whole_of(sections, function, "indices_or_sections", 1)
    size, longer = length // count, length % count
    return tuple(size * n + dim_min(n, longer) for n in range(1, count))


@at_once
def _pieces(x: Tensor, places: tuple[Any, ...], at: int) -> tuple[Tensor, ...]:
    length = x.shape[at]
    if not is_static((length,)):
        spans = zip((0, *places), (*places, length), strict=True)
        return tuple(cut(x, at, start, stop) for start, stop in spans)
    spans = zip((0, *places), (*places, None), strict=True)
    ends = [slice(start, stop).indices(length) for start, stop in spans]
    return tuple(cut(x, at, start, max(start, stop)) for start, stop, _ in ends)


# --- writing pieces


@at_once
def select_scatter(x: TensorLike, src: TensorLike, dim: int, index: int) -> Tensor:
    """A copy of ``x`` with ``src`` at one place of a dimension: ``x.at[:, index].set(src)``.

    Args:
        x: a tensor with dimensions.
        src: of the shape of ``x`` without that dimension.
        dim: the dimension.
        index: the place; from the end, if it is negative.

    Raises:
        ShapeError: a shape that does not fit, or there is no such place.
    """
    given = as_tensor(x, "select_scatter", "x")
    at = dim_of(dim, given.ndim, "select_scatter", shape=given.shape)
    place = whole_of(index, "select_scatter", "index")
    if not -given.shape[at] <= place < given.shape[at]:
        raise ShapeError(
            f"select_scatter: index={place} is out of range for dimension {dim} of {given.type}."
        )
    return _written("select_scatter", given, (slice(None),) * at + (place,), src)


@at_once
def slice_scatter(
    x: TensorLike,
    src: TensorLike,
    dim: int = 0,
    start: int | None = None,
    end: int | None = None,
    step: int = 1,
) -> Tensor:
    """A copy of ``x`` with ``src`` at ``start:end:step`` of a dimension.

    Args:
        x: a tensor with dimensions.
        src: of the shape of that slice.
        dim: the dimension.
        start: the first place, 0 unless given; counted and clamped as Python's slices do.
        end: behind the last place, the length unless given.
        step: how far places are apart, at least 1.

    Raises:
        ShapeError: a shape that does not fit.
    """
    given = as_tensor(x, "slice_scatter", "x")
    at = dim_of(dim, given.ndim, "slice_scatter", shape=given.shape)
    step = whole_of(step, "slice_scatter", "step", 1)
    first = None if start is None else whole_of(start, "slice_scatter", "start")
    last = None if end is None else whole_of(end, "slice_scatter", "end")
    index = (slice(None),) * at + (slice(first, last, step),)
    return _written("slice_scatter", given, index, src)


@at_once
def diagonal_scatter(
    x: TensorLike, src: TensorLike, offset: int = 0, dim1: int = 0, dim2: int = 1
) -> Tensor:
    """A copy of ``x`` with ``src`` in the place of ``diagonal(x, offset, dim1, dim2)``.

    Raises:
        ShapeError: a shape that does not fit.
    """
    given, new = as_tensor(x, "diagonal_scatter", "x"), as_tensor(src, "diagonal_scatter", "src")
    shape = diagonal(given, offset, dim1, dim2).shape
    _refuse_shape("diagonal_scatter", shape, new)
    turned = movedim(given, (dim1, dim2), (-2, -1))
    flat = reshape(turned, (*turned.shape[:-2], turned.shape[-2] * turned.shape[-1]))
    run = slice(*diagonal_run(turned.shape[-2], turned.shape[-1], offset))
    changed = At(flat)[..., run].set(new)
    return movedim(reshape(changed, turned.shape), (-2, -1), (dim1, dim2))


def _written(function: str, x: Tensor, index: tuple[Any, ...], src: TensorLike) -> Tensor:
    new = as_tensor(src, function, "src")
    _refuse_shape(function, getitem(x, index).shape, new)
    return At(x)[index].set(new)


def _refuse_shape(function: str, shape: tuple[Any, ...], src: Tensor) -> None:
    if not same(src.shape, shape):
        raise ShapeError(
            f"{function}: src is {src.type}, and must have the shape {shown(shape)} of what it "
            "replaces."
        )
