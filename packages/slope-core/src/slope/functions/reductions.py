"""Reductions over one, several or all dimensions.

``dim`` is an int, a tuple of ints or ``None`` for all; ``keepdim`` keeps the reduced dimensions
with length 1.
Sums of integers and bools are int64; sums of half precision accumulate in float32.
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
from slope.functions._base import (
    TensorLike,
    as_tensor,
    dim_of,
    dims_of,
    floating,
    splat_like,
    to_dtype,
)

Dim = int | tuple[int, ...] | list[int] | None


class Extreme(NamedTuple):
    """Values and where they stand."""

    values: Tensor
    indices: Tensor


def kept_shape(x: Tensor, dims: tuple[int, ...]) -> tuple[Any, ...]:
    """A shape with the reduced dimensions of length 1."""
    return tuple(1 if at in dims else length for at, length in enumerate(x.shape))


def _reduce(op: Operator, x: Tensor, dim: Dim, keepdim: bool, function: str) -> Tensor:
    dims = dims_of(dim, x, function)
    out = op(x, dim=dims) if dims else x
    return ops.reshape(out, shape=kept_shape(x, dims)) if keepdim and dims else out


def _summable(x: TensorLike, function: str, dtype: DTypeLike | None) -> Tensor:
    given = as_tensor(x, function, "x")
    if dtype is not None:
        return to_dtype(given, as_dtype(dtype))
    return given if given.dtype.kind == "f" else to_dtype(given, dtypes.int64)


def sum(
    x: TensorLike, dim: Dim = None, keepdim: bool = False, *, dtype: DTypeLike | None = None
) -> Tensor:  # PyTorch's name
    """Sums; of integers and bools as int64, unless ``dtype`` says else. Of nothing it is 0."""
    return _reduce(ops.sum_, _summable(x, "sum", dtype), dim, keepdim, "sum")


def prod(
    x: TensorLike, dim: Dim = None, keepdim: bool = False, *, dtype: DTypeLike | None = None
) -> Tensor:
    """Products; of integers and bools as int64, unless ``dtype`` says else. Of nothing it is 1."""
    return _reduce(ops.prod, _summable(x, "prod", dtype), dim, keepdim, "prod")


def count_of(x: Tensor, dims: tuple[int, ...]) -> Tensor:
    """How many elements are reduced, in ``x``'s dtype and with the reduced shape."""
    lengths = [x.shape[at] for at in dims]
    rest = x.type.with_shape(tuple(length for at, length in enumerate(x.shape) if at not in dims))
    if is_static(lengths):
        from slope.core.tensor import Splat

        return Splat(float(math.prod(lengths)), rest)
    return ops.sum_(splat_like(1.0, x), dim=dims)  # a symbolic number is counted when it is known


def mean(
    x: TensorLike, dim: Dim = None, keepdim: bool = False, *, dtype: DTypeLike | None = None
) -> Tensor:
    """Means; of nothing NaN. Half precision is averaged in float32.

    Raises:
        DTypeError: integers or bools without ``dtype``.
    """
    given = as_tensor(x, "mean", "x")
    if dtype is not None:
        given = to_dtype(given, as_dtype(dtype))
    if given.dtype.kind != "f":
        raise DTypeError(
            f"mean: {given.type} is not floating-point; give dtype=slope.float32, or cast it with "
            "x.to(slope.float32)."
        )
    wide = to_dtype(given, dtypes.accumulator(given.dtype))
    dims = dims_of(dim, given, "mean")
    total = ops.sum_(wide, dim=dims)
    out = to_dtype(ops.div(total, count_of(wide, dims)), given.dtype)
    return ops.reshape(out, shape=kept_shape(given, dims)) if keepdim and dims else out


def var(x: TensorLike, dim: Dim = None, *, correction: float = 1, keepdim: bool = False) -> Tensor:
    """Variances: squared distances from the mean, over the count less ``correction``.

    Raises:
        DTypeError: integers or bools.
    """
    return _variance("var", x, dim, correction, keepdim)


def _variance(function: str, x: TensorLike, dim: Dim, correction: float, keepdim: bool) -> Tensor:
    given = as_tensor(x, function, "x")
    if given.dtype.kind != "f":
        raise DTypeError(
            f"{function}: {given.type} is not floating-point; cast it with x.to(slope.float32)."
        )
    wide = to_dtype(given, dtypes.accumulator(given.dtype))
    dims = dims_of(dim, given, function)
    count = count_of(wide, dims)
    center = ops.div(ops.sum_(wide, dim=dims), count)
    kept = tuple(at for at in range(wide.ndim) if at not in dims)
    away = ops.sub(wide, ops.broadcast(center, shape=wide.shape, dims=kept))
    left = ops.sub(count, splat_like(correction, count)) if correction else count
    left = _at_least_zero(left)
    out = to_dtype(
        ops.div(ops.sum_(ops.integer_pow(away, exponent=2), dim=dims), left), given.dtype
    )
    return ops.reshape(out, shape=kept_shape(given, dims)) if keepdim and dims else out


def _at_least_zero(x: Tensor) -> Tensor:
    return ops.maximum(x, splat_like(0.0, x))


def std(x: TensorLike, dim: Dim = None, *, correction: float = 1, keepdim: bool = False) -> Tensor:
    """Standard deviations: the square roots of :func:`var`."""
    return ops.sqrt(_variance("std", x, dim, correction, keepdim))


# --- extremes


def amax(x: TensorLike, dim: Dim = None, keepdim: bool = False) -> Tensor:
    """The largest elements; NaN if any is NaN. Ties share the derivative evenly."""
    return _reduce(ops.amax, as_tensor(x, "amax", "x"), dim, keepdim, "amax")


