"""Rules for reductions and running sums."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Final

import numpy as np

from slope.extend import TensorType, dims, dtypes
from slope_backend_onnx.lower.context import Lowering, Result, Rule, Value
from slope_backend_onnx.lower.kernels import ORDERED, compute_dtype, working_dtype
from slope_backend_onnx.lower.lengths import large

_RUN: Final = 32  # elements that are worth a sum of their own


def total(cx: Lowering, x: Value, *, dim: tuple[int, ...]) -> Result:
    """The rule for sums; half precision accumulates in float32."""
    if not dim:
        return x
    if x.literal is not None and not dims.is_static(x.type.shape):
        return _repeated(cx, x, dim)
    if x.dtype.is_floating_point:
        inner = working_dtype(x.dtype)
        return cx.cast(summed(cx, cx.full(x, inner), x.type.shape, dim), inner, x.dtype.name)
    if x.dtype.itemsize < 8:  # cannot overflow, and so not saturate, in int64
        return _reduced(cx, "ReduceSum", x, dim, "int64")
    rows, length = _rows(cx, cx.full(x, "int64"), x.type.shape, dim)
    ones = Value("", TensorType((length, 1), dtypes.int64), (), 1)
    sums = cx.op("MatMul", rows, cx.full(ones))  # wraps around
    kept = math.prod(cx.out.shape)
    return cx.cast(cx.reshape(sums, (kept, 1), cx.out.shape), "int64", x.dtype.name)


def _repeated(cx: Lowering, x: Value, dim: Sequence[int]) -> Result:
    """The sum of a number that is repeated as often as is known when the graph runs."""
    times = cx.op("Squeeze", cx.ints(math.prod(x.type.shape[each] for each in dim)))
    inner = compute_dtype("Mul", x.dtype)
    product = cx.op("Mul", cx.cast(times, "int64", inner), cx.narrow(x, inner))
    return cx.value(cx.cast(product, inner, x.dtype.name), shape=())


def summed(cx: Lowering, name: str, shape: Sequence[int], dim: Sequence[int]) -> str:
    """A sum of floats over some dimensions.

    Where dimensions that stay stand between, the last ones go first: ONNX Runtime sums runs of
    memory at twice the speed of runs that it has to put together, and then little is left.
    """
    last = [each for each in dim if all(later in dim for later in range(each, len(shape)))]
    first = [each for each in dim if each not in last]
    if first and large(math.prod(shape[each] for each in last), _RUN):
        name = cx.op("ReduceSum", name, cx.ints(*last), keepdims=0)
        dim = first
    return cx.op("ReduceSum", name, cx.ints(*dim), keepdims=0)


def _reduced(cx: Lowering, op_type: str, x: Value, dim: Sequence[int], dtype: str) -> Result:
    name = cx.op(op_type, cx.full(x, dtype), cx.ints(*dim), keepdims=0)
    return cx.cast(name, dtype, x.dtype.name)


def _rows(cx: Lowering, name: str, shape: Sequence[int], dim: Sequence[int]) -> tuple[str, int]:
    """A matrix with the reduced dimensions in its rows, and the length of these."""
    kept = [each for each in range(len(shape)) if each not in dim]
    order = [*kept, *dim]
    moved = cx.transpose(name, shape, order)
    length = math.prod(shape[each] for each in dim)
    count = math.prod(shape[each] for each in kept)
    return cx.reshape(moved, [shape[each] for each in order], (count, length)), length


def _prod(cx: Lowering, x: Value, *, dim: tuple[int, ...]) -> Result:
    if not dim:
        return x
    if x.dtype.is_floating_point:
        return _reduced(
            cx,
            "ReduceProd",
            x,
            dim,
            working_dtype(x.dtype),
        )
    rows, length = _rows(cx, cx.full(x, "int64"), x.type.shape, dim)
    if length == 0:
        return cx.value(cx.number(1, x.dtype.name), shape=())
    while length > 1:  # ReduceProd saturates, so halves are multiplied until one column is left
        half = length // 2
        halves = [_columns(cx, rows, start, start + half) for start in (0, half)]
        product = cx.op("Mul", *halves)
        rows = (
            product
            if length % 2 == 0
            else cx.op("Concat", product, _columns(cx, rows, length - 1, length), axis=1)
        )
        length -= half
    count = math.prod(cx.out.shape)
    return cx.cast(cx.reshape(rows, (count, 1), cx.out.shape), "int64", x.dtype.name)


def _columns(cx: Lowering, name: str, start: int, stop: int) -> str:
    return cx.op("Slice", name, cx.ints(start), cx.ints(stop), cx.ints(1))


def ordered(cx: Lowering, x: Value) -> str:
    """The full operand in a dtype of the same order that ArgMax takes."""
    return (
        flipped(cx, cx.full(x))
        if x.dtype.name == "uint64"
        else cx.full(x, compute_dtype("ArgMax", x.dtype, ORDERED))
    )


def flipped(cx: Lowering, name: str) -> str:
    """uint64 as int64 in the same order."""
    return cx.op("BitwiseXor", cx.cast(name, "uint64", "int64"), cx.number(-(2**63), "int64"))


def _extreme(op_type: str, cx: Lowering, x: Value, *, dim: tuple[int, ...]) -> Result:
    if not dim:
        return x
    if x.dtype.is_floating_point:
        inner = working_dtype(x.dtype)
        name = cx.full(x, inner)
        best = cx.op(op_type, name, cx.ints(*dim), keepdims=0)
        found = cx.op("Where", has_nan(cx, name, dim), cx.number(float("nan"), inner), best)
        return cx.cast(found, inner, x.dtype.name)
    inner = compute_dtype(op_type, x.dtype, ORDERED)
    if inner not in ("int64", "uint64"):
        return _reduced(cx, op_type, x, dim, inner)
    # By position, since the extremum itself is wrong in int64.
    rows, _ = _rows(cx, cx.full(x), x.type.shape, dim)
    keys, _ = _rows(cx, ordered(cx, x), x.type.shape, dim)
    place = cx.op(op_type.replace("Reduce", "Arg"), keys, axis=1, keepdims=1)
    best = cx.op("GatherElements", rows, place, axis=1)
    return cx.reshape(best, (math.prod(cx.out.shape), 1), cx.out.shape)


def has_nan(cx: Lowering, name: str, dim: Sequence[int]) -> str:
    """Whether there is a NaN along some dimensions: ONNX Runtime's extrema drop most NaNs.

    A sum of squares is NaN if an operand is, and else never. This is the cheapest form measured:
    sums run at memory speed, while ReduceSumSquare, ReduceL1 and a reduction of IsNaN take 1.5 to 7
    times as long.
    """
    return cx.op("IsNaN", cx.op("ReduceSum", cx.op("Mul", name, name), cx.ints(*dim), keepdims=0))


def _truth(op_type: str, cx: Lowering, x: Value, *, dim: tuple[int, ...]) -> Result:
    if not dim:
        return x
    if 0 in [x.type.shape[each] for each in dim]:
        return cx.value(cx.number(op_type == "ReduceMin", "bool"), shape=())
    return cx.op(op_type, cx.full(x), cx.ints(*dim), keepdims=0)


def _position(op_type: str, cx: Lowering, x: Value, *, dim: int) -> Result:
    name = ordered(cx, x)
    best = cx.op(op_type, name, axis=dim, keepdims=0)
    if not x.dtype.is_floating_point:
        return best
    first = cx.op("ArgMax", cx.cast(cx.op("IsNaN", name), "bool", "uint8"), axis=dim, keepdims=0)
    return cx.op("Where", has_nan(cx, name, [dim]), first, best)


def _cumsum(cx: Lowering, x: Value, *, dim: int, reverse: bool = False) -> Result:
    inner = compute_dtype("CumSum", x.dtype)
    axis = cx.graph.constant(np.asarray(dim, np.int64))
    name = cx.op("CumSum", cx.full(x, inner), axis, reverse=int(reverse))
    return cx.cast(name, inner, x.dtype.name)


RULES: Final[dict[str, Rule]] = {
    "amax": partial(_extreme, "ReduceMax"),
    "amin": partial(_extreme, "ReduceMin"),
    "prod": _prod,
    "any": partial(_truth, "ReduceMax"),
    "all": partial(_truth, "ReduceMin"),
    "argmax": partial(_position, "ArgMax"),
    "argmin": partial(_position, "ArgMin"),
    "cumsum": _cumsum,
}
