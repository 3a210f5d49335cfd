"""Norms of matrices."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from slope import functions as fn
from slope.core.tensor import Tensor
from slope.dims import is_static
from slope.dtypes import DTypeLike
from slope.errors import ArgumentError, ShapeError
from slope.functions import abs, reductions, reshape
from slope.functions._arguments import dim_of, flag_of, number_of
from slope.functions._at_once import at_once
from slope.functions._base import TensorLike, as_tensor
from slope.functions.matrices import Dim, computed_in, vector_norm
from slope.linalg._arguments import wide_enough
from slope.linalg._svd import singular_values

__all__ = ["matrix_norm", "norm"]


@at_once
def matrix_norm(
    x: TensorLike,
    ord: float | str = "fro",
    dim: Sequence[int] = (-2, -1),
    keepdim: bool = False,
    *,
    dtype: DTypeLike | None = None,
) -> Tensor:
    """Norms of matrices.

    Args:
        x: two dimensions or more; whole numbers are taken as float32.
        ord: ``"fro"``: the root of the sum of squares; ``"nuc"``: the sum of the singular values; 2
            and -2: the largest and smallest of them; 1 and infinity: the largest sum of sizes in a
            column, in a row; -1 and -infinity: the smallest ones.
        dim: the dimensions of rows and columns.
        keepdim: keep them with length 1.
        dtype: of the computation and the result.

    Raises:
        ArgumentError: another ``ord``.
        ShapeError: ``dim`` are not two dimensions of ``x``, or nothing has no smallest size.
        DTypeError: half precision, of singular values.
    """
    given = computed_in("matrix_norm", x, dtype)
    rows, columns = _two("matrix_norm", given, dim)
    keepdim = flag_of(keepdim, "linalg.matrix_norm", "keepdim")
    if isinstance(ord, str) and ord == "fro":
        return reductions.norm(given, 2, (rows, columns), keepdim)
    if ord in ("nuc", 2, -2):
        return _spectral(given, ord, (rows, columns), keepdim)
    if ord not in (1, -1, math.inf, -math.inf):
        raise ArgumentError(
            f"linalg.matrix_norm: ord={ord!r:.60} must be 'fro', 'nuc', 2, -2, 1, -1, inf or -inf."
        )
    first, second = (rows, columns) if ord in (1, -1) else (columns, rows)
    sizes = reductions.sum(abs(given), first, True)
    if ord in (1, math.inf) and is_static(sizes.shape) and not sizes.shape[second]:
        extreme = reductions.sum(sizes, second, True)  # of no columns: 0, as of no elements
    else:
        extreme = (reductions.amax if ord in (1, math.inf) else reductions.amin)(
            sizes, second, True
        )
    if keepdim:
        return extreme
    rest = [length for at, length in enumerate(given.shape) if at not in (rows, columns)]
    return reshape(extreme, tuple(rest))


def norm(
    x: TensorLike,
    ord: float | str | None = None,
    dim: Dim = None,
    keepdim: bool = False,
    *,
    dtype: DTypeLike | None = None,
) -> Tensor:
    """:func:`vector_norm` or :func:`matrix_norm`, whichever ``ord`` and ``dim`` mean.

    Without ``ord`` the root of the sum of squares of all elements, or along ``dim``. With it, of
    vectors for one dimension, of matrices for two.

    Raises:
        ShapeError: neither one nor two dimensions; the others of these functions.
    """
    given = as_tensor(x, "linalg.norm", "x")
    if ord is None:
        return vector_norm(given, 2, dim, keepdim, dtype=dtype)
    dims = dim if dim is not None else tuple(range(given.ndim))
    count = len(dims) if isinstance(dims, (tuple, list)) else 1
    if count == 2:
        return matrix_norm(given, ord, dims, keepdim, dtype=dtype)  # pyright: ignore[reportArgumentType]  # two of them
    if count != 1:
        raise ShapeError(
            f"linalg.norm: ord={ord!r} needs one dimension or two, and gets {count} of "
            f"{given.type}; give dim."
        )
    return vector_norm(given, number_of(ord, "linalg.norm", "ord"), dim, keepdim, dtype=dtype)


def _spectral(x: Tensor, ord: float | str, dims: tuple[int, int], keepdim: bool) -> Tensor:
    """A norm that is one of singular values."""
    given = wide_enough("matrix_norm", x).movedim(dims, (-2, -1))
    if 0 in given.shape[-2:]:  # no singular values: no largest one, as of no elements
        if ord == -2:
            raise ShapeError(f"linalg.matrix_norm: {x.type} has no smallest singular value.")
        made = given.sum((-2, -1))
    else:
        values = singular_values(given)
        made = values.sum(-1) if ord == "nuc" else values[..., 0 if ord == 2 else -1]
    if not keepdim:
        return made
    return fn.reshape(made, tuple(1 if at in dims else n for at, n in enumerate(x.shape)))


def _two(function: str, x: Tensor, dim: Any) -> tuple[int, int]:
    if not isinstance(dim, (tuple, list)) or len(dim) != 2 or x.ndim < 2:
        raise ShapeError(
            f"linalg.{function}: dim={dim!r:.60} must be two dimensions, and x is {x.type}."
        )
    first, second = (dim_of(each, x.ndim, f"linalg.{function}", shape=x.shape) for each in dim)
    if first == second:
        raise ShapeError(f"linalg.{function}: dim={dim} names one dimension of {x.type} twice.")
    return first, second
