"""Reductions over one, several or all dimensions.

``dim`` is an int, a tuple of ints or ``None`` for all; an empty tuple, too, means all, as in
PyTorch, except for :func:`any` and :func:`all`, which it has test each element by itself.
``keepdim`` keeps the reduced dimensions with length 1. A tensor of shape () takes 0 and -1 as
``dim``, and stays one. Sums of integers and bools are int64; sums of half precision accumulate in
float32.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from slope import dtypes, ops
from slope.core.operator import Operator
from slope.core.tensor import Tensor
from slope.dims import is_static
from slope.dtypes import DTypeLike, as_dtype
from slope.errors import ArgumentError, DTypeError
from slope.functions import composites, moment_operators
from slope.functions._arguments import dims_of, flag_of, number_of
from slope.functions._at_once import at_once
from slope.functions._base import (
    TensorLike,
    along,
    as_tensor,
    back,
    count_of,
    floating,
    splat_like,
    to_dtype,
)
from slope.functions.extremes import maximum, minimum

__all__ = [
    "all",
    "amax",
    "amin",
    "any",
    "argmax",
    "argmin",
    "count_nonzero",
    "cumsum",
    "logsumexp",
    "max",
    "mean",
    "min",
    "nanmean",
    "nansum",
    "norm",
    "prod",
    "std",
    "std_mean",
    "sum",
    "var",
    "var_mean",
]

Dim = int | tuple[int, ...] | list[int] | None


class Extreme(NamedTuple):
    """Values and where they stand."""

    values: Tensor
    indices: Tensor


def kept_shape(x: Tensor, dims: tuple[int, ...]) -> tuple[Any, ...]:
    """A shape with the reduced dimensions of length 1."""
    return tuple(1 if at in dims else length for at, length in enumerate(x.shape))


def _dims(dim: Dim, x: Tensor, function: str) -> tuple[int, ...]:
    """The dimensions to reduce; none named means all of them."""
    return dims_of(dim, x, function) or tuple(range(x.ndim))


def _reduce(
    op: Operator, x: Tensor, dim: Dim, keepdim: bool, function: str, **params: Any
) -> Tensor:
    """``x`` reduced; without dimensions it is what a reduction of one element makes of it."""
    dims, keepdim = _dims(dim, x, function), flag_of(keepdim, function, "keepdim")
    if not dims:  # programs hold no reduction of no dimensions: as text it would reduce all
        return op(ops.reshape(x, shape=(1,)), dim=(0,), **params)
    out = op(x, dim=dims, **params)
    return ops.reshape(out, shape=kept_shape(x, dims)) if keepdim else out


def _summable(x: TensorLike, function: str, dtype: DTypeLike | None) -> Tensor:
    given = as_tensor(x, function, "x")
    if dtype is not None:
        return to_dtype(given, as_dtype(dtype))
    return given if given.dtype.kind == "f" else to_dtype(given, dtypes.int64)


@at_once
def sum(
    x: TensorLike, dim: Dim = None, keepdim: bool = False, *, dtype: DTypeLike | None = None
) -> Tensor:  # PyTorch's name
    """The sum. Integers and bools add up as int64 unless ``dtype`` is given; an empty sum is 0."""
    return _reduce(ops.sum_, _summable(x, "sum", dtype), dim, keepdim, "sum")


@at_once
def prod(
    x: TensorLike, dim: Dim = None, keepdim: bool = False, *, dtype: DTypeLike | None = None
) -> Tensor:
    """The product, of integers and bools as int64 unless ``dtype`` is given; an empty one is 1."""
    return _reduce(ops.prod, _summable(x, "prod", dtype), dim, keepdim, "prod")


@at_once
def mean(
    x: TensorLike, dim: Dim = None, keepdim: bool = False, *, dtype: DTypeLike | None = None
) -> Tensor:
    """The mean; NaN if there are no elements. Half precision is averaged in float32.

    Raises:
        DTypeError: integers or bools without ``dtype``.
    """
    given = as_tensor(x, "mean", "x")
    if dtype is not None:
        given = to_dtype(given, as_dtype(dtype))
    if given.dtype.kind != "f":
        raise DTypeError(
            f"mean: {given.type} is not floating-point; give dtype=slope.float32, or cast it "
            "with x.to(slope.float32)."
        )
    wide = to_dtype(given, dtypes.accumulator(given.dtype))
    dims, keepdim = _dims(dim, given, "mean"), flag_of(keepdim, "mean", "keepdim")
    if not dims:
        return given
    out = to_dtype(ops.div(ops.sum_(wide, dim=dims), count_of(wide, dims)), given.dtype)
    return ops.reshape(out, shape=kept_shape(given, dims)) if keepdim else out


@at_once
def var(
    x: TensorLike,
    dim: Dim | bool = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = 1,
) -> Tensor:
    """Variances: squared distances from the mean, summed, over the count less ``correction``.

    A ``correction`` of ``None`` is 1. ``unbiased`` is the older way to say ``correction=1`` or
    ``correction=0``; it may stand in the place of ``dim``, too.

    Raises:
        DTypeError: integers or bools.
    """
    return _moment(moment_operators.var, x, dim, correction, keepdim, unbiased)


@at_once
def std(
    x: TensorLike,
    dim: Dim | bool = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = 1,
) -> Tensor:
    """Standard deviations: the square roots of :func:`var`; the derivative at 0 is 0."""
    return _moment(moment_operators.std, x, dim, correction, keepdim, unbiased)


def _moment(
    op: Operator,
    x: TensorLike,
    dim: Dim | bool,
    correction: float | None,
    keepdim: bool,
    unbiased: bool | None,
) -> Tensor:
    given = as_tensor(x, op.name, "x")
    if isinstance(dim, bool):
        unbiased, dim = dim, None
    if given.dtype.kind != "f":
        raise DTypeError(
            f"{op.name}: {given.type} is not floating-point; cast it with x.to(slope.float32)."
        )
    less = (
        number_of(1 if correction is None else correction, op.name, "correction")
        if unbiased is None
        else float(flag_of(unbiased, op.name, "unbiased"))
    )
    return _reduce(op, given, dim, keepdim, op.name, correction=less)


@at_once
def var_mean(
    x: TensorLike,
    dim: Dim | bool = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = 1,
) -> tuple[Tensor, Tensor]:
    """:func:`var` and :func:`mean`."""
    spread = var(x, dim, unbiased, keepdim, correction=correction)
    return spread, mean(x, None if isinstance(dim, bool) else dim, keepdim)


@at_once
def std_mean(
    x: TensorLike,
    dim: Dim | bool = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = 1,
) -> tuple[Tensor, Tensor]:
    """:func:`std` and :func:`mean`."""
    spread = std(x, dim, unbiased, keepdim, correction=correction)
    return spread, mean(x, None if isinstance(dim, bool) else dim, keepdim)


@at_once
def nansum(
    x: TensorLike, dim: Dim = None, keepdim: bool = False, *, dtype: DTypeLike | None = None
) -> Tensor:
    """Sums that count NaN as 0."""
    given = _summable(x, "nansum", dtype)
    if given.dtype.kind == "f":
        given = ops.where(ops.isnan(given), splat_like(0.0, given), given)
    return _reduce(ops.sum_, given, dim, keepdim, "nansum")


@at_once
def nanmean(
    x: TensorLike, dim: Dim = None, keepdim: bool = False, *, dtype: DTypeLike | None = None
) -> Tensor:
    """The mean of the elements that are not NaN; NaN if there are none.

    Raises:
        DTypeError: integers or bools without ``dtype``.
    """
    given = as_tensor(x, "nanmean", "x")
    if dtype is not None:
        given = to_dtype(given, as_dtype(dtype))
    if given.dtype.kind != "f":
        raise DTypeError(
            f"nanmean: {given.type} is not floating-point; give dtype=slope.float32, or cast it "
            "with x.to(slope.float32)."
        )
    wide = to_dtype(given, dtypes.accumulator(given.dtype))
    counts = ops.cast(ops.bitwise_not(ops.isnan(wide)), dtype=wide.dtype)
    known = ops.where(ops.isnan(wide), splat_like(0.0, wide), wide)
    total, count = (_reduce(ops.sum_, each, dim, keepdim, "nanmean") for each in (known, counts))
    return to_dtype(ops.div(total, count), given.dtype)


# --- extremes


@at_once
def amax(x: TensorLike, dim: Dim = None, keepdim: bool = False) -> Tensor:
    """The largest elements; NaN if any is NaN. Ties share the derivative evenly."""
    return _reduce(ops.amax, as_tensor(x, "amax", "x"), dim, keepdim, "amax")


@at_once
def amin(x: TensorLike, dim: Dim = None, keepdim: bool = False) -> Tensor:
    """The smallest elements; NaN if any is NaN. Ties share the derivative evenly."""
    return _reduce(ops.amin, as_tensor(x, "amin", "x"), dim, keepdim, "amin")


@at_once
def max(x: TensorLike, dim: Any = None, keepdim: bool = False) -> Any:  # PyTorch's name
    """The largest element; with ``dim`` an int, the largest along it as ``(values, indices)``.

    With a tensor in the place of ``dim``, the larger of two elements, as :func:`slope.maximum`.
    Of equal elements the first is named, and gets the whole derivative; without ``dim`` they share
    it evenly. Both as in PyTorch.
    """
    return _extreme("max", ops.amax, x, dim, keepdim)


@at_once
def min(x: TensorLike, dim: Any = None, keepdim: bool = False) -> Any:  # PyTorch's name
    """The smallest element; with ``dim`` an int, the smallest along it as ``(values, indices)``.

    With a tensor in the place of ``dim``, the smaller of two elements, as :func:`slope.minimum`.
    Of equal elements the first is named, and gets the whole derivative; without ``dim`` they share
    it evenly. Both as in PyTorch.
    """
    return _extreme("min", ops.amin, x, dim, keepdim)


def _extreme(function: str, op: Operator, x: TensorLike, dim: Any, keepdim: bool) -> Any:
    if isinstance(dim, Tensor):
        return (maximum if function == "max" else minimum)(x, dim)
    given = as_tensor(x, function, "x")
    if dim is None:
        return _reduce(op, given, None, keepdim, function)
    if isinstance(dim, (tuple, list)):
        raise ArgumentError(
            f"{function}: dim={dim!r} must be one int, since it gives indices, too; "
            f"slope.a{function} takes several."
        )
    given, at, scalar = along(given, dim, function)
    held = given.dtype
    if held is dtypes.bool_:
        given = ops.cast(given, dtype=dtypes.uint8)
    found = (ops.max_with_indices if op is ops.amax else ops.min_with_indices)(given, dim=at)
    if held is dtypes.bool_:
        found = ops.cast(found[0], dtype=held), found[1]
    if scalar or not keepdim:
        return Extreme(*found)
    return Extreme(*(ops.reshape(each, shape=kept_shape(given, (at,))) for each in found))


@at_once
def argmax(x: TensorLike, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """The position (int64) of the first largest element, in row-major order without ``dim``."""
    return _position(ops.argmax, x, dim, keepdim, "argmax")


@at_once
def argmin(x: TensorLike, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """The position (int64) of the first smallest element, in row-major order without ``dim``."""
    return _position(ops.argmin, x, dim, keepdim, "argmin")


def _position(op: Operator, x: TensorLike, dim: int | None, keepdim: bool, function: str) -> Tensor:
    given, keepdim = as_tensor(x, function, "x"), flag_of(keepdim, function, "keepdim")
    if dim is None:
        out = op(ops.reshape(given, shape=(given.type.size,)), dim=0)
        return ops.reshape(out, shape=(1,) * given.ndim) if keepdim else out
    given, at, scalar = along(given, dim, function)
    out = op(given, dim=at)
    return ops.reshape(out, shape=kept_shape(given, (at,))) if keepdim and not scalar else out


# --- truth and counts


def _truth(x: TensorLike, function: str) -> Tensor:
    return to_dtype(as_tensor(x, function, "x"), dtypes.bool_)


def _test(op: Operator, x: TensorLike, dim: Dim, keepdim: bool, function: str) -> Tensor:
    given = _truth(x, function)
    if isinstance(dim, (tuple, list)) and not dim:
        return given
    return _reduce(op, given, dim, keepdim, function)


@at_once
def any(x: TensorLike, dim: Dim = None, keepdim: bool = False) -> Tensor:  # PyTorch's name
    """Whether any element differs from zero; False if there are none."""
    return _test(ops.any_, x, dim, keepdim, "any")


@at_once
def all(x: TensorLike, dim: Dim = None, keepdim: bool = False) -> Tensor:  # PyTorch's name
    """Whether all elements differ from zero; True if there are none."""
    return _test(ops.all_, x, dim, keepdim, "all")


@at_once
def count_nonzero(x: TensorLike, dim: Dim = None) -> Tensor:
    """How many elements differ from zero, as int64."""
    return _reduce(
        ops.sum_, to_dtype(_truth(x, "count_nonzero"), dtypes.int64), dim, False, "count_nonzero"
    )


# --- running sums, norms


@at_once
def cumsum(
    x: TensorLike, dim: int, reverse: bool = False, *, dtype: DTypeLike | None = None
) -> Tensor:
    """The cumulative sum along a dimension; each sum includes its own element.

    Of integers and bools as int64, unless ``dtype`` says else.
    """
    given, at, scalar = along(_summable(x, "cumsum", dtype), dim, "cumsum")
    return back(ops.cumsum(given, dim=at, reverse=flag_of(reverse, "cumsum", "reverse")), scalar)


@at_once
def norm(
    x: TensorLike,
    p: float | str | None = 2,
    dim: Dim = None,
    keepdim: bool = False,
    dtype: DTypeLike | None = None,
) -> Tensor:
    """Vector norms: ``sum(abs(x) ** p) ** (1 / p)``.

    The largest or smallest size for infinite ``p``, a count for 0; ``"fro"`` and ``None`` are 2.
    Computed in ``dtype`` if given.

    The derivative where the norm is 0 is 0, as PyTorch's; equal largest sizes share it.
    """
    given = floating(x, "norm")
    given = given if dtype is None else floating(to_dtype(given, as_dtype(dtype)), "norm")
    p = 2.0 if p is None or (isinstance(p, str) and p == "fro") else number_of(p, "norm", "p")
    if p == 2:
        return _reduce(composites.l2_norm, given, dim, keepdim, "norm")
    size = ops.abs_(given)
    if math.isinf(p):
        return _reduce(ops.amax if p > 0 else ops.amin, size, dim, keepdim, "norm")
    if p == 0:
        return _reduce(
            ops.sum_, to_dtype(to_dtype(given, dtypes.bool_), given.dtype), dim, keepdim, "norm"
        )
    if p == 1:
        return _reduce(ops.sum_, size, dim, keepdim, "norm")
    return _reduce(moment_operators.vector_norm, given, dim, keepdim, "norm", p=p)


@at_once
def logsumexp(x: TensorLike, dim: Dim = None, keepdim: bool = False) -> Tensor:
    """``log(sum(exp(x)))`` without overflow.

    -inf of nothing, and of nothing but -inf, where the derivative is 0.
    """
    given = floating(x, "logsumexp")
    dims = _dims(dim, given, "logsumexp")
    if 0 in [
        length for at, length in enumerate(given.shape) if at in dims and is_static((length,))
    ]:
        return ops.log(_reduce(ops.sum_, given, dim, keepdim, "logsumexp"))
    return _reduce(composites.logsumexp, given, dim, keepdim, "logsumexp")
