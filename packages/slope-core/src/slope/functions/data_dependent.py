"""Functions whose result takes its shape from the elements, which must therefore be known."""

from __future__ import annotations

import builtins
import math
from typing import Any

import numpy as np

from slope import dtypes, ops
from slope.core.tensor import Splat, Tensor, Tracer
from slope.core.types import TensorType
from slope.dims import same
from slope.errors import ConcretizationError, DTypeError, IndexingError, ShapeError
from slope.functions._arguments import dim_of, shown, whole_of
from slope.functions._base import TensorLike, as_tensor, copied, of_host, splat_like
from slope.functions._devices import placed
from slope.functions.joining import cut

__all__ = [
    "argwhere",
    "bincount",
    "nonzero",
    "unique",
    "unique_consecutive",
]


def require_known(x: Tensor, function: str, way_out: str) -> None:
    """Refuse a traced tensor, whose elements nobody knows yet.

    Raises:
        ConcretizationError: it is one.
    """
    if isinstance(x, Tracer):
        raise ConcretizationError(
            f"{function}: the shape of the result depends on the values of a traced tensor "
            f"{x.type}, which are not known while the function is traced; {way_out}, or call it "
            f"outside of the transformed function."
        )


def nonzero(x: TensorLike, as_tuple: bool = False) -> Any:
    """The coordinates of the elements that differ from zero: int64, ``[count, ndim]``.

    With ``as_tuple`` one vector for each dimension. Only for tensors whose values are known.

    Raises:
        ConcretizationError: the tensor is traced.
    """
    given = as_tensor(x, "nonzero", "x")
    require_known(given, "nonzero", "x != 0 is a mask of known shape")
    array = given.numpy()
    if as_tuple:
        found = np.atleast_1d(array).nonzero()
        return tuple(placed(of_host(np.ascontiguousarray(each)), given.device) for each in found)
    return placed(copied(np.argwhere(array).astype(np.int64)), given.device)


def argwhere(x: TensorLike) -> Tensor:
    """As :func:`nonzero`."""
    return nonzero(x)


def unique(
    x: TensorLike,
    sorted: bool = True,
    return_inverse: bool = False,
    return_counts: bool = False,
    dim: int | None = None,
) -> Any:
    """The different elements in ascending order (or slices along ``dim``).

    Only for tensors whose values are known.

    Args:
        x: a tensor.
        sorted: they always are.
        return_inverse: also give where each element's value stands in the result.
        return_counts: also give how often each occurs.
        dim: compare slices along this dimension instead of elements.

    Returns:
        The result, or a tuple of what was asked for. NaNs all differ.

    Raises:
        ConcretizationError: the tensor is traced.
    """
    del sorted
    given = as_tensor(x, "unique", "x")
    require_known(given, "unique", "slope.sort keeps the shape")
    at = None if dim is None else dim_of(dim, given.ndim, "unique", shape=given.shape)
    array = given.numpy()
    wide = array.astype(np.float32) if given.dtype is dtypes.bfloat16 else array
    values, inverse, counts = np.unique(
        wide, return_inverse=True, return_counts=True, axis=at, equal_nan=False
    )
    parts: list[Tensor] = [copied(values, given.dtype)]
    if return_inverse:
        shape = array.shape if at is None else (array.shape[at],)
        parts.append(copied(inverse.reshape(shape).astype(np.int64)))
    if return_counts:
        parts.append(copied(counts.astype(np.int64)))
    parts = [placed(each, given.device) for each in parts]
    return parts[0] if len(parts) == 1 else tuple(parts)


def unique_consecutive(
    x: TensorLike,
    return_inverse: bool = False,
    return_counts: bool = False,
    dim: int | None = None,
) -> Any:
    """Without the elements (or slices along ``dim``) that equal the one before.

    Only for tensors whose values are known.

    Args:
        x: a tensor; without ``dim`` it is flattened.
        return_inverse: also give where each element's value stands in the result.
        return_counts: also give how often each occurs in its run.
        dim: compare slices along this dimension instead of elements.

    Returns:
        The result, or a tuple of what was asked for. NaNs all differ.

    Raises:
        ConcretizationError: the tensor is traced.
    """
    given = as_tensor(x, "unique_consecutive", "x")
    require_known(given, "unique_consecutive", "x[1:] != x[:-1] is a mask of known shape")
    at = 0 if dim is None else dim_of(dim, given.ndim, "unique_consecutive", shape=given.shape)
    array = given.numpy().reshape(-1) if dim is None else given.numpy()
    across = np.moveaxis(array, at, 0)
    rows = across.reshape(len(across), math.prod(across.shape[1:]))
    new = np.ones(len(rows), bool)
    new[1:] = (rows[1:] != rows[:-1]).any(axis=1)
    starts = np.flatnonzero(new)
    parts = [copied(np.take(array, starts, axis=at), given.dtype)]
    if return_inverse:
        inverse = np.cumsum(new) - 1
        parts.append(copied(inverse.reshape(given.shape) if dim is None else inverse))
    if return_counts:
        parts.append(copied(np.diff(np.append(starts, len(rows)))))
    parts = [placed(each, given.device) for each in parts]
    return parts[0] if len(parts) == 1 else tuple(parts)


def bincount(x: TensorLike, weights: TensorLike | None = None, minlength: int = 0) -> Tensor:
    """How often each of 0, 1, ... occurs in a vector, or the sums of the weights there.

    The result is as long as the largest element needs, and at least ``minlength``; sums have the
    weights' dtype, integers included. Traced elements are unknown: then it has length
    ``minlength``, and larger elements are left out.

    Raises:
        DTypeError, ShapeError, IndexingError: no vector of non-negative integers.
        ConcretizationError: the vector is traced, and ``minlength`` is not given.
    """
    given = as_tensor(x, "bincount", "x")
    if not given.dtype.is_integer or given.ndim != 1:
        raise DTypeError(f"bincount: x must be a vector of integers, not {given.type}.")
    length = whole_of(minlength, "bincount", "minlength", 0)
    if isinstance(given, Tracer):
        if not length:
            require_known(given, "bincount", "give minlength=, the length of the result")
    elif given.type.size:
        array = given.numpy()
        if array.min() < 0:
            raise IndexingError(f"bincount: x holds {array.min()}, and takes no negative elements.")
        length = builtins.max(length, int(array.max()) + 1)
    if weights is None:
        new: Tensor = Splat(1, given.type.with_dtype(dtypes.int64))
    else:
        new = as_tensor(weights, "bincount", "weights")
        if not same(new.shape, given.shape):
            raise ShapeError(
                f"bincount: weights {new.type} must be of x's shape {shown(given.shape)}."
            )
    # One place more, for what is beyond.
    places = ops.cast(given, dtype=dtypes.int64)
    inside = ops.ge(places, splat_like(0, places))
    places = ops.where(inside, places, splat_like(length, places))
    empty = Splat(0, TensorType((length + 1,), new.dtype))
    rows = ops.reshape(places, shape=(*places.shape, 1))
    return cut(ops.scatter(empty, rows, new, axis=0, batch_dims=0, mode="add"), 0, 0, length)
