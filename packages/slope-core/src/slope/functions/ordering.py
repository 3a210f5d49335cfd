"""Sorting, medians, the largest elements, searching; running products and extrema.

A NaN counts as larger than every number, as in PyTorch. Sorting is always stable.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from slope import dtypes, ops
from slope.core.operator import Operator
from slope.core.tensor import Splat, Tensor
from slope.dims import bounds, same
from slope.dtypes import DTypeLike, as_dtype
from slope.errors import ArgumentError, ShapeError
from slope.functions._arguments import place_of
from slope.functions._at_once import at_once
from slope.functions._base import (
    TensorLike,
    along,
    as_tensor,
    back,
    filled_like,
    floating,
    operand,
    result_dtype,
    splat_like,
    to_dtype,
)
from slope.functions.arithmetic import logaddexp
from slope.functions.reductions import Extreme, amax, amin, kept_shape
from slope.ops.index import take_along
from slope.ops.order import cut, scan_pairs

__all__ = [
    "aminmax",
    "argsort",
    "bucketize",
    "cummax",
    "cummin",
    "cumprod",
    "logcumsumexp",
    "median",
    "nanmedian",
    "searchsorted",
    "sort",
    "topk",
]


class MinMax(NamedTuple):
    """The smallest and the largest elements."""

    min: Tensor
    max: Tensor


def _pair(results: Any, scalar: bool) -> Extreme:
    values, indices = results
    return Extreme(back(values, scalar), back(indices, scalar))


# --- sorting


@at_once
def sort(x: TensorLike, dim: int = -1, descending: bool = False, stable: bool = True) -> Extreme:
    """The elements sorted along a dimension, and their old places: ``(values, indices)``.

    Equal elements keep their order, whatever ``stable`` says; a NaN comes last (first if
    descending). The derivative of a value goes to the element that it is.
    """
    del stable
    given, at, scalar = along(as_tensor(x, "sort", "x"), dim, "sort")
    return _pair(ops.sort(given, dim=at, descending=bool(descending)), scalar)


@at_once
def argsort(x: TensorLike, dim: int = -1, descending: bool = False, stable: bool = True) -> Tensor:
    """The indices that sort a dimension; see :func:`sort`."""
    return sort(x, dim, descending, stable).indices


@at_once
def topk(
    x: TensorLike, k: int, dim: int = -1, largest: bool = True, sorted: bool = True
) -> Extreme:
    """The ``k`` largest (or smallest) elements along a dimension, sorted, and their indices.

    Of equal elements the first come first. A NaN counts as the largest.

    Raises:
        ShapeError: the dimension has fewer than ``k`` elements.
    """
    del sorted  # they always are
    given, at, scalar = along(as_tensor(x, "topk", "x"), dim, "topk")
    k = place_of(k, 0, given, at, dim, "topk")
    found = ops.topk(given, k=k, dim=at, largest=bool(largest))
    return _pair(found, scalar and k == 1)


@at_once
def median(x: TensorLike, dim: int | None = None, keepdim: bool = False) -> Any:
    """The middle element, of two the lower one; with ``dim``, along it as ``(values, indices)``.

    NaN if any element is NaN. The derivative goes to the element that it is.

    Raises:
        ShapeError: there are no elements.
    """
    return _median("median", x, dim, keepdim, _middle)


@at_once
def nanmedian(x: TensorLike, dim: int | None = None, keepdim: bool = False) -> Any:
    """As :func:`median`, of what is not NaN; NaN if there is nothing else.

    Raises:
        ShapeError: there are no elements.
    """
    return _median("nanmedian", x, dim, keepdim, _known_middle)


def _median(
    function: str,
    x: TensorLike,
    dim: int | None,
    keepdim: bool,
    middle: Callable[[Tensor, int, str], Extreme],
) -> Any:
    if dim is None:
        given = as_tensor(x, function, "x")
        flat = ops.reshape(given, shape=(given.type.size,))
        out = middle(flat, 0, function).values
        return ops.reshape(out, shape=(1,) * given.ndim if keepdim else ())
    given, at, scalar = along(as_tensor(x, function, "x"), dim, function)
    found = middle(given, at, function)
    shape = kept_shape(given, (at,))
    if not keepdim or scalar:
        shape = () if scalar else (*shape[:at], *shape[at + 1 :])
    return Extreme(*(ops.reshape(each, shape=shape) for each in found))


def _middle(x: Tensor, dim: int, function: str) -> Extreme:
    length = x.shape[dim]
    if length == 0:
        raise ShapeError(
            f"{function}: dimension {dim} of {x.type} is empty, and nothing has no middle."
        )
    values, places = ops.sort(x, dim=dim, descending=False)
    middle = (length - 1) // 2
    if x.dtype.kind != "f":
        return Extreme(*(cut(each, dim, middle, middle + 1) for each in (values, places)))
    nan = to_dtype(ops.isnan(x), dtypes.int64)
    count = ops.reshape(ops.sum_(nan, dim=(dim,)), shape=kept_shape(x, (dim,)))
    first = ops.sub(filled_like(length, count), count)  # where the NaNs begin
    place = ops.where(ops.gt(count, splat_like(0, count)), first, filled_like(middle, count))
    return Extreme(take_along(values, place, dim), take_along(places, place, dim))


def _known_middle(x: Tensor, dim: int, function: str) -> Extreme:
    if x.dtype.kind != "f" or x.shape[dim] == 0:
        return _middle(x, dim, function)
    values, places = ops.sort(x, dim=dim, descending=False)  # NaNs stand last
    known = to_dtype(ops.bitwise_not(ops.isnan(x)), dtypes.int64)
    count = ops.reshape(ops.sum_(known, dim=(dim,)), shape=kept_shape(x, (dim,)))
    one, zero = splat_like(1, count), splat_like(0, count)
    place = ops.shift_right_arithmetic(ops.maximum(ops.sub(count, one), zero), one)
    return Extreme(take_along(values, place, dim), take_along(places, place, dim))


# --- places in sorted sequences


@at_once
def searchsorted(
    sorted_sequence: TensorLike,
    values: TensorLike,
    *,
    out_int32: bool = False,
    right: bool = False,
    side: str | None = None,
    sorter: TensorLike | None = None,
) -> Tensor:
    """The indices that keep ascending sequences in order if values are put there; NaN goes last.

    Args:
        sorted_sequence: ``[..., n]``, ascending along the last dimension.
        values: ``[..., m]`` with the same leading dimensions; of any shape for a sequence without.
        out_int32: give int32 instead of int64.
        right: behind equal elements.
        side: ``"left"`` or ``"right"``, another way to say it.
        sorter: places (as :func:`argsort` gives them) that bring each sequence in order, for
            sequences that are not.

    Raises:
        ShapeError, ArgumentError: the arguments do not fit.
    """
    if sorter is not None:
        sorted_sequence = _in_order(sorted_sequence, sorter)
    if side not in (None, "left", "right"):
        raise ArgumentError(f"searchsorted: side={side!r} must be 'left' or 'right'.")
    if side == "left" and right:
        raise ArgumentError("searchsorted: side='left' contradicts right=True.")
    rows, wanted = _comparable("searchsorted", sorted_sequence, values)
    batched = rows.ndim > 1
    if rows.ndim == 0 or (batched and wanted.shape[:-1] != rows.shape[:-1]):
        raise ShapeError(
            f"searchsorted: sorted_sequence is {rows.type} and values {wanted.type}; give a "
            f"vector, or equal leading dimensions."
        )
    found = _search(rows, wanted, right or side == "right")
    return to_dtype(found, dtypes.int32) if out_int32 else found


def _in_order(sequence: TensorLike, sorter: TensorLike) -> Tensor:
    rows = as_tensor(sequence, "searchsorted", "sorted_sequence")
    places = as_tensor(sorter, "searchsorted", "sorter")
    if not same(places.shape, rows.shape) or rows.ndim == 0:
        raise ShapeError(
            f"searchsorted: sorter is {places.type}, and must have the shape of sorted_sequence "
            f"{rows.type}."
        )
    return take_along(rows, places, rows.ndim - 1)


@at_once
def bucketize(
    x: TensorLike, boundaries: TensorLike, *, out_int32: bool = False, right: bool = False
) -> Tensor:
    """Which bucket between ascending boundaries each element falls into: :func:`searchsorted`."""
    return searchsorted(boundaries, x, out_int32=out_int32, right=right)


def _comparable(function: str, rows: TensorLike, wanted: TensorLike) -> tuple[Tensor, Tensor]:
    given = operand(rows, function, "sorted_sequence"), operand(wanted, function, "values")
    dtype = result_dtype(function, given)
    first = as_tensor(rows, function, "sorted_sequence")
    second = as_tensor(wanted, function, "values")
    return to_dtype(first, dtype), to_dtype(second, dtype)


_MOST_BITS: Final = 31  # of a length without a bound


def _search(rows: Tensor, wanted: Tensor, right: bool) -> Tensor:
    """Binary search: the count of smaller elements, from its highest bit down."""
    length, lead = rows.shape[-1], rows.ndim - 1
    count: Tensor = Splat(0, wanted.type.with_dtype(dtypes.int64))
    if length == 0:
        return ops.reshape(count, shape=count.shape)
    longest = bounds(length)[1]
    step = 1 << ((longest.bit_length() if isinstance(longest, int) else _MOST_BITS) - 1)
    while step:
        tried = ops.add(count, splat_like(step, count))
        there = ops.le(tried, filled_like(length, tried))
        places = ops.sub(tried, splat_like(1, tried))  # clamped where they are beyond
        element = ops.gather(
            rows, ops.reshape(places, shape=(*places.shape, 1)), axis=lead, batch_dims=lead
        )
        beyond = (ops.gt if right else ops.ge)(element, wanted)
        if rows.dtype.kind == "f":
            nan = ops.isnan(element)
            if right:
                nan = ops.bitwise_and(nan, ops.bitwise_not(ops.isnan(wanted)))
            beyond = ops.bitwise_or(beyond, nan)
        count = ops.where(ops.bitwise_and(there, ops.bitwise_not(beyond)), tried, count)
        step //= 2
    return count


# --- running products and extrema


@at_once
def cumprod(x: TensorLike, dim: int, *, dtype: DTypeLike | None = None) -> Tensor:
    """The cumulative product along a dimension; each product includes its own element.

    Of integers and bools as int64, unless ``dtype`` says else.
    """
    given, at, scalar = along(as_tensor(x, "cumprod", "x"), dim, "cumprod")
    wanted = as_dtype(dtype) if dtype is not None else None
    if wanted is None and given.dtype.kind != "f":
        wanted = dtypes.int64
    given = given if wanted is None else to_dtype(given, wanted)
    return back(ops.cumprod(given, dim=at), scalar)


@at_once
def cummax(x: TensorLike, dim: int) -> Extreme:
    """The running maximum, and its index (the last of equal ones)."""
    return _cumulative(ops.cummax, x, dim)


@at_once
def cummin(x: TensorLike, dim: int) -> Extreme:
    """The running minimum, and its index (the last of equal ones)."""
    return _cumulative(ops.cummin, x, dim)


def _cumulative(op: Operator, x: TensorLike, dim: int) -> Extreme:
    given, at, scalar = along(as_tensor(x, op.name, "x"), dim, op.name)
    if given.dtype is not dtypes.bool_:
        return _pair(op(given, dim=at), scalar)
    values, places = op(ops.cast(given, dtype=dtypes.uint8), dim=at)
    return _pair((ops.cast(values, dtype=dtypes.bool_), places), scalar)


@at_once
def logcumsumexp(x: TensorLike, dim: int) -> Tensor:
    """``log(cumsum(exp(x)))`` along a dimension, without overflow."""
    given, at, scalar = along(floating(x, "logcumsumexp"), dim, "logcumsumexp")
    wide = to_dtype(given, dtypes.accumulator(given.dtype))
    return back(to_dtype(scan_pairs(wide, at, _log_of_sum), given.dtype), scalar)


def _log_of_sum(x: Tensor, y: Tensor) -> Tensor:
    return logaddexp(x, y)


@at_once
def aminmax(x: TensorLike, *, dim: int | None = None, keepdim: bool = False) -> MinMax:
    """The smallest and the largest elements, of all or along a dimension: ``(min, max)``."""
    return MinMax(amin(x, dim, keepdim), amax(x, dim, keepdim))
