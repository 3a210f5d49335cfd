"""The same elements under other shapes, in another order of dimensions, and repeated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from slope import ops
from slope.core.tensor import Tensor
from slope.dims import DimExpr, same
from slope.dims import size as count_of
from slope.dtypes import DType
from slope.errors import ShapeError
from slope.functions._arguments import dim_of, dims_of, shape_of, shown, sizes_of
from slope.functions._at_once import at_once
from slope.functions._base import (
    TensorLike,
    along,
    as_tensor,
    back,
    broadcast_shapes,
    expand_to,
)

__all__ = [
    "broadcast_to",
    "expand",
    "flatten",
    "movedim",
    "permute",
    "repeat",
    "reshape",
    "squeeze",
    "tile",
    "transpose",
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


def view(x: TensorLike, *sizes: Any, shape: Sequence[Any] | None = None) -> Tensor:
    """As :func:`reshape`; of a dtype, the same bits as that dtype, as :func:`slope.bitcast`.

    Raises:
        ShapeError: the shape has another number of elements.
        DTypeError: the dtype has another width.
    """
    if len(sizes) == 1 and isinstance(sizes[0], DType):
        return ops.bitcast(as_tensor(x, "view", "x"), dtype=sizes[0])
    return reshape(x, *sizes, shape=shape)


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
    """Two dimensions swapped."""
    given, first, scalar = along(as_tensor(x, "transpose", "x"), dim0, "transpose", "dim0")
    second = dim_of(dim1, given.ndim, "transpose", "dim1", shape=given.shape)
    order = list(range(given.ndim))
    order[first], order[second] = second, first
    return back(permute(given, order), scalar)


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
