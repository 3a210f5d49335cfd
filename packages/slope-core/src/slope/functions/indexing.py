"""Reading with brackets, and the named kinds of indexing.

Known indices that are out of range raise; traced ones, whose values nobody can see, are clamped
into range.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from slope import dtypes, ops
from slope.core.tensor import Tensor, Tracer
from slope.core.trace import EVAL, current_trace
from slope.core.types import Shape
from slope.dims import same
from slope.errors import (
    ArgumentError,
    ConcretizationError,
    DTypeError,
    IndexingError,
    ShapeError,
)
from slope.functions._arguments import dim_of, shape_of, whole_of
from slope.functions._at_once import at_once
from slope.functions._base import (
    TensorLike,
    along,
    as_tensor,
    back,
    broadcast_shapes,
    copied,
    expand_to,
    splat_like,
)
from slope.functions._index import Plan, coordinates, plan
from slope.functions.joining import unbind
from slope.ops.linear import move_dim

__all__ = [
    "embedding",
    "gather",
    "index_select",
    "one_hot",
    "take_along_dim",
]


def getitem(x: Tensor, index: Any) -> Tensor:
    """``x[index]``: ints, slices, None, ``...``, integer tensors and arrays, known masks."""
    if current_trace() is not EVAL:
        return _indexed(x, index)
    if type(index) is int:
        if x.type.shape and type(x) is Tensor and x.device.kind == "cpu":
            return _row(x, index)  # iterating compiles nothing
    elif type(index) is slice or (
        type(index) is tuple and not any(type(each) is Tensor for each in index)
    ):
        return _indexed_at_once(x, index)
    return _indexed(x, index)  # looks at the elements of an index, which may be out of range


def _indexed(x: Tensor, index: Any) -> Tensor:
    found = plan(index, x.shape)
    out = sliced(reshaped(x, found.shape), found)
    if found.dropped:
        out = ops.reshape(
            out,
            shape=tuple(length for at, length in enumerate(out.shape) if at not in found.dropped),
        )
    if found.arrays:
        out = _gathered(out, found)
    return reshaped(out, found.result)


_indexed_at_once = at_once(_indexed)


def _row(x: Tensor, index: int) -> Tensor:
    length = x.type.shape[0]
    if not -length <= index < length:
        plan(index, x.type.shape)  # raises
    return copied(x.host()[index, ...])


def reshaped(x: Tensor, shape: Shape) -> Tensor:
    return x if same(shape, x.shape) else ops.reshape(x, shape=shape)


def sliced(x: Tensor, found: Plan) -> Tensor:
    """What slices and ints leave of a tensor; the dimensions of ints stay, of length 1."""
    if any(step != 1 for step in found.step) or not (
        same(found.start, (0,) * x.ndim) and same(found.stop, x.shape)
    ):
        x = ops.slice_(x, start=found.start, stop=found.stop, step=found.step)
    return ops.flip(x, dims=found.flips) if found.flips else x


def array_dims(found: Plan) -> list[int]:
    """Where the indexed dimensions stand once those of ints are gone."""
    return [at - sum(1 for gone in found.dropped if gone < at) for at in sorted(found.arrays)]


def front_order(x: Tensor, dims: list[int]) -> tuple[int, ...]:
    """All dimensions, these first."""
    return (*dims, *(at for at in range(x.ndim) if at not in dims))


def in_front(found: Plan, dims: list[int]) -> bool:
    """Whether the indexed dimensions must be brought to the front before gathering."""
    return found.front or dims != list(range(dims[0], dims[0] + len(dims)))


def _gathered(x: Tensor, found: Plan) -> Tensor:
    dims = array_dims(found)
    axis = dims[0]
    if in_front(found, dims):
        order = front_order(x, dims)
        x, axis = x if order == tuple(range(x.ndim)) else ops.permute(x, dims=order), 0
    return ops.gather(x, coordinates(found), axis=axis, batch_dims=0)


def iterate(x: Tensor) -> Iterator[Tensor]:
    """The slices along the first dimension.

    Raises:
        ShapeError: there is no dimension.
    """
    if not x.type.shape:
        raise ShapeError("a tensor of shape () cannot be iterated over; it has no dimensions.")
    if current_trace() is EVAL and type(x) is Tensor and x.device.kind == "cpu":
        return (_row(x, place) for place in range(x.type.shape[0]))  # compiles nothing
    return iter(unbind(x, 0))


# --- named kinds


def index_select(x: TensorLike, dim: int, index: TensorLike) -> Tensor:
    """The slices along ``dim`` that a vector of integers names.

    Negative ones count from the end.
    """
    given, places = as_tensor(x, "index_select", "x"), as_tensor(index, "index_select", "index")
    given, where, scalar = along(given, dim, "index_select")
    if places.ndim > 1:
        raise ShapeError(
            f"index_select: index must be a vector, not {places.type}; x[..., index] takes any "
            "shape."
        )
    places = ops.reshape(places, shape=(1,)) if places.ndim == 0 else places
    found = getitem(given, (slice(None),) * where + (places,))
    return back(found, scalar and places.type.size == 1)


def take_along_dim(x: TensorLike, index: TensorLike, dim: int | None = None) -> Tensor:
    """For every place of ``index``, the element of ``x`` there, but at ``index`` along ``dim``.

    Other dimensions broadcast. Without ``dim``, ``x`` and ``index`` are flattened.

    Raises:
        ShapeError, DTypeError: they do not fit.
    """
    given, places = as_tensor(x, "take_along_dim", "x"), as_tensor(index, "take_along_dim", "index")
    if dim is None:
        given, places = (ops.reshape(each, shape=(each.type.size,)) for each in (given, places))
        dim = 0
    where = dim_of(dim, given.ndim, "take_along_dim", shape=given.shape)
    if places.ndim != given.ndim:
        raise ShapeError(
            f"take_along_dim: x is {given.type} and index is {places.type}; they must have as "
            "many dimensions."
        )
    others = broadcast_shapes(
        "take_along_dim", _at(given.shape, where, 1), _at(places.shape, where, 1)
    )
    given = expand_to(given, _at(others, where, given.shape[where]))
    places = expand_to(places, _at(others, where, places.shape[where]))
    return _along("take_along_dim", given, places, where)


def gather(x: TensorLike, dim: int, index: TensorLike) -> Tensor:
    """``out[i][j] = x[index[i][j]][j]`` for ``dim=0``, and so on.

    ``index`` has as many dimensions as ``x`` and is nowhere longer.

    Raises:
        ShapeError, DTypeError: they do not fit.
    """
    given, places = as_tensor(x, "gather", "x"), as_tensor(index, "gather", "index")
    if not given.ndim and places.ndim <= 1:  # as in PyTorch, each stands as a vector
        rows, count = along(given, dim, "gather")[0], places.type.size
        return ops.reshape(gather(rows, 0, ops.reshape(places, shape=(count,))), shape=places.shape)
    where = dim_of(dim, given.ndim, "gather", shape=given.shape)
    fits = places.ndim == given.ndim and all(
        at_ == where or bool(length <= total)
        for at_, (length, total) in enumerate(zip(places.shape, given.shape, strict=True))
    )
    if not fits:
        raise ShapeError(
            f"gather: index {places.type} must have as many dimensions as x {given.type}, and be "
            "nowhere longer but along dim."
        )
    stop = _at(places.shape, where, given.shape[where])
    if not same(stop, given.shape):
        given = ops.slice_(given, start=(0,) * given.ndim, stop=stop, step=(1,) * given.ndim)
    return _along("gather", given, places, where)


def _at(shape: Shape, where: int, length: Any) -> Shape:
    return (*shape[:where], length, *shape[where + 1 :])


def _along(function: str, x: Tensor, index: Tensor, where: int) -> Tensor:
    if not index.dtype.is_integer:
        raise DTypeError(f"{function}: index must be of an integer dtype, not {index.type}.")
    last = x.ndim - 1
    checked = next(iter(plan((slice(None),) * where + (index,), x.shape).arrays.values()))
    rows, places = move_dim(x, where, last), move_dim(checked, where, last)
    out = ops.gather(
        rows, ops.reshape(places, shape=(*places.shape, 1)), axis=last, batch_dims=last
    )
    return move_dim(out, last, where)


def one_hot(x: TensorLike, num_classes: int = -1, *, dtype: Any = dtypes.int64) -> Tensor:
    """1 at the place that each integer names and 0 elsewhere, in a new last dimension.

    All 0 for integers out of range.

    Args:
        x: integers.
        num_classes: the new dimension's length; -1 takes one more than the largest known integer.
        dtype: the result's.

    Raises:
        DTypeError: no integers.
        ConcretizationError: ``num_classes`` is not given, and the integers are traced.
    """
    given = as_tensor(x, "one_hot", "x")
    if not given.dtype.is_integer:
        raise DTypeError(f"one_hot: x must be of an integer dtype, not {given.type}.")
    num_classes = whole_of(num_classes, "one_hot", "num_classes")
    if num_classes == -1:
        if isinstance(given, Tracer):
            raise ConcretizationError(
                f"one_hot: x {given.type} is traced, so its largest element is not known; "
                f"give num_classes."
            )
        if given.type.size == 0:
            raise ShapeError(f"one_hot: x {given.type} has no largest element; give num_classes.")
        num_classes = int(given.numpy().max()) + 1
    if num_classes < 0:
        raise ArgumentError(f"one_hot: num_classes={num_classes} must not be negative.")
    shape = shape_of((*given.shape, num_classes), "one_hot", "num_classes")
    places = ops.iota(shape=shape, dim=given.ndim, dtype=given.dtype)
    spread = ops.broadcast(given, shape=shape, dims=tuple(range(given.ndim)))
    return ops.cast(ops.eq(places, spread), dtype=dtypes.as_dtype(dtype))


def embedding(x: TensorLike, weight: TensorLike, padding_idx: int | None = None) -> Tensor:
    """The rows of ``weight`` that integers name, as ``[..., width]``.

    Args:
        x: integers.
        weight: ``[count, width]``.
        padding_idx: a row that gets no gradient.

    Raises:
        IndexingError: ``x`` is not of an integer dtype, or out of range; or ``padding_idx`` is.
    """
    places, rows = as_tensor(x, "embedding", "x"), as_tensor(weight, "embedding", "weight")
    if rows.ndim != 2:
        raise ShapeError(f"embedding: weight must be [count, width], not {rows.type}.")
    if not places.dtype.is_integer:
        raise IndexingError(f"embedding: x must be of an integer dtype, not {places.type}.")
    out = getitem(rows, places)
    if padding_idx is None:
        return out
    count, padding_idx = rows.shape[0], whole_of(padding_idx, "embedding", "padding_idx")
    if not -count <= padding_idx < count:
        raise IndexingError(
            f"embedding: padding_idx={padding_idx} is out of range for weight {rows.type}."
        )
    padding = ops.eq(places, splat_like(padding_idx % count, places))
    spread = ops.broadcast(padding, shape=out.shape, dims=tuple(range(places.ndim)))
    return ops.where(spread, ops.stop_gradient(out), out)
