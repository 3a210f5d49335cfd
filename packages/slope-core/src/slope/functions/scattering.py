"""Writing at computed places, in copies, and reading there.

Places count from 0; negative ones count from the end. Known ones that are out of range raise;
traced ones, whose values nobody can see, are clamped into range. Where places repeat, all updates
take part, and of plain writing the last wins.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from slope import dtypes, ops
from slope.core.tensor import Splat, Tensor
from slope.core.types import Shape, TensorType
from slope.dims import same
from slope.errors import ArgumentError, DTypeError, ShapeError
from slope.functions._arguments import Scalar, dim_of, scalar_of, shown, whole_of
from slope.functions._base import (
    TensorLike,
    along,
    as_tensor,
    back,
    expand_to,
    splat,
    splat_like,
)
from slope.functions._index import plan
from slope.functions.arithmetic import mul
from slope.functions.at import AtIndex
from slope.functions.joining import cut
from slope.ops.index import put_along

__all__ = [
    "gather_nd",
    "index_add",
    "index_copy",
    "index_fill",
    "index_put",
    "scatter",
    "scatter_add",
    "scatter_nd",
    "scatter_reduce",
    "take",
]


def places_along(index: Tensor, x: Tensor, dim: int, function: str) -> Tensor:
    """Places along a dimension as int64, counted from the front; known ones are checked."""
    if not index.dtype.is_integer:
        raise DTypeError(f"{function}: index must be of an integer dtype, not {index.type}.")
    if index.ndim == 0:
        return ops.reshape(places_along(ops.reshape(index, shape=(1,)), x, dim, function), shape=())
    return next(iter(plan((slice(None),) * dim + (index,), x.shape).arrays.values()))


def updates_of(
    value: TensorLike, x: Tensor, shape: Shape, function: str, argument: str = "src"
) -> Tensor:
    """Updates of ``x``'s dtype: a number everywhere, or a tensor cut to a shape."""
    number = scalar_of(value)
    if number is not None:
        return _number(number, x.type.with_shape(shape), function, argument)
    given = as_tensor(value, function, argument)
    if given.dtype is not x.dtype:
        raise DTypeError(
            f"{function}: {argument} {given.type} does not go into {x.type}; cast it with "
            f".to(slope.{x.dtype.name})."
        )
    return given


def _number(number: Scalar, tensor_type: TensorType, function: str, argument: str) -> Tensor:
    if tensor_type.dtype.kind != "f" and isinstance(number, float) and not number.is_integer():
        raise DTypeError(
            f"{function}: {argument}={number} does not go into {tensor_type.dtype}; cast the "
            f"tensor first, for instance with x.to(slope.float32)."
        )
    return splat(number, tensor_type)


_MODES = {"sum": "add", "prod": "mul", "amin": "min", "amax": "max"}


def scatter(
    x: TensorLike,
    dim: int,
    index: TensorLike,
    src: TensorLike | None = None,
    *,
    value: Scalar | None = None,
    reduce: str | None = None,
) -> Tensor:
    """``x`` with ``out[index[i][j]][j] = src[i][j]`` for ``dim=0``, and so on.

    Args:
        x: what is copied.
        dim: the dimension that ``index`` counts along.
        index: integers with as many dimensions as ``x``; nowhere longer than ``src``, nor than
            ``x`` but along ``dim``.
        src: a tensor of ``x``'s dtype, or a number.
        value: a number instead of ``src``.
        reduce: None to write, ``"add"`` or ``"multiply"`` to combine with what is there.

    Raises:
        ShapeError, DTypeError, ArgumentError, IndexingError: the arguments do not fit.
    """
    modes = {None: "set", "add": "add", "multiply": "mul"}
    if not isinstance(reduce, (str, type(None))) or reduce not in modes:
        raise ArgumentError(
            f"scatter: reduce={reduce!r} must be None, 'add' or 'multiply'; slope.scatter_reduce "
            f"has more."
        )
    if (src is None) is (value is None):
        raise ArgumentError("scatter: give either src, a tensor or a number, or value, a number.")
    given = value if src is None else src
    return _scattered("scatter", x, dim, index, given, modes[reduce])


