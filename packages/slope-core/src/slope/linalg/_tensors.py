"""Matrices made of tensors, and equations of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from slope import functions as fn
from slope.core.tensor import Tensor
from slope.dims import is_static
from slope.errors import ShapeError
from slope.functions._arguments import dims_of, whole_of
from slope.functions._at_once import at_once
from slope.functions._base import as_tensor
from slope.linalg._solve import inv, solve

__all__ = ["cross", "diagonal", "tensorinv", "tensorsolve", "vander"]


@at_once
def cross(x: Any, y: Any, *, dim: int = -1) -> Tensor:
    """The cross products of vectors of length 3 along a dimension; the others broadcast.

    Raises:
        ShapeError: shapes that do not fit.
    """
    return fn.cross(x, y, dim)


@at_once
def diagonal(x: Any, *, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """The diagonals of matrices; :func:`slope.diagonal` with other defaults.

    Raises:
        ShapeError: ``x`` has no two such dimensions.
    """
    return fn.diagonal(x, offset, dim1, dim2)


@at_once
def tensorinv(x: Any, ind: int = 2) -> Tensor:
    """The inverse of ``tensordot(x, ., x.ndim - ind)``.

    Args:
        x: its first ``ind`` dimensions together are as long as the others together.
        ind: how many of them are what ``x`` gives.

    Returns:
        Shape ``(*x.shape[ind:], *x.shape[:ind])``.

    Raises:
        ShapeError: the dimensions are not so.
        DTypeError: half precision.
    """
    given = as_tensor(x, "linalg.tensorinv", "x")
    count = whole_of(ind, "linalg.tensorinv", "ind", 1)
    first, last = given.shape[:count], given.shape[count:]
    if not is_static(given.shape) or math.prod(first) != math.prod(last):
        raise ShapeError(
            f"linalg.tensorinv: the first {count} dimensions of {given.type} together must be as "
            f"long as the others."
        )
    return inv(given.reshape(math.prod(first), -1)).reshape(*last, *first)


@at_once
def tensorsolve(x: Any, y: Any, dims: Sequence[int] | None = None) -> Tensor:
    """The solution s of ``tensordot(x, s, s.ndim) == y``.

    Args:
        x: shape ``(*y.shape, *s.shape)``, with as many elements in the one as in the other.
        y: of any shape.
        dims: dimensions of ``x`` that are moved to its end first.

    Raises:
        ShapeError: shapes that do not fit.
        DTypeError: half precision.
    """
    given = as_tensor(x, "linalg.tensorsolve", "x")
    right = as_tensor(y, "linalg.tensorsolve", "y")
    if dims is not None:
        chosen = dims_of(dims, given, "linalg.tensorsolve", "dims")
        given = given.movedim(chosen, tuple(range(-len(chosen), 0)))
    shape = given.shape[right.ndim :]
    count = math.prod(right.shape)
    if given.shape[: right.ndim] != right.shape or math.prod(shape) != count:
        raise ShapeError(
            f"linalg.tensorsolve: x must be (*y.shape, *s.shape), with as many elements in the one "
            f"as in the other, and is {given.type} for y {right.type}."
        )
    return solve(given.reshape(count, count), right.reshape(count)).reshape(*shape)


@at_once
def vander(x: Any, *, N: int | None = None) -> Tensor:  # PyTorch's name
    """Matrices whose columns are the powers of vectors, from the 0th on.

    Args:
        x: shape (..., n).
        N: how many powers. Default: n.

    Returns:
        Shape (..., n, N).

    Raises:
        ShapeError: ``x`` is a single number.
        ArgumentError: ``N`` is no whole number of at least 1.
    """
    given = as_tensor(x, "linalg.vander", "x")
    if not given.ndim:
        raise ShapeError(f"linalg.vander: x must be (..., n), and is {given.type}.")
    count = given.shape[-1] if N is None else whole_of(N, "linalg.vander", "N", 1)
    ones = fn.ones_like(given).unsqueeze(-1)
    repeated = given.unsqueeze(-1).expand(*given.shape, max(count - 1, 0))
    return fn.cat([ones, fn.cumprod(repeated, -1).to(given.dtype)], -1)[..., :count]
