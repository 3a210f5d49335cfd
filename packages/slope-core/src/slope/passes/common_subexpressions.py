"""Common subexpressions: what is computed twice from the same operands is computed once."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, Final

from slope.core.program import Atom, Instr, Literal, Program
from slope.dims import DimExpr
from slope.dims import key as dims_key
from slope.passes._rewriter import Rewriter, has_effect, number

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
    """Keep the first of the instructions that apply one operator to the same operands with the same
    parameters.

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
        _frozen(tuple(instr.params.items())) if instr.params else None,
    )
    try:
        hash(key)
    except TypeError:  # a parameter that does not hash: nothing to compare it by
        return None
    return key


def _literal_key(literal: Literal) -> Hashable:
    # By the number as it counts in the dtype: 0 and 0.0 are one float32, 0.0 and -0.0 two.
    return _frozen(number(literal)), literal.type


def _frozen(value: Any) -> Hashable:
    """A parameter so that equal means the same: 0, 0.0, -0.0 and False differ, NaN is itself."""
    if isinstance(value, tuple):
        return tuple([_frozen(item) for item in value])
    if isinstance(value, float):
        return float, value.hex()
    if isinstance(value, bool):
        return bool, value
    if isinstance(value, DimExpr):
        return dims_key((value,))
    return value