def scatter_add(x: TensorLike, dim: int, index: TensorLike, src: TensorLike) -> Tensor:
    """As :func:`scatter`, but ``src`` is added to what is there; repeated places add up."""
    return _scattered("scatter_add", x, dim, index, src, "add")


def scatter_reduce(
    x: TensorLike,
    dim: int,
    index: TensorLike,
    src: TensorLike,
    reduce: str,
    *,
    include_self: bool = True,
) -> Tensor:
    """As :func:`scatter`, but all of ``src`` that goes to one place is reduced.

    Args:
        x: what is copied.
        dim: the dimension that ``index`` counts along.
        index: see :func:`scatter`.
        src: see :func:`scatter`.
        reduce: ``"sum"``, ``"prod"``, ``"mean"``, ``"amax"`` or ``"amin"``.
        include_self: whether what is there takes part.

    Raises:
        ShapeError, DTypeError, ArgumentError, IndexingError: the arguments do not fit.
    """
    if reduce not in (*_MODES, "mean"):
        raise ArgumentError(
            f"scatter_reduce: reduce={reduce!r} must be one of {', '.join((*_MODES, 'mean'))}."
        )
    given = as_tensor(x, "scatter_reduce", "x")
    mode = _MODES.get(reduce, "add")
    start = given
    if not include_self:
        neutral = _neutral(mode, given)
        start = _scattered("scatter_reduce", given, dim, index, neutral, "set")
    out = _scattered("scatter_reduce", start, dim, index, src, mode)
    if reduce != "mean":
        return out
    count: Tensor = splat_like(1 if include_self else 0, given)
    count = _scattered("scatter_reduce", count, dim, index, 1, "add")
    count = ops.maximum(count, splat_like(1, count))
    return (ops.div if given.dtype.kind == "f" else ops.floor_divide)(out, count)


def _neutral(mode: str, x: Tensor) -> Scalar:
    if mode in ("add", "mul"):
        return 0 if mode == "add" else 1
    if x.dtype.kind == "f":
        return -math.inf if mode == "max" else math.inf
    if x.dtype is dtypes.bool_:
        return mode == "min"
    limits = np.iinfo(x.dtype.numpy)
    return int(limits.min if mode == "max" else limits.max)


def _scattered(
    function: str, x: TensorLike, dim: int, index: TensorLike, src: TensorLike, mode: str
) -> Tensor:
    given, places = as_tensor(x, function, "x"), as_tensor(index, function, "index")
    if given.ndim == 0 and places.ndim == 0:
        dim_of(dim, 1, function)
        one = [ops.reshape(each, shape=(1,)) for each in (given, places)]
        new = (
            src
            if scalar_of(src) is not None
            else ops.reshape(as_tensor(src, function, "src"), shape=(1,))
        )
        return ops.reshape(_scattered(function, one[0], 0, one[1], new, mode), shape=())
    at = dim_of(dim, given.ndim, function, shape=given.shape)
    update = updates_of(src, given, places.shape, function)
    fits = (
        places.ndim == given.ndim == update.ndim
        and all(
            each == at or bool(length <= total)
            for each, (length, total) in enumerate(zip(places.shape, given.shape, strict=True))
        )
        and all(bool(a <= b) for a, b in zip(places.shape, update.shape, strict=True))
    )
    if not fits:
        raise ShapeError(
            f"{function}: index {places.type} must have as many dimensions as x {given.type} and "
            f"src {update.type}, and be nowhere longer than src, nor than x but along dim={dim}."
        )
    checked = places_along(places, given, at, function)
    if places.type.size == 0:
        return given
    for each in range(given.ndim):
        update = cut(update, each, 0, places.shape[each])
    inner = given
    for each in range(given.ndim):
        if each != at:
            inner = cut(inner, each, 0, places.shape[each])
    out = put_along(inner, checked, update, at, mode)
    if inner is given:
        return out
    zeros = [Splat(0, TensorType((), dtypes.int64))] * given.ndim
    return ops.dynamic_update_slice(given, out, *zeros)