def amin(x: TensorLike, dim: Dim = None, keepdim: bool = False) -> Tensor:
    """The smallest elements; NaN if any is NaN. Ties share the derivative evenly."""
    return _reduce(ops.amin, as_tensor(x, "amin", "x"), dim, keepdim, "amin")


def max(x: TensorLike, dim: Any = None, keepdim: bool = False) -> Any:  # PyTorch's name
    """The largest element; with ``dim`` an int, the largest along it as ``(values, indices)``.

    With a tensor in the place of ``dim``, the larger of two elements, as :func:`slope.maximum`.
    Indices are the first of
    equal ones; ties share the derivative evenly.
    """
    return _extreme("max", ops.amax, argmax, x, dim, keepdim)


def min(x: TensorLike, dim: Any = None, keepdim: bool = False) -> Any:  # PyTorch's name
    """The smallest element; with ``dim`` an int, the smallest along it as ``(values, indices)``.

    With a tensor in the place of ``dim``, the smaller of two elements, as :func:`slope.minimum`.
    Indices are the first of
    equal ones; ties share the derivative evenly.
    """
    return _extreme("min", ops.amin, argmin, x, dim, keepdim)


def _extreme(
    function: str, op: Operator, position: Any, x: TensorLike, dim: Any, keepdim: bool
) -> Any:
    if isinstance(dim, Tensor):
        from slope.functions.arithmetic import maximum, minimum

        return (maximum if function == "max" else minimum)(x, dim)
    given = as_tensor(x, function, "x")
    if dim is None:
        return _reduce(op, given, None, keepdim, function)
    if isinstance(dim, (tuple, list)):
        raise ArgumentError(
            f"{function}: dim={dim!r} must be one int, since it gives indices, too; "
            f"slope.a{function} takes several."
        )
    at = dim_of(dim, given.ndim, function, shape=given.shape)
    return Extreme(_reduce(op, given, at, keepdim, function), position(given, at, keepdim))


def argmax(x: TensorLike, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """The position (int64) of the largest element, the first of equal ones.

    In row-major order without ``dim``.
    """
    return _position(ops.argmax, x, dim, keepdim, "argmax")


def argmin(x: TensorLike, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """The position (int64) of the smallest element, the first of equal ones.

    In row-major order without ``dim``.
    """
    return _position(ops.argmin, x, dim, keepdim, "argmin")


def _position(op: Operator, x: TensorLike, dim: int | None, keepdim: bool, function: str) -> Tensor:
    given = as_tensor(x, function, "x")
    if dim is None:
        out = op(ops.reshape(given, shape=(given.type.size,)), dim=0)
        return ops.reshape(out, shape=(1,) * given.ndim) if keepdim else out
    at = dim_of(dim, given.ndim, function, shape=given.shape)
    out = op(given, dim=at)
    return ops.reshape(out, shape=kept_shape(given, (at,))) if keepdim else out


# --- truth and counts


def _truth(x: TensorLike, function: str) -> Tensor:
    return to_dtype(as_tensor(x, function, "x"), dtypes.bool_)


def any(x: TensorLike, dim: Dim = None, keepdim: bool = False) -> Tensor:  # PyTorch's name
    """Whether any element differs from zero; of nothing it is False."""
    return _reduce(ops.any_, _truth(x, "any"), dim, keepdim, "any")


def all(x: TensorLike, dim: Dim = None, keepdim: bool = False) -> Tensor:  # PyTorch's name
    """Whether all elements differ from zero; of nothing it is True."""
    return _reduce(ops.all_, _truth(x, "all"), dim, keepdim, "all")


def count_nonzero(x: TensorLike, dim: Dim = None) -> Tensor:
    """How many elements differ from zero, as int64."""
    return _reduce(
        ops.sum_, to_dtype(_truth(x, "count_nonzero"), dtypes.int64), dim, False, "count_nonzero"
    )


# --- running sums, norms


def cumsum(x: TensorLike, dim: int, reverse: bool = False) -> Tensor:
    """Running sums along a dimension, each with its own element; of integers and bools as int64."""
    given = _summable(x, "cumsum", None)
    return ops.cumsum(
        given, dim=dim_of(dim, given.ndim, "cumsum", shape=given.shape), reverse=bool(reverse)
    )


def norm(x: TensorLike, p: float = 2, dim: Dim = None, keepdim: bool = False) -> Tensor:
    """Vector norms: ``sum(abs(x) ** p) ** (1 / p)``.

    The largest or smallest size for infinite ``p``, a count for 0.

    The derivative of the 2-norm at 0 is 0, as PyTorch's.
    """
    from slope.functions.composites import l2_norm

    given = floating(x, "norm")
    if p == 2:
        return _reduce(l2_norm, given, dim, keepdim, "norm")
    size = ops.abs_(given)
    if math.isinf(p):
        return _reduce(ops.amax if p > 0 else ops.amin, size, dim, keepdim, "norm")
    if p == 0:
        return _reduce(
            ops.sum_, to_dtype(to_dtype(given, dtypes.bool_), given.dtype), dim, keepdim, "norm"
        )
    if p == 1:
        return _reduce(ops.sum_, size, dim, keepdim, "norm")
    total = _reduce(ops.sum_, ops.pow_(size, splat_like(p, size)), dim, keepdim, "norm")
    return ops.pow_(total, splat_like(1.0 / p, total))


def logsumexp(x: TensorLike, dim: Dim = None, keepdim: bool = False) -> Tensor:
    """``log(sum(exp(x)))`` without overflow.

    -inf of nothing but -inf, where the derivative is 0.
    """
    from slope.functions.composites import logsumexp as op

    return _reduce(op, floating(x, "logsumexp"), dim, keepdim, "logsumexp")
