"""Rules for the operators that move, repeat, select or add elements."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from slope.extend import DType, dims, splat_scalar
from slope_backend_onnx.lower.context import Lowering, Result, Rule, Value
from slope_backend_onnx.lower.kernels import compute_dtype, numpy_dtype
from slope_backend_onnx.lower.lengths import is_one, large, may_be_empty, same
from slope_backend_onnx.lower.reduce import total

_TO_THE_START: Final = -(2**31)  # a slice's end that lies before every element


def _reshape(cx: Lowering, x: Value, *, shape: tuple[int, ...]) -> Result:
    if same((*(1,) * (len(shape) - x.type.ndim), *x.type.shape), shape):
        return cx.value(cx.narrow(x), shape=x.shape)  # leading ones go without saying
    return cx.shaped(x, shape)


def _permute(cx: Lowering, x: Value, *, dims: tuple[int, ...]) -> Result:
    if dims == tuple(range(len(dims))):
        return x
    return cx.transpose(cx.full(x), x.type.shape, dims)


def _broadcast(cx: Lowering, x: Value, *, shape: tuple[int, ...], dims: tuple[int, ...]) -> Result:
    lengths = (1,) * (x.type.ndim - len(x.shape)) + x.shape
    spread = [1] * len(shape)
    for dim, length in zip(dims, lengths, strict=True):
        spread[dim] = length
    while spread and is_one(spread[0]):  # leading ones go without saying
        del spread[0]
    return cx.value(cx.reshape(cx.narrow(x), x.shape, spread), shape=spread)


def _cast(cx: Lowering, x: Value, *, dtype: DType) -> Result:
    name = cx.narrow(x)
    if x.dtype.is_floating_point and dtype.is_integer:
        name = _saturate(cx, name, x.dtype.name, dtype.name)
    else:
        name = cx.cast(name, x.dtype.name, dtype.name)
    return cx.value(name, shape=x.shape)


def _saturate(cx: Lowering, x: str, source: str, target: str) -> str:
    """Floating to integer: out of range saturates, NaN gives 0.

    Left to ONNX Runtime, both are whatever the processor's conversion leaves (the low bits, the
    lowest integer).
    """
    if source in ("float16", "bfloat16"):
        x, source = cx.cast(x, source, "float32"), "float32"
    limits = np.iinfo(target)
    low, high = int(limits.min), int(limits.max)
    if limits.bits <= 16:  # NaN converts to a wider integer whose low bits are 0
        return cx.cast(
            cx.op("Clip", x, cx.number(low, source), cx.number(high, source)),
            source,
            target,
        )
    number = cx.op("Where", cx.op("IsNaN", x), cx.number(0, source), x)
    if limits.bits == 32:  # float64 holds the limits exactly
        number = cx.cast(number, source, "float64")
        return cx.cast(
            cx.op("Clip", number, cx.number(low, "float64"), cx.number(high, "float64")),
            "float64",
            target,
        )
    # The bound of 64 bits is no floating number: it is chosen, and what is converted stays below
    # it.
    kind = numpy_dtype(source).type
    over = cx.op("GreaterOrEqual", number, cx.number(float(high), source))
    below = float(np.nextafter(kind(high), kind(0)))
    exact = cx.cast(
        cx.op("Clip", number, cx.number(low, source), cx.number(below, source)),
        source,
        target,
    )
    if target == "int64":
        return cx.op("Where", over, cx.number(high, target), exact)
    # There is no Where for uint64; its highest number has the bits of -1.
    signed = cx.op("Where", over, cx.number(-1, "int64"), cx.cast(exact, "uint64", "int64"))
    return cx.cast(signed, "int64", "uint64")


def _pad(cx: Lowering, x: Value, *, low: Any, high: Any, interior: Any, value: Any = 0) -> Result:
    dtype = x.dtype.name
    inner = compute_dtype("Pad", x.dtype)
    filler = cx.graph.constant(np.asarray(splat_scalar(value, x.dtype)).astype(numpy_dtype(inner)))
    name, shape, trailing = cx.full(x, inner), list(x.type.shape), list(high)
    if any(gap and large(length, 2) for gap, length in zip(interior, shape, strict=True)):
        name, shape, trailing = _spaced(cx, name, shape, interior, trailing, filler)
    if not same((*low, *trailing), [0] * len(low) * 2):
        name = cx.op("Pad", name, cx.ints(*low, *trailing), filler)
    return cx.cast(name, inner, dtype)


def _spaced(
    cx: Lowering,
    name: str,
    shape: list[int],
    interior: Any,
    high: list[int],
    filler: str,
) -> tuple[str, list[int], list[int]]:
    """Each element followed by its gap; the one behind the last is taken back from ``high``."""
    split: list[int] = []
    gaps: list[int] = []
    joined: list[int] = []
    trailing: list[Any] = []
    for length, gap, after in zip(shape, interior, high, strict=True):
        spaced = gap if gap and large(length, 2) else 0
        split += [length, 1] if spaced else [length]
        gaps += [0, spaced] if spaced else [0]
        joined.append(length * (1 + spaced))
        last = dims.dim_min(length, 1) if may_be_empty(length) else 1  # none has no gap behind it
        trailing.append(after - spaced * last)
    name = cx.reshape(name, shape, split)
    if gaps[-1]:  # ONNX Runtime takes 17 times as long to pad each element as to join two arrays
        beside = cx.op("Expand", filler, cx.ints(*split[:-1], gaps[-1]))
        name = cx.op("Concat", name, beside, axis=len(split) - 1)
        split[-1] += gaps[-1]
        gaps[-1] = 0
    if any(gaps):
        name = cx.op("Pad", name, cx.ints(*[0] * len(split), *gaps), filler)
    whole = [length + gap for length, gap in zip(split, gaps, strict=True)]
    return cx.reshape(name, whole, joined), joined, trailing


def _slice(cx: Lowering, x: Value, *, start: Any, stop: Any, step: Any) -> Result:
    cut = [
        dim
        for dim, length in enumerate(x.type.shape)
        if not same((start[dim], stop[dim]), (0, length)) or (step[dim] != 1 and large(length, 2))
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
    return cx.op(
        "Slice",
        cx.full(x),
        cx.ints(*[-1] * count),
        ends,
        cx.ints(*dims),
        cx.ints(*[-1] * count),
    )


def _concatenate(cx: Lowering, *xs: Value, dim: int) -> Result:
    kept = [x for x in xs if not same([x.type.shape[dim]], [0])] or list(xs[:1])
    if len(kept) == 1:
        return kept[0]
    return cx.op("Concat", *[cx.full(x) for x in kept], axis=dim)


RULES: Final[dict[str, Rule]] = {
    "reshape": _reshape,
    "permute": _permute,
    "broadcast": _broadcast,
    "sum": total,
    "cast": _cast,
    "interior_pad": _pad,
    "slice": _slice,
    "flip": _flip,
    "concatenate": _concatenate,
}