# --- whole slices


def _slices(
    function: str, x: TensorLike, dim: int, index: TensorLike
) -> tuple[Tensor, int, bool, Tensor]:
    """What :func:`along` gives, and the places, a vector."""
    given, at, scalar = along(as_tensor(x, function, "x"), dim, function)
    places = as_tensor(index, function, "index")
    if places.ndim > 1:
        raise ShapeError(f"{function}: index must be a vector, not {places.type}.")
    places = ops.reshape(places, shape=(1,)) if places.ndim == 0 else places
    return given, at, scalar, places_along(places, given, at, function)


def _into_slices(
    function: str, x: TensorLike, dim: int, index: TensorLike, source: TensorLike, mode: str
) -> Tensor:
    given, at, scalar, places = _slices(function, x, dim, index)
    shape = (*given.shape[:at], *places.shape, *given.shape[at + 1 :])
    if scalar and isinstance(source, Tensor) and not source.ndim:
        source = ops.reshape(source, shape=(1,))
    update = updates_of(source, given, shape, function, "source")
    if not same(update.shape, shape):
        raise ShapeError(
            f"{function}: source must be of shape {shown(shape)}, for x {given.type} and an "
            f"index of {places.shape[0]}, not {update.type}."
        )
    rows = ops.reshape(places, shape=(*places.shape, 1))
    return back(ops.scatter(given, rows, update, axis=at, batch_dims=0, mode=mode), scalar)


def index_add(
    x: TensorLike, dim: int, index: TensorLike, source: TensorLike, *, alpha: Scalar = 1
) -> Tensor:
    """``x`` with ``alpha`` times the slices of ``source`` added to those that ``index`` names.

    Repeated places add up.

    Raises:
        ShapeError, DTypeError, IndexingError: the arguments do not fit.
    """
    if alpha != 1:
        source = mul(as_tensor(source, "index_add", "source"), alpha)
    return _into_slices("index_add", x, dim, index, source, "add")


def index_copy(x: TensorLike, dim: int, index: TensorLike, source: TensorLike) -> Tensor:
    """``x`` with the slices along ``dim`` that ``index`` names replaced by those of ``source``."""
    return _into_slices("index_copy", x, dim, index, source, "set")


def index_fill(x: TensorLike, dim: int, index: TensorLike, value: TensorLike) -> Tensor:
    """``x`` with one value in all slices along ``dim`` that ``index`` names."""
    given, at, scalar, places = _slices("index_fill", x, dim, index)
    shape = (*given.shape[:at], *places.shape, *given.shape[at + 1 :])
    update = updates_of(value, given, shape, "index_fill", "value")
    if isinstance(update, Tensor) and not isinstance(update, Splat):
        if update.ndim:
            raise ShapeError(
                f"index_fill: value must be a number or of shape (), not {update.type}."
            )
        update = expand_to(update, shape)
    rows = ops.reshape(places, shape=(*places.shape, 1))
    return back(ops.scatter(given, rows, update, axis=at, batch_dims=0, mode="set"), scalar)


def index_put(
    x: Tensor, indices: Sequence[Any], values: TensorLike, accumulate: bool = False
) -> Tensor:
    """``x.at[indices].set(values)``; with ``accumulate``, ``.add(values)``."""
    if not isinstance(indices, (tuple, list)):
        raise ArgumentError(
            f"index_put: indices must be a tuple of index tensors, not {indices!r:.60}."
        )
    where = AtIndex(as_tensor(x, "index_put", "x"), tuple(indices))
    return where.add(values) if accumulate else where.set(values)


