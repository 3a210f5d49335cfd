"""Areas below curves, distances between rows, covariances and correlations."""

from __future__ import annotations

from slope import ops
from slope.core.tensor import Tensor
from slope.dims import same
from slope.errors import ArgumentError, DTypeError, ShapeError
from slope.functions._arguments import dim_of, flag_of, number_of, shown, whole_of
from slope.functions._at_once import at_once
from slope.functions._base import (
    TensorLike,
    as_tensor,
    broadcast_shapes,
    count_of,
    floating,
    floating_operands,
    splat_like,
    to_dtype,
)
from slope.functions.arithmetic import div, mul, sub
from slope.functions.arrangement import diagonal
from slope.functions.contraction import matmul
from slope.functions.elementwise import sqrt
from slope.functions.extremes import clamp, clamp_min
from slope.functions.joining import cut, diff
from slope.functions.reductions import mean, norm
from slope.functions.reductions import sum as total
from slope.functions.shapes import squeeze, transpose, unsqueeze

__all__ = [
    "cdist",
    "corrcoef",
    "cov",
    "pairwise_distance",
    "trapezoid",
]


@at_once
def trapezoid(
    y: TensorLike, x: TensorLike | None = None, *, dx: float = 1.0, dim: int = -1
) -> Tensor:
    """The area below the line through points, by the trapezoidal rule, along a dimension.

    Args:
        y: the values, a tensor with dimensions.
        x: where they are: a vector, or of a shape that broadcasts with ``y``'s; by default they are
            ``dx`` apart.
        dx: the distance without ``x``.
        dim: the dimension.

    Raises:
        ShapeError: shapes that do not fit.
        ArgumentError: both ``x`` and a ``dx`` other than 1.
    """
    areas, at = trapezoids("trapezoid", y, x, dx, dim)
    return mul(total(areas, at), 0.5)


def trapezoids(
    function: str, y: TensorLike, x: TensorLike | None, dx: float, dim: int
) -> tuple[Tensor, int]:
    """Twice the area between each two neighbours, and along which dimension they lie."""
    values = floating(y, function, "y")
    if not values.ndim:
        raise ShapeError(f"{function}: y must have dimensions, but is {values.type}.")
    at = dim_of(dim, values.ndim, function, shape=values.shape)
    step = number_of(dx, function, "dx")
    if x is not None and step != 1.0:
        raise ArgumentError(f"{function}: both x and dx={step} are given; give one of them.")
    length = values.shape[at]
    pairs = cut(values, at, min(1, length), length) + cut(values, at, 0, max(length - 1, 0))
    if x is None:
        return mul(pairs, step), at
    places = floating(x, function, "x")
    if places.ndim == 1:
        if not same(places.shape, (length,)):
            raise ShapeError(
                f"{function}: dimension {dim} of y {values.type} needs as many places, and x is "
                f"{places.type}."
            )
        places = ops.reshape(places, shape=(length,) + (1,) * (values.ndim - at - 1))
    widths = diff(places, dim=at - values.ndim)
    return mul(pairs, widths), at - values.ndim


# --- distances


@at_once
def pairwise_distance(
    x1: TensorLike, x2: TensorLike, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False
) -> Tensor:
    """The ``p``-norm of ``x1 - x2 + eps`` along the last dimension; the shapes broadcast.

    Raises:
        ShapeError: no dimensions, or shapes that do not fit.
    """
    a, b = floating_operands("pairwise_distance", x1=x1, x2=x2)
    away = ops.sub(a, b)
    if not away.ndim:
        raise ShapeError("pairwise_distance: x1 and x2 must have dimensions, and have none.")
    small = splat_like(number_of(eps, "pairwise_distance", "eps"), away)
    return norm(ops.add(away, small), p, -1, flag_of(keepdim, "pairwise_distance", "keepdim"))


