"""Products of matrices added to a tensor, and the rarer products of vectors and matrices."""

from __future__ import annotations

from typing import Any

from slope import ops
from slope.core.tensor import Tensor
from slope.dims import DimExpr, same
from slope.errors import ArgumentError, ShapeError
from slope.functions._arguments import dim_of, scalar_of, shown
from slope.functions._at_once import at_once
from slope.functions._base import (
    TensorLike,
    as_tensor,
    broadcast_shapes,
    operands_of,
    result_dtype,
    to_dtype,
)
from slope.functions.arithmetic import add, mul
from slope.functions.arrangement import diagonal, roll
from slope.functions.contraction import contract, dot, einsum, matmul, outer, tensordot
from slope.functions.reductions import sum as total
from slope.functions.shapes import reshape

__all__ = [
    "addbmm",
    "addmm",
    "addmv",
    "addr",
    "baddbmm",
    "bilinear",
    "cross",
    "inner",
    "kron",
    "trace",
    "vdot",
]

# --- products added to a tensor


@at_once
def addmm(
    x: TensorLike, mat1: TensorLike, mat2: TensorLike, *, beta: float = 1, alpha: float = 1
) -> Tensor:
    """``beta * x + alpha * (mat1 @ mat2)`` of matrices; ``x`` broadcasts to the product's shape.

    With ``beta=0`` nothing of ``x`` counts, not even its NaNs.

    Raises:
        ShapeError: operands that do not fit.
    """
    given = as_tensor(x, "addmm", "x")
    a, b = _factors("addmm", ("mat1", mat1, 2), ("mat2", mat2, 2))
    return _added("addmm", given, matmul(a, b), beta, alpha)


@at_once
def addmv(
    x: TensorLike, mat: TensorLike, vec: TensorLike, *, beta: float = 1, alpha: float = 1
) -> Tensor:
    """``beta * x + alpha * (mat @ vec)`` of a matrix and a vector; else as :func:`addmm`."""
    given = as_tensor(x, "addmv", "x")
    a, b = _factors("addmv", ("mat", mat, 2), ("vec", vec, 1))
    return _added("addmv", given, matmul(a, b), beta, alpha)


@at_once
def baddbmm(
    x: TensorLike, batch1: TensorLike, batch2: TensorLike, *, beta: float = 1, alpha: float = 1
) -> Tensor:
    """``beta * x + alpha * (batch1 @ batch2)`` of as many matrices each; else as :func:`addmm`."""
    given = as_tensor(x, "baddbmm", "x")
    a, b = _factors("baddbmm", ("batch1", batch1, 3), ("batch2", batch2, 3))
    return _added("baddbmm", given, matmul(a, b), beta, alpha)


@at_once
def addbmm(
    x: TensorLike, batch1: TensorLike, batch2: TensorLike, *, beta: float = 1, alpha: float = 1
) -> Tensor:
    """As :func:`baddbmm`, with the sum of all products instead of each."""
    given = as_tensor(x, "addbmm", "x")
    a, b = _factors("addbmm", ("batch1", batch1, 3), ("batch2", batch2, 3))
    product = contract(a, ("b", "n", "k"), b, ("b", "k", "m"), ("n", "m"))
    return _added("addbmm", given, product, beta, alpha)


@at_once
def addr(
    x: TensorLike, vec1: TensorLike, vec2: TensorLike, *, beta: float = 1, alpha: float = 1
) -> Tensor:
    """``beta * x + alpha * outer(vec1, vec2)`` of two vectors; else as :func:`addmm`."""
    given = as_tensor(x, "addr", "x")
    vectors = [as_tensor(vec1, "addr", "vec1"), as_tensor(vec2, "addr", "vec2")]
    for name, vector in zip(("vec1", "vec2"), vectors, strict=True):
        if vector.ndim != 1:
            raise ShapeError(f"addr: {name} must have 1 dimension, but is {vector.type}.")
    return _added("addr", given, outer(*vectors), beta, alpha)


def _factors(function: str, *given: tuple[str, TensorLike, int]) -> tuple[Tensor, Tensor]:
    """Two factors of the dimensions stated, of one dtype and of lengths that fit."""
    tensors: list[Tensor] = []
    for name, value, ndim in given:
        tensors.append(as_tensor(value, function, name))
        if tensors[-1].ndim != ndim:
            raise ShapeError(
                f"{function}: {name} must have {ndim} dimension{'s' if ndim > 1 else ''}, but is "
                f"{tensors[-1].type}."
            )
    a, b = tensors
    inner = 0 if b.ndim == 1 else b.ndim - 2
    if not same(a.shape[-1:], (b.shape[inner],)) or not same(a.shape[:-2], b.shape[:inner]):
        raise ShapeError(
            f"{function}: {given[0][0]} {a.type} and {given[1][0]} {b.type} do not fit: the summed "
            "dimensions, and the numbers of matrices, must be equal."
        )
    dtype = result_dtype(function, (a, b))
    return to_dtype(a, dtype), to_dtype(b, dtype)


