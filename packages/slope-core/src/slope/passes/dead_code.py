"""Dead code: instructions whose results nothing reads, and constants that nothing reads, vanish."""

from __future__ import annotations

from slope.core.program import Instr, Program, Var
from slope.passes.effects import has_effect


def remove_dead_code(program: Program) -> Program:
    """Drop what no output needs.

    Instructions with an effect stay, and so does everything that they read. The inputs stay: they
    are the program's signature. Operators that hold programs (loops, branches) give up the results
    that nothing reads, and the operands that only they need: :meth:`Operator.prune`.
    """
    live = {atom for atom in program.outputs if isinstance(atom, Var)}
    kept: list[Instr] = []
    smaller = False
    for instr in reversed(program.instrs):
        if any(var in live for var in instr.outputs) or has_effect(instr):
            if instr.op.has("prune"):
                pruned = instr.op.prune(instr, [var in live for var in instr.outputs])
                smaller = smaller or pruned is not None
                instr = pruned or instr
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
