"""Rules for the operators that move, repeat, select or add elements."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from slope.extend import DType, splat_scalar

from slope_backend_onnx.lower.context import Lowering, Result, Rule, Value
from slope_backend_onnx.lower.kernels import compute_dtype, numpy_dtype
from slope_backend_onnx.lower.reduce import reduction

_TO_THE_START: Final = -(2**31)  # a slice's end that lies before every element


def _reshape(cx: Lowering, x: Value, *, shape: tuple[int, ...]) -> Result:
    return cx.reshape(cx.full(x), x.type.shape, shape)


def _permute(cx: Lowering, x: Value, *, dims: tuple[int, ...]) -> Result:
    if dims == tuple(range(len(dims))):
        return x
    return transposed(cx, cx.full(x), x.type.shape, dims)


def transposed(cx: Lowering, name: str, shape: Sequence[int], dims: Sequence[int]) -> str:
    """The dimensions in another order; where only dimensions of length 1 move, as a reshape, which copies nothing."""
    if tuple(dims) == tuple(range(len(dims))):
        return name
    moved = [dim for dim in dims if shape[dim] != 1]
    if moved == sorted(moved):
        return cx.reshape(name, shape, [shape[dim] for dim in dims])
    return cx.op("Transpose", name, perm=list(dims))


def _broadcast(cx: Lowering, x: Value, *, shape: tuple[int, ...], dims: tuple[int, ...]) -> Result:
    lengths = (1,) * (x.type.ndim - len(x.shape)) + x.shape
    spread = [1] * len(shape)
    for dim, length in zip(dims, lengths, strict=True):
        spread[dim] = length
    while spread and spread[0] == 1:  # leading ones go without saying
        del spread[0]
    return cx.value(cx.reshape(cx.narrow(x), x.shape, spread), shape=spread)


def _sum(cx: Lowering, x: Value, *, dim: tuple[int, ...]) -> Result:
    return reduction(cx, "ReduceSum", x, dim)


def _cast(cx: Lowering, x: Value, *, dtype: DType) -> Result:
    name = cx.narrow(x)
    if x.dtype.is_floating_point and dtype.is_integer:
        name = _saturate(cx, name, x.dtype.name, dtype.name)
    else:
        name = cx.cast(name, x.dtype.name, dtype.name)
    return cx.value(name, shape=x.shape)


def _saturate(cx: Lowering, x: str, source: str, target: str) -> str:
    """Floating to integer: out of range saturates, NaN gives 0.

    Left to ONNX Runtime, both are whatever the processor's conversion leaves (the low bits, the lowest integer).
    """
    if source in ("float16", "bfloat16"):
        x, source = cx.cast(x, source, "float32"), "float32"
    limits = np.iinfo(target)
    low, high = int(limits.min), int(limits.max)
    clipped = cx.op("Clip", x, cx.number(low, source), cx.number(high, source))  # may round high up to a power of 2
    if target in ("int64", "uint64"):
        real = cx.op("Where", cx.op("IsNaN", x), cx.number(0, source), clipped)
        over = cx.op("GreaterOrEqual", x, cx.number(float(2 ** (64 if target == "uint64" else 63)), source))
        # The largest floating number below the bound is taken where the bound would be chosen anyway.
        below = float(np.nextafter(numpy_dtype(source).type(float(high)), numpy_dtype(source).type(0)))
        exact = cx.cast(cx.op("Min", real, cx.number(below, source)), source, target)
        if target == "int64":
            return cx.op("Where", over, cx.number(high, target), exact)
        # There is no Where for uint64; its highest number has the bits of -1.
        signed = cx.op("Where", over, cx.number(-1, "int64"), cx.cast(exact, "uint64", "int64"))
        return cx.cast(signed, "int64", "uint64")
    # NaN becomes 0 or the lowest int64, whose low bits are 0, too.
    whole = cx.cast(clipped, source, "int64")
    if float(numpy_dtype(source).type(high)) != high:
        whole = cx.op("Min", whole, cx.number(high, "int64"))
    return cx.cast(whole, "int64", target)


def _pad(cx: Lowering, x: Value, *, low: Any, high: Any, interior: Any, value: Any = 0) -> Result:
    dtype = x.dtype.name
    inner = compute_dtype("Pad", x.dtype)
    filler = cx.graph.constant(np.asarray(splat_scalar(value, x.dtype)).astype(numpy_dtype(inner)))
    name, shape, trailing = cx.full(x, inner), list(x.type.shape), list(high)
    if any(gap and length > 1 for gap, length in zip(interior, shape, strict=True)):
        name, shape, trailing = _spaced(cx, name, shape, interior, trailing, filler)
    if any(low) or any(trailing):
        name = cx.op("Pad", name, cx.ints(*low, *trailing), filler)
    return cx.cast(name, inner, dtype)


def _spaced(
    cx: Lowering, name: str, shape: list[int], interior: Any, high: list[int], filler: str
) -> tuple[str, list[int], list[int]]:
    """Each element of some dimensions followed by its gap; the gap behind the last one is taken back from ``high``."""
    split: list[int] = []
    gaps: list[int] = []
    joined: list[int] = []
    trailing: list[int] = []
    for length, gap, after in zip(shape, interior, high, strict=True):
        spaced = gap if length > 1 else 0
        split += [length, 1] if spaced else [length]
        gaps += [0, spaced] if spaced else [0]
        joined.append(length * (1 + spaced))
        trailing.append(after - spaced)
    apart = cx.op("Pad", cx.reshape(name, shape, split), cx.ints(*[0] * len(split), *gaps), filler)
    whole = [length + gap for length, gap in zip(split, gaps, strict=True)]
    return cx.reshape(apart, whole, joined), joined, trailing


def _slice(cx: Lowering, x: Value, *, start: Any, stop: Any, step: Any) -> Result:
    cut = [
        dim
        for dim, length in enumerate(x.type.shape)
        if start[dim] != 0 or stop[dim] != length or (step[dim] != 1 and length > 1)
    ]
    if not cut:
        return x
    first, last, stride = ([values[dim] for dim in cut] for values in (start, stop, step))
    steps = () if all(each == 1 for each in stride) else (cx.ints(*stride),)
    return cx.op("Slice", cx.full(x), cx.ints(*first), cx.ints(*last), cx.ints(*cut), *steps)


def _flip(cx: Lowering, x: Value, *, dims: tuple[int, ...]) -> Result:
    count = len(dims)
    if not count:
        return x
    ends = cx.ints(*[_TO_THE_START] * count)
    return cx.op("Slice", cx.full(x), cx.ints(*[-1] * count), ends, cx.ints(*dims), cx.ints(*[-1] * count))


def _concatenate(cx: Lowering, *xs: Value, dim: int) -> Result:
    kept = [x for x in xs if x.type.shape[dim] != 0] or list(xs[:1])
    if len(kept) == 1:
        return kept[0]
    return cx.op("Concat", *[cx.full(x) for x in kept], axis=dim)


RULES: Final[dict[str, Rule]] = {
    "reshape": _reshape,
    "permute": _permute,
    "broadcast": _broadcast,
    "sum": _sum,
    "cast": _cast,
    "interior_pad": _pad,
    "slice": _slice,
    "flip": _flip,
    "concatenate": _concatenate,
}
