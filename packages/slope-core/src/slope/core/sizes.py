"""Programs with symbolic dimensions, for given sizes of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from slope.core.program import Atom, Instr, Literal, Program, Var
from slope.core.types import TensorType
from slope.dims import DimExpr, is_static, substitute, unify

Sizes = Mapping[str, int]


def sizes_of(program: Program, types: Sequence[TensorType]) -> dict[str, int]:
    """The sizes of a program's dimensions for which its first inputs have these types.

    Raises:
        ShapeError: there are none.
    """
    pairs = list(zip(program.input_types, types, strict=False))
    pattern = [length for each, _ in pairs for length in each.shape]
    return unify(pattern, [length for _, each in pairs for length in each.shape])


def sized_type(tensor_type: TensorType, sizes: Sizes) -> TensorType:
    """A type with its dimensions replaced by sizes."""
    shape = tensor_type.shape
    if is_static(shape):
        return tensor_type
    return tensor_type.with_shape(tuple([substitute(length, sizes) for length in shape]))


def sized_program(program: Program, sizes: Sizes) -> Program:
    """A program with its dimensions replaced by sizes, also in programs that it holds."""
    return _Sizing(sizes).program(program)


class _Sizing:
    """One replacement; a program that stands at two places stays one."""

    def __init__(self, sizes: Sizes) -> None:
        self._sizes = sizes
        self._programs: dict[Program, Program] = {}
        self._variables: dict[Var, Var] = {}

    def program(self, program: Program) -> Program:
        if program not in self._programs:
            self._programs[program] = Program(
                [self._variable(var) for var in program.inputs],
                program.constants,
                [self._instr(instr) for instr in program.instrs],
                [self._atom(atom) for atom in program.outputs],
                program.name,
                program.input_names,
            )
        return self._programs[program]

    def _instr(self, instr: Instr) -> Instr:
        return Instr(
            instr.op,
            tuple([self._atom(atom) for atom in instr.inputs]),
            {name: self._param(value) for name, value in instr.params.items()},
            tuple([self._variable(var) for var in instr.outputs]),
            instr.source,
        )

    def _atom(self, atom: Atom) -> Atom:
        if isinstance(atom, Var):
            return self._variable(atom)
        return Literal(atom.value, sized_type(atom.type, self._sizes))

    def _variable(self, var: Var) -> Var:
        if is_static(var.type.shape):
            return var
        if var not in self._variables:
            self._variables[var] = Var(sized_type(var.type, self._sizes))
        return self._variables[var]

    def _param(self, value: Any) -> Any:
        if isinstance(value, DimExpr):
            return substitute(value, self._sizes)
        if type(value) in (tuple, list):
            return type(value)([self._param(item) for item in value])
        if isinstance(value, dict):
            return {name: self._param(item) for name, item in value.items()}
        return self.program(value) if isinstance(value, Program) else value
