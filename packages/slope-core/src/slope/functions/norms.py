"""Distances by vector norms, and slices brought below a norm."""

from __future__ import annotations

from slope.core.tensor import Tensor
from slope.errors import ArgumentError, ShapeError
from slope.functions._arguments import dim_of, number_of
from slope.functions._at_once import at_once
from slope.functions._base import TensorLike, as_tensor, floating
from slope.functions.arithmetic import add, div, mul, sub
from slope.functions.logic import gt, where
from slope.functions.reductions import norm

__all__ = ["dist", "renorm"]


@at_once
def dist(x: TensorLike, y: TensorLike, p: float = 2) -> Tensor:
    """The ``p``-norm of ``x - y`` as one vector; see :func:`slope.norm`."""
    first, second = as_tensor(x, "dist", "x"), as_tensor(y, "dist", "y")
    return norm(sub(floating(first, "dist"), floating(second, "dist", "y")), p)


@at_once
def renorm(x: TensorLike, p: float, dim: int, maxnorm: float) -> Tensor:
    """Each slice of a dimension whose ``p``-norm is above ``maxnorm`` scaled down to it.

    Args:
        x: two dimensions or more.
        p: of the norm, above 0.
        dim: the dimension whose slices are meant, one for each of its places.
        maxnorm: at least 0.

    Raises:
        ShapeError: fewer than two dimensions.
        ArgumentError: ``p`` is not above 0, or ``maxnorm`` is negative.
    """
    given = floating(x, "renorm")
    if given.ndim < 2:
        raise ShapeError(f"renorm: takes at least two dimensions, and got {given.type}.")
    at = dim_of(dim, given.ndim, "renorm", shape=given.shape)
    p, most = number_of(p, "renorm", "p"), number_of(maxnorm, "renorm", "maxnorm")
    if not p > 0 or not most >= 0:
        raise ArgumentError(f"renorm: p={p} must be above 0, and maxnorm={most} at least 0.")
    size = norm(given, p, tuple(each for each in range(given.ndim) if each != at), True)
    scale = where(gt(size, most), div(most, add(size, 1e-7)), 1.0)  # PyTorch's distance from 0
    return mul(given, scale)
