"""Branches and loops as Python's own; their programs are functions beside the one written.

Such a function may return its arguments or views of them. Results of the instruction must be on
their own, since dead arrays are written over: what may share memory is copied. The carries of a
loop are its own, so each turn may write to those of the turn before.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from slope_backend_numpy.lower.elementwise import Rule
from slope_backend_numpy.sizes import never_zero

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
    shared = [any(flags) for flags in zip(*[each.shared() for each in functions], strict=True)]
    _copy(context, results, shared)
    return results


def run_while(
    context: Context, *operands: Value, cond: Program, body: Program, consts: int
) -> list[Value]:
    carries = len(operands) - consts
    given = frozenset(range(consts, consts + carries))
    test, step = context.function(cond), context.function(body, given)
    fixed = [context.array(each) for each in operands[:consts]]
    results = context.results()
    carried = [each.code for each in results]
    arguments = ", ".join([*fixed, *carried])
    for code, init in zip(carried, operands[consts:], strict=True):
        context.statement(f"{code} = {context.own(init)}")
    context.statement(f"while {test.name}({arguments})[0]:")
    if carried:
        context.statement(f"    {_target(results)} = {step.name}({arguments})")
        _part(context, carried, step.owners)
    else:
        context.statement(f"    {step.name}({arguments})")
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
    codes = [context.array(each) for each in operands]
    results = context.results()
    carried, stacked = results[:carries], results[carries:]
    wide = [each for each in stacked if len(each.type.shape) > 1]
    rows = frozenset(carries + number for number, each in enumerate(stacked) if each in wide)
    own = _own_carries(context, body, consts, carries, rows)
    step = context.function(body, frozenset(consts + number for number in own), rows)
    for number, (each, init) in enumerate(zip(carried, operands[consts:], strict=False)):
        start = context.own(init) if number in own else context.full(init)
        context.statement(f"{each.code} = {start}")
    for each in stacked:
        dtype = context.dtype_code(each.dtype)
        context.statement(f"{each.code} = np.empty({each.type.shape}, {dtype})")
    place = context.name()
    through = [*codes[consts + carries :], *(each.code for each in wide)]
    names = [context.name() for _ in through]
    arguments = ", ".join([*codes[:consts], *(each.code for each in carried), *names])
    targets = [each.code for each in carried]
    targets += [f"{each.code}[{place}]" for each in stacked if each not in wide]
    call = f"{step.name}({arguments})"
    context.statement(_header(place, f"range({length})", names, through, reverse))
    context.statement(f"    {', '.join(targets)}, = {call}" if targets else f"    {call}")
    _part(context, [carried[number].code for number in own], [step.owners[n] for n in own])
    if names and never_zero(length):  # they would keep the arrays alive
        context.statement(f"del {', '.join(names)}")
    for number, each in enumerate(carried):
        if number not in own:
            context.statement(f"{each.code} = {each.code}.copy()")
    return results


def _header(
    place: str, turns: str, names: Sequence[str], through: Sequence[str], reverse: bool
) -> str:
    """The first line of a loop over places, and over the rows of arrays there."""
    order = "[::-1]" if reverse else ""
    if not names:
        return f"for {place} in {turns}{order}:"
    rows = ", ".join(f"{each}{order}" for each in (turns, *through))
    return f"for {', '.join((place, *names))} in zip({rows}):"


def _own_carries(
    context: Context, body: Program, consts: int, carries: int, rows: frozenset[int]
) -> list[int]:
    """The carries that a turn may write over: all but those that are rows of stacked results."""
    own = list(range(carries))
    while True:
        lent = context.lent(body, frozenset(consts + number for number in own), rows)
        if not lent.intersection(own):
            return own
        own = [number for number in own if number not in lent]


def _target(results: Sequence[Value]) -> str:
    return ", ".join(each.code for each in results) + ("," if len(results) == 1 else "")


def _copy(context: Context, results: Sequence[Value], shared: Sequence[bool]) -> None:
    for each, copy in zip(results, shared, strict=True):
        if copy:
            context.statement(f"{each.code} = {each.code}.copy()")


def _part(context: Context, carried: Sequence[str], owners: Sequence[int]) -> None:
    """Inside a loop: no two carries share memory, since the next turn may write to each."""
    seen = {-1}
    for code, owner in zip(carried, owners, strict=False):
        if owner in seen:
            context.statement(f"    {code} = {code}.copy()")
        seen.add(owner)


def barrier(context: Context, *operands: Value) -> tuple[Any, ...]:
    """Nothing to do: Python computes what is written, in that order."""
    return operands


LOWERINGS: Final[dict[str, Rule]] = {
    "run_branch": run_branch,
    "run_while": run_while,
    "run_scan": run_scan,
    "optimization_barrier": barrier,
}
