"""The rule for contractions: one Gemm or MatMul, with as few transposes as may be."""

from __future__ import annotations

import math
from typing import Final, NamedTuple

from slope_backend_onnx.lower.context import Lowering, Result, Rule, Value
from slope_backend_onnx.lower.kernels import compute_dtype
from slope_backend_onnx.lower.lengths import is_one

Dims = tuple[int, ...]

TINY: Final = 64
"""Up to so many multiplications MatMul takes longer for a pair of matrices than a loop over all."""


class _Matrix(NamedTuple):
    """An operand as a stack of matrices: its name, and its shape ``(*batch, rows, columns)``.

    Attributes:
        flipped: whether its rows are the contracted dimensions where the plain product wants
            columns, or the reverse.
    """

    name: str
    shape: tuple[int, ...]
    flipped: bool


def _dot_general(
    cx: Lowering,
    x: Value,
    y: Value,
    *,
    contract: tuple[Dims, Dims],
    batch: tuple[Dims, Dims] = ((), ()),
) -> Result:
    inner = compute_dtype("MatMul", x.dtype)
    free_x = _free(x.type.ndim, contract[0], batch[0])
    free_y = _free(y.type.ndim, contract[1], batch[1])
    contract_x, contract_y = _contract_order(contract, free_x, free_y, batch)
    first = _matrix(cx, x, inner, batch[0], free_x, contract_x, contracted_last=True)
    second = _matrix(cx, y, inner, batch[1], free_y, contract_y, contracted_last=False)
    name, shape = _product(cx, first, second, inner)
    return cx.without_ones(cx.cast(name, inner, x.dtype.name), shape)


def _free(ndim: int, contract: Dims, batch: Dims) -> Dims:
    return tuple(dim for dim in range(ndim) if dim not in contract and dim not in batch)


def _contract_order(
    contract: tuple[Dims, Dims], free_x: Dims, free_y: Dims, batch: tuple[Dims, Dims]
) -> tuple[Dims, Dims]:
    """The contracted pairs in the order of the operand that this spares a transpose."""
    pairs = list(zip(*contract, strict=True))
    orders = [sorted(pairs), sorted(pairs, key=lambda pair: pair[1])]

    def transposes(order: list[tuple[int, int]]) -> int:
        of_x, of_y = tuple(pair[0] for pair in order), tuple(pair[1] for pair in order)
        return (_plain(batch[0], free_x, of_x) is None) + (_plain(batch[1], free_y, of_y) is None)

    best = min(orders, key=transposes)
    return tuple(pair[0] for pair in best), tuple(pair[1] for pair in best)


def _plain(batch: Dims, free: Dims, contract: Dims) -> bool | None:
    """Whether the contracted dimensions stand last; None if the groups are not in order."""
    ndim = len(batch) + len(free) + len(contract)
    if (*batch, *free, *contract) == tuple(range(ndim)):
        return True
    return False if (*batch, *contract, *free) == tuple(range(ndim)) else None


def _matrix(
    cx: Lowering,
    x: Value,
    dtype: str,
    batch: Dims,
    free: Dims,
    contract: Dims,
    *,
    contracted_last: bool,
) -> _Matrix:
    shape = x.type.shape
    order = (*batch, *free, *contract)
    last = _plain(batch, free, contract)
    plain = last is not None
    if last is None:
        last = contracted_last
        order = order if last else (*batch, *contract, *free)
    rows, columns = (free, contract) if last else (contract, free)
    size = (
        *(shape[dim] for dim in batch),
        math.prod(shape[dim] for dim in rows),
        math.prod(shape[dim] for dim in columns),
    )
    if plain:
        return _Matrix(cx.shaped(x, size, dtype), size, last != contracted_last)
    moved = cx.transpose(cx.full(x, dtype), shape, order)
    name = cx.reshape(moved, [shape[dim] for dim in order], size)
    return _Matrix(name, size, last != contracted_last)


def _product(cx: Lowering, x: _Matrix, y: _Matrix, dtype: str) -> tuple[str, tuple[int, ...]]:
    rows = x.shape[-1] if x.flipped else x.shape[-2]
    columns = y.shape[-2] if y.flipped else y.shape[-1]
    shape = (*x.shape[:-2], rows, columns)
    length = x.shape[-2] if x.flipped else x.shape[-1]
    if is_one(length) and dtype in _MULTIPLIED:
        left, right = ((*shape[:-2], rows, 1), (*shape[:-2], 1, columns))
        return cx.op("Mul", *(_under(cx, m, to) for m, to in ((x, left), (y, right)))), shape
    known = all(isinstance(each, int) for each in (*shape, length))
    if cx.native and known and 1 in (rows, columns) and dtype in _MULTIPLIED and 0 not in shape:
        pairs, size = math.prod(shape[:-2]), length * rows * columns
        if pairs >= TINY and size <= (4 * TINY if rows == columns else TINY):
            return _dots(cx, x, y, shape), shape
    if len(shape) == 2 and (x.flipped or y.flipped) and dtype in ("float32", "float64"):
        # Without transposes MatMul is as fast, and ONNX Runtime adds a bias within it.
        first, second = int(x.flipped) or None, int(y.flipped) or None
        return cx.op("Gemm", x.name, y.name, transA=first, transB=second), shape
    return cx.op("MatMul", _straight(cx, x), _straight(cx, y)), shape


_MULTIPLIED: Final = ("float32", "float64", "int32", "int64")


def _under(cx: Lowering, matrix: _Matrix, shape: tuple[int, ...]) -> str:
    return cx.reshape(matrix.name, matrix.shape, shape)


def _dots(cx: Lowering, x: _Matrix, y: _Matrix, shape: tuple[int, ...]) -> str:
    """Products of many small matrices with vectors, multiplied all at once and then summed."""
    matrix, vector, rows_last = (x, y, x.flipped) if shape[-1] == 1 else (y, x, not y.flipped)
    lead, length = shape[:-2], math.prod(vector.shape[len(shape) - 2 :])
    beside = (*lead, length, 1) if rows_last else (*lead, 1, length)
    product = cx.op("Mul", matrix.name, _under(cx, vector, beside))
    total = cx.op("ReduceSum", product, cx.ints(-2 if rows_last else -1), keepdims=0)
    return cx.reshape(total, (*lead, max(shape[-2:])), shape)


def _straight(cx: Lowering, matrix: _Matrix) -> str:
    # ONNX Runtime fuses such a transpose into the product (FusedMatMul).
    if not matrix.flipped:
        return matrix.name
    ndim = len(matrix.shape)
    return cx.transpose(matrix.name, matrix.shape, (*range(ndim - 2), ndim - 1, ndim - 2))


RULES: Final[dict[str, Rule]] = {"dot_general": _dot_general}
