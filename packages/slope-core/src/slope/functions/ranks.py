"""Order statistics along a dimension, and counts in bins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from slope import dtypes, ops
from slope.core.tensor import Tensor
from slope.errors import ArgumentError, ShapeError
from slope.functions._arguments import flag_of, number_of, place_of, whole_of
from slope.functions._at_once import at_once
from slope.functions._base import TensorLike, along, as_tensor, back, floating, to_dtype
from slope.functions.arithmetic import div, floor_divide, mul, sub
from slope.functions.creation import linspace, ones_like, zeros
from slope.functions.extremes import clamp
from slope.functions.joining import cat, cut, diff
from slope.functions.logic import eq, ge, le, logical_and, ne, where
from slope.functions.ordering import cummax, searchsorted, sort
from slope.functions.reductions import Extreme, amax, amin, argmax, sum
from slope.functions.scattering import index_add
from slope.functions.shapes import reshape, squeeze
from slope.ops.index import take_along

__all__ = ["histc", "histogram", "kthvalue", "mode", "msort"]

# --- order statistics


def msort(x: TensorLike) -> Tensor:
    """The elements sorted along the first dimension; see :func:`slope.sort`."""
    return sort(as_tensor(x, "msort", "x"), 0).values


@at_once
def kthvalue(x: TensorLike, k: int, dim: int = -1, keepdim: bool = False) -> Extreme:
    """The ``k``-th smallest elements along a dimension, and where they stood, of equals in order.

    A NaN counts as the largest. The derivative of a value goes to the element that it is.

    Raises:
        ShapeError: the dimension has fewer than ``k`` elements, or ``k`` is not positive.
    """
    given, at, scalar = along(as_tensor(x, "kthvalue", "x"), dim, "kthvalue")
    k = place_of(k, 1, given, at, dim, "kthvalue")
    keepdim = flag_of(keepdim, "kthvalue", "keepdim")
    found = (cut(each, at, k - 1, k) for each in sort(given, at))
    return Extreme(*(_without(each, at, keepdim, scalar) for each in found))


@at_once
def mode(x: TensorLike, dim: int = -1, keepdim: bool = False) -> Extreme:
    """The most frequent element along a dimension, and its last index.

    Of equally frequent ones the smallest. The derivative goes to the element that it is.

    Raises:
        ShapeError: the dimension is empty.
    """
    given, at, scalar = along(as_tensor(x, "mode", "x"), dim, "mode")
    if given.shape[at] == 0:
        raise ShapeError(f"mode: dimension {dim} of {given.type} is empty.")
    keepdim = flag_of(keepdim, "mode", "keepdim")
    values, places = sort(given, at)
    length = given.shape[at]
    number = ops.iota(shape=given.shape, dim=at, dtype=dtypes.int64)
    starts = ne(cut(values, at, 1, length), cut(values, at, 0, length - 1))
    first = cut(number, at, 0, 1)
    begun = cat([first, where(starts, cut(number, at, 1, length), 0)], at)
    run = sub(number, cummax(begun, at).values)  # how many equal ones stand before
    best = argmax(run, at, keepdim=True)
    found = take_along(values, best, at), take_along(places, best, at)
    return Extreme(*(_without(each, at, keepdim, scalar) for each in found))


def _without(x: Tensor, at: int, keepdim: bool, scalar: bool) -> Tensor:
    return back(x, True) if scalar else x if keepdim else squeeze(x, at)


# --- counts


class Histogram(NamedTuple):
    """Counts, and the edges of the bins."""

    hist: Tensor
    bin_edges: Tensor


@at_once
def histc(x: TensorLike, bins: int = 100, min: float = 0, max: float = 0) -> Tensor:
    """How many elements fall into each of ``bins`` equal bins from ``min`` to ``max``.

    The last bin has its upper end. Elements outside, and NaNs, count nowhere.

    Args:
        x: of any shape; whole numbers are taken as float32.
        bins: how many.
        min: the lower end; where it equals ``max``, both ends are those of the elements.
        max: the upper end.

    Returns:
        Shape (bins,), of the dtype of ``x``.

    Raises:
        ArgumentError: no bins, or ``max`` is below ``min``.
    """
    given = _flat(floating(x, "histc"))
    low, high = number_of(min, "histc", "min"), number_of(max, "histc", "max")
    bins = whole_of(bins, "histc", "bins", 1)
    start, stop = _ends("histc", given, low, high, 1)
    inside = logical_and(ge(given, start), le(given, stop))
    place = floor_divide(mul(sub(where(inside, given, start), start), bins), sub(stop, start))
    return _counts(to_dtype(place, dtypes.int64), to_dtype(inside, given.dtype), bins)


@at_once
def histogram(
    x: TensorLike,
    bins: int | TensorLike,
    *,
    range: Sequence[float] | None = None,
    weight: TensorLike | None = None,
    density: bool = False,
) -> Histogram:
    """Counts of elements in bins, and the edges of the bins: ``(hist, bin_edges)``.

    Each bin has its lower edge, the last also its upper one. Elements outside count nowhere.

    Args:
        x: of any shape; whole numbers are taken as float32.
        bins: how many equal ones; or a vector of their edges, ascending.
        range: the outermost edges, if ``bins`` is a number; by default those of the elements.
        weight: of the shape of ``x``: what each element counts.
        density: divide by the sum of all and by the widths of the bins.

    Raises:
        ShapeError, ArgumentError: the arguments do not fit.
    """
    given = floating(x, "histogram")
    worth = ones_like(given) if weight is None else floating(weight, "histogram", "weight")
    if worth.shape != given.shape:
        raise ShapeError(f"histogram: weight is {worth.type}, and x is {given.type}: no one shape.")
    flat = _flat(given)
    edges = _edges(flat, bins, range)
    count = edges.shape[0] - 1
    inside = logical_and(ge(flat, edges[0]), le(flat, edges[count]))
    place = sub(searchsorted(edges, flat, right=True), 1)
    share = where(inside, to_dtype(_flat(worth), flat.dtype), 0.0)
    hist = _counts(place, share, count)
    if flag_of(density, "histogram", "density"):
        hist = div(hist, mul(sum(hist), diff(edges)))
    return Histogram(hist, edges)


def _edges(x: Tensor, bins: Any, ends: Any) -> Tensor:
    if isinstance(bins, Tensor):
        edges = to_dtype(bins, x.dtype)
        if edges.ndim != 1 or edges.shape[0] < 2 or ends is not None:
            raise ArgumentError(
                f"histogram: bins is {bins.type}, and must be a vector of 2 or more edges, without "
                "range; or an int."
            )
        return edges
    bins = whole_of(bins, "histogram", "bins", 1)
    if ends is not None and (not isinstance(ends, (list, tuple)) or len(ends) != 2):
        raise ArgumentError(f"histogram: range={ends!r:.60} must be two numbers.")
    low, high = (number_of(end, "histogram", "range") for end in ends or (0, 0))
    start, stop = _ends("histogram", x, low, high, 0.5)
    share = linspace(0.0, 1.0, bins + 1, dtype=x.dtype)
    return mul(start, sub(1.0, share)) + mul(stop, share)


def _flat(x: Tensor) -> Tensor:
    return reshape(x, (-1,)) if x.numel() else zeros(0, dtype=x.dtype)


def _ends(
    function: str, x: Tensor, low: float, high: float, beside: float
) -> tuple[Tensor, Tensor]:
    """The outermost edges as given, or those of the elements; were they one, ``beside`` it."""
    if not low <= high:
        raise ArgumentError(f"{function}: the upper end {high} is not above the lower end {low}.")
    if low == high and x.shape[0]:
        start, stop = amin(x), amax(x)
    else:
        start, stop = (zeros((), dtype=x.dtype) + end for end in (low, high))
        if low == high and function == "histogram":
            return start, stop + 1  # of nothing
    one = eq(start, stop)
    return where(one, start - beside, start), where(one, stop + beside, stop)


def _counts(place: Tensor, share: Tensor, bins: int) -> Tensor:
    return index_add(zeros(bins, dtype=share.dtype), 0, clamp(place, 0, bins - 1), share)
