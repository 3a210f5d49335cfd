"""Rules for sorting and for the largest elements, by TopK, which keeps the order of equal ones."""

from __future__ import annotations

from typing import Final

from slope_backend_onnx.lower.context import Lowering, Result, Rule, Value
from slope_backend_onnx.lower.finite import WORTH, if_ordered
from slope_backend_onnx.lower.lengths import large
from slope_backend_onnx.lower.reduce import flipped


def _sort(cx: Lowering, x: Value, *, dim: int, descending: bool = False) -> tuple[Result, Result]:
    return _topk(cx, x, k=x.type.shape[dim], dim=dim, largest=descending)


def _topk(
    cx: Lowering, x: Value, *, k: int, dim: int, largest: bool = True
) -> tuple[Result, Result]:
    if 0 in cx.out.shape:
        zeros = (cx.number(0, out.dtype.name) for out in cx.outs)
        first, second = (cx.value(zero, out, ()) for zero, out in zip(zeros, cx.outs, strict=True))
        return first, second
    name, source = x.dtype.name, cx.full(x)

    def fast(inner: Lowering) -> str:
        return _places(inner, source, k, dim, largest)

    def exact(inner: Lowering) -> str:
        return _exact(inner, name, source, x.type.shape[dim], k, dim=dim, largest=largest)

    if cx.native and name in ("float32", "float64") and large(x.type.size, WORTH):
        places = if_ordered(cx, source, fast, exact)
    else:
        places = exact(cx)
    return cx.op("GatherElements", source, places, axis=dim), places


def _exact(
    cx: Lowering, dtype: str, source: str, length: int, k: int, *, dim: int, largest: bool
) -> str:
    """The places of the first ``k`` of a dimension, NaN or not."""
    if dtype != "float64":
        return _places(cx, _keys(cx, dtype, source), k, dim, largest)
    nan = cx.op("IsNaN", source)
    keys = cx.op("Where", nan, cx.number(float("inf"), dtype), source)
    # Nothing is above inf: NaN is sorted as such, then brought behind by a second, stable sort.
    first = _places(cx, keys, length, dim, largest)
    flags = cx.op("GatherElements", cx.cast(nan, "bool", "int32"), first, axis=dim)
    second = _places(cx, flags, k, dim, largest)
    return cx.op("GatherElements", first, second, axis=dim)


def _places(cx: Lowering, keys: str, k: int, dim: int, largest: bool) -> str:
    """The places of the first ``k`` keys in order."""
    return cx.graph.op(
        "TopK", keys, cx.ints(k), outputs=2, axis=dim, largest=int(largest), sorted=1
    )[1]


_LARGEST: Final = 1e300  # beyond every float32, in float64


def _keys(cx: Lowering, dtype: str, source: str) -> str:
    """Numbers of a dtype that TopK takes, in the same order, none of them NaN."""
    if dtype == "uint64":
        return flipped(cx, source)
    if dtype not in ("float32", "float16", "bfloat16"):
        return cx.cast(source, dtype, "int64" if dtype in ("int64", "uint32") else "int32")
    # TopK compares NaN as it does numbers, which gives no order. float64 has room above inf.
    wide = cx.cast(source, dtype, "float64")
    finite = cx.op(
        "Min", cx.op("Max", wide, cx.number(-_LARGEST, "float64")), cx.number(_LARGEST, "float64")
    )
    return cx.op("Where", cx.op("IsNaN", wide), cx.number(float("inf"), "float64"), finite)


RULES: Final[dict[str, Rule]] = {"sort": _sort, "topk": _topk}
