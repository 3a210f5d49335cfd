"""Functions that move, repeat, join and cut elements without computing with them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from slope import dtypes, ops
from slope.core.tensor import Splat, Tensor
from slope.core.types import TensorType
from slope.dims import DimExpr, is_static, same
from slope.dims import size as count_of
from slope.errors import ArgumentError, ShapeError
from slope.functions._at_once import at_once
from slope.functions._base import (
    Scalar,
    TensorLike,
    as_tensor,
    broadcast_shapes,
    dim_of,
    dims_of,
    expand_to,
    materialize,
    number_of,
    operand,
    result_dtype,
    shape_of,
    shown,
    sizes_of,
    splat_like,
    whole_of,
)

__all__ = [
    "broadcast_to",
    "cat",
    "chunk",
    "concatenate",
    "diagonal",
    "expand",
    "flatten",
    "flip",
    "movedim",
    "narrow",
    "pad",
    "permute",
    "repeat",
    "reshape",
    "roll",
    "split",
    "squeeze",
    "stack",
    "tile",
    "transpose",
    "tril",
    "triu",
    "unbind",
    "unflatten",
    "unsqueeze",
    "view",
]

# --- other views of the same elements


@at_once
def reshape(x: TensorLike, *sizes: Any, shape: Sequence[Any] | None = None) -> Tensor:
    """The same elements in row-major order under another shape; one length may be -1.

    Raises:
        ShapeError: the shape has another number of elements.
    """
    given = as_tensor(x, "reshape", "x")
    wanted = sizes_of(sizes if shape is None else (shape,), "reshape")
    if any(type(length) is int and length < 0 for length in wanted):
        wanted = _solved(given, wanted)
    if same(wanted, given.shape):
        return given
    total = count_of(wanted)
    if total != given.type.size:
        raise ShapeError(
            f"reshape: {given.type} has {given.type.size} elements, shape {shown(wanted)} has "
            f"{total}."
        )
    return ops.reshape(given, shape=wanted)


def _solved(x: Tensor, wanted: tuple[Any, ...]) -> tuple[Any, ...]:
    unknown = [
        at for at, length in enumerate(wanted) if not isinstance(length, DimExpr) and length < 0
    ]
    if len(unknown) > 1 or wanted[unknown[0]] != -1:
        raise ShapeError(
            f"reshape: shape {shown(wanted)} may have one -1 and no other negative length."
        )
    rest = count_of([length for at, length in enumerate(wanted) if at != unknown[0]])
    size = x.type.size
    if rest == 0 or size % rest != 0:
        raise ShapeError(
            f"reshape: {x.type} has {size} elements, which do not fill shape {shown(wanted)} for "
            "any -1."
        )
    return (*wanted[: unknown[0]], size // rest, *wanted[unknown[0] + 1 :])


view = reshape


@at_once
def flatten(x: TensorLike, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """The dimensions from ``start_dim`` to ``end_dim``, that one included, made one."""
    given = as_tensor(x, "flatten", "x")
    if given.ndim == 0:
        return ops.reshape(given, shape=(1,))
    first = dim_of(start_dim, given.ndim, "flatten", "start_dim", shape=given.shape)
    last = dim_of(end_dim, given.ndim, "flatten", "end_dim", shape=given.shape)
    if first > last:
        raise ShapeError(f"flatten: start_dim={start_dim} stands behind end_dim={end_dim}.")
    merged = count_of(given.shape[first : last + 1])
    return reshape(given, (*given.shape[:first], merged, *given.shape[last + 1 :]))


@at_once
def unflatten(x: TensorLike, dim: int, sizes: Sequence[Any]) -> Tensor:
    """One dimension split into several; one of the sizes may be -1."""
    given = as_tensor(x, "unflatten", "x")
    at = dim_of(dim, given.ndim, "unflatten", shape=given.shape)
    wanted = sizes_of((sizes,), "unflatten", "sizes")
    if -1 in [length for length in wanted if type(length) is int]:
        rest = count_of([length for length in wanted if length != -1])
        if rest == 0 or given.shape[at] % rest != 0:
            raise ShapeError(
                f"unflatten: dimension {dim} of {given.type} does not split into {shown(wanted)}."
            )
        wanted = tuple(
            given.shape[at] // rest if type(length) is int and length == -1 else length
            for length in wanted
        )
    if count_of(wanted) != given.shape[at]:
        raise ShapeError(
            f"unflatten: dimension {dim} of {given.type} has not the length of {shown(wanted)}."
        )
    return reshape(given, (*given.shape[:at], *wanted, *given.shape[at + 1 :]))


@at_once
def permute(x: TensorLike, *order: Any, dims: Sequence[int] | None = None) -> Tensor:
    """The dimensions in another order: result dimension ``i`` is the operand's ``dims[i]``.

    Raises:
        ShapeError: the order does not name every dimension once.
    """
    given = as_tensor(x, "permute", "x")
    wanted = sizes_of(order if dims is None else (dims,), "permute", "dims")
    numbers = tuple(dim_of(dim, given.ndim, "permute", "dims", shape=given.shape) for dim in wanted)
    if sorted(numbers) != list(range(given.ndim)):
        raise ShapeError(
            f"permute: dims={tuple(wanted)} is no permutation of the {given.ndim} dimensions of "
            f"{given.type}."
        )
    return given if numbers == tuple(range(given.ndim)) else ops.permute(given, dims=numbers)


@at_once
def transpose(x: TensorLike, dim0: int, dim1: int) -> Tensor:
    """Two dimensions exchanged."""
    given = as_tensor(x, "transpose", "x")
    first = dim_of(dim0, given.ndim, "transpose", "dim0", shape=given.shape)
    second = dim_of(dim1, given.ndim, "transpose", "dim1", shape=given.shape)
    order = list(range(given.ndim))
    order[first], order[second] = second, first
    return permute(given, order)


def matrix_transpose(x: TensorLike) -> Tensor:
    """The last two dimensions exchanged (``x.mT``).

    Raises:
        ShapeError: fewer than two dimensions.
    """
    given = as_tensor(x, "mT", "x")
    if given.ndim < 2:
        raise ShapeError(f"mT: takes a tensor of at least 2 dimensions, and got {given.type}.")
    return transpose(given, -2, -1)


def reverse_dims(x: TensorLike) -> Tensor:
    """All dimensions in reverse order (``x.T``)."""
    given = as_tensor(x, "T", "x")
    return permute(given, tuple(range(given.ndim))[::-1])


@at_once
def movedim(x: TensorLike, source: int | Sequence[int], destination: int | Sequence[int]) -> Tensor:
    """Dimensions moved to other places; the others keep their order.

    Raises:
        ShapeError: unequal numbers of places, or one named twice.
    """
    given = as_tensor(x, "movedim", "x")
    sources = sizes_of((source,), "movedim", "source")
    targets = sizes_of((destination,), "movedim", "destination")
    froms = [dim_of(dim, given.ndim, "movedim", "source", shape=given.shape) for dim in sources]
    tos = [dim_of(dim, given.ndim, "movedim", "destination", shape=given.shape) for dim in targets]
    if len(froms) != len(tos) or len(set(froms)) != len(froms) or len(set(tos)) != len(tos):
        raise ShapeError(
            f"movedim: source={source} and destination={destination} must name as many "
            "dimensions, each once."
        )
    order = [dim for dim in range(given.ndim) if dim not in froms]
    for to, dim in sorted(zip(tos, froms, strict=True)):
        order.insert(to, dim)
    return permute(given, order)


@at_once
def squeeze(x: TensorLike, dim: int | Sequence[int] | None = None) -> Tensor:
    """Without the dimensions of length 1: all of them, or those among ``dim``."""
    given = as_tensor(x, "squeeze", "x")
    dims = dims_of(tuple(dim) if isinstance(dim, list) else dim, given, "squeeze")
    gone = {at for at in dims if not isinstance(given.shape[at], DimExpr) and given.shape[at] == 1}
    return reshape(given, tuple(length for at, length in enumerate(given.shape) if at not in gone))


@at_once
def unsqueeze(x: TensorLike, dim: int) -> Tensor:
    """With one more dimension of length 1, at ``dim``."""
    given = as_tensor(x, "unsqueeze", "x")
    at = dim_of(dim, given.ndim + 1, "unsqueeze")
    return ops.reshape(given, shape=(*given.shape[:at], 1, *given.shape[at:]))


# --- repetition


@at_once
def expand(x: TensorLike, *sizes: Any, shape: Sequence[Any] | None = None) -> Tensor:
    """Repeated along dimensions of length 1 and along new leading ones; -1 keeps a length.

    Raises:
        ShapeError: a length is neither 1 nor the wanted one.
    """
    given = as_tensor(x, "expand", "x")
    wanted = sizes_of(sizes if shape is None else (shape,), "expand")
    new = len(wanted) - given.ndim
    if new < 0:
        raise ShapeError(f"expand: {given.type} has more dimensions than shape {shown(wanted)}.")
    full = tuple(
        given.shape[at - new] if type(length) is int and length == -1 and at >= new else length
        for at, length in enumerate(wanted)
    )
    if any(type(length) is int and length < 0 for length in full):
        raise ShapeError(
            f"expand: -1 in shape {shown(wanted)} stands where {given.type} has no dimension."
        )
    if not same(broadcast_shapes("expand", given.shape, full), full):
        raise ShapeError(
            f"expand: {given.type} does not expand to shape {shown(full)}; only lengths of 1 are "
            "repeated."
        )
    return expand_to(given, full)


@at_once
def broadcast_to(x: TensorLike, shape: Sequence[Any]) -> Tensor:
    """Repeated to a shape, by NumPy's broadcasting rule."""
    return expand(x, shape)


