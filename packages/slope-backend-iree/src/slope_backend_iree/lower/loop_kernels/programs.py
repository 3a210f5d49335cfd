"""Programs, loops and branches in a kernel.

A variable's value is an array, or an expression that its only reader will evaluate. What a loop
carries lives in memory, and is replaced when all of a turn's results are known.
"""

from __future__ import annotations

import contextlib
import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

from slope.extend import Atom, Instr, Literal, Program, Var, dtypes
from slope_backend_iree.lower.context import Rule

from .arrays import Array, Expression, Index, Operand, Splat, leaves, row
from .kernel import Kernel
from .places import scatter_in, update_in
from .rules import RULES, turned

Known = dict[Var, Operand]

_SOME_TURNS = 16

_IN_PLACE: dict[str, Rule] = {"dynamic_update_slice": update_in, "scatter_slices": scatter_in}


def run(
    kernel: Kernel, program: Program, known: Known, writable: frozenset[Var] = frozenset()
) -> list[Operand]:
    """Write a program's instructions; its outputs.

    Args:
        kernel: where to write them.
        program: whose they are.
        known: the values of its inputs, and of those of its variables that are computed already.
        writable: inputs whose memory may be written to once nothing reads them any more.
    """
    uses = Counter(atom for instr in program.instrs for atom in instr.inputs)
    uses.update(program.outputs)
    last = {
        atom: place for place, instr in enumerate(program.instrs) for atom in instr.inputs
    } | dict.fromkeys(program.outputs, len(program.instrs))
    own = set(writable)
    for place, instr in enumerate(program.instrs):
        if all(var in known for var in instr.outputs):
            continue
        target = instr.inputs[0] if instr.op.name in _IN_PLACE else None
        free = target in own and last[target] == place and instr.inputs.count(target) == 1
        if isinstance(target, Var) and free:
            _settle(kernel, target, known, last, place)
            operands = [_value(atom, known) for atom in instr.inputs]
            known[instr.outputs[0]] = _IN_PLACE[instr.op.name](kernel, *operands, **instr.params)
            own.add(instr.outputs[0])
            continue
        operands = [_value(atom, known) for atom in instr.inputs]
        results = _apply(kernel, instr, operands)
        for var, result in zip(instr.outputs, results, strict=True):
            many = isinstance(result, Expression) and uses[var] > 1
            known[var] = kernel.force(result) if many else result
    return [_value(atom, known) for atom in program.outputs]


def _settle(kernel: Kernel, target: Var, known: Known, last: dict[Any, int], place: int) -> None:
    """Copy what is still to be read and reads an array that is about to change."""
    (array,) = leaves(known[target])
    for var, value in known.items():
        if var is target or last.get(var, -1) < place:
            continue
        if any(each.memory == array.memory for each in leaves(value)):
            known[var] = kernel.copy(value)


def _value(atom: Atom, known: Known) -> Operand:
    return Splat(atom.value, atom.type) if isinstance(atom, Literal) else known[atom]


def _apply(kernel: Kernel, instr: Instr, operands: list[Operand]) -> Sequence[Operand]:
    control = CONTROL.get(instr.op.name)
    if control is not None:
        return control(kernel, *operands, **instr.params)
    return [RULES[instr.op.name](kernel, *operands, **instr.params)]


def _known(program: Program, values: Sequence[Operand]) -> Known:
    return dict(zip(program.inputs, values, strict=True))


def barrier(kernel: Kernel, *operands: Operand) -> Sequence[Operand]:
    return operands


# --- loops


def run_scan(
    kernel: Kernel,
    *operands: Operand,
    body: Program,
    consts: int,
    carries: int,
    length: int,
    reverse: bool = False,
    outputs: Sequence[Array] = (),
) -> Sequence[Operand]:
    """A loop that counts.

    ``outputs``: where the results go, if that matters.
    """
    first = consts + carries
    fixed = [_steady(kernel, x) for x in operands[:consts]]
    xs = [_steady(kernel, x) for x in operands[first:]]
    finals = outputs[:carries] or [None] * carries
    state = [
        _state(kernel, x, final) for x, final in zip(operands[consts:first], finals, strict=True)
    ]
    stacks = outputs[carries:] or [
        kernel.scratch(each.with_shape((length, *each.shape)))
        for each in body.output_types[carries:]
    ]
    body, before = _prepared(kernel, body, fixed, length)
    with kernel.loop(length) as count:
        place = Index((), length - 1).plus(count, -1) if reverse else count
        known = _known(body, [*fixed, *state, *(row(x, place) for x in xs)]) | before
        carried = frozenset(body.inputs[consts:first])
        results = run(kernel, body, known, carried)
        for stack, result in zip(stacks, results[carries:], strict=True):
            target = row(stack, place)
            assert isinstance(target, Array)
            kernel.fill(target, result)
        _advance(kernel, state, results[:carries])
    return [*_finished(kernel, state, finals), *stacks]


def run_while(
    kernel: Kernel,
    *operands: Operand,
    cond: Program,
    body: Program,
    consts: int,
    outputs: Sequence[Array] = (),
) -> Sequence[Operand]:
    """A loop that goes on as long as a program says so."""
    fixed = [_steady(kernel, x) for x in operands[:consts]]
    finals = outputs or [None] * (len(operands) - consts)
    state = [_state(kernel, x, final) for x, final in zip(operands[consts:], finals, strict=True)]
    lines = kernel.body.lines
    cond, before = _prepared(kernel, cond, fixed)
    body, before_body = _prepared(kernel, body, fixed)
    lines.append("scf.while : () -> () {")
    goes = run(kernel, cond, _known(cond, [*fixed, *state]) | before)
    lines += [f"scf.condition({kernel.scalar(goes[0])})", "} do {"]
    known = _known(body, [*fixed, *state]) | before_body
    results = run(kernel, body, known, frozenset(body.inputs[consts:]))
    _advance(kernel, state, results)
    lines += ["scf.yield", "}"]
    return _finished(kernel, state, finals)


