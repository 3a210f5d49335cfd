"""Operators applied to one example of a batch after the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from slope.control.scan import call_scan
from slope.core.operator import Operator, as_tuple
from slope.core.program import ProgramTrace, known_source
from slope.core.tensor import Tensor
from slope.core.trace import EVAL
from slope.ops.linear import batched_at
from slope.transforms import vmap


def one_by_one(
    op: Operator,
    size: Any,
    args: Sequence[Tensor],
    in_dims: Sequence[int | None],
    params: dict[str, Any],
) -> tuple[Any, Any]:
    """What ``batch`` returns for an operator whose calls have an order: a scan over the examples.

    All results have the batch along dimension 0.
    """
    fixed = [arg for arg, at in zip(args, in_dims, strict=True) if at is None]
    moved = [
        batched_at(arg, at, size, 0)
        for arg, at in zip(args, in_dims, strict=True)
        if at is not None
    ]
    with ProgramTrace(EVAL, op.name) as trace:
        trace.instr_source = known_source(2)
        same = iter([trace.new_input(arg.type) for arg in fixed])
        own = iter([trace.new_input(arg.type.with_shape(arg.shape[1:])) for arg in moved])
        outs = op(*[next(same if at is None else own) for at in in_dims], **params)
        body = trace.finish(as_tuple(op, outs), op.name)
    results = call_scan(fixed, [], moved, body, size, False)
    return (results if op.multiple else results[0]), ((0,) * len(results) if op.multiple else 0)


vmap.one_by_one.append(one_by_one)
