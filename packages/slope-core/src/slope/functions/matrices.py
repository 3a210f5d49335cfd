"""Norms of vectors and products of matrices, which :mod:`slope.linalg` offers."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from slope.core.tensor import Tensor
from slope.dims import is_static, same
from slope.dtypes import DTypeLike, as_dtype
from slope.errors import ArgumentError, ShapeError
from slope.functions import reductions
from slope.functions._arguments import number_of
from slope.functions._at_once import at_once
from slope.functions._base import (
    TensorLike,
    along,
    as_tensor,
    floating,
    operands_of,
    result_dtype,
    to_dtype,
)
from slope.functions.arithmetic import mul
from slope.functions.contraction import matmul
from slope.functions.shapes import reshape

Dim = int | Sequence[int] | None

# --- norms


@at_once
def vector_norm(
    x: TensorLike,
    ord: float = 2,
    dim: Dim = None,
    keepdim: bool = False,
    *,
    dtype: DTypeLike | None = None,
) -> Tensor:
    """``sum(abs(x) ** ord) ** (1 / ord)`` along dimensions, of all elements by default.

    The largest or smallest size for infinite ``ord``, the count of what is not 0 for 0.

    Args:
        x: of any shape; whole numbers are taken as float32.
        ord: any number.
        dim: a dimension or several, taken as one vector.
        keepdim: keep them with length 1.
        dtype: of the computation and the result.

    Raises:
        ShapeError: there is no such dimension; or nothing has no largest size.
    """
    given, p = computed_in("vector_norm", x, dtype), number_of(ord, "linalg.vector_norm", "ord")
    dims: Any = tuple(dim) if isinstance(dim, (tuple, list)) else dim
    return reductions.norm(given, p, None if dims == () else dims, keepdim)


def computed_in(function: str, x: TensorLike, dtype: DTypeLike | None) -> Tensor:
    given = floating(x, f"linalg.{function}")
    return given if dtype is None else floating(to_dtype(given, as_dtype(dtype)), function)


# --- products


@at_once
def vecdot(x: TensorLike, y: TensorLike, *, dim: int = -1) -> Tensor:
    """Inner products of vectors along a dimension; the others broadcast.

    Raises:
        ShapeError: shapes that do not fit, or there is no such dimension.
    """
    a, b = operands_of("linalg.vecdot", None, x=x, y=y)
    product, at, _ = along(mul(a, b), dim, "linalg.vecdot")
    return reductions.sum(product, at, dtype=a.dtype)


@at_once
def multi_dot(tensors: Sequence[TensorLike]) -> Tensor:
    """The product of two matrices or more, in the order that takes the fewest multiplications.

    Args:
        tensors: matrices; the first may be a vector, which is a row, and the last, a column.

    Raises:
        ArgumentError: no list of at least two.
        ShapeError: other dimensions, or lengths that do not fit.
    """
    if isinstance(tensors, Tensor) or not isinstance(tensors, (list, tuple)) or len(tensors) < 2:
        raise ArgumentError("linalg.multi_dot: takes a list or tuple of at least two tensors.")
    given = [as_tensor(x, "linalg.multi_dot", f"tensors[{n}]") for n, x in enumerate(tensors)]
    dtype = result_dtype("linalg.multi_dot", given)
    last = len(given) - 1
    for number, each in enumerate(given):
        if each.ndim != 2 and not (each.ndim == 1 and number in (0, last)):
            raise ShapeError(f"linalg.multi_dot: tensors[{number}] is {each.type}, no matrix.")
    rows = given[0].shape[:-1]
    columns = given[last].shape[1:]
    chain = [to_dtype(each, dtype) for each in given]
    if given[0].ndim == 1:
        chain[0] = reshape(chain[0], (1, -1))
    if given[last].ndim == 1:
        chain[last] = reshape(chain[last], (-1, 1))
    for left, right in itertools.pairwise(chain):
        if not same((left.shape[1],), (right.shape[0],)):
            raise ShapeError(f"linalg.multi_dot: {left.type} and {right.type} do not fit.")
    lengths = [chain[0].shape[0], *(each.shape[1] for each in chain)]
    cuts = _cuts(lengths) if is_static(lengths) else {}
    return reshape(_multiplied(chain, cuts, 0, last), (*rows, *columns))


def _cuts(lengths: list[int]) -> dict[tuple[int, int], int]:
    """Behind which matrix each run of them is best cut: dynamic programming over their lengths.

    Source: T. Cormen et al., "Introduction to algorithms", matrix-chain multiplication.
    """
    count = len(lengths) - 1
    cost = {(n, n): 0 for n in range(count)}
    cuts: dict[tuple[int, int], int] = {}
    for size in range(1, count):
        for i in range(count - size):
            j = i + size
            cost[i, j], cuts[i, j] = min(
                (cost[i, k] + cost[k + 1, j] + lengths[i] * lengths[k + 1] * lengths[j + 1], k)
                for k in range(i, j)
            )
    return cuts


def _multiplied(
    chain: list[Tensor], cuts: dict[tuple[int, int], int], first: int, last: int
) -> Tensor:
    if first == last:
        return chain[first]
    at = cuts.get((first, last), last - 1)
    return matmul(_multiplied(chain, cuts, first, at), _multiplied(chain, cuts, at + 1, last))