@at_once
def repeat(x: TensorLike, *sizes: Any) -> Tensor:
    """The whole tensor repeated ``sizes[i]`` times along dimension ``i``.

    New dimensions come first.

    Raises:
        ShapeError: fewer sizes than dimensions.
    """
    given = as_tensor(x, "repeat", "x")
    times = shape_of(sizes, "repeat", "sizes")
    new = len(times) - given.ndim
    if new < 0:
        raise ShapeError(
            f"repeat: {given.type} has {given.ndim} dimensions, and sizes={shown(times)} are fewer."
        )
    lengths = (1,) * new + given.shape
    between: list[Any] = []
    kept: list[int] = []
    for at, (number, length) in enumerate(zip(times, lengths, strict=True)):
        if type(number) is not int or number != 1:
            between.append(number)
        if at >= new:
            kept.append(len(between))
            between.append(length)
    out = ops.broadcast(given, shape=tuple(between), dims=tuple(kept))
    return reshape(
        out, tuple(number * length for number, length in zip(times, lengths, strict=True))
    )


@at_once
def tile(x: TensorLike, *sizes: Any) -> Tensor:
    """As :func:`repeat`; missing sizes are 1."""
    given = as_tensor(x, "tile", "x")
    times = shape_of(sizes, "tile", "sizes")
    return repeat(given, (1,) * (given.ndim - len(times)) + times)


