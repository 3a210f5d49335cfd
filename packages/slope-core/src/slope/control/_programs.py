"""Programs as parameters: equal ones shared, rearranged, and their constants made operands."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any

from slope.core.operator import Tangent
from slope.core.program import Atom, Instr, Literal, Program, ProgramTrace, Var, evaluate, param_key
from slope.core.tensor import Splat, Tensor
from slope.core.trace import EVAL
from slope.ops.linear import batched_at
from slope.passes import map_programs, remove_dead_code
from slope.passes.effects import has_effect, program_has_effect
from slope.transforms.vmap import batch_program

_LIMIT = 2048
_interned: dict[Hashable, Program] = {}


def intern(program: Program) -> Program:
    """The first program that was like this one: so its derivatives and executables are made once.

    It came of the same lines of the user's code.

    A loop that is traced again at every call is compiled once, whatever Python function it came
    from.
    """
    key = _structure(program)
    if key is None:
        return program
    if len(_interned) >= _LIMIT:
        _interned.clear()
    return _interned.setdefault(key, program)


def _structure(program: Program) -> Hashable | None:
    if program.constants:
        return None
    numbers: dict[Var, int] = {var: number for number, var in enumerate(program.inputs)}

    def known(atom: Atom) -> Hashable:
        return atom.key() if isinstance(atom, Literal) else numbers[atom]

    rows: list[Hashable] = []
    for instr in program.instrs:
        for var in instr.outputs:
            numbers[var] = len(numbers)
        params = tuple([(name, param_key(value)) for name, value in instr.params.items()])
        # The line, too: messages name it.
        rows.append((instr.op, tuple([known(atom) for atom in instr.inputs]), params, instr.source))
    outputs = tuple([known(atom) for atom in program.outputs])
    key = (program.name, program.input_types, tuple(rows), outputs)
    try:
        hash(key)
    except TypeError:
        return None
    return key


def with_inputs(
    program: Program, inputs: Iterable[Var], outputs: Iterable[Atom] | None = None
) -> Program:
    """The same instructions with other inputs (and outputs)."""
    outs = program.outputs if outputs is None else outputs
    return Program(inputs, program.constants, program.instrs, outs, program.name)


def cut(program: Program, inputs: Iterable[Var], outputs: Iterable[Atom] | None = None) -> Program:
    """As :func:`with_inputs`, without the instructions that the outputs do not need."""
    return remove_dead_code(with_inputs(program, inputs, outputs))


def substituted(program: Program, replaced: Mapping[Var, Atom], inputs: Iterable[Var]) -> Program:
    """The program with some variables read as others, and other inputs."""

    def read(atom: Atom) -> Atom:
        return replaced.get(atom, atom) if isinstance(atom, Var) else atom

    instrs = [
        Instr(
            instr.op,
            tuple([read(atom) for atom in instr.inputs]),
            instr.params,
            instr.outputs,
            instr.source,
        )
        for instr in program.instrs
    ]
    return Program(
        inputs, program.constants, instrs, [read(atom) for atom in program.outputs], program.name
    )


def lifted(programs: Sequence[Program], place: int = 0) -> tuple[list[Program], list[Tensor]]:
    """Programs of the same first inputs, their constants inputs of all now, at ``place``.

    Returns:
        The programs, and the constants' values in the order of the new inputs.
    """
    values: dict[int, Tensor] = {}
    for program in programs:
        values.update((id(value), value) for _, value in program.constants)
    if not values:
        return list(programs), []
    made: list[Program] = []
    for program in programs:
        own = {id(value): var for var, value in program.constants}
        new = [own.get(number) or Var(value.type) for number, value in values.items()]
        inputs = [*program.inputs[:place], *new, *program.inputs[place:]]
        made.append(Program(inputs, (), program.instrs, program.outputs, program.name))
    return made, list(values.values())


def zero(var: Atom | Var) -> Literal:
    """A literal zero of an atom's type."""
    return Literal(0, var.type)


def instantiated(
    primals: Sequence[Tensor], tangents: Sequence[Tangent], moving: Sequence[bool]
) -> list[Tangent]:
    """The tangents, those that are symbolic zeros made tensors where ``moving`` says so."""
    return [
        Splat(0, primal.type) if moves and tangent is None else tangent
        for primal, tangent, moves in zip(primals, tangents, moving, strict=True)
    ]


def padded(
    atoms: Sequence[Atom], present: Sequence[bool], wanted: Sequence[bool], like: Sequence[Atom]
) -> list[Atom]:
    """One atom for each wanted place: those present are ``atoms``, the others zeros."""
    given = iter(atoms)
    found = [next(given) if there else None for there in present]
    return [
        zero(like[number]) if atom is None else atom
        for number, (atom, want) in enumerate(zip(found, wanted, strict=True))
        if want
    ]


def batch_to(
    program: Program, size: Any, dims: tuple[int | None, ...], wanted: tuple[bool, ...]
) -> Program:
    """The batched program, of whose outputs only the wanted are batched, along dimension 0."""
    key = ("vmap to", size, dims, wanted)
    if key not in program.derived:
        made, ats = batch_program(program, size, dims)
        if any(at != (0 if want else None) for at, want in zip(ats, wanted, strict=True)):
            with ProgramTrace(EVAL, program.name) as trace:
                outs = evaluate(made, [trace.new_input(each) for each in made.input_types])
                placed = [
                    batched_at(out, at, size, 0) if want else out
                    for out, at, want in zip(outs, ats, wanted, strict=True)
                ]
                made = trace.finish(placed, program.name)
        program.derived[key] = made
    return program.derived[key]


def batched_outputs(program: Program, size: Any, dims: tuple[int | None, ...]) -> tuple[bool, ...]:
    """Which outputs depend on the batch."""
    return tuple(at is not None for at in batch_program(program, size, dims)[1])


def without_effects(program: Program) -> Program:
    """The program for its outputs alone: what only has an effect is left out.

    For what computes again what was computed before, with its effects.
    """
    if not program_has_effect(program):
        return program
    if "without effects" not in program.derived:
        instrs = [
            Instr(
                instr.op,
                instr.inputs,
                map_programs(instr.params, without_effects),
                instr.outputs,
                instr.source,
            )
            for instr in program.instrs
            if instr.outputs or not has_effect(instr)
        ]
        program.derived["without effects"] = program.with_instrs(instrs)
    return program.derived["without effects"]


def needed_inputs(program: Program, outputs: Iterable[Atom]) -> set[Var]:
    """The inputs (and constants) that some outputs are computed from."""
    needed = {atom for atom in outputs if isinstance(atom, Var)}
    for instr in reversed(program.instrs):
        if any(var in needed for var in instr.outputs):
            needed.update(atom for atom in instr.inputs if isinstance(atom, Var))
    return needed & {*program.inputs, *(var for var, _ in program.constants)}


def not_none(items: Iterable[Any]) -> list[Any]:
    """The items that are there: the tangents and cotangents that are no symbolic zeros."""
    return [item for item in items if item is not None]


def selected(items: Sequence[Any], flags: Sequence[bool]) -> list[Any]:
    """The items whose flag is set."""
    return [item for item, flag in zip(items, flags, strict=True) if flag]


def spread(items: Sequence[Any], flags: Sequence[bool]) -> list[Any]:
    """The items at the places whose flag is set, ``None`` elsewhere."""
    given = iter(items)
    return [next(given) if flag else None for flag in flags]
