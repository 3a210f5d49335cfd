"""What passes share: one walk over a program, front to back, that builds another.

Instructions that do not change are reused with their variables; a replaced variable is read as what
replaced it. Nothing is traced again, and nothing recurses over the length of a program.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from slope.core.operator import Operator, lookup
from slope.core.program import Atom, Instr, Program, Var, result_types
from slope.core.tensor import splat_scalar
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
        """Whether a variable is surely read at one place alone, which may then take it over."""
        return isinstance(atom, Var) and self._uses.get(atom, 0) <= 1

    # --- writing

    def keep(self, instr: Instr, inputs: tuple[Atom, ...]) -> None:
        """Keep an instruction of the old program, with the inputs that :meth:`read` gave."""
        if inputs != instr.inputs:
            self.changed = True
            instr = Instr(instr.op, inputs, instr.params, instr.outputs, instr.source)
        self._append(instr)

    def redefine(
        self,
        instr: Instr,
        op: Operator,
        inputs: tuple[Atom, ...],
        params: dict[str, Any],
    ) -> None:
        """Bind the outputs of an old instruction by another call that gives the same types."""
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


# --- rules for single calls


class Call(NamedTuple):
    """A call of an operator with one result, as rules see and make it."""

    op: str
    inputs: tuple[Atom, ...]
    params: dict[str, Any] = {}  # noqa: RUF012  # never written to


Rule = Callable[[Rewriter, Call, TensorType], Atom | Call | None]
"""From a call and its result's type to what replaces it; None where the rule does not fit."""

STEPS: Final = 16  # each rule brings a call nearer to its end; this is far beyond the longest chain


def apply_rules(program: Program, rules: Mapping[str, Sequence[Rule]]) -> Program:
    """Rewrite each call by the rules of its operator until none fits."""
    rewriter = Rewriter(program)
    for instr in program.instrs:
        inputs = tuple([rewriter.read(atom) for atom in instr.inputs])
        if instr.op.name not in rules or len(instr.outputs) != 1:
            rewriter.keep(instr, inputs)
            continue
        rewriter.source = instr.source
        (var,) = instr.outputs
        first = Call(instr.op.name, inputs, instr.params)
        result = _settled(rewriter, rules, first, var.type)
        if result is first:
            rewriter.keep(instr, inputs)
        elif isinstance(result, Call):
            rewriter.redefine(instr, lookup(result.op), result.inputs, result.params)
        else:
            rewriter.replace(var, result)
    return rewriter.finish()


def _settled(
    rewriter: Rewriter, rules: Mapping[str, Sequence[Rule]], call: Call, out: TensorType
) -> Atom | Call:
    for _ in range(STEPS):
        for rule in rules.get(call.op, ()):
            result = rule(rewriter, call, out)
            if result is not None:
                break
        else:
            return call
        if not isinstance(result, Call):
            return result
        call = result
    return call


# --- literals


def number(atom: Atom) -> bool | int | float | None:
    """A literal's number as it counts in its dtype (rounded, wrapped around), else None."""
    if isinstance(atom, Var):
        return None
    return python_number(splat_scalar(atom.value, atom.type.dtype))


def python_number(scalar: Any) -> bool | int | float:
    """A NumPy scalar of any of the dtypes as a Python number of the same value."""
    return float(scalar) if scalar.dtype.kind not in "biu" else scalar.item()


def is_number(atom: Atom, value: float) -> bool:
    """Whether an atom is a literal of this value; 0 stands for 0.0 and -0.0 both."""
    found = number(atom)
    return found is not None and found == value


def negative_zero(atom: Atom) -> bool:
    """Whether an atom is a literal -0.0."""
    found = number(atom)
    return isinstance(found, float) and found == 0 and math.copysign(1, found) < 0
