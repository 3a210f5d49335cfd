"""Branches and loops: If, Loop and Scan, whose graphs see the values around them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from slope.extend import Program, TensorType, dtypes
from slope_backend_onnx.lower.context import Lowering, Result, Rule, Value

_BOOL: Final = TensorType((), dtypes.bool_)
_INT64: Final = TensorType((), dtypes.int64)


def _branch(
    cx: Lowering, index: Value, *operands: Value, branches: tuple[Program, ...]
) -> tuple[Result, ...]:
    if index.literal is not None:
        # ONNX Runtime takes the branch out of such an If, and loses what loops in it read.
        branches = (branches[min(max(int(index.literal), 0), len(branches) - 1)],)
    if len(branches) == 1:
        return tuple(cx.write(branches[0], operands))
    types = cx.outs
    if index.dtype.kind == "b":
        names = _if(cx, cx.full(index), branches[1], branches[0], operands)
    else:
        names = _chain(cx, cx.full(index, "int64"), branches, 0, operands)
    return tuple(cx.value(name, each) for name, each in zip(names, types, strict=True))


def _chain(
    cx: Lowering, index: str, branches: Sequence[Program], number: int, operands: Sequence[Value]
) -> tuple[str, ...]:
    """The first branch for an index up to ``number``, else the others."""
    test = cx.op("LessOrEqual", index, cx.number(number, "int64"))
    if len(branches) == 2:
        return _if(cx, test, branches[0], branches[1], operands)
    rest = cx.inner("others")
    types = branches[0].output_types
    for name, each in zip(
        _chain(rest, index, branches[1:], number + 1, operands), types, strict=True
    ):
        rest.new_output(cx.value(name, each))
    return _node(cx, test, _graph(cx, branches[0], operands), rest, len(types))


def _if(
    cx: Lowering, test: str, first: Program, second: Program, operands: Sequence[Value]
) -> tuple[str, ...]:
    graphs = _graph(cx, first, operands), _graph(cx, second, operands)
    return _node(cx, test, *graphs, len(first.outputs))


def _graph(cx: Lowering, program: Program, operands: Sequence[Value]) -> Lowering:
    inner = cx.inner(program.name)
    for value in inner.write(program, operands):
        inner.new_output(value)
    return inner


def _node(
    cx: Lowering, test: str, first: Lowering, second: Lowering, count: int
) -> tuple[str, ...]:
    names = cx.graph.op(
        "If", test, outputs=count, then_branch=first.graph, else_branch=second.graph
    )
    return (names,) if isinstance(names, str) else names


def _while(
    cx: Lowering, *operands: Value, cond: Program, body: Program, consts: int
) -> tuple[Result, ...]:
    types = cx.outs
    fixed, init = operands[:consts], operands[consts:]
    (going,) = cx.write(cond, operands)
    inner = cx.inner(body.name)
    inner.new_input(_INT64)
    inner.new_input(_BOOL)
    carried = inner.write(body, [*fixed, *[inner.new_input(each) for each in types]])
    full = [Value(inner.full(each), each.type, each.type.shape) for each in carried]
    (again,) = inner.write(cond, [*fixed, *full])
    inner.new_output(again)
    for value in full:
        inner.new_output(value)
    names = cx.graph.op(
        "Loop",
        "",
        cx.full(going),
        *[cx.full(value) for value in init],
        outputs=len(types),
        body=inner.graph,
    )
    return _values(cx, names, types)


def _scan(
    cx: Lowering,
    *operands: Value,
    body: Program,
    consts: int,
    carries: int,
    length: int,
    reverse: bool,
) -> tuple[Result, ...]:
    types = cx.outs
    first = consts + carries
    if length == 0:
        empty = [cx.value(cx.number(0, each.dtype.name), each, ()) for each in types[carries:]]
        return (*operands[consts:first], *empty)
    inner = cx.inner(body.name)
    carried = [inner.new_input(value.type) for value in operands[consts:first]]
    xs = operands[first:]
    slices = [inner.new_input(value.type.with_shape(value.type.shape[1:])) for value in xs]
    names = [cx.full(value) for value in xs]
    if not names:  # Scan wants something to go through
        inner.new_input(_INT64)
        names = [cx.graph.constant(np.arange(length))]
    for value in inner.write(body, [*operands[:consts], *carried, *slices]):
        inner.new_output(value)
    made = cx.graph.op(
        "Scan",
        *[cx.full(value) for value in operands[consts:first]],
        *names,
        outputs=len(types),
        body=inner.graph,
        num_scan_inputs=len(names),
        scan_input_directions=[1] * len(names) if reverse else None,
        scan_output_directions=[1] * (len(types) - carries)
        if reverse and len(types) > carries
        else None,
    )
    return _values(cx, made, types)


def _values(
    cx: Lowering, names: str | tuple[str, ...], types: Sequence[TensorType]
) -> tuple[Result, ...]:
    listed = (names,) if isinstance(names, str) else names
    return tuple(cx.value(name, each) for name, each in zip(listed, types, strict=True))


def _barrier(cx: Lowering, *operands: Value) -> tuple[Result, ...]:
    # A reshape to a shape that ONNX Runtime cannot know beforehand: it copies nothing, is not
    # removed, and makes what follows another computation. The shape comes from the last operand.
    last = operands[-1]
    zero = _runtime_zero(cx, last)
    return tuple(_opaque(cx, value, zero) for value in operands)


def _runtime_zero(cx: Lowering, x: Value) -> str | None:
    """An int64 vector of one 0 that is computed from ``x``."""
    if 0 in x.type.shape or x.literal is not None:
        return None
    flat = cx.op("Reshape", cx.narrow(x), cx.ints(-1))
    one = cx.op("Slice", flat, cx.ints(0), cx.ints(1))
    return cx.op("Mul", cx.op("Cast", one, to=7), cx.ints(0))


def _opaque(cx: Lowering, x: Value, zero: str | None) -> Value:
    if zero is None or x.literal is not None or 0 in x.type.shape:
        return x
    shape = cx.ints(*x.shape)
    if x.shape:
        return cx.value(cx.op("Reshape", x.name, cx.op("Add", shape, zero)), x.type, x.shape)
    wide = cx.op("Reshape", x.name, cx.op("Add", cx.ints(1), zero))
    return cx.value(cx.op("Reshape", wide, shape), x.type, ())


RULES: Final[dict[str, Rule]] = {
    "run_branch": _branch,
    "run_while": _while,
    "run_scan": _scan,
    "optimization_barrier": _barrier,
}
