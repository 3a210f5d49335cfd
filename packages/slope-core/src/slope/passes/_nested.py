"""Programs that instructions of a program hold: bodies of loops, branches, calls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from slope.core.printer import programs_in
from slope.core.program import Instr, Program


def with_better_programs(program: Program, better: Callable[[Program], Program]) -> Program:
    """The program with others in place of those that its instructions hold; itself if all stay."""
    # Recursion goes as deep as programs nest, never along them.
    instrs = [_with_better_parameters(instr, better) for instr in program.instrs]
    if all(new is old for new, old in zip(instrs, program.instrs, strict=True)):
        return program
    return program.with_instrs(instrs)


def _with_better_parameters(instr: Instr, better: Callable[[Program], Program]) -> Instr:
    if not any(programs_in(list(instr.params.values()))):
        return instr
    params = map_programs(instr.params, better)
    if all(
        new is old
        for new, old in zip(
            programs_in(list(params.values())),
            programs_in(list(instr.params.values())),
            strict=True,
        )
    ):
        return instr
    return Instr(instr.op, instr.inputs, params, instr.outputs, instr.source)


def map_programs(params: dict[str, Any], better: Callable[[Program], Program]) -> dict[str, Any]:
    """Parameters with other programs in place of those that they are or hold."""
    return {name: _mapped(value, better) for name, value in params.items()}


def _mapped(value: Any, better: Callable[[Program], Program]) -> Any:
    if isinstance(value, Program):
        return better(value)
    if isinstance(value, tuple | list):
        return type(value)(_mapped(item, better) for item in value)
    if isinstance(value, dict):
        return {name: _mapped(item, better) for name, item in value.items()}
    return value