def _added(function: str, given: Tensor, product: Tensor, beta: float, alpha: float) -> Tensor:
    if not same(broadcast_shapes(function, given.shape, product.shape), product.shape):
        raise ShapeError(
            f"{function}: x is {given.type} and does not broadcast to the product's shape "
            f"{shown(product.shape)}."
        )
    for name, value in (("beta", beta), ("alpha", alpha)):
        if scalar_of(value) is None:
            raise ArgumentError(f"{function}: {name} must be a number, not {value!r:.60}.")
    scaled = product if alpha == 1 else mul(product, alpha)
    if beta == 0:
        return to_dtype(scaled, result_dtype(function, (given, scaled)))
    return add(given if beta == 1 else mul(given, beta), scaled)


# --- rarer products


@at_once
def vdot(x: TensorLike, y: TensorLike) -> Tensor:
    """The inner product of two vectors, as :func:`slope.dot`: all dtypes are real."""
    return dot(*_factors("vdot", ("x", x, 1), ("y", y, 1)))


@at_once
def inner(x: TensorLike, y: TensorLike) -> Tensor:
    """Sums of products over the last dimension of both; a plain product if one has none.

    The result's shape is that of ``x`` and then that of ``y``, both without the last dimension.

    Raises:
        ShapeError: last dimensions of different lengths.
    """
    a, b = as_tensor(x, "inner", "x"), as_tensor(y, "inner", "y")
    if a.ndim == 0 or b.ndim == 0:
        return mul(a, b)
    if not same(a.shape[-1:], b.shape[-1:]):
        raise ShapeError(f"inner: the last dimensions of {a.type} and {b.type} must be equal.")
    return tensordot(a, b, ([-1], [-1]))


@at_once
def kron(x: TensorLike, y: TensorLike) -> Tensor:
    """The Kronecker product: each element of ``x`` replaced by its product with all of ``y``.

    Where one has fewer dimensions, leading ones of length 1 are added.
    """
    a, b = as_tensor(x, "kron", "x"), as_tensor(y, "kron", "y")
    ndim = max(a.ndim, b.ndim)
    of_a, of_b = ((1,) * (ndim - each.ndim) + each.shape for each in (a, b))
    pairs = list(zip(of_a, of_b, strict=True))
    products = mul(
        reshape(a, [length for n, _ in pairs for length in (n, 1)]),
        reshape(b, [length for _, m in pairs for length in (1, m)]),
    )
    return reshape(products, [n * m for n, m in pairs])


@at_once
def trace(x: TensorLike) -> Tensor:
    """The sum of a matrix's diagonal; of integers and bools as int64.

    Raises:
        ShapeError: no matrix.
    """
    given = as_tensor(x, "trace", "x")
    if given.ndim != 2:
        raise ShapeError(f"trace: takes a matrix, and got {given.type}.")
    return total(diagonal(given))


@at_once
def cross(x: TensorLike, y: TensorLike, dim: int | None = None) -> Tensor:
    """The cross products of vectors of length 3 along a dimension.

    Without ``dim`` it is the first of length 3. Other dimensions broadcast.

    Raises:
        ShapeError: unequal numbers of dimensions, or none of length 3.
    """
    a, b = as_tensor(x, "cross", "x"), as_tensor(y, "cross", "y")
    if a.ndim != b.ndim:
        raise ShapeError(
            f"cross: {a.type} and {b.type} must have equally many dimensions; unsqueeze one."
        )
    a, b = operands_of("cross", None, x=a, y=b)
    if dim is None:
        threes = [at for at, length in enumerate(a.shape) if _is_three(length)]
        if not threes:
            raise ShapeError(f"cross: {shown(a.shape)} has no dimension of length 3.")
        at = threes[0]
    else:
        at = dim_of(dim, a.ndim, "cross", shape=a.shape)
        if not _is_three(a.shape[at]):
            raise ShapeError(
                f"cross: dimension {dim} of shape {shown(a.shape)} must have the length 3."
            )
    ahead, behind = (mul(roll(a, -n, at), roll(b, -(3 - n), at)) for n in (1, 2))
    return ops.sub(ahead, behind)


def _is_three(length: Any) -> bool:
    return not isinstance(length, DimExpr) and length == 3


@at_once
def bilinear(
    x1: TensorLike, x2: TensorLike, weight: TensorLike, bias: TensorLike | None = None
) -> Tensor:
    """``x1 @ weight[k] @ x2 + bias[k]`` for each output ``k``.

    Args:
        x1: ``[..., in1]``.
        x2: ``[..., in2]``.
        weight: ``[out, in1, in2]``.
        bias: ``[out]``, or None.

    Raises:
        ShapeError: operands that do not fit.
    """
    a, b = as_tensor(x1, "bilinear", "x1"), as_tensor(x2, "bilinear", "x2")
    factor = as_tensor(weight, "bilinear", "weight")
    if (
        a.ndim == 0
        or b.ndim == 0
        or factor.ndim != 3
        or not same(factor.shape[1:], (a.shape[-1], b.shape[-1]))
    ):
        raise ShapeError(
            f"bilinear: for x1 {a.type} and x2 {b.type} the weight must be (outputs, last length "
            f"of x1, last length of x2), not {factor.type}."
        )
    out = einsum("...i,kij,...j->...k", a, factor, b)
    return out if bias is None else add(out, as_tensor(bias, "bilinear", "bias"))