def take(x: TensorLike, index: TensorLike) -> Tensor:
    """The elements of the flattened tensor that integers name."""
    given, places = as_tensor(x, "take", "x"), as_tensor(index, "take", "index")
    flat = ops.reshape(given, shape=(given.type.size,))
    checked = places_along(places, flat, 0, "take")
    rows = ops.reshape(checked, shape=(*checked.shape, 1))
    return ops.gather(flat, rows, axis=0, batch_dims=0)


# --- coordinates in a last dimension


def _coordinates(function: str, x: Tensor, indices: TensorLike, batch_dims: int) -> Tensor:
    given = as_tensor(indices, function, "indices")
    if not 0 <= whole_of(batch_dims, function, "batch_dims") <= x.ndim:
        raise ShapeError(f"{function}: batch_dims={batch_dims} is out of range for {x.type}.")
    if not given.dtype.is_integer:
        raise DTypeError(f"{function}: indices must be of an integer dtype, and are {given.type}.")
    count = given.shape[-1] if given.ndim else 0
    if given.ndim <= batch_dims or batch_dims + count > x.ndim:
        raise ShapeError(
            f"{function}: indices {given.type} need a last dimension of at most "
            f"{x.ndim - batch_dims} coordinates into {x.type}, behind batch_dims={batch_dims} "
            "dimensions."
        )
    if not same(x.shape[:batch_dims], given.shape[:batch_dims]):
        raise ShapeError(
            f"{function}: the first batch_dims={batch_dims} dimensions of {x.type} and of "
            f"indices {given.type} must be equal."
        )
    parts = []
    for k in range(count):
        part = cut(given, given.ndim - 1, k, k + 1)
        parts.append(places_along(part, x, batch_dims + k, function))
    if not parts:
        return ops.cast(given, dtype=dtypes.int64)
    return parts[0] if len(parts) == 1 else ops.cat(*parts, dim=given.ndim - 1)


def gather_nd(x: TensorLike, indices: TensorLike, batch_dims: int = 0) -> Tensor:
    """The elements or slices of ``x`` at coordinates, as ONNX's GatherND.

    The coordinates stand in the last dimension of ``indices``.

    Raises:
        ShapeError, DTypeError, IndexingError: they do not fit.
    """
    given = as_tensor(x, "gather_nd", "x")
    places = _coordinates("gather_nd", given, indices, batch_dims)
    return ops.gather(given, places, axis=batch_dims, batch_dims=batch_dims)


def scatter_nd(
    x: TensorLike,
    indices: TensorLike,
    updates: TensorLike,
    batch_dims: int = 0,
    *,
    reduction: str = "none",
) -> Tensor:
    """``x`` with elements or slices written at coordinates, as ONNX's ScatterND.

    Args:
        x: what is copied.
        indices: ``[..., k]`` coordinates into the first ``k`` dimensions.
        updates: as ``gather_nd(x, indices)`` has it.
        batch_dims: how many leading dimensions ``x`` and ``indices`` share.
        reduction: ``"none"`` to write, else ``"add"``, ``"mul"``, ``"min"`` or ``"max"``.

    Raises:
        ShapeError, DTypeError, ArgumentError, IndexingError: the arguments do not fit.
    """
    if reduction not in ("none", "add", "mul", "min", "max"):
        raise ArgumentError(
            f"scatter_nd: reduction={reduction!r} is none of none, add, mul, min, max."
        )
    given = as_tensor(x, "scatter_nd", "x")
    places = _coordinates("scatter_nd", given, indices, batch_dims)
    count = places.shape[-1]
    shape = (*places.shape[:-1], *given.shape[batch_dims + count :])
    update = updates_of(updates, given, shape, "scatter_nd", "updates")
    if not same(update.shape, shape):
        raise ShapeError(
            f"scatter_nd: updates for x {given.type} at indices of shape {shown(places.shape)} "
            f"must be of shape {shown(shape)}, and are {update.type}."
        )
    mode = "set" if reduction == "none" else reduction
    return ops.scatter(given, places, update, axis=batch_dims, batch_dims=batch_dims, mode=mode)