@at_once
def cdist(x1: TensorLike, x2: TensorLike, p: float = 2.0) -> Tensor:
    """The ``p``-norm of the difference of each row of ``x1`` and each row of ``x2``.

    The differences themselves are taken (products of the rows would lose the digits of close
    ones): n * m * k elements. Where two rows coincide the derivative is 0.

    Args:
        x1: ``[..., n, k]``.
        x2: ``[..., m, k]``; leading dimensions broadcast.
        p: of the norm, at least 0; may be infinite.

    Returns:
        ``[..., n, m]``.

    Raises:
        ShapeError: fewer than 2 dimensions, or rows of different lengths.
        ArgumentError: ``p`` is negative.
    """
    a, b = floating(x1, "cdist", "x1"), floating(x2, "cdist", "x2")
    if a.ndim < 2 or b.ndim < 2 or not same(a.shape[-1:], b.shape[-1:]):
        raise ShapeError(
            f"cdist: x1 is {a.type} and x2 is {b.type}; both must be (..., rows, length) of one "
            "length."
        )
    power = number_of(p, "cdist", "p")
    if not power >= 0:
        raise ArgumentError(f"cdist: p={power} must be at least 0.")
    broadcast_shapes("cdist", a.shape[:-2], b.shape[:-2])
    return norm(sub(unsqueeze(a, -2), unsqueeze(b, -3)), power, -1)


# --- covariance


@at_once
def cov(
    x: TensorLike,
    *,
    correction: int = 1,
    fweights: TensorLike | None = None,
    aweights: TensorLike | None = None,
) -> Tensor:
    """The covariances of variables, the rows of ``x``, over their observations, the columns.

    Args:
        x: ``[variables, observations]``; or one variable, whose variance is given.
        correction: what is taken from the number of observations that the sums are divided by.
        fweights: integers ``[observations]``, how often each counts.
        aweights: floats ``[observations]``, how much each counts.

    Returns:
        ``[variables, variables]``, or of shape () for one variable.

    Raises:
        ShapeError, DTypeError: arguments that do not fit.
    """
    given, less = floating(x, "cov"), whole_of(correction, "cov", "correction")
    if given.ndim > 2:
        raise ShapeError(f"cov: takes at most 2 dimensions, and got {given.type}.")
    rows = ops.reshape(given, shape=(1,) * (2 - given.ndim) + given.shape)
    freely = _weights(rows, "fweights", fweights)
    shares = _weights(rows, "aweights", aweights)
    weights = [each for each in (freely, shares) if each is not None]
    if not weights:
        away = sub(rows, mean(rows, 1, keepdim=True))
        scaled, count = away, count_of(rows, (1,))
        divisor = sub(count, less)
    else:
        weight = weights[0] if len(weights) == 1 else mul(*weights)
        whole = total(weight)
        away = sub(rows, div(total(mul(rows, weight), 1, keepdim=True), whole))
        scaled = mul(away, weight)
        if shares is not None and less:
            divisor = sub(whole, div(mul(total(mul(weight, shares)), less), whole))
        else:
            divisor = sub(whole, less)
    product = matmul(scaled, transpose(away, 0, 1))
    return squeeze(div(product, clamp_min(divisor, 0.0)))


def _weights(rows: Tensor, argument: str, value: TensorLike | None) -> Tensor | None:
    if value is None:
        return None
    given, kind = as_tensor(value, "cov", argument), "iu" if argument == "fweights" else "f"
    if given.dtype.kind not in kind:
        needed = "an integer" if argument == "fweights" else "a floating-point"
        raise DTypeError(f"cov: {argument} must be of {needed} dtype, not {given.type}.")
    if not same(given.shape, rows.shape[1:]):
        raise ShapeError(
            f"cov: {argument} must have shape {shown(rows.shape[1:])}, one for each observation, "
            f"and is {given.type}."
        )
    return to_dtype(given, rows.dtype)


@at_once
def corrcoef(x: TensorLike) -> Tensor:
    """The correlation coefficients of variables, the rows of ``x``.

    They lie between -1 and 1; NaN for a variable that does not vary.

    Raises:
        ShapeError: more than 2 dimensions.
    """
    given = floating(x, "corrcoef")
    if given.ndim > 2:
        raise ShapeError(f"corrcoef: takes at most 2 dimensions, and got {given.type}.")
    spread = cov(given)
    if spread.ndim == 0:
        return div(spread, spread)
    sizes = sqrt(diagonal(spread))
    return clamp(div(div(spread, unsqueeze(sizes, 1)), sizes), -1.0, 1.0)
