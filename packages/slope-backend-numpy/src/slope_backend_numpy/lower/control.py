"""Branches and loops as Python's own; their programs are functions beside the one written.

Such a function may return its arguments or views of them. Results of the instruction must be on
their own, since dead arrays are
written over: what may share memory is copied, once, after a loop.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from slope_backend_numpy.lower.elementwise import Rule

if TYPE_CHECKING:
    from slope.extend import Program
    from slope_backend_numpy.context import Context, Value


def run_branch(
    context: Context, index: Value, *operands: Value, branches: tuple[Program, ...]
) -> list[Value]:
    functions = [context.function(branch) for branch in branches]
    last = len(branches) - 1
    choice = (
        f"bool({index.code})"
        if index.dtype.kind == "b"
        else f"min(max(int({index.code}), 0), {last})"
    )
    names = "".join(f"{function.name}, " for function in functions)
    arguments = ", ".join(context.array(each) for each in operands)
    results = context.results()
    context.statement(f"{_target(results)} = ({names.rstrip()})[{choice}]({arguments})")
    shared = [any(flags) for flags in zip(*[each.shared for each in functions], strict=True)]
    _copy(context, results, shared)
    return results


def run_while(
    context: Context, *operands: Value, cond: Program, body: Program, consts: int
) -> list[Value]:
    test, step = context.function(cond), context.function(body)
    fixed = [context.array(each) for each in operands[:consts]]
    results = context.results()
    carried = [each.code for each in results]
    arguments = ", ".join([*fixed, *carried])
    moved = context.name()
    context.statement(f"{moved} = False")
    for code, init in zip(carried, operands[consts:], strict=True):
        context.statement(f"{code} = {context.array(init)}")
    context.statement(f"while {test.name}({arguments})[0]:")
    context.statement(f"    {moved} = True")
    if carried:
        context.statement(f"    {_target(results)} = {step.name}({arguments})")
    else:
        context.statement(f"    {step.name}({arguments})")
    _copy(context, results, step.shared)
    left = [each.code for each, shared in zip(results, step.shared, strict=True) if not shared]
    if left:
        context.statement(f"if not {moved}:")
        for code in left:
            context.statement(f"    {code} = {code}.copy()")
    return results


def run_scan(
    context: Context,
    *operands: Value,
    body: Program,
    consts: int,
    carries: int,
    length: int,
    reverse: bool,
) -> list[Value]:
    step = context.function(body)
    codes = [context.array(each) for each in operands]
    results = context.results()
    carried, stacked = results[:carries], results[carries:]
    for each, init in zip(carried, codes[consts : consts + carries], strict=True):
        context.statement(f"{each.code} = {init}")
    for each in stacked:
        dtype = context.dtype_code(each.dtype)
        context.statement(f"{each.code} = np.empty({each.type.shape}, {dtype})")
    place = context.name()
    slices = [f"{code}[{place}]" for code in codes[consts + carries :]]
    arguments = ", ".join([*codes[:consts], *(each.code for each in carried), *slices])
    order = f"range({length - 1}, -1, -1)" if reverse else f"range({length})"
    targets = [*(each.code for each in carried), *(f"{each.code}[{place}]" for each in stacked)]
    call = f"{step.name}({arguments})"
    context.statement(f"for {place} in {order}:")
    context.statement(f"    {', '.join(targets)}, = {call}" if targets else f"    {call}")
    _copy(context, carried, [shared or not length for shared in step.shared[:carries]])
    return results


def _target(results: Sequence[Value]) -> str:
    return ", ".join(each.code for each in results) + ("," if len(results) == 1 else "")


def _copy(context: Context, results: Sequence[Value], shared: Sequence[bool]) -> None:
    for each, copy in zip(results, shared, strict=True):
        if copy:
            context.statement(f"{each.code} = {each.code}.copy()")


def barrier(context: Context, *operands: Value) -> tuple[Any, ...]:
    """Nothing to do: Python computes what is written, in that order."""
    return operands


LOWERINGS: Final[dict[str, Rule]] = {
    "run_branch": run_branch,
    "run_while": run_while,
    "run_scan": run_scan,
    "optimization_barrier": barrier,
}
