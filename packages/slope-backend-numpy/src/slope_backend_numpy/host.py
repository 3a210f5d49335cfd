"""Operators that Python computes: their host functions are called from the generated code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from slope.extend import ShapeError, host_function
from slope_backend_numpy.sizes import known

if TYPE_CHECKING:
    from slope_backend_numpy.context import Context, Value


def call_host(context: Context, *operands: Value, **params: Any) -> list[Value] | Value:
    """The rule of all operators with ``host`` and without a rule of their own."""
    instr = context.instr
    if not all(known(each.shape) for each in context.types):
        raise ShapeError(f"{instr.op.name}: what Python returns must have a known shape.")
    function = host_function(instr.op, context.types, params, instr.source)
    name = context.constant(function, "host")
    call = f"{name}({', '.join(context.array(each) for each in operands)})"
    results = context.results()
    targets = "".join(f"{each.code}, " for each in results)
    context.statement(f"{targets.rstrip()} = {call}" if results else call)
    return results if instr.op.multiple else results[0]
