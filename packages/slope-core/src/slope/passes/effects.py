"""Effects: what programs do besides computing their outputs, such as to print."""

from __future__ import annotations

from slope.core.printer import programs_in
from slope.core.program import Instr, Program


def has_effect(instr: Instr) -> bool:
    """Whether running an instruction matters although its results may not be used."""
    if instr.op.effect:
        return True
    return any(
        program_has_effect(nested)
        for value in instr.params.values()
        for nested in programs_in(value)
    )


def program_has_effect(program: Program) -> bool:
    """Whether a program does something besides computing its outputs."""
    if "effect" not in program.derived:
        program.derived["effect"] = any(has_effect(instr) for instr in program.instrs)
    return program.derived["effect"]
