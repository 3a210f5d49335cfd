"""Where the linear part of a scan finds what it needs of the forward part."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from slope.core.program import Atom, Instr, Literal, Program, Var, evaluate
from slope.core.tensor import Tensor
from slope.passes.effects import has_effect


class Residuals(NamedTuple):
    """How the linear body gets at its residuals.

    Attributes:
        replaced: its residual inputs that stand for others or for literals.
        const_vars: its inputs that are the same in every iteration; ``once`` says what they are.
        once: inputs of the forward body, or what it computes from constants alone.
        slice_vars: its inputs that go through slices: first ``slices``, then ``outputs``, then
            ``stacked``.
        slices: operands of the forward scan.
        outputs: results of the forward scan, by place.
        stacked: what the forward scan must give besides.
    """

    replaced: dict[Var, Atom]
    const_vars: list[Var]
    once: list[Atom]
    slice_vars: list[Var]
    slices: list[int]
    outputs: list[int]
    stacked: list[Atom]


def sort_residuals(
    forward: Program, linear: Program, consts: int, carries: int, count: int
) -> Residuals:
    """Say of each residual where it comes from.

    Args:
        forward: the forward body; its outputs from ``count`` on are the residuals.
        linear: the linear body; its first inputs are the residuals.
        consts: how many of the forward body's inputs are constants.
        carries: how many are carries.
        count: how many outputs the body has.
    """
    residuals = forward.outputs[count:]
    fixed = _invariant(forward, consts, carries)
    slices = {var: place for place, var in enumerate(forward.inputs) if place >= consts + carries}
    outputs = {
        atom: place
        for place, atom in enumerate(forward.outputs[:count])
        if place >= carries and isinstance(atom, Var)
    }
    replaced: dict[Var, Atom] = {}
    seen: dict[Atom, Var] = {}
    once, sliced, given, stacked = _Pairs(), _Pairs(), _Pairs(), _Pairs()
    for atom, var in zip(residuals, linear.inputs, strict=False):
        if isinstance(atom, Literal):
            replaced[var] = atom
        elif atom in seen:
            replaced[var] = seen[atom]
        elif atom in fixed:
            once.add(var, atom)
        elif atom in slices:
            sliced.add(var, slices[atom])
        elif atom in outputs:
            given.add(var, outputs[atom])
        else:
            stacked.add(var, atom)
        seen.setdefault(atom, var)
    variables = [*sliced.vars, *given.vars, *stacked.vars]
    return Residuals(
        replaced, once.vars, once.whats, variables, sliced.whats, given.whats, stacked.whats
    )


class _Pairs:
    """Inputs of the linear body, and what each of them is."""

    def __init__(self) -> None:
        self.vars: list[Var] = []
        self.whats: list[Any] = []

    def add(self, var: Var, what: Any) -> None:
        self.vars.append(var)
        self.whats.append(what)


def _invariant(program: Program, consts: int, carries: int) -> set[Var]:
    """The variables alike in every iteration: of constants and of carries that never change."""
    fixed = {*program.inputs[:consts], *(var for var, _ in program.constants)}
    fixed.update(
        var
        for var, out in zip(
            program.inputs[consts : consts + carries], program.outputs, strict=False
        )
        if var is out
    )
    for instr in program.instrs:
        if not has_effect(instr) and all(
            isinstance(atom, Literal) or atom in fixed for atom in instr.inputs
        ):
            fixed.update(instr.outputs)
    return fixed


def evaluated_once(
    forward: Program, wanted: Sequence[Atom], values: Sequence[Tensor]
) -> list[Tensor]:
    """What the forward body computes from constants alone, computed under the current trace."""
    env: dict[Any, Tensor] = dict(zip(forward.inputs, values, strict=False))
    env.update(forward.constants)
    needed = {atom for atom in wanted if isinstance(atom, Var)}
    kept: list[Instr] = []
    for instr in reversed(forward.instrs):
        if any(var in needed for var in instr.outputs):
            kept.append(instr)
            needed.update(atom for atom in instr.inputs if isinstance(atom, Var))
    inputs = [var for var in env if var in needed]
    program = Program(inputs, (), reversed(kept), wanted, forward.name)
    return list(evaluate(program, [env[var] for var in inputs]))
