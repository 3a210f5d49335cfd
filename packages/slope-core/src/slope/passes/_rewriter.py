"""What passes share: one walk over a program, front to back, that builds another.

Instructions that do not change are reused with their variables; a replaced variable is read as what replaced it.
Nothing is traced again, and nothing recurses over the length of a program.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from slope.core.operator import Operator, lookup
from slope.core.printer import programs_in
from slope.core.program import Atom, Instr, Literal, Program, Var, result_types
from slope.core.types import TensorType
from slope.errors import Source


class Rewriter:
    """A program under construction.

    Attributes:
        program: the program that is rewritten.
        instrs: the instructions so far.
        changed: whether anything differs from the program.
        source: the line that instructions emitted now come from.
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        self.instrs: list[Instr] = []
        self.changed = False
        self.source: Source | None = None
        self._replaced: dict[Var, Atom] = {}
        self._producers: dict[Var, Instr] = {}
        self._uses = count_uses(program)

    # --- reading

    def read(self, atom: Atom) -> Atom:
        """What stands for an atom of the old program."""
        return self._replaced.get(atom, atom) if isinstance(atom, Var) else atom

    def made_by(self, atom: Atom, *names: str) -> Instr | None:
        """The new instruction that binds a variable, if its operator has one of these names."""
        if isinstance(atom, Var):
            instr = self._producers.get(atom)
            if instr is not None and instr.op.name in names:
                return instr
        return None

    def only_use(self, atom: Atom) -> bool:
        """Whether a variable is surely read at one place alone, so that what reads it may take it over."""
        return isinstance(atom, Var) and self._uses.get(atom, 0) <= 1

    # --- writing

    def keep(self, instr: Instr, inputs: tuple[Atom, ...]) -> None:
        """Keep an instruction of the old program, with the inputs that :meth:`read` gave."""
        if inputs != instr.inputs:
            self.changed = True
            instr = Instr(instr.op, inputs, instr.params, instr.outputs, instr.source)
        self._append(instr)

    def redefine(
        self, instr: Instr, op: Operator, inputs: tuple[Atom, ...], params: dict[str, Any]
    ) -> None:
        """Bind the outputs of an instruction of the old program by another call that gives the same types."""
        self.changed = True
        self._count(inputs)
        self._append(Instr(op, inputs, params, instr.outputs, instr.source))

    def replace(self, var: Var, atom: Atom) -> None:
        """Read a variable of the old program as another atom from now on."""
        self.changed = True
        self._replaced[var] = atom
        if isinstance(atom, Var):  # at most so many more; only_use must never claim too much
            self._uses[atom] = self._uses.get(atom, 0) + self._uses.get(var, 0)

    def emit(self, name: str, *inputs: Atom, **params: Any) -> Var:
        """Add a call of an operator with one result; its type is inferred."""
        self.changed = True
        op = lookup(name)
        (result,) = result_types(op, [atom.type for atom in inputs], params)
        var = Var(result)
        self._uses[var] = 1
        self._count(inputs)
        self._append(Instr(op, inputs, params, (var,), self.source))
        return var

    def finish(self) -> Program:
        """The new program; the old one itself if nothing changed."""
        if not self.changed:
            return self.program
        old = self.program
        outputs = [self.read(atom) for atom in old.outputs]
        return Program(old.inputs, old.constants, self.instrs, outputs, old.name, old.input_names)

    def _append(self, instr: Instr) -> None:
        self.instrs.append(instr)
        for var in instr.outputs:
            self._producers[var] = instr

    def _count(self, inputs: Sequence[Atom]) -> None:
        for atom in inputs:
            if isinstance(atom, Var):
                self._uses[atom] = self._uses.get(atom, 0) + 1


def count_uses(program: Program) -> dict[Var, int]:
    """How often each variable is read, by instructions and as an output."""
    uses: dict[Var, int] = {}
    for instr in program.instrs:
        for atom in instr.inputs:
            if isinstance(atom, Var):
                uses[atom] = uses.get(atom, 0) + 1
    for atom in program.outputs:
        if isinstance(atom, Var):
            uses[atom] = uses.get(atom, 0) + 1
    return uses


def has_effect(instr: Instr) -> bool:
    """Whether running an instruction matters although its results may not be used."""
    if instr.op.effect:
        return True
    return any(
        _program_has_effect(nested)
        for value in instr.params.values()
        for nested in programs_in(value)
    )


def _program_has_effect(program: Program) -> bool:
    if "effect" not in program.derived:
        program.derived["effect"] = any(has_effect(instr) for instr in program.instrs)
    return program.derived["effect"]


def literal(value: bool | int | float, tensor_type: TensorType) -> Literal:
    """A literal; a short name for rules."""
    return Literal(value, tensor_type)
