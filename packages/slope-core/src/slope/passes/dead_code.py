"""Dead code: instructions whose results nothing reads, and constants that nothing reads, vanish."""

from __future__ import annotations

from slope.core.program import Instr, Program, Var
from slope.passes.effects import has_effect


def remove_dead_code(program: Program) -> Program:
    """Drop what no output needs.

    Instructions with an effect stay, and so does everything that they read. The inputs stay: they
    are the program's signature. An operator with a method ``prune(instr, live)`` (loops, branches)
    gives up the results that nothing reads, and the operands that only they need.
    """
    live = {atom for atom in program.outputs if isinstance(atom, Var)}
    kept: list[Instr] = []
    smaller = False
    for instr in reversed(program.instrs):
        if any(var in live for var in instr.outputs) or has_effect(instr):
            pruned = _pruned(instr, live)
            smaller = smaller or pruned is not instr
            instr = pruned
            kept.append(instr)
            live.update(atom for atom in instr.inputs if isinstance(atom, Var))
    constants = [(var, tensor) for var, tensor in program.constants if var in live]
    whole = len(kept) == len(program.instrs) and len(constants) == len(program.constants)
    if whole and not smaller:
        return program
    kept.reverse()
    return Program(
        program.inputs,
        constants,
        kept,
        program.outputs,
        program.name,
        program.input_names,
    )


def _pruned(instr: Instr, live: set[Var]) -> Instr:
    prune = getattr(instr.op, "prune", None)
    if prune is None:
        return instr
    return prune(instr, [var in live for var in instr.outputs]) or instr