_SMALL = 1 << 11  # bytes


def _state(kernel: Kernel, first: Operand, final: Array | None) -> Array:
    """Memory for what a loop carries, holding its first value.

    A large one lives where its last value has to be.
    """
    large = final is not None and first.type.nbytes > _SMALL
    made = final if large else kernel.scratch(first.type)
    assert made is not None
    kernel.fill(made, first)
    return made


def _finished(
    kernel: Kernel, state: Sequence[Array], finals: Sequence[Array | None]
) -> list[Operand]:
    for each, final in zip(state, finals, strict=True):
        if final is not None and final != each:
            kernel.fill(final, each)
    return [each if final is None else final for each, final in zip(state, finals, strict=True)]


def _steady(kernel: Kernel, x: Operand) -> Operand:
    """What a loop reads in every turn is computed before it."""
    return kernel.force(x) if isinstance(x, Expression) else x


def _prepared(
    kernel: Kernel, program: Program, fixed: Sequence[Operand], turns: int = _SOME_TURNS
) -> tuple[Program, Known]:
    """A loop's program, and what it computes of its constants alone, computed before the loop."""
    known = dict(zip(program.inputs, fixed, strict=False))
    for instr in program.instrs:
        if instr.op.name in CONTROL or instr.op.name == "broadcast":
            continue
        if all(isinstance(atom, Literal) or atom in known for atom in instr.inputs):
            operands = [_value(atom, known) for atom in instr.inputs]
            (result,) = _apply(kernel, instr, operands)
            known[instr.outputs[0]] = _steady(kernel, result)
    return _with_turned_factors(kernel, program, known, turns), known


def _with_turned_factors(kernel: Kernel, program: Program, known: Known, turns: int) -> Program:
    """A program whose products read another copy of the factors that stay the same.

    It is made where a product sums over a factor's last dimension: with the elements of another
    dimension side by side, no sum goes across the lanes of a vector, and it is several times as
    fast.
    """
    others: dict[Atom, Var] = {}
    instrs: list[Instr] = []
    for instr in program.instrs:
        inputs = list(instr.inputs)
        if instr.op.name == "dot_general" and not any(var in known for var in instr.outputs):
            for place, atom in enumerate(inputs):
                if atom not in known or not _turns_pay(instr, place, turns):
                    continue
                if atom not in others:
                    others[atom] = Var(atom.type)
                    last = len(atom.type.shape) - 1
                    known[others[atom]] = turned(kernel, known[atom], (last,))
                inputs[place] = others[atom]
        instrs.append(Instr(instr.op, tuple(inputs), instr.params, instr.outputs, instr.source))
    return Program(program.inputs, program.constants, instrs, program.outputs, program.name)


def _turns_pay(instr: Instr, place: int, turns: int) -> bool:
    """Whether a product sums over a factor's last dimension, and often enough to copy that."""
    shape = instr.inputs[place].type.shape
    contract, batch = instr.params["contract"][place], instr.params["batch"][place]
    last = len(shape) - 1
    if last not in contract or len(contract) + len(batch) > last:
        return False
    # To copy an element takes as long as some 4 sums across the lanes, of which every row has one
    # for as many elements as it sums over, in every turn.
    inner = math.prod(shape[dim] for dim in contract)
    rows = instr.inputs[1 - place].type.size // inner
    return 4 * rows * turns > inner


def _advance(kernel: Kernel, state: Sequence[Array], results: Sequence[Operand]) -> None:
    """Replace what a loop carries, once nothing needs the old values any more."""
    memories = {each.memory for each in state}
    waiting: list[tuple[Array, Operand]] = []
    for own, result in zip(state, results, strict=True):
        if result == own:
            continue
        read = [each for each in leaves(result) if each.memory in memories]
        if all(each == own for each in read):  # element by element in place
            waiting.append((own, result))
        else:
            waiting.append((own, kernel.copy(result)))
    for own, result in waiting:
        kernel.fill(own, result)


# --- branches


def run_branch(
    kernel: Kernel, index: Operand, *operands: Operand, branches: tuple[Program, ...]
) -> Sequence[Operand]:
    given = [_steady(kernel, x) for x in operands]
    made = [kernel.scratch(each) for each in branches[0].output_types]
    number = kernel.scalar(index)
    with contextlib.ExitStack() as stack:
        for place, branch in enumerate(branches):
            if place + 1 < len(branches):
                is_it = _selects(kernel, number, place)
                kernel.body.lines.append(f"scf.if {is_it} {{")
                stack.callback(kernel.body.lines.append, "}")
            for target, result in zip(
                made, run(kernel, branch, _known(branch, given)), strict=True
            ):
                kernel.fill(target, result)
            if place + 1 < len(branches):
                kernel.body.lines.append("} else {")
    return made


def _selects(kernel: Kernel, number: Any, place: int) -> Any:
    if number.dtype is dtypes.bool_:
        return kernel.body.same("not", number)
    if place == 0:  # what is negative selects the first
        return kernel.body.compare("LE", number, kernel.body.like(0, number))
    return kernel.body.compare("EQ", number, kernel.body.like(place, number))


CONTROL = {
    "run_scan": run_scan,
    "run_while": run_while,
    "run_branch": run_branch,
    "optimization_barrier": barrier,
}
