"""Integrals along lines through points, and differences between neighbours as derivatives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from slope.core.tensor import Tensor
from slope.dims import same
from slope.errors import ArgumentError, ShapeError
from slope.functions._arguments import dim_of, scalar_of, whole_of
from slope.functions._at_once import at_once
from slope.functions._base import TensorLike, as_tensor, floating, to_dtype
from slope.functions.arithmetic import add, div, mul, sub
from slope.functions.joining import cat, cut, diff
from slope.functions.reductions import cumsum
from slope.functions.shapes import expand, reshape
from slope.functions.statistics import trapezoid, trapezoids

__all__ = ["cumulative_trapezoid", "gradient", "trapz"]

trapz = trapezoid


@at_once
def cumulative_trapezoid(
    y: TensorLike, x: TensorLike | None = None, *, dx: float = 1.0, dim: int = -1
) -> Tensor:
    """The areas below the line up to each point but the first; else as :func:`slope.trapezoid`.

    Raises:
        ShapeError: shapes that do not fit.
        ArgumentError: both ``x`` and a ``dx`` other than 1.
    """
    areas, at = trapezoids("cumulative_trapezoid", y, x, dx, dim)
    return mul(cumsum(areas, at), 0.5)


@at_once
def gradient(
    x: TensorLike,
    *,
    spacing: Any = 1,
    dim: int | Sequence[int] | None = None,
    edge_order: int = 1,
) -> tuple[Tensor, ...]:
    """Derivatives of sampled values along dimensions, estimated from neighbours.

    Inside by parabolas through three points, so exact to second order, also of uneven distances.

    Args:
        x: the values.
        spacing: the distance between values: a number, or one for each of ``dim``; or for each a
            vector of the places.
        dim: the dimensions; all by default.
        edge_order: at the ends 1 takes the slope between two points, 2 that of the parabola.

    Returns:
        For each dimension a tensor of the shape of ``x``.

    Raises:
        ShapeError: fewer than ``edge_order + 1`` elements, or places that do not fit.
        ArgumentError: another ``edge_order``, or another number of spacings.
    """
    given = floating(x, "gradient")
    if edge_order not in (1, 2):
        raise ArgumentError(f"gradient: edge_order={edge_order!r} must be 1 or 2.")
    order = whole_of(edge_order, "gradient", "edge_order")
    named = range(given.ndim) if dim is None else dim if isinstance(dim, (tuple, list)) else (dim,)
    dims = [dim_of(each, given.ndim, "gradient", shape=given.shape) for each in named]
    steps = list(spacing) if isinstance(spacing, (tuple, list)) else [spacing] * len(dims)
    if len(steps) != len(dims):
        raise ArgumentError(
            f"gradient: {len(steps)} spacings are given for {len(dims)} dimensions."
        )
    return tuple(_slopes(given, at, step, order) for at, step in zip(dims, steps, strict=True))


def _slopes(x: Tensor, at: int, spacing: Any, order: int) -> Tensor:
    length = x.shape[at]
    if length < order + 1:
        raise ShapeError(
            f"gradient: dimension {at} of {x.type} needs at least {order + 1} elements for "
            f"edge_order={order}."
        )
    widths = _widths(x, at, spacing)
    rises = div(diff(x, dim=at), widths)  # between neighbours
    first, last = cut(rises, at, 0, 1), cut(rises, at, length - 2, length - 1)
    if length == 2:
        return cat([first, last], at)
    before, behind = cut(widths, at, 0, length - 2), cut(widths, at, 1, length - 1)
    share = div(before, add(before, behind))
    early, late = cut(rises, at, 0, length - 2), cut(rises, at, 1, length - 1)
    bend = sub(late, early)
    inside = add(early, mul(share, bend))
    if order == 2:
        first = sub(first, mul(cut(share, at, 0, 1), cut(bend, at, 0, 1)))
        end = length - 3
        rest = sub(1.0, cut(share, at, end, end + 1))
        last = add(last, mul(rest, cut(bend, at, end, end + 1)))
    return cat([first, inside, last], at)


def _widths(x: Tensor, at: int, spacing: Any) -> Tensor:
    """The distances between neighbours, of as many dimensions as ``x``."""
    if scalar_of(spacing) is not None or (isinstance(spacing, Tensor) and not spacing.ndim):
        step = to_dtype(as_tensor(spacing, "gradient", "spacing"), x.dtype)
        return expand(step, (1,) * at + (x.shape[at] - 1,) + (1,) * (x.ndim - at - 1))
    places = floating(spacing, "gradient", "spacing")
    if places.ndim != 1 or not same(places.shape, (x.shape[at],)):
        raise ShapeError(
            f"gradient: dimension {at} of {x.type} needs as many places, and spacing has "
            f"{places.type}."
        )
    return reshape(diff(places), (1,) * at + (-1,) + (1,) * (x.ndim - at - 1))