# --- joining and cutting


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

    Raises:
        ShapeError: no tensors, or other lengths that differ.
    """
    given = _joined("cat", tensors)
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


def _joined(function: str, tensors: Sequence[TensorLike]) -> list[Tensor]:
    if isinstance(tensors, Tensor) or not isinstance(tensors, (list, tuple)):
        raise ArgumentError(
            f"{function}: takes a list or tuple of tensors, and got {type(tensors).__name__}."
        )
    given = [operand(x, function, f"tensors[{number}]") for number, x in enumerate(tensors)]
    if not given:
        raise ShapeError(f"{function}: takes at least one tensor, and got none.")
    dtype = result_dtype(function, given)
    return [materialize(x, dtype, x.shape if isinstance(x, Tensor) else ()) for x in given]


@at_once
def stack(tensors: Sequence[TensorLike], dim: int = 0) -> Tensor:
    """Tensors of one shape side by side along a new dimension.

    Raises:
        ShapeError: no tensors, or of different shapes.
    """
    given = _joined("stack", tensors)
    first = given[0]
    at = dim_of(dim, first.ndim + 1, "stack")
    for x in given:
        if not same(x.shape, first.shape):
            raise ShapeError(
                f"stack: {x.type} does not go with {first.type}; all shapes must be equal."
            )
    rows = [ops.reshape(x, shape=(*x.shape[:at], 1, *x.shape[at:])) for x in given]
    return rows[0] if len(rows) == 1 else ops.cat(*rows, dim=at)


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
        size = int(split_size_or_sections)
        if size < 1:
            raise ShapeError(
                f"split: pieces of length {size} are not possible; give a positive int."
            )
        starts = list(range(0, length, size)) or [0]
        sections = [min(size, length - start) for start in starts]
    else:
        sections = list(sizes_of((split_size_or_sections,), "split", "split_size_or_sections"))
        if count_sum(sections) != length:
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


def count_sum(lengths: Sequence[Any]) -> Any:
    """The sum of lengths."""
    total: Any = 0
    for length in lengths:
        total = total + length
    return total


@at_once
def chunk(x: TensorLike, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """At most ``chunks`` pieces along a dimension, all of one length but the last.

    Raises:
        ArgumentError: ``chunks`` is not positive.
    """
    given = as_tensor(x, "chunk", "x")
    at = dim_of(dim, given.ndim, "chunk", shape=given.shape)
    chunks = whole_of(chunks, "chunk", "chunks", 1)
    return split(given, max(1, math.ceil(given.shape[at] / chunks)), at)


def unbind(x: TensorLike, dim: int = 0) -> tuple[Tensor, ...]:
    """The slices along a dimension, without it."""
    given = as_tensor(x, "unbind", "x")
    at = dim_of(dim, given.ndim, "unbind", shape=given.shape)
    rest = _without(given.shape, at)
    if not is_static((given.shape[at],)):
        raise ShapeError(
            f"unbind: dimension {dim} of {given.type} has no known length, so neither has the "
            "tuple."
        )
    return tuple(
        ops.reshape(cut(given, at, place, place + 1), shape=rest)
        for place in range(given.shape[at])
    )


@at_once
def narrow(x: TensorLike, dim: int, start: TensorLike, length: int) -> Tensor:
    """``length`` elements along a dimension from ``start`` on, an int or a traced number.

    A traced start is clamped so that the window fits.

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


