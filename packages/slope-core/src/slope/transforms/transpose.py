"""Transposition: a linear program run backward, from the outputs' cotangents to the inputs'."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from slope.core import rules
from slope.core.operator import Linear, Operator, Tangent
from slope.core.program import Instr, LineKeeper, Literal, Program, ProgramTrace, Var, expand
from slope.core.tensor import Splat, Tensor
from slope.core.trace import EVAL, bind, current_trace
from slope.errors import MissingRuleError, NaNError, Source
from slope.ops import add


class _Cotangents:
    """Cotangents by variable, added up as they come in; absent ones are zero."""

    def __init__(self) -> None:
        self.values: dict[Var, Tensor] = {}

    def add(self, var: Any, cotangent: Tangent) -> None:
        if cotangent is None or not isinstance(var, Var):
            return
        known = self.values.get(var)
        self.values[var] = cotangent if known is None else add(known, cotangent)


def backward(
    program: Program, args: Sequence[Tensor | Linear], cotangents: Sequence[Tangent]
) -> list[Tangent]:
    """Run a linear program backward under the current trace.

    Args:
        program: linear in the inputs that are :class:`Linear` in ``args``.
        args: for each input its value, or a :class:`Linear`.
        cotangents: of the outputs; ``None`` is zero.

    Returns:
        For each input its cotangent; ``None`` for zero, and for inputs that are not linear.
    """
    env: dict[Var, Tensor] = dict(program.constants)
    linear: set[Var] = set()
    for var, arg in zip(program.inputs, args, strict=True):
        if isinstance(arg, Linear):
            linear.add(var)
        else:
            env[var] = arg
    linear_instrs = _run_known(program, env, linear)
    pending = _Cotangents()
    for atom, cotangent in zip(program.outputs, cotangents, strict=True):
        if atom in linear:
            pending.add(atom, cotangent)
    with LineKeeper() as keeper:
        for instr in reversed(linear_instrs):
            outs = [pending.values.pop(var, None) for var in instr.outputs]
            if all(out is None for out in outs):
                continue
            operands = [
                Linear(atom.type) if atom in linear else _read(env, atom) for atom in instr.inputs
            ]
            if keeper.traces:
                keeper.at(_differentiated(instr.source))
            try:
                results = _transposed(instr.op, outs, operands, instr.params)
                for atom, cotangent in zip(instr.inputs, results, strict=True):
                    if atom in linear:
                        pending.add(atom, cotangent)
            except NaNError as error:
                error.came_of(instr.source, backward=True)
                raise
    return [pending.values.get(var) if var in linear else None for var in program.inputs]


@functools.lru_cache(4096)
def _differentiated(source: Source | None) -> Source | None:
    return None if source is None else source._replace(backward=True)


def _read(env: dict[Var, Tensor], atom: Var | Literal) -> Tensor:
    return env[atom] if isinstance(atom, Var) else Splat(atom.value, atom.type)


def _run_known(program: Program, env: dict[Var, Tensor], linear: set[Var]) -> list[Instr]:
    """Compute what depends on no linear input; return the other instructions."""
    left: list[Instr] = []
    for instr in program.instrs:
        if any(atom in linear for atom in instr.inputs):
            linear.update(instr.outputs)
            left.append(instr)
        else:
            results = bind(instr.op, [_read(env, atom) for atom in instr.inputs], instr.params)
            env.update(zip(instr.outputs, results, strict=True))
    return left


def _transposed(
    op: Operator, outs: list[Tangent], operands: list[Any], params: dict[str, Any]
) -> Sequence[Tangent]:
    if op.has("transpose"):
        given = rules.call(
            op, "transpose", (tuple(outs) if op.multiple else outs[0], *operands), params
        )
        linear = [type(operand) is Linear for operand in operands]
        return rules.pulled(op, "transpose", given, operands, linear)
    if not op.has("expand"):
        raise MissingRuleError(
            f"operator {op.name!r} cannot take part in transposition (reverse-mode "
            f"differentiation): it defines neither transpose nor expand. Write "
            f"{type(op).__qualname__}.transpose, or {type(op).__qualname__}.expand, which serves "
            f"every transform."
        )
    with ProgramTrace(current_trace(), op.name, record_all=False) as recorder:
        args = [
            recorder.new_input(operand.type) if isinstance(operand, Linear) else operand
            for operand in operands
        ]
        program = recorder.finish(expand(op, args, params), op.name)
    results = iter(backward(program, [Linear(var.type) for var in program.inputs], outs))
    return [next(results) if isinstance(operand, Linear) else None for operand in operands]


def transpose_program(
    program: Program, linear: tuple[bool, ...], given: tuple[bool, ...]
) -> tuple[Program, tuple[bool, ...]]:
    """The transpose of a linear program.

    Args:
        program: without constants.
        linear: which inputs it is transposed with respect to.
        given: which outputs have a cotangent that is not zero.

    Returns:
        A program from ``(*inputs that are not linear, *given cotangents)`` to the cotangents of the
        linear inputs that are not zero, and which those are.
    """
    key = ("transpose", linear, given)
    if key not in program.derived:
        with ProgramTrace(EVAL, program.name) as trace:
            args = [
                Linear(each) if is_linear else trace.new_input(each)
                for each, is_linear in zip(program.input_types, linear, strict=True)
            ]
            cotangents = [
                trace.new_input(each) if is_given else None
                for each, is_given in zip(program.output_types, given, strict=True)
            ]
            results = backward(program, args, cotangents)
            made = trace.finish([result for result in results if result is not None], program.name)
        program.derived[key] = made, tuple(result is not None for result in results)
    return program.derived[key]
