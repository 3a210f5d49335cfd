"""Rules for equations with triangular matrices, as products: a loop takes 4 us for each row.

The blocks on the diagonal are inverted all at once, by doubling: where ``X`` inverts the blocks of
``s`` rows and ``C`` is what lies between pairs of them, ``X - X C X`` inverts those of ``2 s``. XLA
solves with inverted blocks, too (its pass TriangularSolveExpander).
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from slope_backend_onnx.graph import Graph
from slope_backend_onnx.lower.context import Lowering, Result, Rule, Value

_BLOCK: Final = 64  # rows; up to here a matrix is one block
_SMALL: Final = 32  # rows of a block of larger matrices


def _solve_triangle(cx: Lowering, a: Value, b: Value, *, upper: bool, unit: bool = False) -> Result:
    dtype, count = b.dtype.name, a.type.shape[-1]
    if 0 in b.type.shape:
        return b
    matrix, right = cx.full(a), cx.full(b)
    if count <= _BLOCK:
        return cx.op("MatMul", _inverse(cx, dtype, matrix, count, upper, unit), right)
    size = max(_SMALL, -(-count // 16))
    starts = range(0, count, size)
    rank = len(a.type.shape)
    inverses = _inverse(cx, dtype, _corners(cx, matrix, count, size, rank), size, upper, unit)
    found: list[str] = []  # in the order of the rows
    for number in sorted(range(len(starts)), reverse=upper):
        start, stop = starts[number], min(starts[number] + size, count)
        rest = _cut(cx, right, (start, stop), (-2,))
        if found:
            behind = (stop, count) if upper else (0, start)
            known = _cut(cx, matrix, ((start, stop), behind), (-2, -1))
            done = cx.op("Concat", *found, axis=-2) if len(found) > 1 else found[0]
            rest = cx.op("Sub", rest, cx.op("MatMul", known, done))
        block = cx.op("Gather", inverses, cx.graph.constant(np.int64(number)), axis=rank - 2)
        if stop - start < size:
            block = _cut(cx, block, ((0, stop - start),) * 2, (-2, -1))
        part = cx.op("MatMul", block, rest)
        found = [part, *found] if upper else [*found, part]
    return cx.op("Concat", *found, axis=-2)


def _cut(cx: Lowering, name: str, spans: Any, axes: tuple[int, ...]) -> str:
    """A part of a value: from where to where, along each of the axes."""
    pairs = (spans,) if len(axes) == 1 else spans
    starts, stops = zip(*pairs, strict=True)
    return cx.op("Slice", name, cx.ints(*starts), cx.ints(*stops), cx.ints(*axes))


def _corners(cx: Lowering, matrix: str, count: int, size: int, rank: int) -> str:
    """The blocks on the diagonal, stacked before the last two dimensions.

    The last one is filled up with ones on its diagonal.
    """
    dtype = cx.out.dtype.numpy
    blocks: list[str] = []
    for start in range(0, count, size):
        width = min(size, count - start)
        block = _cut(cx, matrix, ((start, start + width),) * 2, (-2, -1))
        if width < size:
            ends = [0] * (2 * rank - 2) + [size - width] * 2
            block = cx.op("Pad", block, cx.ints(*ends))
            ones = np.diag((np.arange(size) >= width).astype(dtype))
            block = cx.op("Add", block, cx.graph.constant(ones))
        blocks.append(cx.op("Unsqueeze", block, cx.ints(-3)))
    return cx.op("Concat", *blocks, axis=-3)


def _inverse(cx: Lowering, dtype: str, matrix: str, size: int, upper: bool, unit: bool) -> str:
    """The inverses of the triangles of small matrices."""
    graph: Graph = cx.graph
    eye = np.eye(size, dtype=bool)
    zero = cx.number(0, dtype)
    if unit:
        made = graph.constant(eye.astype(cx.out.dtype.numpy))
    else:
        made = cx.op("Where", graph.constant(eye), cx.op("Reciprocal", matrix), zero)
    rows, columns = np.indices((size, size))
    width = 1
    while width < size:
        pair = rows // (2 * width) == columns // (2 * width)
        order = rows // width < columns // width if upper else rows // width > columns // width
        between = cx.op("Where", graph.constant(pair & order), matrix, zero)
        made = cx.op("Sub", made, cx.op("MatMul", made, cx.op("MatMul", between, made)))
        width *= 2
    return made


RULES: Final[dict[str, Rule]] = {"solve_triangle": _solve_triangle}
