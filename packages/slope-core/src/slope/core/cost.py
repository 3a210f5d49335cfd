"""What a program costs: floating-point operations, bytes moved, and bytes alive at once.

The counts are of the program as written; a backend may fuse instructions and then moves fewer
bytes. Dimensions may be symbolic, and then so are the counts. The rules:

- Operators with a method ``flops`` count themselves: products and convolutions do, with a
  multiplication and an addition for each product.
- Elementwise operators: 1 for each result element, whatever the operator (an ``exp`` counts as an
  ``add``).
- Reductions and running sums: 1 for each operand element. ``scatter_slices`` that combines: 1 for
  each update element.
- Other operators with ``expand``: what their expansion counts. All others move elements and count
  0.
- Programs in parameters count once for each iteration, where the parameter ``length`` gives their
  number, and else once; of branches, all count.

Bytes are those of the operands (literals take none) and results of each instruction. Inputs and
constants are alive throughout, results from their instruction to their last use, and outputs to the
end.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from slope.core.operator import Operator
from slope.core.printer import programs_in
from slope.core.program import Instr, Program, Var, expand, result_types, trace_program
from slope.core.types import TensorType
from slope.dims import dim_max

REDUCTIONS: Final = frozenset(
    ["sum", "prod", "amax", "amin", "any", "all", "argmax", "argmin", "cumsum"]
)


@dataclass(frozen=True)
class OperatorCost:
    """What the instructions of one operator cost together.

    Attributes:
        count: how many instructions, those of loop bodies once for each iteration.
        flops: floating-point operations (of any dtype).
        bytes: read and written.
    """

    count: Any = 0
    flops: Any = 0
    bytes: Any = 0

    def plus(self, other: OperatorCost, times: Any = 1) -> OperatorCost:
        """The sum with another cost, taken a number of times."""
        return OperatorCost(
            self.count + other.count * times,
            self.flops + other.flops * times,
            self.bytes + other.bytes * times,
        )


@dataclass(frozen=True)
class Cost:
    """What a program costs. Every number is an int or symbolic.

    Attributes:
        flops: floating-point operations (of any dtype).
        bytes: read and written by all instructions.
        peak_bytes: the most that is alive at once, inputs and constants included.
        by_operator: the same by operator name, in order of first appearance.
    """

    flops: Any = 0
    bytes: Any = 0
    peak_bytes: Any = 0
    by_operator: dict[str, OperatorCost] = field(default_factory=dict)

    def __str__(self) -> str:
        rows = [("operator", "count", "flops", "bytes")]
        rows += [
            (name, *map(_grouped, (each.count, each.flops, each.bytes)))
            for name, each in self._by_weight()
        ]
        count = sum((each.count for each in self.by_operator.values()), start=0)
        rows.append(("total", _grouped(count), _grouped(self.flops), _grouped(self.bytes)))
        widths = [max(len(row[column]) for row in rows) for column in range(4)]
        lines = [
            "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])])
            for row in rows
        ]
        return "\n".join([*lines, f"peak live bytes: {_grouped(self.peak_bytes)}"])

    def _by_weight(self) -> list[tuple[str, OperatorCost]]:
        items = list(self.by_operator.items())
        if all(isinstance(each.flops, int) and isinstance(each.bytes, int) for _, each in items):
            items.sort(key=lambda item: (item[1].flops, item[1].bytes), reverse=True)
        return items


def _grouped(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


def program_cost(program: Program) -> Cost:
    """Count what a program costs; see the module for the rules."""
    if "cost" not in program.derived:
        program.derived["cost"] = _counted(program)
    return program.derived["cost"]


def _counted(program: Program) -> Cost:
    totals: dict[str, OperatorCost] = {}
    expansions: dict[Any, Any] = {}
    for instr in program.instrs:
        for name, cost in _counted_instr(instr, expansions).items():
            totals[name] = totals.get(name, OperatorCost()).plus(cost)
    flops = sum((each.flops for each in totals.values()), start=0)
    moved = sum((each.bytes for each in totals.values()), start=0)
    return Cost(flops, moved, _peak(program), totals)


def instruction_cost(instr: Instr) -> OperatorCost:
    """What one instruction costs, with the programs that it holds; it counts as one."""
    costs = list(_counted_instr(instr, {}).values())
    flops = sum((each.flops for each in costs), start=0)
    return OperatorCost(1, flops, sum((each.bytes for each in costs), start=0))


def _counted_instr(instr: Instr, expansions: dict[Any, Any]) -> dict[str, OperatorCost]:
    """The cost of an instruction and of the programs that it holds, by operator."""
    costs = {instr.op.name: OperatorCost(1, _flops(instr, expansions), _bytes(instr))}
    for nested in _nested(instr):
        for name, cost in program_cost(nested).by_operator.items():
            costs[name] = costs.get(name, OperatorCost()).plus(cost, _iterations(instr))
    return costs


def _nested(instr: Instr) -> Iterable[Program]:
    for value in instr.params.values():
        yield from programs_in(value)


def _iterations(instr: Instr) -> Any:
    return instr.params.get("length", 1)


# --- operations


def _flops(instr: Instr, expansions: dict[Any, Any]) -> Any:
    op, types = instr.op, [atom.type for atom in instr.inputs]
    own = op.flops(*types, **instr.params)
    if own is not None:
        return own
    if op.elementwise:
        return instr.outputs[0].type.size
    if op.name in REDUCTIONS:
        return types[0].size
    if op.name == "scatter_slices":
        return 0 if instr.params.get("mode", "set") == "set" else types[2].size
    if op.has("expand") and not any(_nested(instr)):
        return _expanded(op, types, instr.params, expansions)
    return 0


def _expanded(
    op: Operator, types: list[TensorType], params: dict[str, Any], known: dict[Any, Any]
) -> Any:
    key = (op, *types, repr(params))
    if key not in known:
        result_types(op, types, params)  # refuses operands that do not fit before they are traced
        program = trace_program(lambda *args: expand(op, args, params), types, name=op.name)
        known[key] = program_cost(program).flops
    return known[key]


# --- bytes


def _bytes(instr: Instr) -> Any:
    operands = [atom for atom in instr.inputs if isinstance(atom, Var)]
    return sum((var.type.nbytes for var in (*operands, *instr.outputs)), start=0)


def _peak(program: Program) -> Any:
    held = [*program.inputs, *(var for var, _ in program.constants)]
    live: Any = sum((var.type.nbytes for var in held), start=0)
    dying = _last_uses(program, set(held))
    peak = live
    for position, instr in enumerate(program.instrs):
        live = live + sum((var.type.nbytes for var in instr.outputs), start=0)
        peak = dim_max(peak, live + _inner(instr))
        for var in dying.get(position, ()):
            live = live - var.type.nbytes
    return peak


def _inner(instr: Instr) -> Any:
    """What programs in the parameters need besides the instruction's operands and results."""
    most: Any = 0
    for nested in _nested(instr):
        outside = {atom for atom in nested.outputs if isinstance(atom, Var)} | set(nested.inputs)
        known = sum((var.type.nbytes for var in outside), start=0)
        most = dim_max(most, program_cost(nested).peak_bytes - known)
    return most


def _last_uses(program: Program, held: set[Var]) -> dict[int, list[Var]]:
    """Which results die after which instruction; those that nothing reads die after their own."""
    last: dict[Var, int] = {}
    for position, instr in enumerate(program.instrs):
        for atom in (*instr.inputs, *instr.outputs):
            if isinstance(atom, Var) and atom not in held:
                last[atom] = position
    for atom in program.outputs:
        if isinstance(atom, Var):
            last.pop(atom, None)
    dying: dict[int, list[Var]] = {}
    for var, position in last.items():
        dying.setdefault(position, []).append(var)
    return dying
