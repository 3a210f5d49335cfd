"""Common subexpressions: what is computed twice from the same operands is computed once."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, Final

from slope.core.program import Atom, Instr, Literal, Program, param_key
from slope.passes._rewriter import Rewriter, number
from slope.passes.effects import has_effect

COMMUTATIVE: Final = frozenset(
    [
        "add",
        "mul",
        "maximum",
        "minimum",
        "bitwise_and",
        "bitwise_or",
        "bitwise_xor",
        "eq",
        "ne",
    ]
)


def merge_common_subexpressions(program: Program) -> Program:
    """Keep the first of the instructions with the same operator, operands and parameters.

    Operands are the same if they are one variable, or literals that mean the same; those of
    commutative operators in either order. Instructions with an effect are left alone.
    """
    rewriter = Rewriter(program)
    known: dict[Hashable, Instr] = {}
    for instr in program.instrs:
        inputs = tuple([rewriter.read(atom) for atom in instr.inputs])
        key = None if has_effect(instr) else _key(instr, inputs)
        first = None if key is None else known.setdefault(key, instr)
        if first is None or first is instr:
            rewriter.keep(instr, inputs)
        else:
            for var, same in zip(instr.outputs, first.outputs, strict=True):
                rewriter.replace(var, same)
    return rewriter.finish()


def _key(instr: Instr, inputs: tuple[Atom, ...]) -> Hashable | None:
    operands: Any = tuple(
        [_literal_key(atom) if isinstance(atom, Literal) else atom for atom in inputs]
    )
    if instr.op.name in COMMUTATIVE:
        operands = frozenset(operands)
    key = (
        instr.op,
        operands,
        param_key(tuple(instr.params.items())) if instr.params else None,
    )
    try:
        hash(key)
    except TypeError:  # a parameter that does not hash: nothing to compare it by
        return None
    return key


def _literal_key(literal: Literal) -> Hashable:
    # By the number as it counts in the dtype: 0 and 0.0 are one float32, 0.0 and -0.0 two.
    return param_key(number(literal)), literal.type
