"""Instructions that one node computes together: a normalization, its scale and its shift."""

from __future__ import annotations

from collections import Counter
from typing import Final, NamedTuple

from slope.extend import Instr, Program, Var

_SHIFTED: Final = {"standardize": True, "rms_normalize": False}  # whether the node adds a bias, too


class Chain(NamedTuple):
    """A normalization whose result is read by nothing but a product, and that by a sum.

    Attributes:
        normalize: the instruction.
        rest: the product, and the sum if there is one.
        factors: their other operands: the weight, and the bias.
    """

    normalize: Instr
    rest: tuple[Instr, ...]
    factors: tuple[Var, ...]

    @property
    def last(self) -> Instr:
        """The instruction that makes the result, at which all operands are there."""
        return self.rest[-1]


def reads_of(program: Program) -> Counter[Var]:
    """How often each variable is read; that it is a result counts as well."""
    atoms = [atom for instr in program.instrs for atom in instr.inputs]
    return Counter(atom for atom in (*atoms, *program.outputs) if isinstance(atom, Var))


def chains(program: Program, reads: Counter[Var]) -> list[Chain]:
    """The chains of a program, of float32 and float64."""
    reader = {
        atom: instr
        for instr in program.instrs
        for atom in instr.inputs
        if isinstance(atom, Var) and reads[atom] == 1
    }
    found = []
    for instr in program.instrs:
        if instr.op.name in _SHIFTED and instr.outputs[0].type.dtype.itemsize >= 4:
            chain = _chain(instr, reader)
            if chain is not None:
                found.append(chain)
    return found


def _chain(normalize: Instr, reader: dict[Var, Instr]) -> Chain | None:
    rest: list[Instr] = []
    factors: list[Var] = []
    value = normalize.outputs[0]
    for name in ("mul", "add")[: 1 + _SHIFTED[normalize.op.name]]:
        after = reader.get(value)
        if after is None or after.op.name != name:
            break
        (other,) = [atom for atom in after.inputs if atom is not value] or (None,)
        if not isinstance(other, Var):
            break
        rest.append(after)
        factors.append(other)
        value = after.outputs[0]
    return Chain(normalize, tuple(rest), tuple(factors)) if rest else None
