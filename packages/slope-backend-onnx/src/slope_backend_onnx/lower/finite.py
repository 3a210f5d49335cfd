"""Fast ways that are right for some numbers alone, with the exact way beside them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from slope_backend_onnx.lower.context import Lowering

WORTH: Final = 8192
"""From so many elements on, ways that are several times as fast pay for the check."""


def if_finite(
    cx: Lowering,
    name: str,
    dtype: str,
    fast: Callable[[Lowering], str],
    exact: Callable[[Lowering], str],
) -> str:
    """What ``fast`` writes where all elements are finite, else what ``exact`` writes.

    The sum tells: it is NaN or infinite if an element is, and costs a tenth of what it saves. An
    overflow of the sum only takes the exact way.

    Args:
        cx: the lowering of the graph around.
        name: the value that is looked at.
        dtype: its dtype.
        fast: writes the result into an inner graph, and names it.
        exact: the same, for whatever elements.
    """
    total = cx.op("ReduceSum", name, keepdims=0)
    finite = cx.op("Less", cx.op("Abs", total), cx.number(float("inf"), dtype))
    return _either(cx, finite, fast, exact)


def if_ordered(
    cx: Lowering,
    name: str,
    fast: Callable[[Lowering], str],
    exact: Callable[[Lowering], str],
) -> str:
    """What ``fast`` writes where no element is NaN, else what ``exact`` writes.

    The sum tells; where it is NaN for two infinities it only takes the exact way. Arguments are
    those of :func:`if_finite`.
    """
    return _either(cx, cx.op("IsNaN", cx.op("ReduceSum", name, keepdims=0)), exact, fast)


def _either(
    cx: Lowering,
    condition: str,
    then: Callable[[Lowering], str],
    otherwise: Callable[[Lowering], str],
) -> str:
    graphs = []
    for way in (then, otherwise):
        inner = cx.inner(way.__name__)
        inner.operator, inner.outs = cx.operator, cx.outs
        inner.graph.output(way(inner))
        graphs.append(inner.graph)
    return cx.op("If", condition, then_branch=graphs[0], else_branch=graphs[1])