# --- order, edges, triangles


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
def pad(x: TensorLike, pad: Sequence[int], mode: str = "constant", value: Scalar = 0) -> Tensor:
    """Elements added at the edges.

    ``pad`` is ``(before, after)`` of the last dimension, then of the one before, and so on.

    Negative widths cut off.

    Args:
        x: a tensor.
        pad: an even number of ints.
        mode: ``"constant"`` for ``value``; ``"reflect"`` for the elements next to the edge in
            reverse order, without the edge itself; ``"replicate"`` for the element at the edge;
            ``"circular"`` for those at the other end.
        value: what ``"constant"`` adds.

    Raises:
        ArgumentError: an odd number of widths, an unknown mode, or a value that is no number.
        ShapeError: a dimension is too short for the mode.
    """
    given = as_tensor(x, "pad", "x")
    if not isinstance(mode, str) or mode not in ("constant", "reflect", "replicate", "circular"):
        raise ArgumentError(
            f"pad: mode={mode!r} is none of 'constant', 'reflect', 'replicate', 'circular'."
        )
    number_of(value, "pad", "value")
    widths = sizes_of((pad,), "pad", "pad")
    if len(widths) % 2 or len(widths) > 2 * given.ndim:
        raise ArgumentError(
            f"pad: pad={widths} must hold two widths for each of at most {given.ndim} dimensions "
            f"of {given.type}."
        )
    low, high = [0] * given.ndim, [0] * given.ndim
    for number in range(len(widths) // 2):
        low[-1 - number], high[-1 - number] = widths[2 * number], widths[2 * number + 1]
    if any(width < 0 for width in widths):
        for at, (before, after) in enumerate(zip(low, high, strict=True)):
            if max(-before, 0) + max(-after, 0) > given.shape[at]:
                raise ShapeError(
                    f"pad: pad={widths} cuts off more than dimension {at} of {given.type} has."
                )
            given = cut(given, at, max(-before, 0), given.shape[at] - max(-after, 0))
        low, high = [max(width, 0) for width in low], [max(width, 0) for width in high]
    if not any(low) and not any(high):
        return given
    if mode != "constant":
        from slope.functions.arrangement import pad_dim

        for at, (before, after) in enumerate(zip(low, high, strict=True)):
            given = pad_dim(given, at, before, after, mode)
        return given
    number = splat_like(value, given).value
    return ops.pad(
        given, low=tuple(low), high=tuple(high), interior=(0,) * given.ndim, value=number
    )


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
    given, offset = (
        movedim(given, (first, second), (-2, -1)),
        whole_of(offset, "diagonal", "offset"),
    )
    rows, columns = given.shape[-2:]
    length = max(0, min(rows, columns - offset) if offset >= 0 else min(rows + offset, columns))
    flat = reshape(given, (*given.shape[:-2], rows * columns))
    start = (offset if offset >= 0 else -offset * columns) if length else 0
    stop = start + (length - 1) * (columns + 1) + 1 if length else 0
    return cut(flat, flat.ndim - 1, start, stop, columns + 1)


@at_once
def tril(x: TensorLike, diagonal: int = 0) -> Tensor:
    """The lower triangle of the last two dimensions, up to the ``diagonal``-th diagonal.

    Zeros above.
    """
    return _triangle("tril", x, diagonal, lower=True)


@at_once
def triu(x: TensorLike, diagonal: int = 0) -> Tensor:
    """The upper triangle of the last two dimensions, from the ``diagonal``-th diagonal on.

    Zeros below.
    """
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
